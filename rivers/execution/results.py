"""Assign the results of a function to outputs, and check them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from contextlib import suppress
from types import NoneType
from typing import TYPE_CHECKING, Any

from rivers.definitions.results import Materialization, Observation, Output, PartitionedOutput, tag_items
from rivers.graph.findings import suggest
from rivers_core.authoring import shown_keys
from rivers_core.exceptions import AssetOutputValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.definitions.results import ResultTags
    from rivers.graph.plan import Step, StoredOutput
    from rivers_core.partitions import PartitionKey

Named = tuple["StoredOutput", Any]
_RESULTS = (Output, Materialization, Observation)
_NO_MORE: Any = object()


async def named_results(
    step: Step, wanted: Sequence[StoredOutput], returned: Any
) -> AsyncGenerator[Named, None]:
    """Yield the results of a multi-asset by output.

    Args:
        step: Step of the multi-asset.
        wanted: Outputs that this run stores; others are dropped.
        returned: A dict by output name, or an iterable of results with an `output_name`.

    Yields:
        Output and result, in the order of the function.

    Raises:
        AssetOutputValidationError: A name is unknown or duplicated, or a wanted output is missing.
    """
    by_name = {output.name: output for output in step.outputs}
    seen: set[str] = set()
    observed: set[str] = set()
    async for name, result in _pairs(step, returned):
        if name not in by_name:
            raise AssetOutputValidationError(
                f"asset {step.name!r} returned the undeclared output {name!r}.{suggest(name, by_name)}"
            )
        if name in seen:
            raise AssetOutputValidationError(f"asset {step.name!r} returned its output {name!r} twice")
        (observed if isinstance(result, Observation) else seen).add(name)
        if by_name[name] in wanted:
            yield by_name[name], result
    absent = [output.name for output in wanted if output.name not in seen | observed]
    if absent:
        raise AssetOutputValidationError(
            f"asset {step.name!r} did not return its declared output {', '.join(map(repr, absent))}; "
            f"it returned {', '.join(map(repr, sorted(seen))) or 'nothing'}. Return all, or declare fewer outputs"
        )


async def closed(returned: Any) -> None:
    """Close a partially consumed generator so that its resources are released immediately."""
    with suppress(Exception):  # the error that stopped the step takes precedence
        if isinstance(returned, AsyncGenerator):
            await returned.aclose()
        elif isinstance(returned, Generator):
            returned.close()


async def _pairs(step: Step, returned: Any) -> AsyncGenerator[tuple[str, Any], None]:
    if isinstance(returned, Mapping):
        for name, value in returned.items():
            if isinstance(value, (Output, Materialization)):
                check_name(step, value, name)
            yield name, value
    elif isinstance(returned, AsyncIterator):
        async for result in returned:
            yield _name_of(step, result), result
    elif step.needs_loop and isinstance(returned, Iterator):
        while (result := await asyncio.to_thread(next, returned, _NO_MORE)) is not _NO_MORE:
            yield _name_of(step, result), result
    elif isinstance(returned, (Iterator, list, tuple, Output, Materialization)):
        results = [returned] if isinstance(returned, (Output, Materialization)) else returned
        for result in results:
            yield _name_of(step, result), result
    else:
        raise AssetOutputValidationError(
            f"asset {step.name!r} has several outputs and returned {type(returned).__name__}; "
            "return a dict {output name: value}, or yield Output(value, output_name=...)"
        )


def _name_of(step: Step, result: Any) -> str:
    name: str | None = getattr(result, "output_name", None)
    if isinstance(result, _RESULTS) and name is None and len(step.outputs) == 1:
        return step.outputs[0].name
    if not isinstance(result, _RESULTS) or name is None:
        raise AssetOutputValidationError(
            f"asset {step.name!r} has several outputs and yielded {type(result).__name__} without an output name; "
            "yield Output(value, output_name=...)"
        )
    return name


def check_name(step: Step, result: Output | Materialization, key: str | None = None) -> None:
    """Raise if a result names another output than the one it is returned for.

    Args:
        step: The step.
        result: What it gave.
        key: The key in a dictionary of results, if it came in one.

    Raises:
        AssetOutputValidationError: With both names.
    """
    output_name = result.output_name
    if output_name is None:
        return
    names = [key] if key is not None else [output.name for output in step.outputs]
    if output_name not in names:
        raise AssetOutputValidationError(
            f"asset {step.name!r} returned {type(result).__name__}(output_name={output_name!r}) as its output "
            f"{' and '.join(map(repr, names))}; omit or correct output_name. Nothing was stored"
        )


def check_value(output: StoredOutput, value: Any) -> None:
    """Raise if a value does not match the annotation.

    Raises:
        AssetOutputValidationError: The message names both types.
    """
    accepted = output.accepted
    if accepted is not None and not isinstance(value, accepted):
        promised = " or ".join("None" if kind is NoneType else kind.__qualname__ for kind in accepted)
        returned = "None" if value is None else type(value).__name__
        raise AssetOutputValidationError(
            f"asset {output.name!r} is annotated to return {promised}, but returned {returned}; "
            "nothing was stored. Return that type, or correct the annotation"
        )
    if isinstance(value, PartitionedOutput):
        raise AssetOutputValidationError(
            f"asset {output.name!r} returned a PartitionedOutput, but is not partitioned; "
            "give it a partitions_def, or return a dictionary. Nothing was stored"
        )


def check_part(output: StoredOutput, value: Any, keys: Sequence[PartitionKey]) -> None:
    """Raise if the value of some partition keys does not match the annotation or is not a plain value.

    Raises:
        AssetOutputValidationError: The message names the asset and the keys.
    """
    if isinstance(value, (PartitionedOutput, Materialization, Observation)):
        raise AssetOutputValidationError(
            f"asset {output.name!r} returned a {type(value).__name__} in its PartitionedOutput, for partition "
            f"{shown_keys(keys)}; use a value or an Output for each key. Nothing was stored"
        )
    check_value(output, value)


def of_part(part: Any, whole: Output | None) -> tuple[Any, Output | None]:
    """Return the bare value of one part and the `Output` to record: its own merged over that of the whole."""
    if not isinstance(part, Output):
        return part, whole
    if whole is None:
        return part.value, part
    return part.value, Output(
        metadata={**(whole.metadata or {}), **(part.metadata or {})} or None,
        data_version=part.data_version or whole.data_version,
        tags=_merged_tags(whole.tags, part.tags),
    )


def _merged_tags(*given: ResultTags | None) -> ResultTags | None:
    items = [item for tags in given for item in tag_items(tags)]
    if any(isinstance(item, str) for item in items):  # plain tags mixed with pairs
        return [item if isinstance(item, str) else "=".join(item) for item in items]
    return items or None  # type: ignore[return-value]


def split_by_key(
    output: StoredOutput, value: Any, keys: Sequence[PartitionKey], takes_batches: bool
) -> list[tuple[tuple[PartitionKey, ...], Any]]:
    """Split the result of a step over several keys into the values of single handler calls.

    Args:
        output: The output.
        value: The result.
        keys: The keys of the step.
        takes_batches: Whether the handler stores one value for several keys in one call.

    Returns:
        Keys and value of each call.

    Raises:
        AssetOutputValidationError: The keys are not those of the step, or there is one plain value for several keys.
    """
    if isinstance(value, PartitionedOutput):
        values = {str(key): part for key, part in value.values.items()}
        wanted = [str(key) for key in keys]
        absent, foreign = [key for key in wanted if key not in values], sorted(set(values) - set(wanted))
        if absent or foreign:
            advice = (
                "Declare partition_batches=True to handle several keys in one call."
                if len(keys) == 1
                else "Give each key of the call a value, an empty one where there is nothing to store."
            )
            raise AssetOutputValidationError(
                f"asset {output.name!r} returned a PartitionedOutput whose keys are not the {len(keys)} of this call: "
                f"{_differences(absent, foreign)}. {advice} Nothing was stored"
            )
        return [((key,), values[str(key)]) for key in keys]
    if len(keys) == 1 or takes_batches:
        return [(tuple(keys), value)]
    raise AssetOutputValidationError(
        f"asset {output.name!r} ran for {len(keys)} partition keys ({shown_keys(keys)}) and returned one value; its "
        "handler stores one value per key. Return PartitionedOutput({key: value, ...}), or omit partition_batches. "
        "Nothing was stored"
    )


def _differences(absent: Sequence[str], foreign: Sequence[str]) -> str:
    """Return which keys are missing and which were not requested."""
    counted = ((absent, "missing"), (foreign, "not requested"))
    return ", ".join(f"{len(keys)} {what} ({shown_keys(keys)})" for keys, what in counted if keys)

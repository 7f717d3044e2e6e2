"""Several partitions in one value: load each from the layer that has it, and concatenate."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from rivers_core import InputContext, PartitionContext
from rivers_core.exceptions import RiversError
from rivers_overlay.layers import has

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rivers_core import BaseIOHandler, PartitionKey

_QUESTIONS_AT_ONCE: Final = 16

# By name of the module of a library, which is imported, since a value of it was loaded.
_JOINS: Final[dict[str, Callable[[Any, list[Any]], Any]]] = {
    "builtins": lambda _, values: [item for value in values for item in value],
    "pandas": lambda pandas, values: pandas.concat(values, ignore_index=True),
    "polars": lambda polars, values: polars.concat(values),
    "pyarrow": lambda pyarrow, values: pyarrow.concat_tables(values),
}


def is_batch(context: InputContext) -> bool:
    """Return whether a context requests several partitions in one value."""
    return context.partition is not None and not context.partition.is_single


def one_by_one(context: InputContext) -> list[InputContext]:
    """Return a context for each partition; the context itself if it has one partition or none."""
    if context.partition is None or context.partition.is_single:
        return [context]
    return [of_keys(context, [key]) for key in context.partition.keys]


def of_keys(context: InputContext, keys: Sequence[PartitionKey]) -> InputContext:
    """Return the same context for some of its partitions."""
    definition = None if context.partition is None else context.partition.definition
    return InputContext(
        context.asset_name,
        context.downstream_asset,
        context.asset_metadata,
        PartitionContext(keys, definition),
        context.type_hint,
        run_id=context.run_id,
        upstream=lambda: context.upstream,
    )


def split_by_layer(layer: BaseIOHandler, context: InputContext) -> list[tuple[bool, InputContext]]:
    """Split partitions by whether a layer has them.

    Args:
        layer: The handler, which is asked for each partition separately.
        context: Context of several partitions.

    Returns:
        Runs of neighboring keys, in order: whether the layer has them, and a context for them.
        The context itself if all are equal.
    """
    single = one_by_one(context)
    if layer.locality == "process":
        answers = [has(layer, part) for part in single]
    else:
        with ThreadPoolExecutor(min(_QUESTIONS_AT_ONCE, len(single)), "rivers-overlay") as pool:
            answers = list(pool.map(lambda part: has(layer, part), single))
    if len(set(answers)) == 1:
        return [(answers[0], context)]
    keys = [part.partition.key for part in single if part.partition is not None]
    pairs = groupby(zip(answers, keys, strict=True), key=lambda pair: pair[0])
    return [(is_stored, of_keys(context, [key for _, key in run])) for is_stored, run in pairs]


def concatenated(context: InputContext, parts: Sequence[tuple[bool, InputContext]], values: list[Any]) -> Any:
    """Concatenate the parts that the layers returned.

    Args:
        context: Context of all partitions.
        parts: Result of `split_by_layer`.
        values: A list or a table for each part.

    Returns:
        A value of the same type with the rows of all parts, in the order of the keys.

    Raises:
        RiversError: Values of this type cannot be concatenated, or they do not fit together.
    """
    kinds = {type(value) for value in values}
    kind = next(iter(kinds))
    library = kind.__module__.partition(".")[0]
    if len(kinds) > 1 or library not in _JOINS or (library == "builtins" and kind is not list):
        named = " and ".join(sorted(f"{item.__module__}.{item.__qualname__}" for item in kinds))
        raise _divided(context, parts, f"values of type {named} cannot be concatenated")
    try:
        return _JOINS[library](sys.modules.get(library), values)
    except Exception as error:
        raise _divided(context, parts, f"their values do not fit together: {error}") from error


def _divided(context: InputContext, parts: Sequence[tuple[bool, InputContext]], reason: str) -> RiversError:
    at_top = [str(key) for is_top, part in parts if is_top and part.partition for key in part.partition.keys]
    count = len(one_by_one(context))
    shown = ", ".join(at_top[:3]) + (", ..." if len(at_top) > 3 else "")
    return RiversError(
        f"Could not load {count} partitions of asset {context.asset_name!r} as one value for "
        f"{context.downstream_asset!r}: {len(at_top)} are in the top layer ({shown}), the others only in the base, and "
        f"{reason}. Annotate the parameter as `dict[str, ...]`, or materialize the others in the top layer too."
    )

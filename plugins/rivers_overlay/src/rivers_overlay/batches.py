"""Several partitions in one value: each from the layer that has it, put together again."""

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

# A library is in here by the name of its module; it is there, since one of its values is.
_JOINS: Final[dict[str, Callable[[Any, list[Any]], Any]]] = {
    "builtins": lambda _, values: [item for value in values for item in value],
    "pandas": lambda pandas, values: pandas.concat(values, ignore_index=True),
    "polars": lambda polars, values: polars.concat(values),
    "pyarrow": lambda pyarrow, values: pyarrow.concat_tables(values),
}


def is_batch(context: InputContext) -> bool:
    """Whether a context asks for several partitions in one value."""
    return context.partition is not None and not context.partition.is_single


def one_by_one(context: InputContext) -> list[InputContext]:
    """A context for each partition that is asked for; the context itself if that is one, or none."""
    if context.partition is None or context.partition.is_single:
        return [context]
    return [of_keys(context, [key]) for key in context.partition.keys]


def of_keys(context: InputContext, keys: Sequence[PartitionKey]) -> InputContext:
    """The same question about some of its partitions."""
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


def stretches(layer: BaseIOHandler, context: InputContext) -> list[tuple[bool, InputContext]]:
    """Divide partitions by whether a layer has them.

    Args:
        layer: The handler that is asked, for each partition alone.
        context: Several partitions.

    Returns:
        Neighbours together, in the order of the keys: whether the layer has them, and the question about them.
        The context itself if there is nothing to divide.
    """
    single = one_by_one(context)
    if layer.locality == "process":
        answers = [has(layer, one) for one in single]
    else:
        with ThreadPoolExecutor(min(_QUESTIONS_AT_ONCE, len(single)), "rivers-overlay") as pool:
            answers = list(pool.map(lambda one: has(layer, one), single))
    if len(set(answers)) == 1:
        return [(answers[0], context)]
    keys = [one.partition.key for one in single if one.partition is not None]
    pairs = groupby(zip(answers, keys, strict=True), key=lambda pair: pair[0])
    return [(there, of_keys(context, [key for _, key in stretch])) for there, stretch in pairs]


def joined(context: InputContext, parts: Sequence[tuple[bool, InputContext]], values: list[Any]) -> Any:
    """One value of the parts that the layers gave.

    Args:
        context: The whole question.
        parts: What `stretches` made of it.
        values: A table of one library, or a list, for each part.

    Returns:
        A value of the same type with the rows of all, in the order of the keys.

    Raises:
        RiversError: Nothing is known about putting such values together, or they do not fit.
    """
    kinds = {type(value) for value in values}
    kind = next(iter(kinds))
    library = kind.__module__.partition(".")[0]
    if len(kinds) > 1 or library not in _JOINS or (library == "builtins" and kind is not list):
        named = " and ".join(sorted(f"{one.__module__}.{one.__qualname__}" for one in kinds))
        raise _divided(context, parts, f"values of type {named} cannot be put together")
    try:
        return _JOINS[library](sys.modules.get(library), values)
    except Exception as error:
        raise _divided(context, parts, f"their values do not fit together: {error}") from error


def _divided(context: InputContext, parts: Sequence[tuple[bool, InputContext]], reason: str) -> RiversError:
    at_top = [str(key) for there, part in parts if there and part.partition for key in part.partition.keys]
    count = len(one_by_one(context))
    shown = ", ".join(at_top[:3]) + (", ..." if len(at_top) > 3 else "")
    return RiversError(
        f"Of the {count} partitions of asset {context.asset_name!r} that {context.downstream_asset!r} takes as one "
        f"value, {len(at_top)} are in the top layer ({shown}) and the others only in the base, and {reason}. Take "
        "them one by one, with a parameter annotated `dict[str, ...]`, or materialize the others in the top layer too."
    )

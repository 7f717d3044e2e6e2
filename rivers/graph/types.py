"""Derive run-time type checks and type hints of handlers from annotations."""

from __future__ import annotations

import inspect
import types
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Union, get_args, get_origin, is_typeddict

from rivers.definitions.results import Materialization, Observation, Output, PartitionedOutput
from rivers_core.authoring import hint_members

_RESULTS: tuple[type, ...] = (Output, Materialization, Observation, PartitionedOutput)
_NUMERIC_TOWER: dict[type, tuple[type, ...]] = {float: (float, int), complex: (complex, float, int)}


def value_hint(hint: Any) -> Any:
    """Return an annotation as handlers receive it; None if it does not describe the value."""
    if type(hint) is type:  # most annotations are plain classes
        return None if hint is inspect.Parameter.empty or hint in _RESULTS else hint
    if _is_alias(hint):
        return value_hint(hint.__value__)
    if hint is Any or hint is inspect.Parameter.empty or (isinstance(hint, type) and hint in _RESULTS):
        return None
    origin = get_origin(hint)
    if origin in (Annotated, Output):
        return value_hint(get_args(hint)[0])
    if origin in (Union, types.UnionType):
        return _without_results(hint)
    return hint


def _without_results(hint: Any) -> Any:
    """Remove `Output` and similar result types, which do not describe the value, from a union."""
    members = get_args(hint)
    values = [_bare(member) for member in members if member not in _RESULTS]
    if values == list(members):
        return hint
    return value_hint(reduce(or_, values)) if values else None


def _bare(member: Any) -> Any:
    return get_args(member)[0] if get_origin(member) is Output else member


def _is_alias(hint: Any) -> bool:
    """Return whether a hint is an alias: `type Name = ...` of Python 3.12, or its backport in typing_extensions."""
    return type(hint).__name__ == "TypeAliasType"


def declares_materialization(hint: Any) -> bool:
    """Return whether a return annotation declares that the function stores its result itself."""
    return hint is Materialization


def accepted_types(hint: Any) -> tuple[type, ...] | None:
    """Return the types of which a value with this annotation must be an instance.

    Generic containers are checked by their outer type, `float` accepts an `int` (PEP 484), and hints that
    `isinstance` cannot check (type variables, protocols that are not runtime checkable) accept everything.

    Args:
        hint: An annotation; None for none.

    Returns:
        The types, or None if every value is accepted.
    """
    if hint is None:
        return None
    if type(hint) is type:  # most annotations are plain classes
        return None if hint in _RESULTS else _NUMERIC_TOWER.get(hint, (hint,))
    accepted = [_classes_of(member) for member in hint_members(hint)]
    if not accepted or None in accepted:
        return None
    return tuple(cls for classes in accepted for cls in classes or ())


def _classes_of(member: Any) -> tuple[type, ...] | None:
    """Return the types that a member of an annotation accepts; None for every type."""
    candidate = get_origin(member) or member
    if candidate is Literal:
        return (_LiteralType(f"Literal{list(get_args(member))}", (), {"values": get_args(member)}),)
    if is_typeddict(candidate):
        return (dict,)
    if not isinstance(candidate, type) or candidate in _RESULTS:
        return None
    if getattr(candidate, "_is_protocol", False) and not getattr(candidate, "_is_runtime_protocol", False):
        return None
    return _NUMERIC_TOWER.get(candidate, (candidate,))


class _LiteralType(type):
    """Type of the values of a `Literal` annotation, for `isinstance`."""

    values: tuple[Any, ...]

    def __instancecheck__(cls, value: Any) -> bool:
        # True equals 1, but Literal[1] does not accept it (PEP 586)
        return any(
            isinstance(value, type(item))
            and isinstance(value, bool) is isinstance(item, bool)
            and value == item
            for item in cls.values
        )

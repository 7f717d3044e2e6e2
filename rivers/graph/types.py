"""What an annotation demands of a value at run time."""

from __future__ import annotations

import collections.abc
import inspect
import types
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, NewType, TypeVar, Union, get_args, get_origin, is_typeddict

from rivers.definitions.results import Materialization, Observation, Output, PartitionedOutput

_RESULTS: tuple[type, ...] = (Output, Materialization, Observation, PartitionedOutput)
_NUMERIC_TOWER: dict[type, tuple[type, ...]] = {float: (float, int), complex: (complex, float, int)}


def stated(hint: Any) -> Any:
    """The annotation as handlers get it: None where there is none, or where it says nothing about the value."""
    if _is_alias(hint):
        return stated(hint.__value__)
    if hint is Any or hint is inspect.Parameter.empty or (isinstance(hint, type) and hint in _RESULTS):
        return None
    origin = get_origin(hint)
    if origin in (Annotated, Output):
        return stated(get_args(hint)[0])
    if origin in (Union, types.UnionType):
        return _without_results(hint)
    return hint


def _without_results(hint: Any) -> Any:
    """A union without `Output` and the like, which say how a value is returned and not what it is."""
    members = get_args(hint)
    values = [_bare(member) for member in members if member not in _RESULTS]
    if values == list(members):
        return hint
    return stated(reduce(or_, values)) if values else None


def _bare(member: Any) -> Any:
    return get_args(member)[0] if get_origin(member) is Output else member


def _is_alias(hint: Any) -> bool:
    """Whether it was made by `type Name = ...` of Python 3.12, or by its forerunner in typing_extensions."""
    return type(hint).__name__ == "TypeAliasType"


def says_materialization(hint: Any) -> bool:
    """Whether a return annotation says that the function stores its result itself."""
    return hint is Materialization


def accepted_types(hint: Any) -> tuple[type, ...] | None:
    """What `isinstance` must hold for a value with this annotation.

    Generic containers count by their outer type, `float` takes an `int` (PEP 484), and what cannot be
    told by `isinstance` (type variables, protocols that are not runtime checkable) accepts everything.

    Args:
        hint: An annotation; None for none.

    Returns:
        The types, or None when every value is fine.
    """
    if hint is None:
        return None
    if isinstance(hint, NewType):
        return accepted_types(hint.__supertype__)
    if _is_alias(hint):
        return accepted_types(hint.__value__)
    origin = get_origin(hint)
    if origin is Annotated:
        return accepted_types(get_args(hint)[0])
    if origin in (Union, types.UnionType):
        return _union(get_args(hint))
    if origin is Literal:
        return tuple({type(value) for value in get_args(hint)})
    candidate = origin or hint
    if is_typeddict(candidate):
        return (dict,)
    if not isinstance(candidate, type) or isinstance(hint, TypeVar) or candidate in _RESULTS:
        return None
    if getattr(candidate, "_is_protocol", False) and not getattr(candidate, "_is_runtime_protocol", False):
        return None
    return _NUMERIC_TOWER.get(candidate, (candidate,))


def _union(members: tuple[Any, ...]) -> tuple[type, ...] | None:
    accepted: list[type] = []
    for member in members:
        one = (types.NoneType,) if member is types.NoneType else accepted_types(member)
        if member is Any or one is None:
            return None
        accepted.extend(one)
    return tuple(accepted)


def value_of_mapping(hint: Any) -> tuple[bool, Any, Any]:
    """Look into an annotation for a mapping, such as `dict[str, pl.DataFrame]`.

    Args:
        hint: An annotation; None for none.

    Returns:
        Whether it is a mapping, and the annotations of its keys and of its values (None when they say nothing).
    """
    kinds = (dict, collections.abc.Mapping)
    if get_origin(hint) in kinds:
        key, value = get_args(hint)
        return True, stated(key), stated(value)
    return hint in kinds, None, None

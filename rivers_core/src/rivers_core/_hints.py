"""Take the annotations of functions apart: the types that a result or a parameter may have."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, MutableMapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, ForwardRef, TypeVar, Union, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Iterator

# Annotations of which a plain `dict` is a value.
_MAPPINGS: Final = (dict, Mapping, MutableMapping)


def hint_members(hint: Any) -> tuple[Any, ...]:
    """Return the types that an annotation allows: of a union each member, without `Annotated`, aliases and `NewType`.

    Args:
        hint: Annotation of a function's result or parameter.

    Returns:
        The types, `NoneType` included. Empty if the annotation leaves the type open: it is missing, `Any`, a type
        variable, or text that could not be resolved, or one of these is a member.

    Examples:
        >>> hint_members(Annotated[dict[str, int] | None, "rows per day"])
        (dict[str, int], <class 'NoneType'>)
    """
    if type(hint) is type and hint is not inspect.Parameter.empty:  # most annotations are plain classes
        return (hint,)
    members = tuple(alternatives(hint))
    return () if any(map(_is_open, members)) else members


def hint_classes(hint: Any) -> tuple[type, ...]:
    """Return the classes that an annotation names, without `None`; `dict` for `dict[str, int]`.

    Args:
        hint: Annotation of a function's result or parameter.

    Returns:
        The classes; empty if the annotation leaves the type open, see `hint_members`, or names none.
    """
    classes = map(class_of, hint_members(hint))
    return tuple(cls for cls in classes if isinstance(cls, type) and cls is not NoneType)


def mapping_hint(hint: Any) -> tuple[Any, Any] | None:
    """Return the annotations of keys and values, if an annotation asks for a dictionary, as for a fan-in.

    Args:
        hint: Annotation of a parameter, such as `dict[str, pl.DataFrame] | None`.

    Returns:
        Annotations of keys and values, `Any` where they are not given. None if a member of the annotation is neither
        `dict`, `Mapping`, `MutableMapping` nor `None`.

    Examples:
        >>> mapping_hint(Mapping[str, int] | None)
        (<class 'str'>, <class 'int'>)
    """
    if hint is None or type(hint) is type:  # most annotations are plain classes
        return (Any, Any) if hint is dict else None
    members = [member for member in hint_members(hint) if member is not NoneType]
    if not members or any(class_of(member) not in _MAPPINGS for member in members):
        return None
    keys, values = zip(*(get_args(member) or (Any, Any) for member in members), strict=True)
    return Union[keys], Union[values]  # noqa: UP007 - the members are only known here


def alternatives(annotation: Any) -> Iterator[Any]:
    """Yield the types in an annotation, without `Annotated`, unions, aliases and `NewType`."""
    origin: Any = get_origin(annotation)
    if origin is Annotated:
        yield from alternatives(get_args(annotation)[0])
    elif origin is Union or origin is UnionType:
        for member in get_args(annotation):
            yield from alternatives(member)
    else:
        target = getattr(annotation, "__value__", None) or getattr(annotation, "__supertype__", None)
        if target is None:
            yield annotation
        else:
            arguments = get_args(annotation)  # of a generic alias: `type Days[T] = dict[str, T]`
            yield from alternatives(target[arguments] if arguments else target)


def class_of(kind: Any) -> Any:
    """Return the class of a type: `dict` for `dict[str, int]`.

    Args:
        kind: One of `alternatives`.
    """
    return get_origin(kind) or kind


def _is_open(member: Any) -> bool:
    return member in (None, Any, inspect.Parameter.empty) or isinstance(member, (str, ForwardRef, TypeVar))

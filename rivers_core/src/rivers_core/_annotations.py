"""Take annotations apart: the types that an annotation allows, and those of the parts of a value."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Collection, Mapping, MutableMapping
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    ForwardRef,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import AliasChoices, BaseModel, RootModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

Types = tuple[Any, ...]
"""Candidate types of a value; empty if none is known."""

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
    members = tuple(_alternatives(hint))
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
    members = [member for member in hint_members(hint) if member is not NoneType]
    if not members or any(class_of(member) not in _MAPPINGS for member in members):
        return None
    keys, values = zip(*(get_args(member) or (Any, Any) for member in members), strict=True)
    return Union[keys], Union[values]  # noqa: UP007 - the members are only known here


def kinds_of(types: Types) -> Iterator[Any]:
    """Yield the types that annotations stand for, without `Annotated`, unions, aliases and root models.

    Args:
        types: Annotations.
    """
    for annotation in types:
        for kind in _alternatives(annotation):
            if inspect.isclass(kind) and issubclass(kind, RootModel):
                yield from kinds_of((kind.model_fields["root"].annotation,))
            else:
                yield kind


def class_of(kind: Any) -> Any:
    """Return the class of a type: `dict` for `dict[str, int]`.

    Args:
        kind: One of `kinds_of`.
    """
    return get_origin(kind) or kind


def fields_of(kind: Any) -> dict[str, Any] | None:
    """Return the fields of a model, a dataclass or a `TypedDict`.

    Args:
        kind: One of `kinds_of`.

    Returns:
        The annotation for every name that a field accepts; None for other types.
    """
    owner = class_of(kind)
    if inspect.isclass(owner) and issubclass(owner, BaseModel):
        return {
            spelt: field.annotation
            for name, field in owner.model_fields.items()
            for spelt in input_names({name: field})
        }
    if inspect.isclass(owner) and (dataclasses.is_dataclass(owner) or hasattr(owner, "__total__")):
        try:
            return get_type_hints(owner, include_extras=True)
        except Exception:  # a name in it that exists for type checkers only
            return dict(inspect.get_annotations(owner))
    return None


def of_entry(types: Types, key: str) -> Types:
    """Return the types of an entry of a mapping.

    Args:
        types: Types of the mapping.
        key: Key of the entry, or name of the field.

    Returns:
        Types; empty if unknown, also for a key that is not a field.
    """
    entries: list[Any] = []
    for kind in kinds_of(types):
        fields = fields_of(kind)
        if fields is not None:
            entries += [fields[key]] if key in fields else []
        elif _is_subclass(kind, Mapping):
            entries += get_args(kind)[1:]
    return tuple(entries)


def of_item(types: Types) -> Types:
    """Return the types of an item of a list, tuple or set.

    Args:
        types: Types of the collection.

    Returns:
        Types; empty if unknown.
    """
    items: list[Any] = []
    for kind in kinds_of(types):
        if _is_subclass(kind, Collection) and not _is_subclass(kind, Mapping):
            items += [argument for argument in get_args(kind) if argument is not ...]
    return tuple(items)


def input_names(fields: Mapping[str, FieldInfo]) -> set[str]:
    """Return every name under which a value for one of the fields may be given.

    Args:
        fields: Fields of a model.

    Returns:
        Names of the fields and their aliases.
    """
    names = set(fields)
    for field in fields.values():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias, field.alias]
        names.update(choice for choice in choices if isinstance(choice, str))
    return names


def _alternatives(annotation: Any) -> Iterator[Any]:
    origin: Any = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin is Union or origin is UnionType:
        for member in get_args(annotation):
            yield from _alternatives(member)
    else:
        target = getattr(annotation, "__value__", None) or getattr(annotation, "__supertype__", None)
        if target is None:
            yield annotation
        else:
            arguments = get_args(annotation)  # of a generic alias: `type Days[T] = dict[str, T]`
            yield from _alternatives(target[arguments] if arguments else target)


def _is_open(member: Any) -> bool:
    return member in (None, Any, inspect.Parameter.empty) or isinstance(member, (str, ForwardRef, TypeVar))


def _is_subclass(kind: Any, parent: type) -> bool:
    owner = class_of(kind)
    return inspect.isclass(owner) and issubclass(owner, parent)

"""What the type of a field says about the parts of a value that nobody has validated yet."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Collection, Mapping
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, RootModel

from rivers_core.handler.settings import input_names

if TYPE_CHECKING:
    from collections.abc import Iterator

Types = tuple[Any, ...]
"""The types that a value may be meant as; empty if nothing is known."""


def kinds_of(types: Types) -> Iterator[Any]:
    """What may stand for types, one by one.

    Args:
        types: Annotations.

    Yields:
        The same without `Annotated`, with the members of unions, the target of aliases and the inside of root models.
    """
    for annotation in types:
        origin: Any = get_origin(annotation)
        if origin is Annotated:
            yield from kinds_of(get_args(annotation)[:1])
        elif origin is Union or origin is UnionType:
            yield from kinds_of(get_args(annotation))
        elif inspect.isclass(annotation) and issubclass(annotation, RootModel):
            yield from kinds_of((annotation.model_fields["root"].annotation,))
        else:
            target = getattr(annotation, "__value__", None) or getattr(annotation, "__supertype__", None)
            yield from (annotation,) if target is None else kinds_of((target,))


def class_of(kind: Any) -> Any:
    """The class behind a type: `dict` for `dict[str, int]`.

    Args:
        kind: One of `kinds_of`.

    Returns:
        The class; the kind itself if it is none.
    """
    return get_origin(kind) or kind


def fields_of(kind: Any) -> dict[str, Any] | None:
    """The fields of a type that has some: a model, a dataclass, a `TypedDict`.

    Args:
        kind: One of `kinds_of`.

    Returns:
        Annotation by every name that a field may be given under; None for other types.
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
    """The types that an entry of a mapping may be meant as.

    Args:
        types: Those of the mapping.
        key: The key of the entry, or the name of the field.

    Returns:
        Types; empty if nothing is known, also for a name that no field has.
    """
    found: list[Any] = []
    for kind in kinds_of(types):
        fields = fields_of(kind)
        if fields is not None:
            found += [fields[key]] if key in fields else []
        elif _is_kind_of(kind, Mapping):
            found += get_args(kind)[1:]
    return tuple(found)


def of_item(types: Types) -> Types:
    """The types that an item of a list, tuple or set may be meant as.

    Args:
        types: Those of the whole.

    Returns:
        Types; empty if nothing is known.
    """
    found: list[Any] = []
    for kind in kinds_of(types):
        if _is_kind_of(kind, Collection) and not _is_kind_of(kind, Mapping):
            found += [argument for argument in get_args(kind) if argument is not ...]
    return tuple(found)


def _is_kind_of(kind: Any, wanted: type) -> bool:
    owner = class_of(kind)
    return inspect.isclass(owner) and issubclass(owner, wanted)

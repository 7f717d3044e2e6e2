"""Types of the parts of a value, from the annotation of its field, before it is validated."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from pydantic import AliasChoices, BaseModel, RootModel

from rivers_core._hints import alternatives, class_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

Types = tuple[Any, ...]
"""Candidate types of a value; empty if none is known."""


def kinds_of(types: Types) -> Iterator[Any]:
    """Yield the types in annotations, without `Annotated`, unions, aliases and root models.

    Args:
        types: Annotations.
    """
    for annotation in types:
        for kind in alternatives(annotation):
            if inspect.isclass(kind) and issubclass(kind, RootModel):
                yield from kinds_of((kind.model_fields["root"].annotation,))
            else:
                yield kind


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


def _is_subclass(kind: Any, parent: type) -> bool:
    owner = class_of(kind)
    return inspect.isclass(owner) and issubclass(owner, parent)

"""Merge configuration: predefined merge types, or custom operations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs

from rivers_core.authoring import did_you_mean

if TYPE_CHECKING:
    from typing import Self

MergeType = Literal["deduplicate_insert", "update_only", "upsert", "replace_delete_unmatched", "custom"]

_Operation = TypeVar("_Operation")
_STRICT: Final = ConfigDict(extra="forbid", validate_default=True)


class _Assignments(Mapping[str, str]):
    """An immutable dictionary, so that configurations can be hashed."""

    __slots__ = ("_given",)

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = dict(given)

    def __getitem__(self, column: str) -> str:
        return self._given[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def __hash__(self) -> int:
        return hash(frozenset(self._given.items()))

    def __repr__(self) -> str:
        return repr(self._given)


class _Items(tuple[Any, ...]):
    """An immutable list that equals the list it was created from."""

    __slots__ = ()
    __hash__ = tuple.__hash__

    def __eq__(self, other: object) -> bool:
        return tuple(self) == (tuple(other) if isinstance(other, list) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __repr__(self) -> str:
        return repr(list(self))


def _as_list(given: Any) -> Any:
    """Return a single operation as a list."""
    return given if isinstance(given, (list, tuple)) else [given]


_Updates = Annotated[Mapping[str, str], AfterValidator(_Assignments), PlainSerializer(dict)]
_Columns = Annotated[Sequence[str], AfterValidator(_Items)]
_Operations = Annotated[Sequence[_Operation], BeforeValidator(_as_list), AfterValidator(_Items)]


@dataclass(frozen=True, repr=False, config=_STRICT)
class _Part:
    """Base class of configurations, which may also be given as a dictionary or as JSON."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        """Parse JSON, and refuse unknown names.

        Raises:
            ValueError: It is not JSON, or a name is unknown.
        """
        if isinstance(given, str):
            given = _from_json(given)
        named = given.kwargs if isinstance(given, ArgsKwargs) else given
        known = [field.name for field in fields(cls)]
        for name in named if isinstance(named, Mapping) else ():
            if name not in known:
                hint = did_you_mean(str(name), known)
                raise ValueError(
                    f"{name!r} is not a field of {cls.__name__}.{hint} Use one of: {', '.join(known)}."
                )
        return given

    def __repr__(self) -> str:
        values = ((field, getattr(self, field.name)) for field in fields(self))
        arguments = [f"{field.name}={value!r}" for field, value in values if value != field.default]
        return f"{type(self).__name__}({', '.join(arguments)})"


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"must be a dictionary, or JSON of one, got {text!r}") from None


@dataclass(frozen=True, repr=False, config=_STRICT)
class WhenNotMatchedInsert(_Part):
    """Insert source rows that match no target row, column by column.

    Args:
        predicate: SQL condition; None for all rows.
        updates: `{column: SQL expression}`.
    """

    predicate: str | None = None
    updates: _Updates = Field(default_factory=dict, min_length=1)


@dataclass(frozen=True, repr=False, config=_STRICT)
class WhenNotMatchedInsertAll(_Part):
    """Insert source rows that match no target row, with all their columns.

    Args:
        predicate: SQL condition; None for all rows.
        except_cols: Columns to omit.
    """

    predicate: str | None = None
    except_cols: _Columns | None = None


@dataclass(frozen=True, repr=False, config=_STRICT)
class WhenMatchedUpdate(_Part):
    """Update target rows that match, column by column.

    Args:
        predicate: SQL condition; None for all rows.
        updates: `{column: SQL expression}`.
    """

    predicate: str | None = None
    updates: _Updates = Field(default_factory=dict, min_length=1)


@dataclass(frozen=True, repr=False, config=_STRICT)
class WhenMatchedUpdateAll(_Part):
    """Update target rows that match, with all columns of the source.

    Args:
        predicate: SQL condition; None for all rows.
        except_cols: Columns to keep unchanged.
    """

    predicate: str | None = None
    except_cols: _Columns | None = None


@dataclass(frozen=True, repr=False, config=_STRICT)
class WhenMatchedDelete(_Part):
    """Delete target rows that match.

    Args:
        predicate: SQL condition; None for all rows.
    """

    predicate: str | None = None


@dataclass(frozen=True, repr=False, config=_STRICT)
class WhenNotMatchedBySourceDelete(_Part):
    """Delete target rows that no source row matches.

    Args:
        predicate: SQL condition; None for all rows.
    """

    predicate: str | None = None


@dataclass(frozen=True, repr=False, config=_STRICT)
class WhenNotMatchedBySourceUpdate(_Part):
    """Update target rows that no source row matches.

    Args:
        predicate: SQL condition; None for all rows.
        updates: `{column: SQL expression}`.
    """

    predicate: str | None = None
    updates: _Updates = Field(default_factory=dict, min_length=1)


@dataclass(frozen=True, repr=False, config=_STRICT)
class MergeOperationsConfig(_Part):
    """Operations of a custom merge; the first one whose predicate holds is applied to a row.

    Operations with a predicate are tried before those without. Within each group, deletes precede updates, updates and
    inserts of single columns precede those of whole rows, and operations of one list keep their order.

    Args:
        when_not_matched_insert: Inserts, column by column.
        when_not_matched_insert_all: Inserts of whole rows.
        when_matched_update: Updates, column by column.
        when_matched_update_all: Updates of whole rows.
        when_matched_delete: Deletes of rows that match.
        when_not_matched_by_source_delete: Deletes of rows that no source row matches.
        when_not_matched_by_source_update: Updates of rows that no source row matches.
    """

    when_not_matched_insert: _Operations[WhenNotMatchedInsert] = ()
    when_not_matched_insert_all: _Operations[WhenNotMatchedInsertAll] = ()
    when_matched_update: _Operations[WhenMatchedUpdate] = ()
    when_matched_update_all: _Operations[WhenMatchedUpdateAll] = ()
    when_matched_delete: _Operations[WhenMatchedDelete] = ()
    when_not_matched_by_source_delete: _Operations[WhenNotMatchedBySourceDelete] = ()
    when_not_matched_by_source_update: _Operations[WhenNotMatchedBySourceUpdate] = ()

    @model_validator(mode="after")
    def _check_not_empty(self) -> Self:
        names = [field.name for field in fields(self)]
        if not any(getattr(self, name) for name in names):
            raise ValueError(f"must have at least one operation of {', '.join(names)}")
        return self


@dataclass(frozen=True, repr=False, config=_STRICT)
class MergeConfig(_Part):
    """Configuration of how the rows of a value are merged into a table.

    Args:
        merge_type: `deduplicate_insert` inserts rows that match none; `update_only` updates those that match;
            `upsert` does both; `replace_delete_unmatched` also deletes rows that are no longer in the value;
            `custom` applies `operations`.
        predicate: SQL condition for matching rows, such as `s.id = t.id`. The option `delta/merge_predicate` of an
            asset takes precedence.
        source_alias: Name of the value in SQL.
        target_alias: Name of the table in SQL.
        error_on_type_mismatch: Whether an exact number that is too large for its column is an error; otherwise it
            becomes null. A value that would become another value is always an error.
        operations: Operations of merge type `custom`.

    Examples:
        >>> MergeConfig(merge_type="upsert", predicate="s.id = t.id").source_alias
        's'
    """

    merge_type: MergeType = "upsert"
    predicate: str | None = None
    source_alias: str = "s"
    target_alias: str = "t"
    error_on_type_mismatch: bool = True
    operations: MergeOperationsConfig | None = None

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if (self.merge_type == "custom") != (self.operations is not None):
            raise ValueError("operations and merge_type='custom' need each other")
        for alias in (self.source_alias, self.target_alias):
            if not alias.isidentifier():
                raise ValueError(f"an alias must be a plain name, got {alias!r}")
        if self.source_alias == self.target_alias:
            raise ValueError(f"source and target need different aliases, got {self.source_alias!r} for both")
        return self

    @property
    def inserts_everything(self) -> bool:
        """True if a merge into an empty table inserts every row of the value."""
        return self.merge_type in {"deduplicate_insert", "upsert", "replace_delete_unmatched"}

    def resolved(self) -> MergeOperationsConfig:
        """Return the operations of the merge type."""
        if self.operations is not None:
            return self.operations
        operations: dict[str, Any] = {name: [{}] for name in _PREDEFINED[self.merge_type]}
        return MergeOperationsConfig(**operations)


_INSERT, _UPDATE = "when_not_matched_insert_all", "when_matched_update_all"
_PREDEFINED = {
    "deduplicate_insert": [_INSERT],
    "update_only": [_UPDATE],
    "upsert": [_UPDATE, _INSERT],
    "replace_delete_unmatched": [_UPDATE, _INSERT, "when_not_matched_by_source_delete"],
}

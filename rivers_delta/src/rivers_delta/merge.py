"""What a merge does: ready-made kinds, or operations of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from typing import Self

MergeType = Literal["deduplicate_insert", "update_only", "upsert", "replace_delete_unmatched", "custom"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WhenNotMatchedInsert(_Model):
    """Insert source rows that match no target row, column by column.

    Args:
        predicate: SQL that has to hold; None for all of them.
        updates: `{column: SQL expression}`.
    """

    predicate: str | None = None
    updates: dict[str, str]


class WhenNotMatchedInsertAll(_Model):
    """Insert source rows that match no target row, with all their columns.

    Args:
        predicate: SQL that has to hold; None for all of them.
        except_cols: Columns to leave out.
    """

    predicate: str | None = None
    except_cols: list[str] | None = None


class WhenMatchedUpdate(_Model):
    """Update target rows that match, column by column.

    Args:
        predicate: SQL that has to hold; None for all of them.
        updates: `{column: SQL expression}`.
    """

    predicate: str | None = None
    updates: dict[str, str]


class WhenMatchedUpdateAll(_Model):
    """Update target rows that match, with all columns of the source.

    Args:
        predicate: SQL that has to hold; None for all of them.
        except_cols: Columns to leave as they are.
    """

    predicate: str | None = None
    except_cols: list[str] | None = None


class WhenMatchedDelete(_Model):
    """Delete target rows that match.

    Args:
        predicate: SQL that has to hold; None for all of them.
    """

    predicate: str | None = None


class WhenNotMatchedBySourceDelete(_Model):
    """Delete target rows that no source row matches.

    Args:
        predicate: SQL that has to hold; None for all of them.
    """

    predicate: str | None = None


class WhenNotMatchedBySourceUpdate(_Model):
    """Update target rows that no source row matches.

    Args:
        predicate: SQL that has to hold; None for all of them.
        updates: `{column: SQL expression}`.
    """

    predicate: str | None = None
    updates: dict[str, str]


class MergeOperationsConfig(_Model):
    """The operations of a custom merge. Of one kind, the first whose predicate holds is done.

    Args:
        when_not_matched_insert: Inserts, column by column.
        when_not_matched_insert_all: Inserts of whole rows.
        when_matched_update: Updates, column by column.
        when_matched_update_all: Updates of whole rows.
        when_matched_delete: Deletes of rows that match.
        when_not_matched_by_source_delete: Deletes of rows that no source row matches.
        when_not_matched_by_source_update: Updates of rows that no source row matches.
    """

    when_not_matched_insert: list[WhenNotMatchedInsert] = Field(default_factory=list)
    when_not_matched_insert_all: list[WhenNotMatchedInsertAll] = Field(default_factory=list)
    when_matched_update: list[WhenMatchedUpdate] = Field(default_factory=list)
    when_matched_update_all: list[WhenMatchedUpdateAll] = Field(default_factory=list)
    when_matched_delete: list[WhenMatchedDelete] = Field(default_factory=list)
    when_not_matched_by_source_delete: list[WhenNotMatchedBySourceDelete] = Field(default_factory=list)
    when_not_matched_by_source_update: list[WhenNotMatchedBySourceUpdate] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, values: Any) -> Any:
        """Take a single operation as a list of one."""
        if not isinstance(values, dict):
            return values
        return {
            name: item if isinstance(item, list) or item is None else [item] for name, item in values.items()
        }

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError("give at least one operation; there are " + ", ".join(type(self).model_fields))
        return self


class MergeConfig(_Model):
    """How the rows of a value are merged into a table.

    Args:
        merge_type: `deduplicate_insert` inserts rows that match none; `update_only` updates those that match;
            `upsert` does both; `replace_delete_unmatched` also deletes rows that are no longer in the value;
            `custom` does what `operations` says.
        predicate: SQL that says which rows match, such as `s.id = t.id`. The option `delta/merge_predicate` of
            an asset goes before it.
        source_alias: What the value is called in SQL.
        target_alias: What the table is called in SQL.
        error_on_type_mismatch: Whether a value that cannot be cast to its column is an error; otherwise null.
        operations: For `custom`, and only then.

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
    def _consistent(self) -> Self:
        if (self.merge_type == "custom") != (self.operations is not None):
            raise ValueError("give operations with merge_type='custom', and only then")
        for alias in (self.source_alias, self.target_alias):
            if not alias.isidentifier():
                raise ValueError(f"an alias is a plain name, got {alias!r}")
        if self.source_alias == self.target_alias:
            raise ValueError(f"source and target are both called {self.source_alias!r}")
        return self

    @property
    def inserts_everything(self) -> bool:
        """Whether merging into an empty table stores every row of the value."""
        return self.merge_type in {"deduplicate_insert", "upsert", "replace_delete_unmatched"}

    def resolved(self) -> MergeOperationsConfig:
        """The operations that the merge type stands for."""
        if self.operations is not None:
            return self.operations
        return MergeOperationsConfig(**{name: [{}] for name in _READY_MADE[self.merge_type]})


_INSERT, _UPDATE = "when_not_matched_insert_all", "when_matched_update_all"
_READY_MADE = {
    "deduplicate_insert": [_INSERT],
    "update_only": [_UPDATE],
    "upsert": [_UPDATE, _INSERT],
    "replace_delete_unmatched": [_UPDATE, _INSERT, "when_not_matched_by_source_delete"],
}

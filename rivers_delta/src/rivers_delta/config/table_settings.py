"""Settings of one table: the fields of the handler merged with the options of one asset."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from rivers_core.exceptions import InvalidMetadataError
from rivers_delta.config.merge_config import MergeConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rivers_delta.config.options import DeltaOptions, Mode, SchemaMode
    from rivers_delta.config.properties import HandlerConfig

_TRANSACTION_RETENTION: Final = "interval 30 days"


@dataclass(frozen=True, slots=True)
class TableSettings:
    """Everything that reading, writing and deleting know of one table; options of the asset take precedence.

    Args:
        handler_name: The class of the handler, for messages.
        asset_name: The asset.
        root: Folder or URL that contains the table.
        address: Path or URL of the table.
        shown_address: The address without credentials.
        options: The asset's options.
        mode: What a write does with existing rows.
        schema_mode: Whether a write may change the columns.
        is_local: Whether it is in the local file system.
        storage_options: For the object store; these are credentials.
        table_properties: Properties of a table that is created.
        writer_properties: Properties of the Parquet writer.
        commit_properties: Properties of commits.
        merge_config: The handler's merge configuration.
        config: Behavior of the handler.
    """

    handler_name: str
    asset_name: str
    root: str
    address: str
    shown_address: str
    options: DeltaOptions
    mode: Mode
    schema_mode: SchemaMode | None
    is_local: bool
    storage_options: dict[str, str] | None
    table_properties: Mapping[str, str] | None
    writer_properties: Mapping[str, Any]
    commit_properties: Mapping[str, Any]
    merge_config: MergeConfig | None
    config: HandlerConfig

    def new_table_properties(self) -> dict[str, str]:
        """Return the properties of a table that is created."""
        return {
            "delta.checkpointInterval": str(self.config.checkpoint_interval),
            "delta.setTransactionRetentionDuration": _TRANSACTION_RETENTION,
            **(self.table_properties or {}),
            **(self.options.table_configuration or {}),
        }

    def merge(self) -> MergeConfig:
        """Return how mode `merge` merges rows.

        Raises:
            InvalidMetadataError: The merge has no predicate, or no operations.
        """
        config = self.merge_config or MergeConfig()
        merge_type = self.options.merge_type or config.merge_type
        if merge_type == "custom" and config.operations is None:
            raise InvalidMetadataError(
                f"Asset {self.asset_name!r}: 'delta/merge_type' is 'custom', and the merge_config of the handler has "
                "no operations. Use MergeConfig(merge_type='custom', operations=MergeOperationsConfig(...))."
            )
        predicate = self.options.merge_predicate or config.predicate
        if not predicate:
            raise InvalidMetadataError(
                f"Asset {self.asset_name!r}: mode 'merge' needs a predicate. Use metadata="
                "{'delta/merge_predicate': 's.id = t.id'}, or a predicate in the merge_config of the handler."
            )
        operations = config.operations if merge_type == "custom" else None
        return replace(config, merge_type=merge_type, predicate=predicate, operations=operations)

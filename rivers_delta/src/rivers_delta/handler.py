"""The handler: settings, and who does what."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import PrivateAttr, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from rivers_core import BaseIOHandler
from rivers_core.authoring import StoreRoot, locate_store, option_secrets
from rivers_core.exceptions import NotMaterializedError
from rivers_delta.config.merge_config import MergeConfig
from rivers_delta.config.options import NAMESPACE, Mode, SchemaMode, find_faults, read_options
from rivers_delta.config.properties import HandlerConfig, read_commit_properties, read_writer_properties
from rivers_delta.errors import told
from rivers_delta.log.ledger import Ledger
from rivers_delta.log.location import compared, shown, table_address, table_root
from rivers_delta.log.table_cache import WarmTables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rivers_core import InputContext, OutputContext


class DeltaIOHandler(BaseIOHandler):
    """Keeps each asset in a Delta table: transactions, partitions, merges, time travel.

    Stores polars, pyarrow, pandas, DuckDB and whatever else speaks the Arrow C stream. Every field can also be set by
    `RIVERS_DELTA_<FIELD>`; options of one asset stand in its metadata (`delta/mode`).

    Args:
        table_uri: A folder or URL; each asset has a table right under it.
        mode: What a write does to what is there.
        schema_mode: Whether a write may add columns (`merge`) or replace them (`overwrite`).
        storage_options: For the object store, as deltalake takes them; never shown.
        writer_properties: For the Parquet writer, as `deltalake.WriterProperties` takes them.
        commit_properties: `custom_metadata` for each commit, and `max_commit_retries`.
        table_config: Table properties (`delta.*`) of tables that are created.
        merge_config: What mode `merge` does.
        handler_config: Retries, checkpoints, and what to load when nobody says.

    Examples:
        >>> DeltaIOHandler(table_uri="s3://bucket/lake", mode="append").mode
        'append'
    """

    model_config = SettingsConfigDict(env_prefix="RIVERS_DELTA_")

    partition_batches: ClassVar[bool] = True
    option_namespace: ClassVar[str | None] = NAMESPACE
    location_fields: ClassVar[tuple[str, ...]] = ("table_uri",)
    positional_fields: ClassVar[tuple[str, ...]] = (
        "table_uri",
        "mode",
        "schema_mode",
        "storage_options",
        "writer_properties",
        "commit_properties",
        "table_config",
        "merge_config",
        "handler_config",
    )

    table_uri: str
    mode: Mode = "overwrite"
    schema_mode: SchemaMode | None = None
    storage_options: dict[str, SecretStr] | None = None
    writer_properties: dict[str, Any] | None = None
    commit_properties: dict[str, Any] | None = None
    table_config: dict[str, str] | None = None
    merge_config: MergeConfig | None = None
    handler_config: HandlerConfig = HandlerConfig()

    _ledgers: dict[str, Ledger] = PrivateAttr(default_factory=dict)
    _warm: WarmTables = PrivateAttr(default_factory=WarmTables)

    if TYPE_CHECKING:

        def __init__(
            self,
            table_uri: Any = ...,
            mode: Mode = "overwrite",
            schema_mode: SchemaMode | None = None,
            storage_options: Mapping[str, SecretStr | str] | None = None,
            writer_properties: Any = None,
            commit_properties: Any = None,
            table_config: Mapping[str, Any] | None = None,
            merge_config: MergeConfig | None = None,
            handler_config: HandlerConfig | Mapping[str, Any] | None = None,
            **settings: Any,
        ) -> None: ...

    @field_validator("handler_config", mode="before")
    @classmethod
    def _as_usual(cls, value: Any) -> Any:
        return HandlerConfig() if value is None else value

    @field_validator("table_uri", mode="before")
    @classmethod
    def _uri(cls, value: Any) -> str:
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        table_root(text)
        return text

    @field_validator("writer_properties", "commit_properties", mode="before")
    @classmethod
    def _properties(cls, value: Any, info: Any) -> Any:
        if value is None:
            return None
        read = read_writer_properties if info.field_name == "writer_properties" else read_commit_properties
        try:
            return read(value)
        except TypeError as error:
            raise ValueError(str(error)) from error

    @field_validator("table_config", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            key: str(item).lower() if isinstance(item, bool) else str(item) for key, item in value.items()
        }

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Store a value in one commit.

        Args:
            context: Which asset, which partition.
            obj: A table of any known type.

        Raises:
            AssetOutputValidationError: It is no table, or a column cannot be kept as it is.
            PartitionValidationError: It has rows of other partitions, or nothing says where they are.
            ConflictError: Others kept committing first, or what is there forbids the write.
        """
        from rivers_delta.write.request import report, request_for
        from rivers_delta.write.writer import write

        address = shown(self.address(context.asset_name, context.asset_metadata))
        with told("write", context, address, self.secrets):
            request = request_for(self, context, obj)
            started = time.perf_counter()
            outcome = write(request, self._warm.take(request.address))
            report(request, outcome, time.perf_counter() - started)
            self._warm.keep(request.address, outcome.table)

    def load_input(self, context: InputContext) -> Any:
        """Load a table, or the part of it that a partition means.

        Args:
            context: Which asset and partition, for whom, as which type.

        Raises:
            NotMaterializedError: The table, or the partition, was never written.
            InvalidMetadataError: A column or version that is asked for does not exist.
        """
        from rivers_delta.read.load import load

        with told(
            "read", context, shown(self.address(context.asset_name, context.asset_metadata)), self.secrets
        ):
            return load(self, context)

    def exists(self, context: InputContext) -> bool:
        """Whether the table, or every partition at hand, was ever written; reads the log alone.

        Args:
            context: Which asset and partition.
        """
        from rivers_delta.read.load import find

        try:
            with told(
                "read", context, shown(self.address(context.asset_name, context.asset_metadata)), self.secrets
            ):
                find(self, context)
        except NotMaterializedError:
            return False
        return True

    def delete(self, context: InputContext) -> None:
        """Delete partitions in one commit, or a whole table of this machine; what was never stored is skipped.

        Args:
            context: Which asset and partition.

        Raises:
            ConflictError: Others kept committing first; a partition is tried again like a write.
            RiversError: It is a whole table in an object store, which deltalake cannot remove.
        """
        from rivers_delta.write.delete import delete

        with told(
            "delete", context, shown(self.address(context.asset_name, context.asset_metadata)), self.secrets
        ):
            delete(self, context)

    def maintain(
        self, contexts: Sequence[InputContext] = (), *, dry_run: bool = True, **options: Any
    ) -> list[dict[str, Any]]:
        """Put small files together and remove files that no version needs; at first only say what would be done.

        Args:
            contexts: The assets whose tables are meant; none for every table under `table_uri` on this machine.
            dry_run: Whether to change nothing.
            **options: `optimize`, `vacuum` (both on), `retention_hours`, `target_file_size`, `z_order` columns.

        Returns:
            One dictionary per table and action: `table`, `action`, `files`, `bytes`, `done`.
        """
        from rivers_delta.maintenance import maintain

        return maintain(self, contexts, dry_run=dry_run, **options)

    def check_options(self, metadata: Mapping[str, Any]) -> list[str]:
        """One sentence for each `delta/` option that is unknown or cannot be.

        Args:
            metadata: An asset's static metadata.
        """
        return find_faults(metadata)

    def accepts_type(self, hint: Any) -> bool:
        """Whether values of an annotation are tables.

        Args:
            hint: A return annotation.
        """
        from rivers_delta.types.registry import get_types

        return get_types().can_store(hint)

    def can_load_type(self, hint: Any) -> bool:
        """Whether a table can be loaded as what an annotation says.

        Args:
            hint: The annotation of a parameter.
        """
        from rivers_delta.types.registry import get_types

        return get_types().can_load(hint)

    def store_root(self) -> StoreRoot:
        """Return the folder or URL below which all tables lie."""
        return locate_store(shown(table_root(self.table_uri)), self.plain_storage_options())

    def describe_address(self, context: OutputContext | InputContext) -> str | None:
        """The path or URL of the asset's table, without credentials.

        Args:
            context: Which asset.
        """
        return shown(self.address(context.asset_name, context.asset_metadata))

    def storage_location(self, asset_name: str, asset_metadata: Mapping[str, Any] | None) -> str | None:
        """The table of an asset; two assets cannot share one, and none lies inside of another.

        Args:
            asset_name: The asset.
            asset_metadata: Its static metadata.
        """
        if find_faults(asset_metadata or {}):
            return None
        return compared(self.address(asset_name, asset_metadata))

    def address(self, asset_name: str, metadata: Mapping[str, Any] | None) -> str:
        """The path or URL of an asset's table.

        Args:
            asset_name: The asset.
            metadata: Its static metadata; `delta/root_name` stands in for its name.
        """
        return table_address(
            table_root(self.table_uri), asset_name, read_options(asset_name, metadata).root_name
        )

    def ledger(self, address: str) -> Ledger:
        """What this process knows of a table from its own writes.

        Args:
            address: The path or URL of the table.
        """
        return self._ledgers.setdefault(address, Ledger())

    def plain_storage_options(self) -> dict[str, str] | None:
        """The storage options as deltalake takes them. Handle with care: these are the credentials."""
        if not self.storage_options:
            return None
        return {key: value.get_secret_value() for key, value in self.storage_options.items()}

    def secrets(self) -> list[str]:
        """What must not appear in any message."""
        return option_secrets(self.plain_storage_options() or {})

"""The handler: settings, and the entry points of the contract."""

from __future__ import annotations

import os
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple, TypeVar

from pydantic import PrivateAttr, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from rivers_core import BaseIOHandler
from rivers_core.authoring import ForkGuard, StoreRoot, locate_store
from rivers_core.exceptions import NotMaterializedError
from rivers_delta import remote_calls
from rivers_delta.config.merge_config import MergeConfig
from rivers_delta.config.options import (
    NAMESPACE,
    DeltaOptions,
    Mode,
    SchemaMode,
    find_problems,
    parse_options,
)
from rivers_delta.config.properties import (
    HandlerConfig,
    check_commit_properties,
    check_table_properties,
    check_writer_properties,
)
from rivers_delta.config.table_settings import TableSettings
from rivers_delta.errors import library_errors
from rivers_delta.log.flush import flushed
from rivers_delta.log.location import is_local, normalized, shown, table_address, table_root
from rivers_delta.log.table_cache import TableCache
from rivers_objects.staging import sweep_once, writing_below
from rivers_objects.store_options import store_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from typing import Self

    from rivers_core import InputContext, OutputContext, PartitionContext, StoredVersion
    from rivers_core.authoring import Locality


Result = TypeVar("Result")

_MAX_KNOWN: Final = 1_000

# deltalake panics in a forked process, with a native backtrace, and other calls wait forever.
_GUARD: Final = ForkGuard("deltalake")


class _KnownSettings(NamedTuple):
    """Settings of one asset's table, and the fields and metadata they were computed from."""

    fields: dict[str, Any]
    metadata: dict[str, Any]
    settings: TableSettings


class DeltaIOHandler(BaseIOHandler):
    """Store each asset in a Delta table: transactions, partitions, merges, time travel.

    Stores polars, pyarrow, pandas, DuckDB and any other object with an Arrow C stream. Every field can also be set by
    `RIVERS_DELTA_<FIELD>`; options of one asset are in its metadata (`delta/mode`).

    Args:
        table_uri: A folder or URL that contains one table per asset. A relative path is resolved once, when the
            handler is created.
        mode: What a write does with existing rows.
        schema_mode: Whether a write may add columns (`merge`) or replace them (`overwrite`).
        storage_options: For the object store, as deltalake takes them; never shown.
        writer_properties: For the Parquet writer: a `deltalake.WriterProperties`, or a dictionary of its arguments.
        commit_properties: For each commit: a `deltalake.CommitProperties`, or a dictionary of its arguments.
        table_config: Table properties (`delta.*`) of tables that are created.
        merge_config: How mode `merge` merges rows.
        handler_config: Retries, checkpoints and the default type of loaded values.
        fsync: Flush data files, log and folders to the disk before a call returns; local tables only.

    Examples:
        >>> DeltaIOHandler(table_uri="s3://bucket/lake", mode="append").mode
        'append'
    """

    model_config = SettingsConfigDict(env_prefix="RIVERS_DELTA_")

    partition_batches: ClassVar[bool] = True
    conditional_writes: ClassVar[bool] = True
    has_versions: ClassVar[bool] = True
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
    fsync: bool = False
    conflict: Literal["overwrite", "error"] = "overwrite"

    _cache: TableCache = PrivateAttr(default_factory=TableCache)
    _known_settings: dict[str, _KnownSettings] = PrivateAttr(default_factory=dict)
    _is_swept: bool = PrivateAttr(default=False)

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
            *,
            fsync: bool = False,
            conflict: Literal["overwrite", "error"] = "overwrite",
        ) -> None: ...

    @property
    def always_conditional(self) -> bool:
        """True with `conflict="error"`."""
        return self.conflict == "error"

    @property
    def locality(self) -> Locality:
        """`host` for tables in a local folder, `shared` for any other root."""
        return "host" if is_local(table_root(self.table_uri)) else "shared"

    @classmethod
    def durable_settings(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return `fsync` for tables on a local file system."""
        uri = values.get("table_uri")
        if not isinstance(uri, (str, os.PathLike)):
            return {}  # reported when the settings are validated
        try:
            return {"fsync": True} if is_local(table_root(os.fsdecode(uri))) else {}
        except ValueError:
            return {}

    @classmethod
    def settings_from_variables(
        cls, values: Mapping[str, Any], variables: Mapping[str, str]
    ) -> dict[str, dict[str, str]]:
        """Return the variables that deltalake would read from the environment, as storage options."""
        uri, options = values.get("table_uri"), values.get("storage_options")
        names = options if isinstance(options, dict) else ()
        return {"storage_options": store_variables(uri, variables, names) if isinstance(uri, str) else {}}

    @field_validator("handler_config", mode="before")
    @classmethod
    def _default_config(cls, value: Any) -> Any:
        return HandlerConfig() if value is None else value

    @field_validator("table_uri", mode="before")
    @classmethod
    def _check_uri(cls, value: Any) -> str:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not isinstance(text, (str, os.PathLike)):
            raise ValueError(f"table_uri must be a path or URL, got a {type(value).__name__}")
        return table_root(os.fsdecode(text))

    @field_validator("writer_properties", "commit_properties", mode="before")
    @classmethod
    def _check_properties(cls, value: Any, info: Any) -> Any:
        if value is None:
            return None
        check = check_writer_properties if info.field_name == "writer_properties" else check_commit_properties
        try:
            return check(value)
        except TypeError as error:
            raise ValueError(str(error)) from error

    @field_validator("table_config", mode="before")
    @classmethod
    def _as_texts(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return check_table_properties(
            {
                str(key): str(item).lower() if isinstance(item, bool) else str(item)
                for key, item in value.items()
            }
        )

    @model_validator(mode="after")
    def _fsync_requires_a_disk(self) -> Self:
        if self.fsync and not is_local(table_root(self.table_uri)):
            raise ValueError(
                "`fsync` requires tables on a local file system: an object store answers when an object is durable. "
                "Remove it."
            )
        return self

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Store a value in one commit.

        Args:
            context: Asset, partition and run.
            obj: A value of any frame type.

        Raises:
            AssetOutputValidationError: The value is not a table, or a column cannot be stored.
            PartitionValidationError: Rows belong to other partitions, or the asset names no column for them.
            ConflictError: Other writers kept committing first, or existing rows forbid the write.
        """
        from rivers_delta.write.writer import write_output

        def write(settings: TableSettings) -> None:
            write_output(settings, context, obj, self._cache)

        self._call("write", context, write)

    def load_input(self, context: InputContext) -> Any:
        """Load a table, or the partitions of a context.

        Args:
            context: Asset, partition, consumer and requested type.

        Raises:
            NotMaterializedError: The table or partition was never written.
            VersionNotFoundError: `context.version` is set, and no such version is stored.
            InvalidMetadataError: A requested column does not exist, nor does the version in `delta/version`.
        """
        from rivers_delta.read.load import load

        return self._call("read", context, partial(load, context=context))

    def exists(self, context: InputContext) -> bool:
        """Return whether the table, or every requested partition, was written; reads only the log.

        Args:
            context: Asset and partition.
        """
        from rivers_delta.read.load import find_table

        try:
            self._call("read", context, partial(find_table, context=context))
        except NotMaterializedError:
            return False
        return True

    def delete(self, context: InputContext) -> None:
        """Delete partitions in one commit, or a whole table; what was never stored is ignored.

        Args:
            context: Asset and partition.

        Raises:
            ConflictError: Other writers kept committing first; deletions are retried like writes.
            RiversError: Files of the table cannot be removed.
        """
        from rivers_delta.write.delete import delete

        self._call("delete", context, partial(delete, context=context))

    def stored_version(self, context: InputContext) -> str:
        """Return the version that loading would report, after comparing the data files with the log."""
        from rivers_delta.read.load import stored_version

        return self._call("read", context, partial(stored_version, context=context))

    def versions(self, context: InputContext) -> list[StoredVersion]:
        """Return the commits that wrote a table, or a partition of it, and whose files are stored; the latest first.

        A deleted partition has earlier versions, and no current one.

        Args:
            context: Asset and partition.
        """
        from rivers_delta.versions import list_versions

        return self._call("read", context, partial(list_versions, context=context))

    def restore(self, context: OutputContext, version: str) -> str:
        """Make an earlier version the current one, in one commit; of a partition only its rows change.

        Args:
            context: Asset and partition; receives metadata and data version as in `handle_output`.
            version: `<table id>@<number>` as `versions` lists it, a version number of the table, or a timestamp.

        Returns:
            The restored version, as `versions` lists it.

        Raises:
            VersionNotFoundError: The version is not stored.
            PartitionValidationError: The table has partitions, and the context names none.
            ConflictError: Other writers kept committing first.
        """
        from rivers_delta.versions import restore

        return self._call(
            "restore", context, lambda settings: restore(settings, context, version, self._cache)
        )

    def prune(
        self,
        context: InputContext,
        *,
        keep: int | None = None,
        older_than: timedelta | None = None,
        dry_run: bool = True,
    ) -> list[StoredVersion]:
        """Vacuum the files that only earlier versions need; by default only report the versions.

        Files are removed without regard to the retention period of the table: a `LazyFrame` or reader that was loaded
        before fails if it needs one of them.

        Args:
            context: The asset, without a partition.
            keep: Number of earlier versions that stay, of the table or of each partition; None for any.
            older_than: Age that a version must exceed, and the time since its files were replaced; None for any.
            dry_run: Whether to change nothing.

        Returns:
            The versions that lack files afterwards.
        """
        from rivers_delta.versions import prune

        work = partial(prune, context=context, keep=keep, older_than=older_than, dry_run=dry_run)
        return self._call("read" if dry_run else "prune", context, work)

    def verify(self, context: InputContext) -> dict[str, int]:
        """Decode every data file of a table, and compare size, rows and recorded digest with the log.

        Args:
            context: The asset, and the partition to verify; without one the whole table.

        Returns:
            Numbers of `files`, `rows`, `bytes`, and of files whose `digests` were compared.

        Raises:
            NotMaterializedError: The table or partition was never written.
            IntegrityError: A data file is missing or damaged.
        """
        from rivers_delta.verification import verify

        return self._call("read", context, partial(verify, context=context))

    def maintain(
        self, contexts: Sequence[InputContext] = (), *, dry_run: bool = True, **options: Any
    ) -> list[dict[str, Any]]:
        """Compact small files and remove files that no version needs; by default only report what would be done.

        Args:
            contexts: The assets whose tables to maintain; none for every local table in `table_uri`.
            dry_run: Whether to change nothing.
            **options: `optimize`, `vacuum` (both on), `retention_hours`, `target_file_size`, `z_order` columns.

        Returns:
            One dictionary per table and action: `table`, `action`, `files`, `bytes`, `done`.
        """
        from rivers_delta.maintenance import maintain

        root = table_root(self.table_uri)
        _GUARD.enter()
        with ExitStack() as stack:
            tables = self._tables(contexts)
            if self.fsync and not dry_run:
                tables = _flushed_each(tables, stack)
            work = partial(maintain, tables, dry_run=dry_run, **options)
            return work() if is_local(root) else remote_calls.call(None, root, work)

    def check_options(self, metadata: Mapping[str, Any]) -> list[str]:
        """Return one message for each `delta/` option that is unknown or has an invalid value.

        Args:
            metadata: An asset's static metadata.
        """
        return find_problems(metadata)

    def accepts_type(self, hint: Any) -> bool:
        """Return whether values of an annotation can be stored.

        Args:
            hint: A return annotation.
        """
        from rivers_frames.registry import get_frame_types

        return get_frame_types().can_store(hint)

    def can_load_type(self, hint: Any) -> bool:
        """Return whether a table can be loaded as the type of an annotation.

        Args:
            hint: The annotation of a parameter.
        """
        from rivers_frames.registry import get_frame_types

        types = get_frame_types()
        types.check_name(self.handler_config.default_type)
        return types.can_load(hint)

    def store_root(self) -> StoreRoot:
        """Return the folder or URL that contains all tables."""
        return locate_store(shown(table_root(self.table_uri)), self.plain_storage_options())

    def describe_address(self, context: OutputContext | InputContext) -> str | None:
        """Return the path or URL of the asset's table, without credentials.

        Args:
            context: The asset.
        """
        return shown(self.address(context.asset_name, context.asset_metadata))

    def storage_location(self, asset_name: str, asset_metadata: Mapping[str, Any] | None) -> str | None:
        """Return the table of an asset; two assets cannot share one, and none may be nested in another.

        Args:
            asset_name: The asset.
            asset_metadata: Its static metadata.
        """
        if find_problems(asset_metadata or {}):
            return None
        return normalized(self.address(asset_name, asset_metadata))

    def address(self, asset_name: str, metadata: Mapping[str, Any] | None) -> str:
        """Return the path or URL of an asset's table.

        Args:
            asset_name: The asset.
            metadata: Its static metadata; `delta/root_name` replaces its name.
        """
        options = parse_options(asset_name, metadata)
        return table_address(table_root(self.table_uri), asset_name, options.root_name)

    def asset_table_uri(self, asset_name: str, asset_metadata: Mapping[str, Any] | None = None) -> str:
        """Return the path or URL of an asset's table, to open it with deltalake.

        Args:
            asset_name: The asset.
            asset_metadata: Its static metadata; `delta/root_name` replaces its name.
        """
        return self.address(asset_name, asset_metadata)

    def partition_predicate(
        self, asset_metadata: Mapping[str, Any] | None, partition: PartitionContext | None
    ) -> str:
        """Return the rows of partition keys as SQL, such as for `DeltaTable.delete`.

        The columns of time windows must hold dates, timestamps or ISO 8601 text. Types of the table are not looked up.

        Args:
            asset_metadata: Static metadata of the asset, with `delta/partition_expr`.
            partition: The keys and their definition.

        Raises:
            PartitionValidationError: There are no keys, or no column for them.
        """
        from rivers_delta.partitions.text_filters import predicate

        return predicate(self.partition_filters(asset_metadata, partition))

    def partition_filters(
        self, asset_metadata: Mapping[str, Any] | None, partition: PartitionContext | None
    ) -> list[list[tuple[str, str, str]]]:
        """Return the rows of partition keys as filters: any list of terms, all of its terms.

        Each term is a column, an operator and a text, as pyarrow and pandas accept them. See `partition_predicate`.

        Args:
            asset_metadata: Static metadata of the asset, with `delta/partition_expr`.
            partition: The keys and their definition.

        Raises:
            PartitionValidationError: There are no keys, or no column for them.
        """
        from rivers_delta.partitions.text_filters import filters

        return filters(parse_options("", asset_metadata).partition_expr, partition)

    def plain_storage_options(self) -> dict[str, str] | None:
        """Return the storage options as deltalake takes them. Handle with care: these are credentials."""
        given = {key: value.get_secret_value() for key, value in (self.storage_options or {}).items()}
        if is_local(table_root(self.table_uri)):
            return given or None
        names = {name.lower() for name in given}
        return given | {
            name: value for name, value in remote_calls.CLIENT_DEFAULTS.items() if name not in names
        }

    def _call(
        self, verb: str, context: OutputContext | InputContext, function: Callable[[TableSettings], Result]
    ) -> Result:
        """Call a function for the table of a context, and translate errors of libraries."""
        settings = self._settings(context)
        with library_errors(verb, context, settings):
            _GUARD.enter()
            if not settings.is_local:
                commits = None if verb == "read" else context
                return remote_calls.call(commits, settings.address, partial(function, settings))
            if not self._is_swept:
                sweep_once(settings.root)
                self._is_swept = True
            if verb == "read":
                return function(settings)
            flushing = flushed(settings.address) if self.fsync else nullcontext()
            with writing_below(settings.address, settings.root), flushing:
                return function(settings)

    def _tables(self, contexts: Sequence[InputContext]) -> Iterator[TableSettings]:
        """Yield the tables of some assets, each once; without assets all local tables."""
        from rivers_delta.maintenance import local_tables

        if contexts:
            tables = map(self._settings, contexts)
            yield from {settings.address: settings for settings in tables}.values()
            return
        root = table_root(self.table_uri)
        for address in local_tables(root):
            yield self._merged("", root, address, parse_options("", None))

    def _settings(self, context: OutputContext | InputContext) -> TableSettings:
        """Return the settings of an asset's table, kept until its metadata or a field of the handler changes."""
        name, metadata = context.asset_name, context.asset_metadata
        known = self._known_settings.get(name)
        if known is not None and known.metadata == (metadata or {}) and known.fields == self.__dict__:
            return known.settings
        options = parse_options(name, metadata)
        root = table_root(self.table_uri)
        settings = self._merged(name, root, table_address(root, name, options.root_name), options)
        if len(self._known_settings) >= _MAX_KNOWN:
            self._known_settings.clear()
        self._known_settings[name] = _KnownSettings(dict(self.__dict__), dict(metadata or {}), settings)
        return settings

    def _merged(self, asset_name: str, root: str, address: str, options: DeltaOptions) -> TableSettings:
        return TableSettings(
            handler_name=type(self).__name__,
            asset_name=asset_name,
            root=root,
            address=address,
            shown_address=shown(address),
            is_local=is_local(root),
            options=options,
            mode=options.mode or self.mode,
            schema_mode=options.schema_mode or self.schema_mode,
            storage_options=self.plain_storage_options(),
            table_properties=self.table_config,
            writer_properties={**(self.writer_properties or {}), **(options.writer_properties or {})},
            commit_properties={**(self.commit_properties or {}), **(options.commit_properties or {})},
            merge_config=self.merge_config,
            config=self.handler_config,
        )


def _flushed_each(tables: Iterable[TableSettings], stack: ExitStack) -> Iterator[TableSettings]:
    """Yield tables; what is added to them is flushed when the stack closes."""
    for table in tables:
        stack.enter_context(flushed(table.address))
        yield table

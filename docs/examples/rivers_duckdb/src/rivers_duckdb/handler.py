"""IO handler that keeps data frames as tables of a DuckDB file."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple
from uuid import uuid4

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from rivers_core import BaseIOHandler
from rivers_core.exceptions import (
    AssetOutputValidationError,
    ConflictError,
    IntegrityError,
    NotMaterializedError,
    PartitionValidationError,
    RiversError,
)
from rivers_frames.registry import get_frame_types

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    import pyarrow as pa

    from rivers_core import InputContext, OutputContext
    from rivers_core.authoring import Locality

_CATALOG: Final = """
    CREATE SCHEMA IF NOT EXISTS rivers;
    CREATE SCHEMA IF NOT EXISTS partitions;
    CREATE TABLE IF NOT EXISTS rivers.stored_values (
        storage_key VARCHAR PRIMARY KEY, frame_type VARCHAR, arrow_schema BLOB, data_version VARCHAR
    );
"""


class DuckdbIOHandler(BaseIOHandler):
    """Keep each asset as one table of a DuckDB file, which any DuckDB client can query.

    The table of an asset is `main."<asset>"`; the partitions of an asset share `partitions."<asset>"`, whose column
    `rivers_partition` selects them. Each write is one transaction. DuckDB lets one process at a time open a file: the
    others wait for `lock_timeout_s`.

    Args:
        path: The file; the first write creates it.
        lock_timeout_s: Seconds to wait while another process uses the file.
    """

    model_config = SettingsConfigDict(env_prefix="RIVERS_DUCKDB_", frozen=True)
    locality: ClassVar[Locality] = "host"

    path: Path = Field(default=Path("rivers.duckdb"), validate_default=True)
    lock_timeout_s: float = Field(default=20.0, ge=0)

    @field_validator("path")
    @classmethod
    def _make_absolute(cls, path: Path) -> Path:
        return path.absolute()

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Replace the rows of an asset or of one partition, in one transaction.

        Args:
            context: Context of the asset; receives the metadata `path`, `table`, `num_rows` and `rivers/schema`.
            obj: A data frame of any library, or an object with an Arrow C stream.

        Raises:
            AssetOutputValidationError: The value is not a frame, or DuckDB does not support a column.
            PartitionValidationError: The context has several partition keys.
            OneShotValueError: The value is a stream that was read before.
            ConflictError: Another process uses the file, or another thread wrote the same table.
            RiversError: The columns differ from those of the other partitions, or the file cannot be written.
        """
        from rivers_core import MetadataValue

        place = _place(context)
        type_name, rows = _arrow_table(obj, place)
        version = _digest(rows)
        if not self.path.exists():
            self._create_file(place)
        with self._transaction("store", place) as connection:
            connection.execute(_CATALOG)
            _replace_rows(connection, place, rows)
            connection.execute(
                "INSERT OR REPLACE INTO rivers.stored_values VALUES (?, ?, ?, ?)",
                [place.storage_key, type_name, rows.schema.serialize().to_pybytes(), version],
            )
        context.add_output_metadata(
            {
                "path": str(self.path),
                "table": place.table,
                "num_rows": rows.num_rows,
                "rivers/schema": MetadataValue.schema(rows.schema.remove_metadata()),
            }
        )
        context.offer_content_version(version)

    def load_input(self, context: InputContext) -> Any:
        """Read the rows of an asset or of one partition, as the frame type that the consumer requests.

        Args:
            context: Context of the asset.

        Raises:
            NotMaterializedError: Nothing was stored.
            IntegrityError: Another program changed or removed the table.
            ConflictError: Another process uses the file.
            RiversError: The file cannot be read, or the requested type is not a frame type.
        """
        import pyarrow as pa
        from arro3.core import RecordBatchReader

        place = _place(context)
        if not self.path.exists():
            raise self._not_materialized(context)
        with self._transaction("load", place) as connection:
            record = _record(connection, place)
            stored = None if record is None else _select(connection, place).to_arrow_table()
        if record is None or stored is None:
            raise self._not_materialized(context)
        recorded_type, schema, version = record
        try:
            rows = stored.cast(pa.ipc.read_schema(pa.py_buffer(schema)))
        except (ValueError, pa.ArrowException) as error:
            raise IntegrityError(
                f"Could not load {place.subject}: the columns of {place.table} are not those that were stored "
                f"({error}). Materialize it again."
            ) from error
        types = get_frame_types()
        spec = types.for_loading(context.type_hint, place.subject, recorded=recorded_type)
        context.register_loaded_version(version)
        return types.adapter(spec).from_reader(RecordBatchReader.from_arrow(rows))

    def exists(self, context: InputContext) -> bool:
        """Return whether an asset or partition is stored, even if it has no rows."""
        place = _place(context)
        if not self.path.exists():
            return False
        with self._transaction("look up", place) as connection:
            return _record(connection, place) is not None

    def delete(self, context: InputContext) -> None:
        """Remove the rows of an asset or partition, if they are stored."""
        place = _place(context)
        if not self.path.exists():
            return
        with self._transaction("delete", place) as connection:
            if _record(connection, place) is None:
                return
            if place.partition is None:
                connection.execute(f"DROP TABLE IF EXISTS {place.table}")
            else:
                connection.execute(f"DELETE FROM {place.table} WHERE rivers_partition = ?", [place.partition])
            connection.execute("DELETE FROM rivers.stored_values WHERE storage_key = ?", [place.storage_key])

    def describe_address(self, context: OutputContext | InputContext) -> str:
        """Return file, table and partition of a value, for messages."""
        place = _place(context)
        partition = "" if place.partition is None else f" where rivers_partition = {place.partition!r}"
        return f"{self.path}: {place.table}{partition}"

    def accepts_type(self, hint: Any) -> bool:
        """Return whether values of an annotation can be stored."""
        return get_frame_types().can_store(hint)

    def can_load_type(self, hint: Any) -> bool:
        """Return whether a table can be loaded as the type of an annotation."""
        return get_frame_types().can_load(hint)

    @contextmanager
    def _transaction(self, action: str, place: _Place) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the file, which no other process can use meanwhile; commit unless an error occurs."""
        import duckdb

        from rivers_duckdb.instance import INSTANCE, is_in_use

        try:
            with INSTANCE.transaction(self.path, self.lock_timeout_s) as connection:
                yield connection
        except duckdb.Error as error:
            if is_in_use(error):
                raise ConflictError(
                    f"Could not open {str(self.path)!r} for {place.subject}: another process or connection uses the "
                    f"file, and DuckDB admits one at a time; waited {self.lock_timeout_s:g} s. Close it, or raise "
                    "lock_timeout_s."
                ) from error
            raise RiversError(
                f"Could not {action} {place.subject} in {str(self.path)!r}: {error}. Check the file and the columns."
            ) from error

    def _create_file(self, place: _Place) -> None:
        """Create the file as a whole: DuckDB refuses one that a killed process left without a header."""
        unfinished = DuckdbIOHandler(path=self.path.with_name(f".{uuid4().hex}"))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished._transaction("store", place) as connection:
                connection.execute(_CATALOG)
            with suppress(FileExistsError):  # a rename would replace the file of another process
                os.link(unfinished.path, self.path)
        finally:
            unfinished.path.unlink(missing_ok=True)

    def _not_materialized(self, context: InputContext) -> NotMaterializedError:
        return NotMaterializedError(
            context.asset_name,
            partition=context.partition and context.partition.key,
            handler="duckdb",
            address=self.describe_address(context),
        )


class _Place(NamedTuple):
    """Where a value is in the file."""

    subject: str
    storage_key: str
    table: str
    partition: str | None


def _place(context: OutputContext | InputContext) -> _Place:
    subject = f"asset {context.asset_name!r}"
    partition = None
    if context.partition is not None:
        if not context.partition.is_single:
            raise PartitionValidationError(
                f"Cannot store or load {subject} for several partitions at once. Omit partition_batches."
            )
        subject += f" (partition {str(context.partition.key)!r})"
        partition = context.storage_key.removeprefix(f"{context.asset_storage_key}/")
    schema = "main" if partition is None else "partitions"
    table = f"{schema}.{_quoted(context.asset_storage_key)}"
    return _Place(subject, context.storage_key, table, partition)


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _arrow_table(obj: Any, place: _Place) -> tuple[str, pa.Table]:
    """Return the name of the frame type and the rows."""
    from rivers_frames.one_shot import refuse_consumed, remember

    frame = get_frame_types().frame(obj, place.subject)
    if not frame.is_replayable:
        refuse_consumed(place.subject, frame.value, frame.adapter)
        remember(frame.value, None)
    try:
        rows = frame.adapter.arrow_reader(frame.value).read_all()
    except TypeError as error:
        raise AssetOutputValidationError(
            f"Cannot store {place.subject}: {error}. Nothing was written."
        ) from error
    except Exception as error:  # a query that fails raises errors of its library
        raise RiversError(f"Could not compute {place.subject}: {error}. Nothing was written.") from error
    if "rivers_partition" in map(str.lower, rows.column_names):
        raise AssetOutputValidationError(
            f"Cannot store {place.subject}: the handler owns the column 'rivers_partition'. Rename yours."
        )
    return frame.type_name, rows


def _replace_rows(connection: duckdb.DuckDBPyConnection, place: _Place, rows: pa.Table) -> None:
    """Replace a table, or the rows of one partition in it."""
    connection.register("new_rows", rows)
    _refuse_changed(connection, place, rows.schema)
    if place.partition is None:
        connection.execute(f"CREATE OR REPLACE TABLE {place.table} AS FROM new_rows")
        return
    selected = f"SELECT {_literal(place.partition)} AS rivers_partition, * FROM new_rows"
    connection.execute(f"CREATE TABLE IF NOT EXISTS {place.table} AS {selected} LIMIT 0")
    connection.execute(f"DELETE FROM {place.table} WHERE rivers_partition = ?", [place.partition])
    if not connection.sql(f"FROM {place.table} LIMIT 1").fetchall():
        connection.execute(f"CREATE OR REPLACE TABLE {place.table} AS {selected}")
        return
    columns = connection.sql(f"FROM {place.table} LIMIT 0")
    new = connection.sql(f"{selected} LIMIT 0")
    if (columns.columns, columns.types) != (new.columns, new.types):
        raise AssetOutputValidationError(
            f"Cannot store {place.subject}: its columns {new.columns[1:]} ({new.types[1:]}) are not those of the other "
            f"partitions, {columns.columns[1:]} ({columns.types[1:]}). Delete the other partitions first."
        )
    connection.execute(f"INSERT INTO {place.table} {selected}")


def _refuse_changed(connection: duckdb.DuckDBPyConnection, place: _Place, schema: pa.Schema) -> None:
    """Refuse columns that DuckDB would return with another name, or as a type that does not fit."""
    import pyarrow as pa

    stored = connection.sql("FROM new_rows LIMIT 0").to_arrow_table()
    try:
        stored.cast(schema)
    except (ValueError, pa.ArrowException) as error:
        raise AssetOutputValidationError(
            f"Cannot store {place.subject}: DuckDB would return other columns ({error}). Nothing was written."
        ) from error


def _record(connection: duckdb.DuckDBPyConnection, place: _Place) -> tuple[str, bytes, str] | None:
    """Return frame type, Arrow schema and version of a value; None if it was never stored."""
    is_initialized = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'rivers' AND table_name = 'stored_values'"
    ).fetchall()
    if is_initialized == [(0,)]:
        return None
    records: list[tuple[str, bytes, str]] = connection.execute(
        "SELECT frame_type, arrow_schema, data_version FROM rivers.stored_values WHERE storage_key = ?",
        [place.storage_key],
    ).fetchall()
    return records[0] if records else None


def _select(connection: duckdb.DuckDBPyConnection, place: _Place) -> duckdb.DuckDBPyRelation:
    if place.partition is None:
        return connection.sql(f"FROM {place.table}")
    return connection.sql(
        f"SELECT * EXCLUDE rivers_partition FROM {place.table} WHERE rivers_partition = {_literal(place.partition)}"
    )


def _literal(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def _digest(rows: pa.Table) -> str:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())
    return sha256(sink.getvalue()).hexdigest()

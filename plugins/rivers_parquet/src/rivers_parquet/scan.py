"""Scans: the columns and rows of one or several files, in the forms that frame libraries read best."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types as pat

from rivers_core.authoring import did_you_mean
from rivers_core.exceptions import ConflictError, InvalidMetadataError, RiversError
from rivers_frames.arrow_categories import encoded
from rivers_frames.arrow_types import same_type, streamed
from rivers_parquet.details import KEY
from rivers_parquet.files import ParquetFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl
    from arro3.core import RecordBatchReader

_BATCH_ROWS: Final = 65_536
# an open file cannot be replaced on Windows; macOS allows a process 256 open files by default
_CAN_PIN: Final = os.name != "nt"
_MAX_PINNED: Final = 64
_CHECKED_AT_ONCE: Final = 16
# stores that polars opens itself, to request only the bytes that a lazy frame needs
_NATIVE: Final = ("S3Store", "GCSStore", "AzureStore")
_SCHEMES: Final = ("s3", "s3a", "gs", "az", "abfs", "abfss")


@dataclass(frozen=True, slots=True)
class Column:
    """One column to read.

    Args:
        given: Name and type as written.
        stored: Name and type as polars and pyarrow read it.
        extras: What the adapter that wrote it recorded.
        categories: Its categories in their order, as text; None if they are not known.
    """

    given: pa.Field
    stored: pa.Field
    extras: Mapping[str, str] = field(default_factory=dict)
    categories: Sequence[str | None] | None = None

    @property
    def name(self) -> str:
        """The name of the column."""
        return str(self.given.name)


@dataclass(frozen=True, slots=True)
class Scan:
    """Some columns of files that have the same types.

    Args:
        files: The files, in the order of their rows.
        columns: The columns to return, in order.
        is_selection: Whether the files have further columns.
    """

    files: Sequence[ParquetFile]
    columns: Sequence[Column]
    is_selection: bool

    def schema(self) -> pa.Schema:
        """Return the columns with the types they were written with."""
        return pa.schema([column.given for column in self.columns])

    def reader(self) -> RecordBatchReader:
        """Return the rows as a stream, with the types of `schema`."""
        from arro3.core import RecordBatch, RecordBatchReader

        schema = streamed(self.schema())
        known = {column.name: column.categories for column in self.columns}
        batches = (RecordBatch.from_arrow(_cast(batch, schema, known)) for batch in self.arrow_reader())
        return RecordBatchReader.from_batches(schema, batches)

    def arrow_table(self) -> pa.Table:
        """Return the rows as a pyarrow table."""
        tables = [self._opened(file).read(columns=self._names_in(file)) for file in self.files]
        if len(tables) == 1:
            return self._selected(tables[0])
        # "default" fills columns that a file does not have
        joined = pa.concat_tables(map(self._selected, tables), promote_options="default")
        return joined.select([column.name for column in self.columns])

    def arrow_reader(self) -> pa.RecordBatchReader:
        """Return the rows as a pyarrow stream, read row group by row group."""
        schema = self._stored_schema()
        first = self._opened(self.files[0])  # now, since the path may name another file later
        return pa.RecordBatchReader.from_batches(schema, self._batches(schema, first))

    def lazy_frame(self) -> pl.LazyFrame:
        """Return the rows as a polars query, which reads only the columns and row groups that it needs."""
        import polars as pl

        if any(file.footer.has_int96 for file in self.files):
            return pl.DataFrame(self.arrow_table()).lazy()
        if (
            any(file.options is not None for file in self.files)
            or not _CAN_PIN
            or len(self.files) > _MAX_PINNED
        ):
            return self._checked_frame()
        with ExitStack() as stack:  # polars keeps duplicates of the descriptors
            sources: list[Any] = [
                file.source if isinstance(file.source, bytes) else stack.enter_context(file.opened())
                for file in self.files
            ]
            return _query(self, sources)

    def _checked_frame(self) -> pl.LazyFrame:
        """Return a query over paths or URLs that fails if one of them names another file when its rows are used.

        Nothing can pin the object behind a URL, so its stamp is compared before each batch is passed on. Columns,
        filters and limits of later operations reach the files.
        """
        import polars as pl
        from polars.io.plugins import register_io_source

        from rivers_frames.polars_frames import polars_column

        # now: polars wraps the errors of a schema that is computed later
        with _replacement_reported(self.files):
            schema = _query(self, [file.source for file in self.files]).collect_schema()

        def frames(
            names: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
        ) -> Iterator[pl.DataFrame]:
            del batch_size
            empty, left = pl.LazyFrame(schema=schema), n_rows
            for start in range(0, len(self.files), _CHECKED_AT_ONCE):
                part = replace(self, files=self.files[start : start + _CHECKED_AT_ONCE])
                frame = pl.concat([empty, _query(part, [file.source for file in part.files])], how="diagonal")
                frame = frame if names is None else frame.select([polars_column(name) for name in names])
                frame = frame if predicate is None else frame.filter(predicate)
                batches = (frame if left is None else frame.head(left)).collect_batches()
                with _replacement_reported(part.files):
                    for batch in batches:
                        _refuse_replaced(part.files)
                        yield batch
                        left = None if left is None else left - batch.height
                    _refuse_replaced(part.files)  # there may be no batch
                if left == 0:
                    return

        return register_io_source(frames, schema=schema)

    def _stored_schema(self) -> pa.Schema:
        """Return the types that pyarrow reads from the first file that has each column."""
        fields = []
        for column in self.columns:
            stored = [file.footer.stored for file in self.files if column.name in file.footer.stored.names]
            fields.append(stored[0].field(column.name).with_nullable(True))
        return pa.schema(fields)

    def _batches(self, schema: pa.Schema, first: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
        for place, file in enumerate(self.files):
            opened = self._opened(file) if place else first
            for batch in opened.iter_batches(_BATCH_ROWS, columns=self._names_in(file)):
                yield _cast(batch, schema)

    def _opened(self, file: ParquetFile) -> pq.ParquetFile:
        # With pre_buffer, pyarrow (up to 26) keeps all row groups of a stream until its end: 5 GB for a file of 5 GB.
        # It reads INT96, the timestamps of Spark, as nanoseconds by default, which end in the year 2262
        opened = pq.ParquetFile(
            file.arrow_source(),
            pre_buffer=False,
            coerce_int96_timestamp_unit="us",
            page_checksum_verification=True,
        )
        if not file.is_unchanged():
            raise _replaced(file)
        return opened

    def _names_in(self, file: ParquetFile) -> list[str] | None:
        if not self.is_selection:
            return None
        own = set(file.footer.stored.names)
        return [column.name for column in self.columns if column.name in own]

    def _selected(self, table: pa.Table) -> pa.Table:
        """Return the columns of the scan, without what rivers recorded."""
        metadata = {key: text for key, text in (table.schema.metadata or {}).items() if key != KEY.encode()}
        names = [column.name for column in self.columns if column.name in table.schema.names]
        return table.select(names).replace_schema_metadata(metadata or None)


def scan_of(files: Sequence[ParquetFile], names: Sequence[str] | None, subject: str) -> Scan:
    """Return the scan of some files.

    Args:
        files: The files.
        names: Columns to read; None for all.
        subject: Asset and partitions, for messages.

    Raises:
        InvalidMetadataError: A column does not exist.
        RiversError: The files have different types in a column.
    """
    columns: dict[str, Column] = {}
    origins: dict[str, ParquetFile] = {}
    for file in files:
        for column in _columns(file):
            known = columns.get(column.name)
            if known is None or pat.is_null(known.given.type):
                columns[column.name], origins[column.name] = column, file
            elif not pat.is_null(column.given.type) and not _is_same(column, known):
                raise RiversError(
                    f"Could not load {subject} as one value: column {column.name!r} has type {column.given.type} in "
                    f"{file.label}, and {known.given.type} in {origins[column.name].label}. Load a dictionary with one "
                    "value per partition, or materialize the older ones again."
                )
    if names is None:
        return Scan(files, tuple(columns.values()), is_selection=False)
    for name in names:
        if name not in columns:
            raise InvalidMetadataError(
                f"Could not load {subject}: column {name!r} of 'parquet/columns' not found."
                f"{did_you_mean(name, columns)} The file has {', '.join(map(repr, columns))}."
            )
    return Scan(files, tuple(columns[name] for name in names), is_selection=True)


def _columns(file: ParquetFile) -> Iterator[Column]:
    footer, details = file.footer, file.footer.details
    is_polars = details is not None and details.type_name.startswith("polars.")
    for given, stored in zip(footer.given, footer.stored, strict=True):
        if not is_polars and pat.is_dictionary(given.type):
            # polars reads any dictionary as Categorical; its adapter restores an order
            stored = stored.with_type(given.type.value_type)
        extras = {} if details is None else details.extras.get(given.name, {})
        categories = None if details is None else details.categories.get(given.name)
        yield Column(given, stored, extras, None if categories is None else tuple(categories))


def _is_same(column: Column, known: Column) -> bool:
    return same_type(column.given.type, known.given.type) and column.categories == known.categories


def _query(scan: Scan, sources: Sequence[Any]) -> pl.LazyFrame:
    """Return the query over the files of a scan, as they are opened by polars."""
    import polars as pl

    from rivers_frames.polars_frames import polars_column

    files = scan.files
    names = [file.footer.stored.names for file in files]
    options = None if files[0].options is None else dict(files[0].options)
    if all(own == names[0] for own in names) and len(set(map(type, sources))) == 1:
        frame = _scanned(sources, options)
    else:
        frame = pl.concat([_scanned([source], options) for source in sources], how="diagonal")
    if not scan.is_selection and len(files) == 1:
        return frame
    return frame.select([polars_column(column.name) for column in scan.columns])


@contextmanager
def _replacement_reported(files: Sequence[ParquetFile]) -> Iterator[None]:
    """Replace an error that another file in the place of one of the given files explains."""
    try:
        yield
    except RiversError:
        raise
    except Exception:
        _refuse_replaced(files)
        raise


def scan_options(store: object, options: Mapping[str, str]) -> dict[str, str] | None:
    """Return the options with which polars opens a store; both libraries have the same names for them.

    Args:
        store: A checked store: a URL or an obstore store.
        options: The storage options of a URL.

    Returns:
        The options; None if polars cannot open the store as obstore does.
    """
    if isinstance(store, str):
        return dict(options) if store.partition(":")[0].lower() in _SCHEMES else None
    given: Any = store
    if type(store).__name__ not in _NATIVE or getattr(given, "credential_provider", None) is not None:
        return None
    client = {name: str(value) for name, value in (getattr(given, "client_options", None) or {}).items()}
    return {**client, **(given.config or {})}


def _refuse_replaced(files: Sequence[ParquetFile]) -> None:
    with ThreadPoolExecutor(len(files)) as pool:
        for file, is_unchanged in zip(files, pool.map(ParquetFile.is_unchanged, files), strict=True):
            if not is_unchanged:
                raise _replaced(file)


def _replaced(file: ParquetFile) -> ConflictError:
    return ConflictError(
        f"Could not load {file.label}: another process replaced the file after it was loaded and before it was read. "
        "Load it again."
    )


def _scanned(sources: Sequence[Any], options: dict[str, str] | None) -> pl.LazyFrame:
    import polars as pl

    # a path may contain the characters of patterns, and `day=2024-01-31` is a storage key, not a column
    return pl.scan_parquet(list(sources), glob=False, hive_partitioning=False, storage_options=options)


def _cast(
    batch: pa.RecordBatch,
    schema: pa.Schema,
    categories: Mapping[str, Sequence[str | None] | None] | None = None,
) -> pa.RecordBatch:
    """Cast a batch to a schema; columns that it does not have are null."""
    if batch.schema.equals(schema):
        return batch
    arrays = []
    for column in schema:
        if column.name not in batch.schema.names:
            arrays.append(pa.nulls(batch.num_rows, column.type))
            continue
        array = batch.column(column.name)
        if array.type != column.type and pat.is_dictionary(column.type):
            array = encoded(column.name, array, column.type, (categories or {}).get(column.name))
        arrays.append(array if array.type == column.type else array.cast(column.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)

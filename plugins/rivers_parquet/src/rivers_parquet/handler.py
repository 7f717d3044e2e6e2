"""IO handler that keeps data frames as Parquet files."""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from rivers_core import InputContext, MetadataValue, OutputContext, PartitionContext
from rivers_core.exceptions import ConflictError, IntegrityError, PartitionValidationError, RiversError
from rivers_frames.registry import get_frame_types
from rivers_objects import Condition, Folder, ObjectIOHandler
from rivers_objects.layout import asset_folder
from rivers_parquet.options import (
    NAMESPACE,
    Compression,
    ParquetOptions,
    find_problems,
    level_problem,
    parse_options,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn, Self

    import pyarrow as pa
    from pydantic import SecretStr

    from rivers_core import PartitionKey
    from rivers_frames import Frame, FrameAdapter
    from rivers_objects.targets import Staged
    from rivers_parquet.files import ParquetFile
    from rivers_parquet.write import Content, Layout

_MAX_REOPENED: Final = 20
_REQUESTS_AT_ONCE: Final = 16
_STAGED_AT_ONCE: Final = 100  # each keeps a file open, and macOS allows a process 256 by default


class ParquetIOHandler(ObjectIOHandler):
    """Keep each data frame as one Parquet file, which any Parquet reader can read.

    Stores polars, pandas, pyarrow, arro3, DuckDB and any other object with an Arrow C stream. A value is one file,
    written atomically: `<prefix>/<asset>.parquet`, or `<prefix>/<asset>/<partition>/data.parquet`. A changed or
    truncated file is refused before it is decoded. Settings are also read from environment variables such as
    `RIVERS_PARQUET_STORE`; options of one asset are in its metadata (`parquet/columns`).

    Args:
        store: An obstore store, a URL (`file:`, `s3://`, `gs://`, `az://`, `memory://`, ...) or a path. A
            relative path is relative to the working folder, in a config file to that file.
        prefix: Path in the store below which all files lie.
        compression: Compression of the pages.
        compression_level: Level of `zstd` (1 to 22), `gzip` (1 to 9) or `brotli` (0 to 11).
        row_group_size: Most rows of a row group.
        statistics: Whether to write the smallest and largest value of each page, by which readers skip pages.
        default_type: Type to load where neither the consumer nor the file names one, such as `pandas.DataFrame`.
        fsync: Flush a file and its folder to the disk before `handle_output` returns; local stores only.
        storage_options: Options of the store that a URL names, with obstore's names. Their values are never shown.

    Examples:
        >>> import polars as pl
        >>> from rivers_core import InputContext, OutputContext
        >>> handler = ParquetIOHandler("memory://")
        >>> handler.handle_output(OutputContext("orders"), pl.DataFrame({"n": [1, 2]}))
        >>> handler.load_input(InputContext("orders", "total"))["n"].sum()
        3
    """

    model_config = SettingsConfigDict(env_prefix="RIVERS_PARQUET_", frozen=True)
    suffix: ClassVar[str] = ".parquet"
    option_namespace: ClassVar[str | None] = NAMESPACE
    partition_batches: ClassVar[bool] = True
    conditional_writes: ClassVar[bool] = True

    compression: Compression = Field(default="zstd", description="Compression of the pages.")
    compression_level: int | None = Field(default=None, description="Level of the compression.")
    row_group_size: int | None = Field(default=None, ge=1, description="Most rows of a row group.")
    statistics: bool = Field(default=True, description="Whether to write bounds of the values of each page.")
    default_type: str | None = Field(
        default=None, description="Type to load where neither consumer nor file names one: pandas.DataFrame."
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            store: Any = ...,
            prefix: str = "",
            *,
            compression: Compression = "zstd",
            compression_level: int | None = None,
            row_group_size: int | None = None,
            statistics: bool = True,
            default_type: str | None = None,
            fsync: bool = False,
            storage_options: Mapping[str, SecretStr | str | int | float] | None = None,
        ) -> None: ...

    @model_validator(mode="after")
    def _level_fits_compression(self) -> Self:
        problem = level_problem(self.compression, self.compression_level)
        if problem is not None:
            raise ValueError(f"`compression_level`: {problem}")
        return self

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Write a frame as one Parquet file, atomically; a frame for several partition keys as one file for each.

        The option `parquet/partition_expr` names the column that says to which key a row belongs. All files are
        complete before the first one is put, of up to 100 keys.

        Args:
            context: Context of the asset; receives the metadata `path`, `uri`, `serializer`, `parquet/type`,
                `parquet/num_rows`, `parquet/row_groups`, `size_bytes`, `write_duration_s` (seconds) and
                `rivers/schema`, and the digest of the file as data version.
            obj: A data frame of any library, or an object with an Arrow C stream.

        Raises:
            AssetOutputValidationError: The value is not a frame, Parquet does not support a column, or a row belongs to
                none of several partition keys.
            PartitionValidationError: The context has several partition keys, and no column says to which one a row
                belongs.
            OneShotValueError: The value is a stream that was read before.
            ConflictError: Another version is stored than `context.expected_version`.
            RiversError: A query failed, or the store; the previous value is unchanged.
        """
        from rivers_frames.one_shot import refuse_consumed, remember

        started = time.perf_counter()
        subject = _subject(context)
        options = parse_options(context.asset_name, context.asset_metadata)
        frame = get_frame_types().frame(obj, subject)
        if not frame.is_replayable:
            refuse_consumed(subject, frame.value, frame.adapter)
            remember(frame.value, None)
        files = self._files_to_write(context, options, frame)
        written = self._write(context, files, self._layout(options))
        rows = sum(item.rows for item in written)
        if not frame.is_replayable:
            remember(frame.value, rows)
        path = files[0].path if files[0].key is None else asset_folder(self.prefix, context, self.suffix)
        context.add_output_metadata(
            {
                "path": MetadataValue.text(path),
                "uri": MetadataValue.text(self.object_address(path)),
                "serializer": MetadataValue.text("parquet"),
                "parquet/type": MetadataValue.text(frame.type_name),
                "parquet/num_rows": MetadataValue.int(rows),
                "parquet/row_groups": MetadataValue.int(sum(item.row_groups for item in written)),
                "size_bytes": MetadataValue.int(sum(item.size for item in written)),
                "rivers/schema": MetadataValue.schema(written[0].schema),
                "write_duration_s": MetadataValue.float_(time.perf_counter() - started),
            }
        )
        for file, item in zip(files, written, strict=True):
            context.offer_content_version(item.version, key=file.key)

    def load_input(self, context: InputContext) -> Any:
        """Load a frame, or the frames of several partitions as one.

        A LazyFrame reads the file when it is collected; its footer is verified now. Collecting it returns the rows of
        the version that was loaded, or raises `ConflictError` if a remote file was replaced. For any other type the
        whole file is verified before it is decoded.

        Args:
            context: Asset, partition, consumer and requested type.

        Raises:
            NotMaterializedError: The file does not exist.
            IntegrityError: The file is damaged or misplaced.
            InvalidMetadataError: A column of `parquet/columns` does not exist.
            ConflictError: Other processes kept replacing the file while it was read.
            RiversError: The store failed, the requested type is not a frame type, or partitions have different types.
        """
        from rivers_parquet.files import FileChangedError
        from rivers_parquet.scan import scan_of

        options = parse_options(context.asset_name, context.asset_metadata)
        contexts = _one_by_one(context)
        for _ in range(_MAX_REOPENED):
            try:
                files, adapter, versions = self._open_all(context, contexts)
            except FileChangedError:
                continue
            scan = scan_of(files, options.columns, _subject(context))
            error: BaseException | None = None
            try:
                value = adapter.read(scan)
            except (FileChangedError, ConflictError):
                continue
            except MemoryError:
                raise
            except BaseException as raised:
                if not isinstance(raised, Exception) and type(raised).__name__ != "PanicException":
                    raise
                error = raised
            # a lazy frame is bound to the files whose footers were read
            if (error is not None or not adapter.is_lazy) and not all(file.is_unchanged() for file in files):
                continue
            if isinstance(error, RiversError):
                raise error
            if error is not None:
                raise self._decoding_error(context, files, error) from error
            for one, version in zip(contexts, versions, strict=True):
                if version is not None:
                    key = None if one is context or one.partition is None else one.partition.key
                    context.register_loaded_version(version, key=key)
            return value
        raise self._replaced(context)

    def exists(self, context: InputContext) -> bool:
        """Return whether the file, or that of every partition, exists; it is neither read nor verified."""
        return all(super(ParquetIOHandler, self).exists(one) for one in _one_by_one(context))

    def delete(self, context: InputContext) -> None:
        """Remove the file, or that of every partition; what was never stored is ignored."""
        for one in _one_by_one(context):
            super().delete(one)

    def verify(self, context: InputContext) -> dict[str, int]:
        """Read and decode each file of an asset, and compare it with its seal and its number of rows.

        Args:
            context: Asset and partitions; without one all files of the asset.

        Returns:
            The numbers of `files`, `rows`, `bytes`, and of `digests` that were compared: none for a file that rivers
            did not write.

        Raises:
            NotMaterializedError: There is no file.
            IntegrityError: A file is damaged or misplaced.
            ConflictError: Other processes kept replacing a file while it was read.
        """
        counts: Counter[str] = Counter()
        for key, path in self._stored_files(context):
            counts.update(self._verified_counts(context, path, key))
        return dict(counts)

    def check_options(self, metadata: Mapping[str, Any]) -> list[str]:
        """Return one sentence for each `parquet/` option that is unknown or has an invalid value."""
        problems = find_problems(metadata)
        if not problems:
            options = parse_options("", metadata)
            level = options.compression_level
            if level is None and options.compression is None:
                level = self.compression_level
            problem = level_problem(options.compression or self.compression, level)
            if problem is not None:
                problems.append(f"'parquet/compression_level': {problem}.")
        return problems

    def accepts_type(self, hint: Any) -> bool:
        """Return whether values of an annotation can be stored."""
        return get_frame_types().can_store(hint)

    def can_load_type(self, hint: Any) -> bool:
        """Return whether a file can be loaded as the type of an annotation."""
        types = get_frame_types()
        types.check_name(self.default_type)
        return types.can_load(hint)

    def _layout(self, options: ParquetOptions) -> Layout:
        from rivers_parquet.write import Layout

        own_level = self.compression_level if options.compression is None else None
        return Layout(
            compression=options.compression or self.compression,
            compression_level=own_level if options.compression_level is None else options.compression_level,
            row_group_size=options.row_group_size or self.row_group_size,
            statistics=self.statistics if options.statistics is None else options.statistics,
        )

    def _files_to_write(
        self, context: OutputContext, options: ParquetOptions, frame: Frame
    ) -> list[_FileToWrite]:
        """Return the file of a value, or one for each of several partition keys."""
        from rivers_parquet.partition_rows import partition_rows
        from rivers_parquet.write import content_of

        partition, subject = context.partition, _subject(context)
        try:
            if partition is None or partition.is_single:
                content = content_of(frame)
                return [_FileToWrite(None, self.object_path(context), context.storage_key, content)]
            if options.partition_expr is None:
                raise PartitionValidationError(
                    f"Cannot store {subject} as one value: nothing says to which partition a row belongs. Name the "
                    "column that holds the key, metadata={'parquet/partition_expr': '<column>'}, return "
                    "PartitionedOutput({key: frame, ...}), or omit partition_batches."
                )
            rule = partition_rows(partition, options.partition_expr, subject)
            parts = content_of(frame).split(rule)
        except RiversError:
            raise
        except Exception as error:
            raise self._value_error(context, error) from error
        context.register_partitions([key for key, (_, rows) in zip(rule.keys, parts, strict=True) if rows])
        files = []
        for key, (content, _) in zip(rule.keys, parts, strict=True):
            single = OutputContext(
                context.asset_name, partition=PartitionContext([key], partition.definition)
            )
            files.append(_FileToWrite(key, self.object_path(single), single.storage_key, content))
        return files

    def _write(self, context: OutputContext, files: Sequence[_FileToWrite], layout: Layout) -> list[_Written]:
        """Write files; those of a group are put when all of them are complete."""
        from rivers_parquet.seal import stored_version

        expected = context.expected_version
        condition = None if expected is None else Condition(expected, stored_version)
        subject, failure, path = _subject(context), None, files[0].path
        written = []
        try:
            for start in range(0, len(files), _STAGED_AT_ONCE):
                with ExitStack() as stack:
                    for file in files[start : start + _STAGED_AT_ONCE]:
                        path = file.path
                        staged = stack.enter_context(self.objects.target(path, condition).stage())
                        try:
                            file.content.write(staged.path, file.storage_key, layout, subject)
                        except BaseException as error:
                            failure = error
                            raise
                        written.append(_sealed(staged))
        except RiversError:
            raise
        except Exception as error:
            if error is failure and not isinstance(error, OSError):
                raise self._value_error(context, error) from error
            self.fail("store", context, path, error)
        return written

    def _value_error(self, context: OutputContext, error: Exception) -> RiversError:
        message = str(error).partition("\n\nThis error occurred with")[0].strip().rstrip(".")
        return RiversError(
            f"Could not store {_subject(context)}; nothing was written: {type(error).__name__}: {message}."
        )

    def _open_all(
        self, context: InputContext, contexts: Sequence[InputContext]
    ) -> tuple[Sequence[ParquetFile], FrameAdapter, Sequence[str | None]]:
        """Open and verify the files of all contexts; return them with the adapter for them, and their versions."""
        types = get_frame_types()
        requested = types.for_hint(context.type_hint)
        is_lazy = requested is not None and types.adapter(requested).is_lazy
        if isinstance(self.objects, Folder) or len(contexts) == 1:
            files = [self._open_one(one, is_lazy=is_lazy) for one in contexts]
        else:
            with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
                files = list(pool.map(lambda one: self._open_one(one, is_lazy=is_lazy), contexts))
        recorded = files[0].footer.details
        spec = types.for_loading(
            context.type_hint,
            _subject(context),
            recorded=None if recorded is None else recorded.type_name,
            default=self.default_type,
        )
        adapter = types.adapter(spec)
        if adapter.is_lazy:
            seals = (file.footer.seal for file in files)
            return files, adapter, [None if seal is None else seal.version for seal in seals]
        return (
            files,
            adapter,
            [
                self._verify(one, file, self.object_path(one))
                for one, file in zip(contexts, files, strict=True)
            ],
        )

    def _stored_files(self, context: InputContext) -> list[tuple[str, str]]:
        """Return storage key and path of each partition of a context; without one, of all files of the asset."""
        if context.partition is not None:
            return [(one.storage_key, self.object_path(one)) for one in _one_by_one(context)]
        folder, end = asset_folder(self.prefix, context, self.suffix), f"/data{self.suffix}"
        files = [
            (f"{context.asset_storage_key}{path.removeprefix(folder).removesuffix(end)}", path)
            for path in sorted(self.objects.all_paths(folder))
            if path.endswith(end)
        ]
        path = self.object_path(context)
        if not files or self.objects.exists(path):
            files.insert(0, (context.storage_key, path))
        return files

    def _verified_counts(self, context: InputContext, path: str, key: str) -> dict[str, int]:
        import pyarrow as pa

        from rivers_parquet.files import FileChangedError

        for _ in range(_MAX_REOPENED):
            file = self._open(context, path, key, is_lazy=False)
            try:
                self._verify(context, file, path)
            except FileChangedError:
                continue
            try:
                rows = file.decoded_rows()
            except (OSError, ValueError, pa.ArrowException) as error:
                self._fail_damaged(context, path, f"cannot be decoded ({error})")
            if rows != file.footer.metadata.num_rows:
                self._fail_damaged(context, path, f"has {rows} rows, not {file.footer.metadata.num_rows}")
            digests = 0 if file.footer.seal is None else 1
            return {"files": 1, "rows": rows, "bytes": file.size_bytes, "digests": digests}
        raise self._replaced(context)

    def _replaced(self, context: InputContext) -> ConflictError:
        return ConflictError(
            f"Could not load {_subject(context)}: another process replaced the file while it was read, "
            f"{_MAX_REOPENED} times. Run it again when the other process is done."
        )

    def _open(self, context: InputContext, path: str, key: str, *, is_lazy: bool) -> ParquetFile:
        from rivers_parquet.files import FileChangedError, download, open_local, open_remote
        from rivers_parquet.scan import scan_options
        from rivers_parquet.seal import DamagedError

        label, objects = _subject(context), self.objects
        try:
            if isinstance(objects, Folder):
                file = open_local(objects.file(path), label)
            else:
                native = scan_options(self.store, self.plain_storage_options()) if is_lazy else None
                if native is None:
                    file = download(objects, path, label)
                else:
                    file = open_remote(objects, path, self.object_address(path), native, label)
                    if file.footer.has_int96:  # decoded by pyarrow
                        file = download(objects, path, label)
        except DamagedError as error:
            self._fail_damaged(context, path, error)
        except (RiversError, FileChangedError):
            raise
        except Exception as error:
            self.fail_read(context, path, error)
        details = file.footer.details
        if details is not None and details.key != key:
            self._fail_damaged(context, path, f"was stored as {details.key!r} and does not belong here")
        return file

    def _open_one(self, context: InputContext, *, is_lazy: bool) -> ParquetFile:
        return self._open(context, self.object_path(context), context.storage_key, is_lazy=is_lazy)

    def _verify(self, context: InputContext, file: ParquetFile, path: str) -> str:
        from rivers_parquet.seal import DamagedError

        try:
            return file.verify()
        except DamagedError as error:
            self._fail_damaged(context, path, error)
        except OSError as error:
            self.fail_read(context, path, error)

    def _fail_damaged(self, context: InputContext, path: str, reason: object) -> NoReturn:
        raise IntegrityError(
            f"Could not load {_subject(context)} at {self.object_address(path)!r}: the file {reason}. "
            "Restore it from a copy, or materialize the asset again."
        ) from None

    def _decoding_error(
        self, context: InputContext, files: Sequence[ParquetFile], error: BaseException
    ) -> RiversError:
        """Return the error for a file that cannot be decoded: damage, unless its digest says that it is intact."""
        message = str(error).partition("\n\nThis error occurred with")[0].strip().rstrip(".")
        subject = f"Could not load {_subject(context)} at {self.describe_address(context)!r}"
        cause = f"{type(error).__name__}: {message}"
        if all(file.footer.seal is not None for file in files) or isinstance(error, ValueError):
            return RiversError(
                f"{subject}: the file cannot be read as the requested type ({cause}). Annotate the parameter with "
                "another frame type, such as pyarrow.Table."
            )
        return IntegrityError(
            f"{subject}: the file is damaged or has an unknown encoding ({cause}). Restore it from a copy, or "
            "materialize the asset again."
        )


class _FileToWrite(NamedTuple):
    """One file of a value: its partition key if there are several, its path, its storage key and its content."""

    key: PartitionKey | None
    path: str
    storage_key: str
    content: Content


class _Written(NamedTuple):
    """Facts of a file that was written."""

    version: str
    rows: int
    row_groups: int
    size: int
    schema: pa.Schema


def _sealed(staged: Staged) -> _Written:
    """Add the seal to a complete file, and return its facts."""
    from rivers_parquet.files import parsed_footer
    from rivers_parquet.seal import seal_file

    seal, footer = seal_file(staged.descriptor)
    parsed = parsed_footer(footer)
    metadata, schema = parsed.metadata, parsed.schema_arrow.remove_metadata()
    size = os.fstat(staged.descriptor).st_size
    return _Written(seal.version, metadata.num_rows, metadata.num_row_groups, size, schema)


def _subject(context: OutputContext | InputContext) -> str:
    """Return asset and partitions for the middle of a sentence."""
    asset = f"asset {context.asset_name!r}"
    if context.partition is None:
        return asset
    keys = [str(key) for key in context.partition.keys]
    listed = ", ".join(map(repr, keys[:3])) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
    return f"partition{'s' if len(keys) > 1 else ''} {listed} of {asset}"


def _one_by_one(context: InputContext) -> list[InputContext]:
    """Return a context for each partition; the context itself if it has at most one."""
    partition = context.partition
    if partition is None or partition.is_single:
        return [context]
    return [
        InputContext(
            context.asset_name,
            context.downstream_asset,
            context.asset_metadata,
            PartitionContext([key], partition.definition),
            context.type_hint,
            run_id=context.run_id,
        )
        for key in partition.keys
    ]

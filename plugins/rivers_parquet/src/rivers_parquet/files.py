"""Files to read: where their bytes are, what their footers say, and whether they were changed."""

from __future__ import annotations

import base64
import os
import tempfile
import weakref
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from rivers_parquet.details import KEY, Details
from rivers_parquet.seal import (
    FIRST_TAIL,
    PARQUET,
    DamagedError,
    Seal,
    bytes_reader,
    file_reader,
    foreign_version,
    read_seal,
    verify,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from io import FileIO

    from rivers_objects import Bucket
    from rivers_objects.bucket import Stamp

_ARROW_SCHEMA: Final = b"ARROW:schema"
_MAX_IN_MEMORY: Final = 64 * 1024 * 1024


class FileChangedError(Exception):
    """Raised if another process replaced a file between two reads of it."""


@dataclass(frozen=True, slots=True)
class Footer:
    """Facts from the footer of a file.

    Args:
        seal: The digests; None for a file that rivers did not write.
        details: What rivers recorded; None for such a file.
        metadata: Row groups and their columns.
        stored: The columns as pyarrow reads them.
        given: The columns as they were written.
    """

    seal: Seal | None
    details: Details | None
    metadata: pq.FileMetaData
    stored: pa.Schema
    given: pa.Schema

    @property
    def has_int96(self) -> bool:
        """True if a column holds timestamps in INT96, which polars reads as nanoseconds and thereby wraps."""
        columns = self.metadata.schema
        return any(columns.column(place).physical_type == "INT96" for place in range(len(columns)))


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """A file to read.

    Args:
        footer: What its footer says.
        source: A local path, the bytes, or a URL that polars reads.
        options: Options of the store of a URL; None for other sources.
        stamp: State of the file when its footer was read; None for bytes, and for files of our own.
        read_stamp: Returns its present state; None where there is no stamp.
        label: Partition of the file, or its asset, for messages.
        temporary: Keeps a downloaded file while it is needed.
    """

    footer: Footer
    source: str | bytes
    options: Mapping[str, str] | None = None
    stamp: tuple[object, ...] | None = None
    read_stamp: Callable[[], tuple[object, ...]] | None = field(default=None, repr=False)
    label: str = ""
    temporary: object = field(default=None, repr=False)

    def is_unchanged(self) -> bool:
        """Return whether the path or URL still names the file whose footer was read."""
        if self.read_stamp is None:
            return True
        try:
            return self.read_stamp() == self.stamp
        except FileNotFoundError:
            return False

    @contextmanager
    def opened(self) -> Iterator[FileIO]:
        """Open the local file whose footer was read.

        Raises:
            FileChangedError: The path names another file now.
        """
        with open(self.source, "rb", buffering=0) as file:
            if self.stamp is not None and _stamp(os.fstat(file.fileno())) != self.stamp:
                raise FileChangedError
            yield file

    def verify(self) -> str:
        """Compare the whole file with its seal, if it has one, and return its version.

        Raises:
            DamagedError: The file was changed after it was stored.
            FileChangedError: The path names another file than that whose footer was read.
        """
        if isinstance(self.source, bytes):
            return self._verified(bytes_reader(self.source), len(self.source))
        with self.opened() as file:
            return self._verified(file_reader(file), os.fstat(file.fileno()).st_size)

    def _verified(self, read: Callable[[int, int], bytes | memoryview], size: int) -> str:
        seal = self.footer.seal
        if seal is None:
            return foreign_version(read, size)
        verify(read, size, seal)
        return seal.version

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return len(self.source) if isinstance(self.source, bytes) else os.stat(self.source).st_size

    def decoded_rows(self) -> int:
        """Decode all columns, one batch after the other, and return the number of rows."""
        with pq.ParquetFile(self.arrow_source(), pre_buffer=False) as file:
            return sum(batch.num_rows for batch in file.iter_batches())

    def arrow_source(self) -> str | pa.BufferReader:
        """Return the file as pyarrow opens it."""
        return pa.BufferReader(self.source) if isinstance(self.source, bytes) else self.source


def open_local(path: str, label: str) -> ParquetFile:
    """Open a local file.

    Args:
        path: Its path.
        label: Partition of the file, or its asset, for messages.

    Raises:
        FileNotFoundError: It does not exist.
        DamagedError: It is not an intact Parquet file.
    """
    with open(path, "rb") as file:
        state = os.fstat(file.fileno())

        def read_tail(length: int) -> tuple[bytes, int]:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - length))
            return file.read(length), size

        footer = _footer(read_tail)
    return ParquetFile(
        footer, path, stamp=_stamp(state), read_stamp=lambda: _stamp(os.stat(path)), label=label
    )


def download(bucket: Bucket, path: str, label: str) -> ParquetFile:
    """Download an object: into memory, or into a temporary file if it is large.

    Args:
        bucket: The store.
        path: Path of the object.
        label: Partition of the file, or its asset, for messages.

    Raises:
        FileNotFoundError: It does not exist.
        DamagedError: It is not an intact Parquet file.
    """
    size, chunks = bucket.chunks(path)
    if size <= _MAX_IN_MEMORY:
        data = b"".join(chunks)
        return ParquetFile(_footer(lambda length: (data[-length:], len(data))), data, label=label)
    temporary = _Temporary(chunks)
    local = open_local(temporary.path, label)
    return ParquetFile(local.footer, local.source, label=label, temporary=temporary)


def open_remote(bucket: Bucket, path: str, url: str, options: Mapping[str, str], label: str) -> ParquetFile:
    """Open an object that polars will read; only the footer is requested.

    Args:
        bucket: The store.
        path: Path of the object.
        url: The same object as URL.
        options: Options of the store.
        label: Partition of the file, or its asset, for messages.

    Raises:
        FileNotFoundError: It does not exist.
        FileChangedError: It was replaced while its footer was read.
        DamagedError: It is not an intact Parquet file.
    """
    stamps: list[Stamp] = []

    def read_tail(length: int) -> tuple[bytes, int]:
        data, size, stamp = bucket.stamped_tail(path, length)
        stamps.append(stamp)
        if stamp != stamps[0]:
            raise FileChangedError
        return data, size

    footer = _footer(read_tail)
    return ParquetFile(
        footer, url, options, stamp=stamps[-1], read_stamp=lambda: bucket.stamp(path), label=label
    )


def parsed_footer(tail: bytes) -> pq.ParquetFile:
    """Return the parsed footer of a file, whose rows cannot be read.

    Args:
        tail: The end of the file, from the footer or before it.
    """
    # the footer alone is enough for its metadata; a file has to begin with the same four bytes
    return pq.ParquetFile(pa.BufferReader(PARQUET + tail))


class _Temporary:
    """A file that is removed when nothing refers to this object any more."""

    def __init__(self, chunks: Iterator[bytes | memoryview]) -> None:
        descriptor, self.path = tempfile.mkstemp(prefix="rivers-", suffix=".parquet")
        weakref.finalize(self, _remove, self.path)
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                file.write(chunk)


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)


def _footer(read_tail: Callable[[int], tuple[bytes, int]]) -> Footer:
    tail, size = read_tail(FIRST_TAIL)
    if not size:
        raise DamagedError("is empty")
    seal, needed = read_seal(size, tail)
    while needed > len(tail):
        tail, size = read_tail(needed)
        seal, needed = read_seal(size, tail)
    try:
        parsed = parsed_footer(tail[-needed:])
        metadata, stored = parsed.metadata, parsed.schema_arrow
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(f"is damaged: its footer cannot be read ({_line(error)})") from error
    recorded = metadata.metadata or {}
    details = _details(recorded)
    if details is not None and seal is None:
        raise DamagedError("was changed after it was stored: its seal is missing")
    return Footer(seal, details, metadata, stored, _given(recorded, stored))


def _details(recorded: Mapping[bytes, bytes]) -> Details | None:
    text = recorded.get(KEY.encode())
    if text is None:
        return None
    try:
        return Details.from_json(text.decode())
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _given(recorded: Mapping[bytes, bytes], stored: pa.Schema) -> pa.Schema:
    """Return the schema with which an Arrow library wrote the file: Parquet has fewer types."""
    text = recorded.get(_ARROW_SCHEMA)
    if text is None:
        return stored
    try:
        given = pa.ipc.read_schema(pa.BufferReader(base64.b64decode(text)))
    except (pa.ArrowException, ValueError):
        return stored
    return given if given.names == stored.names else stored


def _stamp(state: os.stat_result) -> tuple[int, int, int]:
    return state.st_ino, state.st_mtime_ns, state.st_size


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")

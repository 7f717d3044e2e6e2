"""Objects in an object store, through obstore."""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rivers_core.authoring import ForkGuard
from rivers_objects import stores
from rivers_objects.targets import TAIL_SIZE, ReplacedError, Staged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from obstore import PutMode, UpdateVersion
    from obstore.store import ObjectStore

    from rivers_objects.targets import Condition, Writable


# S3 accepts at most 10,000 parts, so objects may have up to 160 GB; up to four parts are in flight.
_PART_SIZE: Final = 16 * 1024 * 1024
_PARTS_IN_FLIGHT: Final = 4
_PAGE: Final = 1000
_CHUNK: Final = 8 * 1024 * 1024

# obstore waits in threads of its own, which a forked process does not have
_GUARD: Final = ForkGuard("obstore")
_CONNECTING: Final = threading.Lock()


class Bucket:
    """A store of objects that obstore connects to on first use.

    Args:
        store: Result of `stores.checked_store`.
        options: Options of the store and its client, with obstore's names.
    """

    def __init__(self, store: object, options: Mapping[str, str]) -> None:
        self._store = store
        self._options = options
        self._client: ObjectStore | None = None
        self._has_conditions = False

    def read(self, path: str) -> memoryview:
        """Return the bytes of an object.

        Args:
            path: The object's path in the store.
        """
        client = self._connected()
        import obstore

        return memoryview(obstore.get(client, path).bytes())

    def chunks(self, path: str) -> tuple[int, Iterator[memoryview]]:
        """Return size and bytes of an object, which are received while they are consumed.

        Args:
            path: The object's path in the store.
        """
        client = self._connected()
        import obstore

        response = obstore.get(client, path)
        return response.meta["size"], map(memoryview, response.stream(min_chunk_size=_CHUNK))

    def size(self, path: str) -> int:
        """Return the size of an object in bytes.

        Args:
            path: The object's path in the store.
        """
        client = self._connected()
        import obstore

        return obstore.head(client, path)["size"]

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return some bytes of an object.

        Args:
            path: The object's path in the store.
            start: Offset of the first byte.
            end: Offset after the last byte.
        """
        client = self._connected()
        import obstore

        return bytes(obstore.get_range(client, path, start=start, end=end))

    def exists(self, path: str) -> bool:
        """Return whether an object exists.

        Args:
            path: The object's path in the store.
        """
        client = self._connected()
        import obstore

        try:
            obstore.head(client, path)
        except FileNotFoundError:
            return False
        return True

    def delete(self, path: str) -> None:
        """Remove an object, if it exists.

        Args:
            path: The object's path in the store.
        """
        client = self._connected()
        import obstore

        with suppress(FileNotFoundError):
            obstore.delete(client, path)

    def paths(self, below: str, offset: str | None = None) -> list[str]:
        """Return one page of paths of objects.

        Args:
            below: Path of a folder; empty for the whole store.
            offset: Path after which the page starts.
        """
        client = self._connected()
        import obstore

        page = next(iter(obstore.list(client, below or None, offset=offset, chunk_size=_PAGE)), [])
        return [entry["path"] for entry in page]

    def target(self, path: str, condition: Condition | None = None) -> StoredObject | ConditionalObject:
        """Return an object to write.

        Args:
            path: The object's path in the store.
            condition: Condition of the write; publishing raises `ReplacedError` if it does not hold.

        Raises:
            NotImplementedError: The store ignores conditions.
        """
        client = self._connected()
        if condition is None:
            return StoredObject(client, path)
        if not self._has_conditions:
            _require_conditions(client, path)
            self._has_conditions = True
        return ConditionalObject(client, path, condition)

    def _connected(self) -> ObjectStore:
        _GUARD.enter()
        client = self._client
        if client is None:
            with _CONNECTING:
                client = self._client = self._client or stores.connected(self._store, self._options)
        return client


class StoredObject:
    """An object to write to any store.

    Args:
        client: The store.
        path: The object's path in it.
    """

    def __init__(self, client: ObjectStore, path: str) -> None:
        self._client = client
        self._path = path

    def put(self, data: bytes) -> None:
        """Write the whole object in one request."""
        import obstore

        obstore.put(self._client, self._path, data)

    def open(self) -> AbstractContextManager[Writable]:
        """Write the object as a multipart upload, which the store publishes as a whole or discards."""
        import obstore

        return obstore.open_writer(
            self._client, self._path, buffer_size=_PART_SIZE, max_concurrency=_PARTS_IN_FLIGHT
        )

    @contextmanager
    def stage(self) -> Iterator[Staged]:
        """Write a temporary file, and upload it in one request or as a multipart upload."""
        import obstore

        descriptor, file = tempfile.mkstemp(prefix="rivers-")
        try:
            yield Staged(file, descriptor)
            obstore.put(
                self._client,
                self._path,
                Path(file),
                chunk_size=_PART_SIZE,
                max_concurrency=_PARTS_IN_FLIGHT,
            )
        finally:
            os.close(descriptor)
            os.unlink(file)


class ConditionalObject:
    """An object that replaces one version of itself. It is kept in memory and written in one request.

    Args:
        client: The store.
        path: The object's path in it.
        condition: Condition of the write.
    """

    def __init__(self, client: ObjectStore, path: str, condition: Condition) -> None:
        self._client = client
        self._path = path
        self._condition = condition

    def put(self, data: bytes) -> None:
        """Write the whole object in one request, which the store refuses if the object has changed.

        Raises:
            ReplacedError: Another version is stored.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        mode: PutMode = "create"
        if self._condition.expected:
            _, version, mode = self._stored()
            if version != self._condition.expected:
                raise ReplacedError(version)
        try:
            obstore.put(self._client, self._path, data, mode=mode, use_multipart=False)
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            tail, version, _ = self._stored()
            # the client repeats a request whose answer was lost, and the second one finds what the first one wrote
            if not tail or not data.endswith(tail):
                raise ReplacedError(version) from None

    @contextmanager
    def open(self) -> Iterator[Writable]:
        """Collect the object in pieces, and write it at the end."""
        buffer = BytesIO()
        yield buffer
        self.put(buffer.getvalue())

    @contextmanager
    def stage(self) -> Iterator[Staged]:
        """Write a temporary file, and read it into one request."""
        descriptor, file = tempfile.mkstemp(prefix="rivers-")
        try:
            yield Staged(file, descriptor)
            self.put(Path(file).read_bytes())
        finally:
            os.close(descriptor)
            os.unlink(file)

    def _stored(self) -> tuple[bytes, str, PutMode]:
        """Return the end of the stored object, its version, and the condition that it is unchanged."""
        import obstore

        try:
            meta = obstore.head(self._client, self._path)
            size = meta["size"]
            start = max(0, size - TAIL_SIZE)
            tail = (
                obstore.get_range(self._client, self._path, start=start, end=size).to_bytes() if size else b""
            )
            version = self._condition.version_of(tail, size <= TAIL_SIZE)
            if version is None:
                tail = self._whole()
                version = self._condition.version_of(tail, True)
        except FileNotFoundError:
            return b"", "", "create"
        return tail, version or "unknown", _unchanged(meta["e_tag"], meta["version"])

    def _whole(self) -> bytes:
        import obstore

        return obstore.get(self._client, self._path).bytes().to_bytes()


def _unchanged(e_tag: str | None, version: str | None) -> PutMode:
    """Return the condition that an object has not changed; obstore does not accept None."""
    condition: UpdateVersion = {}
    if e_tag is not None:
        condition["e_tag"] = e_tag
    if version is not None:
        condition["version"] = version
    return condition


def _require_conditions(client: ObjectStore, path: str) -> None:
    """Refuse a store that ignores conditions, as some compatible servers do: updates would be lost silently.

    Args:
        client: The store.
        path: Path of the object to write; a probe beside it is written, and removed again.
    """
    import obstore
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    probe = f"{path}.condition-{secrets.token_hex(8)}"
    conditions: tuple[PutMode, ...] = ("create", _unchanged(f'"{"0" * 32}"', "0"))
    obstore.put(client, probe, b"", mode="create")
    try:
        for condition in conditions:
            try:
                obstore.put(client, probe, b"", mode=condition)
            except (AlreadyExistsError, PreconditionError):
                continue
            raise NotImplementedError(
                "the store ignores the condition of a write, so that updates of concurrent runs would be lost"
            )
    finally:
        with suppress(Exception):  # the credentials may lack the permission to delete
            obstore.delete(client, probe)

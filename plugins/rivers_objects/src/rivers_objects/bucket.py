"""Objects in an object store, through obstore."""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rivers_core.authoring import ForkGuard
from rivers_objects import stores
from rivers_objects.targets import Staged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from obstore.store import ObjectStore

    from rivers_objects.targets import Writable


# S3 accepts at most 10,000 parts, so objects may have up to 160 GB; up to four parts are in flight.
_PART_SIZE: Final = 16 * 1024 * 1024
_PARTS_IN_FLIGHT: Final = 4
_PAGE: Final = 1000

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

    def read(self, path: str) -> memoryview:
        """Return the bytes of an object.

        Args:
            path: The object's path in the store.
        """
        client = self._connected()
        import obstore

        return memoryview(obstore.get(client, path).bytes())

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

    def target(self, path: str) -> StoredObject:
        """Return an object to write.

        Args:
            path: The object's path in the store.
        """
        return StoredObject(self._connected(), path)

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

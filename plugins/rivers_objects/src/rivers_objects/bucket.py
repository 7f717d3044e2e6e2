"""Objects in an object store, through obstore."""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from rivers_core.authoring import ForkGuard, locate_store
from rivers_core.exceptions import RiversError
from rivers_objects import stores
from rivers_objects.errors import refuse_absent_store, refuse_foreign_object
from rivers_objects.interruptible import interruptible
from rivers_objects.targets import TAIL_SIZE, ReplacedError, Staged
from rivers_objects.uploads import stale_uploads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from obstore import ObjectMeta, PutMode, UpdateVersion
    from obstore.store import ObjectStore
    from typing_extensions import Buffer

    from rivers_objects.targets import Condition, History, Leftover, Target, Writable


_LOG: Final = logging.getLogger("rivers.handlers")

Result = TypeVar("Result")
Run: TypeAlias = Callable[[Callable[[], Any]], Any]
Stamp: TypeAlias = tuple[int, str | None, str | None]

# S3 accepts at most 10,000 parts, so objects may have up to 160 GB; up to four parts are in flight.
_PART_SIZE: Final = 16 * 1024 * 1024
_PARTS_IN_FLIGHT: Final = 4
_PAGE: Final = 1000
_CHUNK: Final = 8 * 1024 * 1024
# attempts to read an object that others replace at the same time
_READS: Final = 20

# obstore waits in its threads, which a forked process does not have
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
        self._is_memory = stores.is_memory(store)
        self._is_web_server = stores.is_web_server(store)
        self._client: ObjectStore | None = None
        self._has_conditions = False

    def read(self, path: str) -> memoryview:
        """Return the bytes of an object.

        Args:
            path: The object's path in the store.
        """
        client = self._connected()
        import obstore

        def request() -> memoryview:
            response = obstore.get(client, path)
            self._check(response.meta)
            return memoryview(response.bytes())

        return self._run(request)

    def chunks(self, path: str) -> tuple[int, Iterator[memoryview]]:
        """Return size and bytes of an object, which are received while they are consumed.

        Args:
            path: The object's path in the store.
        """
        client = self._connected()
        import obstore

        response = self._run(lambda: obstore.get(client, path))
        self._check(response.meta)
        return response.meta["size"], self._received(iter(response.stream(min_chunk_size=_CHUNK)))

    def tail(self, path: str, length: int = TAIL_SIZE) -> tuple[bytes, int]:
        """Return the last bytes of an object, and its size in bytes.

        Args:
            path: The object's path in the store.
            length: Number of bytes; a smaller object is returned as a whole.
        """
        data, size, _ = self.stamped_tail(path, length)
        return data, size

    def stamped_tail(self, path: str, length: int = TAIL_SIZE) -> tuple[bytes, int, Stamp]:
        """Return the last bytes of an object, its size in bytes, and its stamp.

        Args:
            path: The object's path in the store.
            length: Number of bytes; a smaller object is returned as a whole.
        """
        client = self._connected()
        data, meta = self._run(lambda: _tail(client, path, length))
        self._check(meta)
        return data, meta["size"], _stamp(meta)

    def stamp(self, path: str) -> Stamp:
        """Return what tells an object from others that are put in its place: its size, ETag and version.

        Args:
            path: The object's path in the store.
        """
        client = self._connected()
        import obstore

        meta = self._run(lambda: obstore.head(client, path))
        self._check(meta)
        return _stamp(meta)

    def entries(self, folder: str) -> list[tuple[str, int]]:
        """Return name and size of each object in a folder, without those in its folders.

        Args:
            folder: Path of the folder in the store.
        """
        client = self._connected()
        import obstore

        listing = self._run(lambda: obstore.list_with_delimiter(client, folder))
        return [(entry["path"].rpartition("/")[2], entry["size"]) for entry in listing["objects"]]

    def exists(self, path: str) -> bool:
        """Return whether an object exists.

        Args:
            path: The object's path in the store.
        """
        client = self._connected()
        import obstore

        try:
            self._check(self._run(lambda: obstore.head(client, path)))
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
            self._run(lambda: obstore.delete(client, path))

    def paths(self, below: str, offset: str | None = None) -> list[str]:
        """Return one page of paths of objects.

        Args:
            below: Path of a folder; empty for the whole store.
            offset: Path after which the page starts.
        """
        client = self._connected()
        import obstore

        page = self._run(
            lambda: next(iter(obstore.list(client, below or None, offset=offset, chunk_size=_PAGE)), [])
        )
        return [entry["path"] for entry in page]

    def all_paths(self, below: str) -> Iterator[str]:
        """Yield the paths of all objects in a folder and its folders, page by page.

        Args:
            below: Path of a folder; empty for the whole store.
        """
        page = self.paths(below)
        while page:
            yield from page
            page = self.paths(below, max(page))

    def target(self, path: str, condition: Condition | None = None, history: History | None = None) -> Target:
        """Return an object to write.

        Args:
            path: The object's path in the store.
            condition: Condition of the write; publishing raises `ReplacedError` if it does not hold.
            history: Where earlier versions are kept.

        Raises:
            RiversError: The store ignores conditions.
        """
        client = self._connected()
        if condition is None:
            return self._keeping(StoredObject(client, path, self._run), path, history)
        if not self._has_conditions:
            self._run(lambda: _require_conditions(client, path))
            self._has_conditions = True
        return self._keeping(ConditionalObject(client, path, condition, self._run), path, history)

    def keep_version(self, path: str, history: History) -> None:
        """Copy an object to the folder of its versions, unless it is there.

        All bytes come from one response, so that they fit their name even if the object is replaced meanwhile.

        Args:
            path: The object's path in the store.
            history: The folder.
        """
        client = self._connected()
        import obstore

        with suppress(FileNotFoundError):
            for _ in range(_READS):
                tail, size, stamp = self.stamped_tail(path)
                name = history.name_of(tail, size == len(tail))
                if name is None:
                    self.add_version(history, bytes(self.read(path)))
                    return
                copy = f"{history.folder}/{name}"
                if self.exists(copy):
                    return
                response = self._run(lambda: obstore.get(client, path))
                if _stamp(response.meta) == stamp:
                    with StoredObject(client, copy, self._run).open() as writer:
                        for chunk in self._received(iter(response.stream(min_chunk_size=_CHUNK))):
                            writer.write(chunk)
                    return
            raise RiversError(f"Object {path!r} was replaced {_READS} times while it was copied.")

    def add_version(self, history: History, data: bytes | Path) -> None:
        """Write an object to the folder of its versions.

        Args:
            history: The folder.
            data: The object, or a file that holds it.
        """
        tail, size = _end(data)
        name = history.name_of(tail, size == len(tail))
        if name is None:
            name = history.name_of(data if isinstance(data, bytes) else data.read_bytes(), True)
        StoredObject(self._connected(), f"{history.folder}/{name}", self._run).upload(data)

    def prune_versions(self, history: History) -> None:
        """Remove the versions beyond the number to keep; a failure is logged, and the next write tries again.

        Args:
            history: The folder, which also has the current version.
        """
        try:
            history = history._replace(keep=history.keep + 1)
            for name in history.obsolete(name for name, _ in self.entries(history.folder)):
                self.delete(f"{history.folder}/{name}")
        except Exception as error:
            _LOG.warning("Could not remove obsolete versions in %s: %s", history.folder, type(error).__name__)

    def _keeping(
        self, target: StoredObject | ConditionalObject, path: str, history: History | None
    ) -> Target:
        return target if history is None else _KeepingTarget(self, target, path, history)

    def leftovers(self, below: str = "") -> Iterator[Leftover]:
        """Yield the unfinished uploads whose writers were killed; of S3 only.

        Args:
            below: Path of a folder; empty for the whole store.
        """
        config = getattr(self._store, "config", None) or {}
        root = locate_store(f"{stores.address_of(self._store)}/{below}")
        return stale_uploads(root, {**config, **self._options})

    def _run(self, request: Callable[[], Result]) -> Result:
        """Send a request, and wait for it in a way that Ctrl-C ends; a store in memory answers at once."""
        try:
            return request() if self._is_memory else interruptible(request)
        except FileNotFoundError as error:
            if not self._is_web_server:
                refuse_absent_store(error)
            raise

    def _check(self, meta: ObjectMeta) -> None:
        if not self._is_web_server:
            refuse_foreign_object(meta)

    def _received(self, chunks: Iterator[Buffer]) -> Iterator[memoryview]:
        while (chunk := self._run(lambda: next(chunks, None))) is not None:
            yield memoryview(chunk)

    def _connected(self) -> ObjectStore:
        _GUARD.enter()
        client = self._client
        if client is None:
            with _CONNECTING:
                client = self._client = self._client or stores.connected(self._store, self._options)
        return client


class _KeepingTarget:
    """An object whose versions are kept.

    Each writer adds its own object to the versions, under a name that no other object has. Copying the replaced object
    is not enough: two writers may replace the same one, and the value of the first would be lost.
    """

    def __init__(
        self, bucket: Bucket, target: StoredObject | ConditionalObject, path: str, history: History
    ) -> None:
        self._bucket = bucket
        self._target = target
        self._path = path
        self._history = history

    def put(self, data: bytes) -> None:
        self._replace(data)

    @contextmanager
    def open(self) -> Iterator[Writable]:
        with self.stage() as staged, os.fdopen(staged.descriptor, "wb", closefd=False) as file:
            yield file

    @contextmanager
    def stage(self) -> Iterator[Staged]:
        with _temporary_file() as staged:
            yield staged
            self._replace(Path(staged.path))

    def _replace(self, data: bytes | Path) -> None:
        # stored without versions, or by a writer that was killed before it added its object
        self._bucket.keep_version(self._path, self._history)
        self._target.upload(data)
        self._bucket.add_version(self._history, data)
        self._bucket.prune_versions(self._history)


class StoredObject:
    """An object to write to any store.

    Args:
        client: The store.
        path: The object's path in it.
        run: Sends a request.
    """

    def __init__(self, client: ObjectStore, path: str, run: Run) -> None:
        self._client = client
        self._path = path
        self._run = run

    def put(self, data: bytes) -> None:
        """Write the whole object in one request."""
        self.upload(data)

    def upload(self, data: bytes | Path) -> None:
        """Write the whole object, or that of a file, in one request or as a multipart upload."""
        import obstore

        self._run(
            lambda: obstore.put(
                self._client, self._path, data, chunk_size=_PART_SIZE, max_concurrency=_PARTS_IN_FLIGHT
            )
        )

    @contextmanager
    def open(self) -> Iterator[Writable]:
        """Write the object as a multipart upload, which the store publishes as a whole or discards."""
        import obstore

        upload = obstore.open_writer(
            self._client, self._path, buffer_size=_PART_SIZE, max_concurrency=_PARTS_IN_FLIGHT
        )
        writer = upload.__enter__()
        try:
            yield _Upload(writer, self._run)
        except BaseException as error:
            reason = error
            if isinstance(reason, Exception):
                self._run(lambda: upload.__exit__(type(reason), reason, reason.__traceback__))
            else:  # an interrupt does not wait for the store
                Thread(target=upload.__exit__, args=(type(reason), reason, None), daemon=True).start()
            raise
        self._run(lambda: upload.__exit__(None, None, None))

    @contextmanager
    def stage(self) -> Iterator[Staged]:
        """Write a temporary file, and upload it in one request or as a multipart upload."""
        with _temporary_file() as staged:
            yield staged
            self.upload(Path(staged.path))


class _Upload:
    """Writer of a multipart upload."""

    __slots__ = ("_run", "_writer")

    def __init__(self, writer: Writable, run: Run) -> None:
        self._writer = writer
        self._run = run

    def write(self, data: bytes | memoryview, /) -> int | None:
        written: int | None = self._run(lambda: self._writer.write(data))
        return written


class ConditionalObject:
    """An object that replaces one version of itself. It is kept in memory and written in one request.

    Args:
        client: The store.
        path: The object's path in it.
        condition: Condition of the write.
        run: Sends requests.
    """

    def __init__(self, client: ObjectStore, path: str, condition: Condition, run: Run) -> None:
        self._client = client
        self._path = path
        self._condition = condition
        self._run = run

    def put(self, data: bytes) -> None:
        """Write the whole object in one request, which the store refuses if the object has changed.

        Raises:
            ReplacedError: Another version is stored.
        """
        self.upload(data)

    def upload(self, data: bytes | Path) -> None:
        """Write the whole object, or that of a file, as `put` does.

        Raises:
            ReplacedError: Another version is stored.
        """
        whole = data if isinstance(data, bytes) else data.read_bytes()
        self._run(lambda: self._replace(whole))

    def _replace(self, data: bytes) -> None:
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
        with _temporary_file() as staged:
            yield staged
            self.upload(Path(staged.path))

    def _stored(self) -> tuple[bytes, str, PutMode]:
        """Return the end of the stored object, its version, and the condition that it is unchanged."""
        try:
            tail, meta = _tail(self._client, self._path, TAIL_SIZE)
            version = self._condition.version_of(tail, meta["size"] <= TAIL_SIZE)
            if version is None:
                tail = self._whole()
                version = self._condition.version_of(tail, True)
        except FileNotFoundError:
            return b"", "", "create"
        return tail, version or "unknown", _unchanged(meta["e_tag"], meta["version"])

    def _whole(self) -> bytes:
        import obstore

        return obstore.get(self._client, self._path).bytes().to_bytes()


def _end(data: bytes | Path) -> tuple[bytes, int]:
    """Return the last bytes and the size of an object to write."""
    if isinstance(data, bytes):
        return data[-TAIL_SIZE:], len(data)
    with data.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - TAIL_SIZE))
        return file.read(), size


@contextmanager
def _temporary_file() -> Iterator[Staged]:
    descriptor, file = tempfile.mkstemp(prefix="rivers-")
    try:
        yield Staged(file, descriptor)
    finally:
        os.close(descriptor)
        os.unlink(file)


def _tail(client: ObjectStore, path: str, length: int) -> tuple[bytes, ObjectMeta]:
    """Return the last bytes of an object, and what the store says of the same object.

    Azure cannot be asked for a number of bytes from the end, so that there are two requests. The object may be replaced
    between them: its bytes would be of another object, or the range be refused.
    """
    import obstore

    meta = obstore.head(client, path)
    for reads_left in reversed(range(_READS)):
        size = meta["size"]
        if not size:
            return b"", meta
        try:
            response = obstore.get(client, path, options={"range": (max(0, size - length), size)})
            data, current = response.bytes().to_bytes(), response.meta
        except FileNotFoundError:
            raise
        except Exception:
            current = obstore.head(client, path)
            if _is_same(current, meta) or not reads_left:
                raise
        else:
            if _is_same(current, meta):
                return data, meta
        meta = current
    raise RiversError(f"Object {path!r} was replaced {_READS} times while it was read.")


def _is_same(one: ObjectMeta, other: ObjectMeta) -> bool:
    return _stamp(one) == _stamp(other)


def _stamp(meta: ObjectMeta) -> Stamp:
    return meta["size"], meta["e_tag"], meta["version"]


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
        path: Path of the object to write; a probe next to it is written and removed.
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
            raise RiversError(
                "the store ignores the condition of a write, so that concurrent updates would be lost. Use a store "
                "with conditional writes, or a handler without them for this asset"
            )
    finally:
        with suppress(Exception):  # the credentials may lack the permission to delete
            obstore.delete(client, probe)

"""Correct handlers, and more than a hundred that are broken in one respect each.

`test_broken_handlers.py` runs this file with pytest: each class below `BrokenTests` names the check that has to fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import fcntl
import hashlib
import json
import os
import pickle
import random
import shutil
import socket
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest
from pydantic import PrivateAttr, SecretStr
from pydantic_settings import SettingsConfigDict

from rivers_core import (
    BaseIOHandler,
    InputContext,
    OutputContext,
    PartitionContext,
    StoredVersion,
    storage_key,
)
from rivers_core.authoring import resolve_location
from rivers_core.exceptions import ConflictError, NotMaterializedError, RiversError, VersionNotFoundError
from rivers_testkit import PYTHON_SAMPLES, IOHandlerTests
from rivers_testkit.subject import columns_of

Stored = dict[str, Any]


class FileIOHandler(BaseIOHandler):
    """Keeps pickled values as files: correct in everything that the kit checks."""

    model_config = SettingsConfigDict(env_prefix="ACME_FILES_")
    locality = "host"
    option_namespace: ClassVar[str | None] = "files"
    location_fields: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str
    token: SecretStr | None = None

    def model_post_init(self, context: Any, /) -> None:
        object.__setattr__(self, "folder", resolve_location(self.folder, Path.cwd()))

    def handle_output(self, context, obj):
        content = self.encode(context, obj)
        path = self.path(context)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.write(path, content)
        context.add_output_metadata({"size_bytes": len(content)})
        context.offer_content_version(hashlib.sha256(content).hexdigest())

    def load_input(self, context):
        content = self.read(context, self.path(context))
        digest, payload = content[:32], content[32:]
        if hashlib.sha256(payload).digest() != digest:
            raise RiversError(f"The file of asset {context.asset_name!r} is damaged.")
        context.register_loaded_version(hashlib.sha256(content).hexdigest())
        return pickle.loads(payload)

    def exists(self, context):
        return self.path(context).exists()

    def delete(self, context):
        self.path(context).unlink(missing_ok=True)

    def describe_address(self, context):
        return str(self.path(context))

    def check_options(self, metadata):
        return [f"{name} is not an option." for name in metadata if name.startswith("files/")]

    def accepts_type(self, hint):
        return hint is not complex

    def path(self, context) -> Path:
        return Path(self.folder, f"{context.storage_key}.value")

    def encode(self, context, obj) -> bytes:
        if hasattr(obj, "__next__") or isinstance(obj, complex):
            raise RiversError(f"Asset {context.asset_name!r} returned a {type(obj).__name__}. Return a list.")
        payload = pickle.dumps(obj)
        return hashlib.sha256(payload).digest() + payload

    def write(self, path: Path, content: bytes) -> None:
        unfinished = path.with_name(f"{path.name}.{os.getpid()}-{random.randrange(1 << 40)}")
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def read(self, context, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise absent(context, self) from None


class VersionedFileIOHandler(FileIOHandler):
    """Keeps every version of a value in a folder, named by time and digest."""

    has_versions: ClassVar[Any] = True

    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        content = self.path(context).read_bytes()
        folder = self.versions_folder(context)
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns():020}-{hashlib.sha256(content).hexdigest()}"
        self.write(folder / name, content)

    def load_input(self, context):
        content = self.content(context)
        context.register_loaded_version(hashlib.sha256(content).hexdigest())
        return pickle.loads(content[32:])

    def content(self, context) -> bytes:
        if context.version is None:
            super().load_input(context)
            return self.read(context, self.path(context))
        files = self.files(context)
        if context.version not in files:
            raise VersionNotFoundError(f"Asset {context.asset_name!r} has no version {context.version!r}.")
        return files[context.version].read_bytes()

    def versions(self, context):
        if not self.exists(context):
            return []
        current = hashlib.sha256(self.path(context).read_bytes()).hexdigest()
        files = self.files(context)
        names = [current, *(name for name in files if name != current)]
        return [self.file_version(name, files[name], name == current) for name in names]

    def file_version(self, name: str, file: Path, is_current: bool) -> StoredVersion:
        stored_at = datetime.fromtimestamp(int(file.name.partition("-")[0]) / 1e9, UTC)
        return StoredVersion(name, stored_at, file.stat().st_size, is_current)

    def prune(self, context, *, keep=None, older_than=None, dry_run=True):
        latest = None if older_than is None else datetime.now(UTC) - older_than
        earlier = self.versions(context)[1 + (keep or 0) :]
        removed = [version for version in earlier if latest is None or version.stored_at < latest]
        names = {version.version for version in removed}
        for file in [] if dry_run else self.versions_folder(context).iterdir():
            if file.name.partition("-")[2] in names:
                file.unlink()
        return removed

    def delete(self, context):
        super().delete(context)
        shutil.rmtree(self.versions_folder(context), ignore_errors=True)

    def versions_folder(self, context) -> Path:
        return Path(self.folder, ".versions", f"{context.storage_key}.all")

    def files(self, context) -> dict[str, Path]:
        """Return the newest file of each version, the newest first."""
        folder = self.versions_folder(context)
        result: dict[str, Path] = {}
        for file in sorted(folder.iterdir(), reverse=True) if folder.is_dir() else []:
            result.setdefault(file.name.partition("-")[2], file)
        return result


class CompleteFileIOHandler(FileIOHandler):
    """Stores several partition keys per call, compares versions below a lock, and is asynchronous."""

    partition_batches: ClassVar[Any] = True
    conditional_writes: ClassVar[Any] = True

    async def handle_output(self, context, obj):
        await asyncio.sleep(0)
        parts = self.parts(context, obj)
        contents = [(single, self.encode(single, value)) for single, value in parts]
        if len(parts) > 1:
            context.register_partitions(single.partition.key for single, _ in parts)
        with self.locked():
            if context.expected_version is not None:
                self.compare(context, context.expected_version)
            for single, content in contents:
                path = self.path(single)
                path.parent.mkdir(parents=True, exist_ok=True)
                self.write(path, content)
                key = None if single is context else single.partition.key
                context.offer_content_version(hashlib.sha256(content).hexdigest(), key=key)

    async def load_input(self, context):
        await asyncio.sleep(0)
        return self.load(context)

    def load(self, context):
        if context.partition is None or context.partition.is_single:
            return super().load_input(context)
        values = []
        for single in self.singles(context):
            values += super().load_input(single)
            context.register_loaded_version(single.loaded_version, key=single.partition.key)
        return values

    def exists(self, context):
        return all(self.path(single).exists() for single in self.singles(context))

    def delete(self, context):
        for single in self.singles(context):
            super().delete(single)

    def compare(self, context, expected):
        path = self.path(context)
        stored = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
        if stored != expected:
            raise ConflictError(f"Asset {context.asset_name!r} has version {stored!r}, not {expected!r}.")

    @contextlib.contextmanager
    def locked(self):
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        with Path(self.folder, ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def singles(self, context):
        """Return a context for each partition key."""
        if context.partition is None or context.partition.is_single:
            return [context]
        return [
            InputContext(context.asset_name, "", partition=PartitionContext([key]))
            for key in context.partition.keys
        ]

    def parts(self, context, obj):
        """Return a context and the rows for each partition key."""
        if context.partition is None or context.partition.is_single:
            return [(context, obj)]
        return [
            (
                OutputContext(context.asset_name, partition=PartitionContext([key])),
                [row for row in obj if columns_of(key).items() <= row.items()],
            )
            for key in context.partition.keys
        ]

    def describe_address(self, context):
        return str(self.path(context)) if context.partition is None or context.partition.is_single else None


def absent(context, handler) -> NotMaterializedError:
    partition = None if context.partition is None else context.partition.key
    return NotMaterializedError(context.asset_name, partition=partition, handler=type(handler).__name__)


class BrokenTests(IOHandlerTests):
    """Base class of the tests of broken handlers; `fault` is the name of the check that has to fail."""

    fault: ClassVar[str]
    broken: ClassVar[type[BaseIOHandler]]
    model_examples = 10
    timeout_s = 1.0

    @pytest.fixture
    def handler(self, tmp_path):
        return self.broken(folder=str(tmp_path / "files"))

    def handler_for_endpoint(self, handler, url):
        return handler.model_copy(update={"url": url}) if "url" in type(handler).model_fields else None


BROKEN: dict[type[BaseIOHandler], str] = {}
SAMPLES: dict[type[BaseIOHandler], tuple[str, ...]] = {}


def breaks(check: str, *samples: str):
    """Register a broken handler with the check that catches it, and the samples that it needs."""

    def register(cls):
        BROKEN[cls] = check
        SAMPLES[cls] = samples or ("null",)
        return cls

    return register


# keys and partitions


@breaks("test_hostile_asset_names_are_separate")
class CollidingPaths(FileIOHandler):
    """Replaces characters that files cannot have, so that two names share a file."""

    def path(self, context):
        return Path(
            self.folder, context.storage_key.lower().replace("%2F", "_").replace("%2f", "_").replace("/", "_")
        )


@breaks("test_letter_case_is_kept_apart")
class CaseInsensitive(FileIOHandler):
    def path(self, context):
        return Path(self.folder, f"{storage_key(context.asset_name.lower())}-{context.partition}.value")


@breaks("test_values_stay_below_root")
class EscapingPath(FileIOHandler):
    def path(self, context):
        return Path(f"{self.folder}/{context.asset_name}-{context.partition and context.partition.key}.value")


@breaks("test_long_names_are_separate")
class TruncatedNames(FileIOHandler):
    def path(self, context):
        return Path(self.folder, f"{context.storage_key.replace('/', '+')[:100]}.value")


@breaks("test_several_keys_are_refused")
class DroppedPartition(FileIOHandler):
    """Stores several partitions under the first of them."""

    def path(self, context):
        partition = None if context.partition is None else context.partition.key
        return Path(self.folder, f"{storage_key(context.asset_name, partition)}.value")


@breaks("test_partitions_are_independent")
class IgnoredPartition(FileIOHandler):
    def path(self, context):
        return Path(self.folder, f"{context.asset_storage_key}.value")


@breaks("test_partition_of_several_dimensions")
class FirstDimensionOnly(FileIOHandler):
    def path(self, context):
        key = "" if context.partition is None else str(context.partition.key).partition("|")[0]
        return Path(self.folder, f"{context.asset_storage_key}-{storage_key(key or '-')}.value")


@breaks("test_batch_reports_keys")
class UnreportedBatch(FileIOHandler):
    partition_batches = True

    def path(self, context):
        return Path(self.folder, f"{storage_key(context.asset_name)}-{len(context.partition.keys)}.value")


@breaks("test_batch_version_is_that_of_each_key")
class SameVersionForBatch(FileIOHandler):
    """Stores each key in a file of its own, and offers the version of the last one for all."""

    partition_batches = True

    def handle_output(self, context, obj):
        for number, key in enumerate(context.partition.keys):
            single = OutputContext(context.asset_name, partition=PartitionContext([key]))
            super().handle_output(single, [number, obj])
            context.offer_content_version(single.content_version)
        context.register_partitions(context.partition.keys)


# absence and damage


@breaks("test_absent_value_raises_not_materialized")
class AbsenceIsNone(FileIOHandler):
    def load_input(self, context):
        return super().load_input(context) if self.exists(context) else None


@breaks("test_absence_error_names_partition")
class AnonymousPartition(FileIOHandler):
    def read(self, context, path):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise NotMaterializedError(context.asset_name) from None


@breaks("test_truncated_file_is_not_absence")
class DamageIsAbsence(FileIOHandler):
    def load_input(self, context):
        try:
            return super().load_input(context)
        except RiversError:
            raise absent(context, self) from None


@breaks("test_empty_file_is_not_absence")
class EmptyIsAbsence(FileIOHandler):
    def read(self, context, path):
        content = super().read(context, path)
        if not content:
            raise absent(context, self)
        return content


@breaks("test_exists_is_false_before_store")
class ExistsRaises(FileIOHandler):
    def exists(self, context):
        return bool(self.path(context).stat())


@breaks("test_value_exists_after_store")
class FalsyIsAbsent(FileIOHandler):
    def exists(self, context):
        return super().exists(context) and self.load_input(context) is not None


@breaks("test_asking_stores_nothing")
class AskingStores(FileIOHandler):
    def read(self, context, path):
        try:
            return super().read(context, path)
        finally:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


@breaks("test_delete_of_absent_value_is_a_no_op")
class DeleteRaises(FileIOHandler):
    def delete(self, context):
        self.path(context).unlink()


@breaks("test_delete_of_partition_keeps_others")
class DeleteTakesNeighbors(FileIOHandler):
    def delete(self, context):
        for path in self.path(context).parent.glob(f"{self.path(context).stem}*"):
            path.unlink()


@breaks("test_deletion_is_declared")
class SilentDelete(FileIOHandler):
    """Cannot delete and does not say so."""

    can_delete = False

    def delete(self, context):
        pass


# writes


@breaks("test_overwrite_replaces_value")
class KeepsFirstValue(FileIOHandler):
    def write(self, path, content):
        if not path.exists():
            super().write(path, content)


@breaks("test_overwrite_with_smaller_value")
class WritesInPlace(FileIOHandler):
    def write(self, path, content):
        with path.open("r+b" if path.exists() else "wb") as file:
            file.write(content)


@breaks("test_failed_first_write_stores_nothing")
class HalfValueReadable(FileIOHandler):
    """Writes item by item, and reads what is there."""

    def handle_output(self, context, obj):
        items = obj if isinstance(obj, list) else [obj]
        path = self.path(context)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for item in items:
                file.write(pickle.dumps(item))

    def load_input(self, context):
        items = []
        with self.path(context).open("rb") as file:
            while True:
                try:
                    items.append(pickle.load(file))
                except EOFError:
                    return items


@breaks("test_failed_write_keeps_old_value")
class DeletesBeforeWrite(FileIOHandler):
    def handle_output(self, context, obj):
        self.delete(context)
        super().handle_output(context, obj)


@breaks("test_killed_write_keeps_old_value")
class NonAtomicReplace(FileIOHandler):
    def write(self, path, content):
        path.write_bytes(content)


@breaks("test_failed_system_call_keeps_old_value")
class SwallowedError(FileIOHandler):
    def write(self, path, content):
        with contextlib.suppress(OSError):
            super().write(path, content)


@breaks("test_write_succeeds_after_killed_write")
class LockStays(FileIOHandler):
    """Creates a lock file, and waits for that of a killed process."""

    def write(self, path, content):
        lock = path.with_suffix(".lock")
        if lock.exists():
            raise ConflictError("Another process stores this value.")
        lock.touch()
        super().write(path, content)
        lock.unlink()


@breaks("test_one_shot_value_is_stored_or_refused")
class StoredGenerator(FileIOHandler):
    """Keeps one-shot values as objects."""

    _iterators: Stored = PrivateAttr(default_factory=dict)

    def handle_output(self, context, obj):
        if not hasattr(obj, "__next__"):
            return super().handle_output(context, obj)
        self._iterators[context.storage_key] = obj
        return None

    def load_input(self, context):
        if context.storage_key in self._iterators:
            return self._iterators[context.storage_key]
        return super().load_input(context)


@breaks("test_consumed_one_shot_value_is_refused")
class EmptyRetry(FileIOHandler):
    """Stores the rest of a generator that an earlier attempt consumed."""

    def handle_output(self, context, obj):
        super().handle_output(context, list(obj) if hasattr(obj, "__next__") else obj)


@breaks("test_reader_changes_stay_private")
class LeakedMutation(FileIOHandler):
    _cache: Stored = PrivateAttr(default_factory=dict)

    def load_input(self, context):
        if context.storage_key not in self._cache:
            self._cache[context.storage_key] = super().load_input(context)
        return self._cache[context.storage_key]


@breaks("test_store_does_not_change_value")
class ChangesValue(FileIOHandler):
    def handle_output(self, context, obj):
        if isinstance(obj, list):
            obj.sort(key=str, reverse=True)
            obj.append("end")
        super().handle_output(context, obj[:-1] if isinstance(obj, list) else obj)


@breaks("test_retry_replaces_first_attempt")
class AppendsRetry(FileIOHandler):
    def encode(self, context, obj):
        if context.attempt > 1 and isinstance(obj, list):
            obj = [*self.load_input(InputContext(context.asset_name, "retry")), *obj]
        return super().encode(context, obj)


# processes and concurrency


def wait_until(is_true):
    """Wait for another thread or process; not forever, so that a kit that starts none reports that."""
    deadline = time.monotonic() + 30
    while not is_true() and time.monotonic() < deadline:
        time.sleep(0.001)


@breaks("test_processes_store_different_partitions")
class LostUpdate(FileIOHandler):
    """Keeps all partitions of an asset in one file, which it reads, changes and writes back."""

    def handle_output(self, context, obj):
        path = Path(self.folder, f"{context.asset_storage_key}.all")
        path.parent.mkdir(parents=True, exist_ok=True)
        values = pickle.loads(path.read_bytes()) if path.exists() else {}
        path.with_name(f"reader{os.getpid()}").touch()
        # the other process has read, too, when this one writes for the first time
        wait_until(lambda: len(list(path.parent.glob("reader*"))) > 1)
        values[context.storage_key] = obj
        self.write(path, pickle.dumps(values))

    def load_input(self, context):
        path = Path(self.folder, f"{context.asset_storage_key}.all")
        return pickle.loads(path.read_bytes())[context.storage_key]


@breaks("test_threads_store_different_assets")
class CallStateInHandler(FileIOHandler):
    _path: Path | None = PrivateAttr(default=None)
    _started: list[Path] = PrivateAttr(default_factory=list)

    def write(self, path, content):
        self._path = path
        self._started.append(path)
        wait_until(lambda: len(self._started) > 1)  # another thread has replaced the path
        super().write(self._path, content)


@breaks("test_used_handler_is_pickled")
class PickledClient(FileIOHandler):
    """Keeps a client in a field, which is pickled."""

    client: Any = None

    def handle_output(self, context, obj):
        self.client = Lock()
        super().handle_output(context, obj)


@breaks("test_value_is_loaded_in_another_process")
class WrongLocality(FileIOHandler):
    """Keeps values in memory, and claims that other processes can read them."""

    _values: Stored = PrivateAttr(default_factory=dict)

    def handle_output(self, context, obj):
        self._values[context.storage_key] = obj

    def load_input(self, context):
        if context.storage_key not in self._values:
            raise absent(context, self)
        return self._values[context.storage_key]


@breaks("test_local_files_are_not_shared")
class SharedFolder(FileIOHandler):
    locality = "shared"


@breaks("test_relative_path_survives_chdir")
class FollowsChdir(FileIOHandler):
    def model_post_init(self, context: Any, /) -> None:
        pass


@breaks("test_folder_may_be_reached_through_link")
class ComparesResolvedPath(FileIOHandler):
    def path(self, context):
        path = super().path(context).resolve()
        if not path.is_relative_to(self.folder):
            raise RiversError(f"Asset {context.asset_name!r} is outside of {self.folder!r}.")
        return path


@breaks("test_forked_process_works_or_refuses")
class HangsAfterFork(FileIOHandler):
    _owner: int = PrivateAttr(default_factory=os.getpid)

    def read(self, context, path):
        if os.getpid() != self._owner:
            lock = Lock()
            with lock:
                lock.acquire()
        return super().read(context, path)


@breaks("test_coroutines_are_awaited")
class UnawaitedCoroutine(FileIOHandler):
    async def upload(self, path, content):
        super().write(path, content)

    def write(self, path, content):
        self.upload(path, content)
        super().write(path, content)


@breaks("test_awaitable_matches_declaration")
class UndeclaredCoroutine(FileIOHandler):
    """Returns the coroutine of the handler that it wraps, and claims to be synchronous."""

    async def store_later(self, context, obj):
        super().handle_output(context, obj)

    def handle_output(self, context, obj):
        return self.store_later(context, obj)


@breaks("test_handler_works_inside_event_loop")
class NestedEventLoop(FileIOHandler):
    async def store_later(self, context, obj):
        super().handle_output(context, obj)

    def handle_output(self, context, obj):
        asyncio.run(self.store_later(context, obj))


# settings, secrets, capabilities, versions


@breaks("test_unprefixed_variables_are_ignored")
class UnprefixedSetting(FileIOHandler):
    model_config = SettingsConfigDict(env_prefix="")
    depth: int = 1


@breaks("test_repr_hides_secrets")
class SecretInRepr(FileIOHandler):
    def __repr__(self):
        token = self.token.get_secret_value() if self.token else ""
        return f"SecretInRepr({self.folder!r}, {token!r})"


@breaks("test_credentials_are_secret_fields")
class PlainPassword(FileIOHandler):
    password: str = ""


@breaks("test_addresses_hide_secrets")
class SecretInAddress(FileIOHandler):
    def describe_address(self, context):
        token = self.token.get_secret_value() if self.token else ""
        return f"files://{token}@host/{context.storage_key}"


@breaks("test_addresses_hide_secrets")
class QuotedSecretInAddress(FileIOHandler):
    """Redacts the secret as it is, and not as a URL spells it."""

    def describe_address(self, context):
        token = self.token.get_secret_value() if self.token else ""
        return f"files://host/{context.storage_key}?{urlencode({'token': token})}".replace(
            token or "-", "***"
        )


@breaks("test_unknown_setting_is_refused")
class IgnoresUnknownSettings(FileIOHandler):
    model_config = SettingsConfigDict(extra="ignore")


@breaks("test_unknown_option_is_reported")
class IgnoresUnknownOptions(FileIOHandler):
    def check_options(self, metadata):
        return []


@breaks("test_capabilities_are_flags")
class CapabilityIsMethod(FileIOHandler):
    def can_delete(self):
        return True


@breaks("test_refused_types_are_refused")
class StoresRefusedTypes(FileIOHandler):
    def encode(self, context, obj):
        payload = pickle.dumps(obj)
        return hashlib.sha256(payload).digest() + payload


@breaks("test_equal_content_has_equal_version")
class RandomVersion(FileIOHandler):
    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        context.offer_content_version(str(random.random()))


@breaks("test_loaded_version_is_stored_version")
class StaleLoadedVersion(FileIOHandler):
    def load_input(self, context):
        value = super().load_input(context)
        context.register_loaded_version("1")
        return value


@breaks("test_listed_versions_load")
class OldestVersionFirst(VersionedFileIOHandler):
    def versions(self, context):
        return super().versions(context)[::-1]


@breaks("test_listed_versions_load")
class LoadsCurrentForVersion(VersionedFileIOHandler):
    def content(self, context):
        return self.read(context, self.path(context))


@breaks("test_unknown_version_raises")
class UnknownVersionIsAbsent(VersionedFileIOHandler):
    def content(self, context):
        try:
            return super().content(context)
        except VersionNotFoundError:
            raise absent(context, self) from None


@breaks("test_version_is_registered")
class RegistersCurrentVersion(VersionedFileIOHandler):
    def load_input(self, context):
        value = super().load_input(context)
        context.register_loaded_version(hashlib.sha256(self.path(context).read_bytes()).hexdigest())
        return value


@breaks("test_versions_belong_to_partition")
class VersionsOfAllPartitions(VersionedFileIOHandler):
    def versions_folder(self, context):
        return Path(self.folder, ".versions", f"{context.asset_storage_key}.all")


@breaks("test_restored_version_is_current")
class RestoresNothing(VersionedFileIOHandler):
    def restore(self, context, version):
        context.offer_content_version(version)


@breaks("test_prune_reports_by_default")
class PruneIgnoresDryRun(VersionedFileIOHandler):
    def prune(self, context, *, keep=None, older_than=None, dry_run=True):
        return super().prune(context, keep=keep, older_than=older_than, dry_run=False)


@breaks("test_prune_keeps_current_value")
class PrunesCurrentValue(VersionedFileIOHandler):
    def prune(self, context, *, keep=None, older_than=None, dry_run=True):
        removed = super().prune(context, keep=keep, older_than=older_than, dry_run=dry_run)
        if not dry_run:
            self.path(context).unlink()
        return removed


@breaks("test_deleted_value_has_no_versions")
class DeleteKeepsVersions(VersionedFileIOHandler):
    def delete(self, context):
        self.path(context).unlink(missing_ok=True)

    def versions(self, context):
        return super().versions(context) or [
            self.file_version(name, file, False) for name, file in self.files(context).items()
        ]


@breaks("test_conditional_write_notices_change")
class IgnoresCondition(FileIOHandler):
    conditional_writes = True


@breaks("test_always_conditional_is_conditional")
class AlwaysWithoutConditions(FileIOHandler):
    always_conditional = True


@breaks("test_metadata_is_added")
class ReplacesMetadata(FileIOHandler):
    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        context.output_metadata = {}


@breaks("test_method_signatures")
class SwappedArguments(FileIOHandler):
    def handle_output(self, obj, context):
        super().handle_output(context, obj)


@breaks("test_contract_names_are_spelled")
class MisspelledMethod(FileIOHandler):
    def describe_adress(self, context):
        return str(self.path(context))


@breaks("test_contract_names_are_spelled")
class MisspelledCapability(FileIOHandler):
    conditional_write: ClassVar[bool] = True


@breaks("test_value_round_trips", "tuple")
class ChangesTypes(FileIOHandler):
    """Stores JSON, which changes tuples into lists."""

    def encode(self, context, obj):
        return super().encode(context, json.loads(json.dumps(obj, default=str)))


@breaks("test_value_round_trips", "aware datetime")
class LosesTimeZone(FileIOHandler):
    def encode(self, context, obj):
        return super().encode(context, obj.replace(tzinfo=None) if isinstance(obj, datetime) else obj)


@breaks("test_value_round_trips", "datetime with offset")
class LosesOffset(FileIOHandler):
    """Converts times to UTC: the moment is the same, the local time is not."""

    def encode(self, context, obj):
        return super().encode(context, obj.astimezone(UTC) if isinstance(obj, datetime) else obj)


@breaks("test_value_round_trips", "list")
class NestedIntegersBecomeFloats(FileIOHandler):
    def encode(self, context, obj):
        return super().encode(context, json.loads(json.dumps(obj), parse_int=float))


@breaks("test_overwrite_with_other_type", "true", "zero", "false")
class SkipsEqualWrite(FileIOHandler):
    """Does not write a value that equals the stored one: False stays 0."""

    def handle_output(self, context, obj):
        if not self.exists(context) or self.load_input(InputContext(context.asset_name, "")) != obj:
            super().handle_output(context, obj)


@breaks("test_overwrite_with_other_type", "text", "integer")
class SuffixOfType(FileIOHandler):
    """Chooses the suffix of the file by the type of the value, and leaves files of other suffixes."""

    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        path = self.path(context)
        path.rename(path.with_suffix(f".{type(obj).__name__}"))

    def read(self, context, path):
        files = sorted(path.parent.glob(f"{path.stem}.*"))
        return super().read(context, files[0] if files else path)


@breaks("test_overwrite_leaves_no_files")
class CopiesTemporaryFile(FileIOHandler):
    def write(self, path, content):
        unfinished = path.with_name(f"{path.name}.{random.randrange(1 << 40)}")
        unfinished.write_bytes(content)
        shutil.copy(unfinished, path)


@breaks("test_failed_write_leaves_no_files")
class FailedWriteLeavesFile(FileIOHandler):
    def encode(self, context, obj):
        path = Path(self.folder, f"unfinished{random.randrange(1 << 40)}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            pickle.dump(obj, file)
        path.unlink()
        return super().encode(context, obj)


@breaks("test_failing_one_shot_value_is_not_stored")
class StoresHalfGenerator(FileIOHandler):
    """Stores the items that a generator yielded before its error."""

    def handle_output(self, context, obj):
        if not hasattr(obj, "__next__"):
            return super().handle_output(context, obj)
        items = []
        try:
            items.extend(iter(obj))
        finally:
            super().handle_output(context, items)
        return None


@breaks("test_value_is_stored_when_call_returns")
class BufferedWrite(FileIOHandler):
    """Writes a value when the next one arrives."""

    _buffer: Stored = PrivateAttr(default_factory=dict)

    def write(self, path, content):
        for earlier in self._buffer.items():
            super().write(*earlier)
        self._buffer = {path: content}


@breaks("test_large_value_round_trips")
class SingleRead(FileIOHandler):
    """Takes the first read for the whole file."""

    def read(self, context, path):
        super().read(context, path)
        file = os.open(path, os.O_RDONLY)
        try:
            return os.read(file, 1 << 16)
        finally:
            os.close(file)


@breaks("test_load_without_annotation")
class NeedsAnnotation(FileIOHandler):
    def load_input(self, context):
        context.log.debug("Loading a %s.", context.type_hint.__name__)
        return super().load_input(context)


@breaks("test_letter_case_is_kept_apart")
class FoldsPartitionKeys(FileIOHandler):
    def path(self, context):
        partition = "" if context.partition is None else str(context.partition.key).casefold()
        return Path(self.folder, context.asset_storage_key, f"{storage_key(partition or '-')}.value")


@breaks("test_hostile_partition_keys_are_separate")
class MergesSlashes(FileIOHandler):
    def path(self, context):
        key = "-" if context.partition is None else str(context.partition.key).replace("/", "_")
        return Path(self.folder, context.asset_storage_key, f"{storage_key(key)}.value")


@breaks("test_asset_of_partitions_is_absent_without_key")
class FolderExists(FileIOHandler):
    def exists(self, context):
        return super().exists(context) or Path(self.folder, context.storage_key).exists()


@breaks("test_delete_removes_value")
class PartialDelete(FileIOHandler):
    """Deletes the value, and not the side file that `exists` looks at."""

    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        self.path(context).with_suffix(".version").write_text("1")

    def exists(self, context):
        return self.path(context).with_suffix(".version").exists()


@breaks("test_killed_first_write_is_whole_or_absent")
class IndexBeforeContent(FileIOHandler):
    """Writes the entry of the index first, and the content after it."""

    def handle_output(self, context, obj):
        index = self.index(context)
        index.parent.mkdir(parents=True, exist_ok=True)
        index.touch()
        super().handle_output(context, obj)

    def load_input(self, context):
        if not self.index(context).exists():
            raise absent(context, self)
        try:
            return super().load_input(context)
        except NotMaterializedError as error:
            raise RiversError(f"The file of asset {context.asset_name!r} was lost.") from error

    def index(self, context):
        return self.path(context).with_suffix(".entry")


@breaks("test_rebuilt_handler_sees_changes")
class StaleCache(FileIOHandler):
    """Keeps copies of loaded values, also after another handler has replaced them."""

    _cache: Stored = PrivateAttr(default_factory=dict)

    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        self._cache[context.storage_key] = copy.deepcopy(obj)

    def load_input(self, context):
        if context.storage_key not in self._cache:
            self._cache[context.storage_key] = super().load_input(context)
        return copy.deepcopy(self._cache[context.storage_key])


class _ProcessCache(FileIOHandler):
    """Keeps copies of values for all handlers of the process."""

    cache: ClassVar[Stored]

    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        self.cache[self.cache_key(context)] = copy.deepcopy(obj)

    def load_input(self, context):
        key = self.cache_key(context)
        if key not in self.cache:
            self.cache[key] = super().load_input(context)
        return copy.deepcopy(self.cache[key])

    def delete(self, context):
        self.cache.pop(self.cache_key(context), None)
        super().delete(context)

    def cache_key(self, context):
        return str(self.path(context))


@breaks("test_changes_of_another_process_are_seen")
class StaleProcessCache(_ProcessCache):
    """Updates the cache by the writes of this process only."""

    cache: ClassVar[Stored] = {}


@breaks("test_handlers_of_two_stores_are_independent")
class SharedBetweenStores(_ProcessCache):
    """Shares a mutable default between instances, whatever their folders."""

    cache: ClassVar[Stored] = {}

    def cache_key(self, context):
        return context.storage_key


@breaks("test_absence_is_reported_from_another_process")
class UnpicklableError(FileIOHandler):
    def read(self, context, path):
        try:
            return super().read(context, path)
        except NotMaterializedError:
            raise MissingFileError(path, self) from None


class MissingFileError(NotMaterializedError):
    def __init__(self, path, handler):
        super().__init__(path.stem)
        self.handler_object = handler
        self.lock = Lock()


@breaks("test_threads_load_one_value")
class ThreadBoundConnection(FileIOHandler):
    """Opens a connection that belongs to one thread, and uses it in all."""

    _connection: Any = PrivateAttr(default=None)
    _lock: Any = PrivateAttr(default_factory=Lock)

    def read(self, context, path):
        with self._lock:
            self._connection = self._connection or sqlite3.connect(":memory:")
        self._connection.execute("SELECT 1")
        return super().read(context, path)


@breaks("test_threads_load_different_partitions")
class CallStateInLoad(FileIOHandler):
    _path: Path | None = PrivateAttr(default=None)
    _started: list[Path] = PrivateAttr(default_factory=list)

    def read(self, context, path):
        self._path = path
        self._started.append(path)
        wait_until(lambda: len(self._started) > 1)  # another thread has replaced the path
        return super().read(context, self._path)


@breaks("test_threads_overwrite_one_value")
class SharedTemporaryName(FileIOHandler):
    _written: list[Path] = PrivateAttr(default_factory=list)

    def write(self, path, content):
        unfinished = path.with_suffix(".tmp")
        unfinished.write_bytes(content)
        self._written.append(unfinished)
        wait_until(lambda: len(self._written) > 1)  # another thread has written the same file
        unfinished.replace(path)


@breaks("test_loaded_version_belongs_to_value")
class VersionOfNextValue(FileIOHandler):
    """Computes the version in a second look at the store, which another process has changed."""

    def write(self, path, content):
        if (path.parent / "loaded").exists():  # the writes of the other process begin
            wait_until((path.parent / "reading").exists)
        super().write(path, content)

    def load_input(self, context):
        path = self.path(context)
        before = self.read(context, path)
        value = super().load_input(context)
        if (path.parent / "loaded").exists():
            (path.parent / "reading").touch()
            wait_until(lambda: path.read_bytes() != before)
        (path.parent / "loaded").touch()
        context.register_loaded_version(hashlib.sha256(path.read_bytes()).hexdigest())
        return value


@breaks("test_async_calls_overlap")
class LoopBoundClient(CompleteFileIOHandler):
    """Creates a client for the first event loop, and uses it on the next ones."""

    _loop: Any = PrivateAttr(default=None)

    async def load_input(self, context):
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("The client belongs to a different event loop.")
        return await super().load_input(context)


@breaks("test_one_of_concurrent_conditional_writes_wins")
class ComparesBeforeLock(CompleteFileIOHandler):
    _compared: list[str] = PrivateAttr(default_factory=list)

    async def handle_output(self, context, obj):
        if context.expected_version is not None:
            super().compare(context, context.expected_version)
            self._compared.append(context.expected_version)
            wait_until(lambda: len(self._compared) > 1)  # another thread has compared, too
        await super().handle_output(context, obj)

    def compare(self, context, expected):
        pass


@breaks("test_conditional_write_notices_change")
class EmptyVersionIsNoCondition(CompleteFileIOHandler):
    def compare(self, context, expected):
        if expected:
            super().compare(context, expected)


@breaks("test_batch_with_absent_key_raises")
class LoadsPresentKeys(CompleteFileIOHandler):
    def singles(self, context):
        return [single for single in super().singles(context) if self.path(single).exists()]


@breaks("test_batch_deletes_each_key")
class DeletesFirstKey(CompleteFileIOHandler):
    def delete(self, context):
        FileIOHandler.delete(self, self.singles(context)[0])


@breaks("test_batch_loads_all_keys")
class LoadsLastKeyFirst(CompleteFileIOHandler):
    def singles(self, context):
        return super().singles(context)[::-1]


@breaks("test_address_is_stable")
class AddressWithTime(FileIOHandler):
    def describe_address(self, context):
        return f"{self.path(context)}?read={time.monotonic_ns()}"


@breaks("test_types_are_answered")
class ComparesHintAsClass(FileIOHandler):
    def can_load_type(self, hint):
        return not issubclass(hint, complex)


@breaks("test_sample_type_is_declared", "list")
class RefusesSupportedType(FileIOHandler):
    def accepts_type(self, hint):
        return hint in (int, str)


@breaks("test_secrets_travel")
class SecretStaysBehind(FileIOHandler):
    def configuration(self):
        cls, values = super().configuration()
        return cls, {**values, "token": None}


@breaks("test_setting_errors_hide_secrets")
class SecretInSettingError(FileIOHandler):
    model_config = SettingsConfigDict(hide_input_in_errors=False)

    def __init__(self, **values):
        if "no_such_setting" in values:
            values["token"] = {"text": values["token"].get_secret_value()}
        super().__init__(**values)


@breaks("test_sizes_are_integers")
class SizeIsText(FileIOHandler):
    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        context.add_output_metadata({"size_bytes": f"{self.path(context).stat().st_size} B"})


@breaks("test_metadata_do_not_grow")
class DataInMetadata(FileIOHandler):
    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        context.add_output_metadata({"value": repr(obj)})


@breaks("test_different_content_has_different_version")
class VersionIsTime(FileIOHandler):
    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        context.offer_content_version(str(int(time.time())))


@breaks("test_equal_samples_have_equal_version", "nan")
class CountsChanges(FileIOHandler):
    """Counts a write as a new version unless the value equals the stored one: NaN never does."""

    def handle_output(self, context, obj):
        file = self.path(context).with_suffix(".count")
        count = int(file.read_text()) if file.exists() else 0
        is_new = not self.exists(context) or self.load_input(InputContext(context.asset_name, "")) != obj
        super().handle_output(context, obj)
        file.write_text(str(count + is_new))
        context.offer_content_version(file.read_text())


@breaks("test_signing_is_declared")
class SignedInName(FileIOHandler):
    is_signed = True


class _ServerIOHandler(FileIOHandler):
    """Asks a server before each call."""

    url: str = ""

    def ask(self, timeout_s):
        host, port = self.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout_s) as connection:
            connection.recv(1)

    def read(self, context, path):
        if self.url:
            self.connect(context)
        return super().read(context, path)

    def write(self, path, content):
        if self.url:
            self.ask(0.2)
        super().write(path, content)


@breaks("test_closed_port_is_not_absence")
class OutageIsAbsence(_ServerIOHandler):
    def connect(self, context):
        try:
            self.ask(0.2)
        except OSError:
            raise absent(context, self) from None


@breaks("test_silent_server_times_out")
class WaitsForever(_ServerIOHandler):
    def connect(self, context):
        self.ask(None)


for _broken, _check in BROKEN.items():
    _name = f"Test{_broken.__name__}"
    _samples = tuple(sample for sample in PYTHON_SAMPLES if sample.name in SAMPLES[_broken])
    globals()[_name] = type(
        _name,
        (BrokenTests,),
        {"broken": _broken, "fault": _check, "samples": _samples, "__module__": __name__},
    )

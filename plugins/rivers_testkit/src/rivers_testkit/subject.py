"""Base class of the groups of checks: what an author declares about a handler, and calls of its methods."""

from __future__ import annotations

import asyncio
from dataclasses import fields, is_dataclass
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit

import pytest

from rivers_core import InputContext, OutputContext, PartitionContext, PartitionKey
from rivers_core.authoring import resolve_awaitable
from rivers_core.exceptions import NotMaterializedError
from rivers_testkit.samples import JSON_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from rivers_core import BaseIOHandler
    from rivers_testkit.samples import Sample

    Key: TypeAlias = str | dict[str, str] | list[str] | PartitionContext | None

ASSET = "orders"


class HandlerChecks:
    """Declarations of an author about a handler. A subclass overrides the defaults that do not fit its handler."""

    samples: ClassVar[Sequence[Sample]] = JSON_SAMPLES
    """Values that the handler claims to store; each is a test case of the round-trip checks."""

    isolates_values: ClassVar[bool | None] = None
    """Whether changes of a value reach neither store nor other readers; None: true unless `locality` is `process`."""

    versions_are_digests: ClassVar[bool] = True
    """Whether the data version depends on the content only, so that equal content has an equal version."""

    timeout_s: ClassVar[float] = 30.0
    """Seconds after which a call in another process counts as hanging."""

    model_examples: ClassVar[int] = 20
    """Number of random sequences of calls that are compared with a dictionary."""

    exclusions: ClassVar[Mapping[str, str]] = {}
    """Checks that do not apply to the handler, with the reason; at most three."""

    documentation: ClassVar[str] = ""
    """Section of the documentation about a group of checks."""

    @pytest.fixture
    def handler(self) -> BaseIOHandler:
        """Return a handler with an empty store; every test class has to define it."""
        pytest.fail(f"{type(self).__name__} must define a fixture `handler` that returns a handler.")

    def make_value(self, number: int, *, rows: int = 1, partition: PartitionContext | None = None) -> Any:
        """Return a value that the handler can store. Different numbers give different values.

        Args:
            number: Number of the value.
            rows: Size of the value.
            partition: Partition keys that the value is stored for. The default adds each dimension as a column, `key`
                if there is one dimension without name.
        """
        keys: Sequence[PartitionKey | None] = [None] if partition is None else partition.keys
        return [
            {"number": number, "row": row, **(columns_of(key) if key is not None else {})}
            for key in keys
            for row in range(rows)
        ]

    def same_value(self, loaded: Any, stored: Any) -> bool:
        """Return whether a loaded value equals the one that was stored, see `is_same`.

        Args:
            loaded: The loaded value.
            stored: The value that was stored.
        """
        return is_same(loaded, stored)

    def asset_metadata(self, dimensions: Sequence[str]) -> Mapping[str, Any] | None:
        """Return the static metadata of an asset, such as options of the handler.

        Args:
            dimensions: Partition dimensions of the asset: empty if it is not partitioned, `["key"]` if its keys
                have one dimension without name.
        """
        del dimensions
        return None

    def stored_files(self, handler: BaseIOHandler, context: OutputContext) -> Sequence[Path]:
        """Return the files of this machine that hold a stored value, which some checks damage.

        Override it if `describe_address` does not return a path, for instance with the file of a database.

        Args:
            handler: The handler.
            context: Context of the value.

        Returns:
            By default the file at the address of the value, or all files of a folder; empty for other addresses.
        """
        address = handler.describe_address(context)
        if not address:
            return []
        url = urlsplit(address)
        path = Path(unquote(url.path) if url.scheme == "file" else address)
        if not path.is_absolute():
            return []
        return [path] if path.is_file() else sorted(map(Path, files_below(path)))

    def make_unstorable(self) -> Any:
        """Return a value that the handler cannot store, and that fails late: its first part is fine."""
        return [self.make_value(1, rows=5_000), object.__new__(_Unstorable)]

    def handler_for_endpoint(self, handler: BaseIOHandler, url: str) -> BaseIOHandler | None:
        """Return a handler like `handler` whose server is at another address, with a time limit below a second.

        Args:
            handler: The handler.
            url: Address of the server, `http://127.0.0.1:<port>`.

        Returns:
            None for a handler without a server.
        """
        del handler, url
        return None

    def output(self, value: Any, asset: str = ASSET, key: Key = None, hint: Any = None) -> OutputContext:
        """Return the context in which a value is stored."""
        partition = partition_of(key)
        metadata = self.asset_metadata(dimensions_of(partition))
        return OutputContext(asset, metadata, partition, type(value) if hint is None else hint)

    def input(self, asset: str = ASSET, key: Key = None, hint: Any = None) -> InputContext:
        """Return the context in which a value is loaded."""
        partition = partition_of(key)
        metadata = self.asset_metadata(dimensions_of(partition))
        return InputContext(asset, "report", metadata, partition, self.value_type if hint is None else hint)

    def value(self, number: int, key: Key = None, *, rows: int = 1) -> Any:
        """Return `make_value` for a partition key as the checks write it."""
        return self.make_value(number, rows=rows, partition=partition_of(key))

    @property
    def value_type(self) -> type:
        """Type of the values that `make_value` returns."""
        return type(self.make_value(0))

    def store(
        self, handler: BaseIOHandler, value: Any, asset: str = ASSET, key: Key = None, hint: Any = None
    ) -> OutputContext:
        """Store a value and return the context, awaiting the handler if it is asynchronous."""
        context = self.output(value, asset, key, hint)
        store_value(handler, context, value)
        return context

    def load(self, handler: BaseIOHandler, asset: str = ASSET, key: Key = None, hint: Any = None) -> Any:
        """Load a value, awaiting the handler if it is asynchronous."""
        return load_value(handler, self.input(asset, key, hint))

    def exists(self, handler: BaseIOHandler, asset: str = ASSET, key: Key = None) -> bool:
        """Return the answer of `exists`."""
        return bool(resolve_awaitable(handler.exists(self.input(asset, key))))

    def delete(self, handler: BaseIOHandler, asset: str = ASSET, key: Key = None) -> None:
        """Delete a value."""
        delete_value(handler, self.input(asset, key))

    def expect(
        self, handler: BaseIOHandler, value: Any, asset: str = ASSET, key: Key = None, hint: Any = None
    ) -> None:
        """Assert that loading gives a value."""
        loaded = self.load(handler, asset, key, type(value) if hint is None else hint)
        assert self.same_value(loaded, value), (
            f"{shown(asset, key)}: stored {shortened(value)}, loaded {shortened(loaded)}."
        )

    def expect_absent(
        self, handler: BaseIOHandler, asset: str = ASSET, key: Key = None
    ) -> NotMaterializedError:
        """Assert that nothing is stored, and return the error of loading it."""
        try:
            loaded = self.load(handler, asset, key)
        except NotMaterializedError as error:
            assert not self.exists(handler, asset, key), f"{shown(asset, key)}: `exists` must be False."
            return error
        pytest.fail(f"{shown(asset, key)}: NotMaterializedError expected, loaded {shortened(loaded)}.")

    def claim(self, claimed: object, reason: str) -> None:
        """Skip the check unless the handler claims what it is about.

        Args:
            claimed: Whether the handler claims it.
            reason: What the handler does not claim; it is counted and printed.
        """
        if not claimed:
            pytest.skip(reason)

    def claim_deletion(self, handler: BaseIOHandler) -> None:
        """Skip the check if the handler cannot delete."""
        self.claim(handler.can_delete, "`can_delete` is False")

    def claim_persistence(self, handler: BaseIOHandler) -> None:
        """Skip the check if values do not outlive the handler."""
        self.claim(handler.locality != "process", "`locality` is 'process'")


class _Unstorable:
    """A class whose instances no format can represent: pickling and copying raise."""

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("This value cannot be stored.")


def columns_of(key: PartitionKey) -> dict[str, str]:
    """Return a partition key as columns: one for each dimension, `key` for one without name.

    Args:
        key: A key for one partition.
    """
    dimensions = getattr(key, "dimensions", None)
    if dimensions is None:
        return {"key": str(key)}
    return {name: values[0] for name, values in dimensions}


def dimensions_of(partition: PartitionContext | None) -> list[str]:
    """Return the partition dimensions of a context, as `asset_metadata` gets them.

    Args:
        partition: Partition of a context; None for an unpartitioned asset.
    """
    return [] if partition is None else [*columns_of(partition.keys[0])]


def partition_of(key: Key) -> PartitionContext | None:
    """Return the partition of a context; a list stands for several keys.

    Args:
        key: A key as the checks write it.
    """
    if key is None or isinstance(key, PartitionContext):
        return key
    keys: Sequence[Any] = key if isinstance(key, list) else [key]
    return PartitionContext([PartitionKey(item) for item in keys])


def shown(asset: str, key: Key = None) -> str:
    """Return an asset and partition key for a message.

    Args:
        asset: Name of the asset.
        key: A key as the checks write it.
    """
    partition = partition_of(key)
    keys = "" if partition is None else f", partition {', '.join(map(repr, map(str, partition.keys)))}"
    return f"asset {asset!r}{keys}"


def shortened(value: Any) -> str:
    """Return a value for a message, of at most 300 characters.

    Args:
        value: Any value.
    """
    text = f"{type(value).__name__}: {value!r}"
    return text if len(text) <= 300 else f"{text[:300]}..."


def is_same(loaded: Any, stored: Any) -> bool:
    """Return whether two values are equal and have the same types, also inside containers.

    Python counts 1, 1.0 and True as equal, and times of different zones at the same moment; NaN is not equal to itself.

    Args:
        loaded: The loaded value.
        stored: The value that was stored.
    """
    if type(loaded) is not type(stored):
        return False
    if isinstance(stored, dict):
        pairs = {key: (item, stored[key]) for key, item in loaded.items() if key in stored}
        return bool(loaded.keys() == stored.keys() and all(is_same(*pair) for pair in pairs.values()))
    if isinstance(stored, (list, tuple)):
        return len(loaded) == len(stored) and all(map(is_same, loaded, stored))
    if is_dataclass(stored):
        return all(
            is_same(getattr(loaded, item.name, None), getattr(stored, item.name)) for item in fields(stored)
        )
    if isinstance(stored, float):
        return repr(loaded) == repr(stored)
    if isinstance(stored, (datetime, time)) and loaded.utcoffset() != stored.utcoffset():
        return False
    return bool(loaded == stored)


def is_below(value: object, folder: Path) -> bool:
    """Return whether a setting is a path in a folder.

    Args:
        value: Value of the setting.
        folder: The folder.
    """
    return isinstance(value, (str, Path)) and Path(value).is_relative_to(folder)


def files_below(folder: Path) -> set[str]:
    """Return the files in a folder and its subfolders.

    Args:
        folder: The folder.
    """
    return {str(path) for path in folder.rglob("*") if path.is_file()}


async def gather(*awaitables: Any) -> list[Any]:
    """Return the results of several awaitables that run concurrently.

    Args:
        *awaitables: Results of asynchronous methods.
    """
    return list(await asyncio.gather(*awaitables))


def store_value(handler: BaseIOHandler, context: OutputContext, value: Any) -> None:
    """Store a value, awaiting the handler if it is asynchronous; also runs in other processes.

    Args:
        handler: The handler.
        context: Context of the value.
        value: The value.
    """
    resolve_awaitable(handler.handle_output(context, value))


def load_value(handler: BaseIOHandler, context: InputContext) -> Any:
    """Load a value, awaiting the handler if it is asynchronous; also runs in other processes.

    Args:
        handler: The handler.
        context: Context of the value.
    """
    return resolve_awaitable(handler.load_input(context))


def delete_value(handler: Any, context: InputContext) -> None:
    """Delete a value, awaiting the handler if it is asynchronous; also runs in other processes.

    Args:
        handler: The handler.
        context: Context of the value.
    """
    resolve_awaitable(handler.delete(context))


def store_values(handler: BaseIOHandler, items: Sequence[tuple[OutputContext, Any]], repeat: int) -> int:
    """Store values repeatedly in another process, and return how many writes lost a conflict.

    Args:
        handler: The handler, which arrived as configuration.
        items: Contexts and values.
        repeat: How often each is stored.
    """
    from rivers_core.exceptions import ConflictError

    conflicts = 0
    for _ in range(repeat):
        for context, value in items:
            try:
                resolve_awaitable(handler.handle_output(context, value))
            except ConflictError:
                conflicts += 1
    return conflicts

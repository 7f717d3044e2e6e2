"""IO handler that keeps values in the memory of this process."""

from __future__ import annotations

import difflib
import os
import sys
import uuid
from itertools import product
from operator import itemgetter
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from pydantic_settings import SettingsConfigDict

from rivers_core import BaseIOHandler, MetadataValue
from rivers_core.exceptions import ConflictError, NotMaterializedError, PartitionValidationError, RiversError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn, Self, TypeAlias

    from pydantic import PrivateAttr

    from rivers_core import InputContext, OutputContext, PartitionContext

    Key: TypeAlias = str | tuple[str, str]
    Sizer: TypeAlias = Callable[[Any], int]

_STORAGE: Final[MetadataValue] = MetadataValue.text("memory")
_MAX_CACHED_TYPES: Final = 1024
_MAX_CACHED_SIZE: Final = 4096

# One random UUID (RFC 9562, version 4) per process, varied in its first group. The first digits change fastest, so that
# abbreviated versions differ too. A new UUID would cost more than the rest of a write, formatting a third of it.
_versions: Iterator[str]
_PAIRS: Final = [f"{number * 0x9D & 0xFF:02x}" for number in range(256)]
_replacing: Final = Lock()

# Creating a metadata value costs more than the rest of a write, and small values have few different sizes.
_size_values: Final[dict[int, MetadataValue]] = {}


class InMemoryIOHandler(BaseIOHandler):
    """Keep values in this process by reference: loading returns the stored object itself.

    Nothing is copied, and nothing survives the process. Every consumer receives the same object, so a consumer that
    changes it changes it for all. One-shot values such as generators and open files are refused, since the second
    reader would find them empty. An instance is pickled as configuration, without its values.

    Examples:
        >>> from rivers_core import InputContext, OutputContext
        >>> handler = InMemoryIOHandler()
        >>> handler.handle_output(OutputContext("numbers"), [1, 2, 3])
        >>> handler.load_input(InputContext("numbers", "total"))
        [1, 2, 3]
    """

    # A slot is a plain attribute; a private attribute of pydantic takes ten times as long to access.
    __slots__ = ("_values",)

    model_config = SettingsConfigDict(env_prefix="RIVERS_MEMORY_")
    locality = "process"
    conditional_writes = True

    if TYPE_CHECKING:
        _values: dict[Key, tuple[Any, str]] = PrivateAttr()

        def __init__(self) -> None: ...

    def model_post_init(self, context: Any, /) -> None:
        """Create the empty dictionary of values."""
        object.__setattr__(self, "_values", {})

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Keep a reference to a value.

        Args:
            context: Context of the asset.
            obj: Any value that can be read more than once.

        Raises:
            RiversError: The value is a one-shot value.
            ConflictError: Another version than `context.expected_version` is stored.
        """
        sizer = _sizers[type(obj)]
        if sizer is None:
            _refuse_one_shot(context, obj)
        size = sizer(obj)
        partition = context.partition
        version = next(_versions)
        key = context.asset_name if partition is None else _partition_key(context, partition)
        if context.expected_version is None:
            self._values[key] = obj, version
        else:
            self._replace(key, (obj, version), context.expected_version)
        context.content_version = version
        metadata = {"storage": _STORAGE, "size_bytes": _size_values.get(size) or _size_value(size)}
        if context.output_metadata is None:
            context.output_metadata = metadata
        else:
            context.add_output_metadata(metadata)

    def load_input(self, context: InputContext) -> Any:
        """Return the stored object.

        Args:
            context: Context of the asset.

        Raises:
            NotMaterializedError: Nothing was stored in this process.
        """
        partition = context.partition
        try:
            value, context.loaded_version = self._values[
                context.asset_name if partition is None else _partition_key(context, partition)
            ]
        except KeyError:
            with _replacing:  # another thread may be replacing it
                item = self._values.get(_key(context))
            if item is None:
                raise self._not_materialized(context) from None
            value, context.loaded_version = item
        return value

    def exists(self, context: InputContext) -> bool:
        """Return whether a value is stored in this process."""
        with _replacing:
            return _key(context) in self._values

    def delete(self, context: InputContext) -> None:
        """Remove a value, if it is stored."""
        with _replacing:
            self._values.pop(_key(context), None)

    def describe_address(self, context: OutputContext | InputContext) -> str:
        """Return the key of a value in memory, for messages."""
        return f"memory of this process, {_describe(_key(context))}"

    def __copy__(self) -> Self:
        return type(self)()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return type(self)()

    def _replace(self, key: Key, item: tuple[Any, str], expected: str) -> None:
        """Store a value if the version that the writer has loaded is still stored.

        Unconditional writes take no lock, which would be a quarter of their cost, so that one may come at any moment.
        It is never lost: `pop` and `setdefault` are atomic, and show whether there was one.
        """
        values = self._values
        with _replacing:
            current = values.get(key)
            if (current[1] if current is not None else "") == expected:
                try:
                    previous = values.pop(key, None)
                    if previous is not current and previous is not None:
                        values.setdefault(key, previous)
                    elif values.setdefault(key, item) is item:
                        return
                finally:
                    if current is not None:  # an interrupt came between
                        values.setdefault(key, current)
            _, version = values.get(key, (None, ""))
        raise ConflictError(
            f"Could not store {_describe(key)} in memory: another run stored version {version or 'none'!r} after "
            f"version {expected or 'none'!r} was loaded. Load the current value and try again."
        )

    def _not_materialized(self, context: InputContext) -> NotMaterializedError:
        return NotMaterializedError(
            context.asset_name,
            partition=None if context.partition is None else context.partition.key,
            handler=type(self).__name__,
            address="memory of this process",
            nearest=lambda: _nearest(_key(context), list(self._values)),
        )


class _Sizers(dict["type", "Sizer | None"]):
    """Cache of functions that measure values, by type; None for types of one-shot values.

    The size is that of the data where the type reports it (arrays, Arrow tables, data frames), otherwise that of the
    object without the objects that it refers to.
    """

    def __missing__(self, cls: type) -> Sizer | None:
        if len(self) >= _MAX_CACHED_TYPES:
            self.clear()
        # a subclass may revoke iteration with `__next__ = None`
        is_one_shot = any(
            getattr(cls, name, None) is not None for name in ("__next__", "__anext__", "__await__")
        )
        return self.setdefault(cls, None if is_one_shot else _sizer_for(cls))


_sizers: Final = _Sizers()


def _sizer_for(cls: type) -> Sizer:
    # looked up on the class, so that no instance computes anything and no library is imported
    if hasattr(cls, "estimated_size"):
        return _guarded(lambda obj: obj.estimated_size())
    if hasattr(cls, "nbytes"):
        return _guarded(lambda obj: obj.nbytes)
    if hasattr(cls, "memory_usage"):
        return _guarded(lambda obj: obj.memory_usage().sum())
    return sys.getsizeof if cls.__module__ == "builtins" else _guarded(sys.getsizeof)


def _guarded(measure: Callable[[Any], Any]) -> Sizer:
    def size(obj: Any) -> int:
        try:
            return int(measure(obj))
        except Exception:
            return object.__sizeof__(obj)

    return size


def _size_value(size: int) -> MetadataValue:
    value = MetadataValue.int(size)
    return _size_values.setdefault(size, value) if 0 <= size < _MAX_CACHED_SIZE else value


def _key(context: OutputContext | InputContext) -> Key:
    partition = context.partition
    return context.asset_name if partition is None else _partition_key(context, partition)


def _partition_key(context: OutputContext | InputContext, partition: PartitionContext) -> Key:
    if not partition.is_single:
        raise PartitionValidationError(
            f"InMemoryIOHandler supports one partition per call, got {len(partition.keys)} keys of asset "
            f"{context.asset_name!r}. Call it once for each of `context.partition.keys`."
        )
    return context.asset_name, str(partition.key)


def _nearest(key: Key, stored: list[Key]) -> str | None:
    asset = key if isinstance(key, str) else key[0]
    # any partition of the asset is nearer than another asset
    candidates = [item for item in stored if (item if isinstance(item, str) else item[0]) == asset]
    cutoff = 0.0 if candidates else 0.6
    by_text = {_text(item): item for item in candidates or stored}
    matches = difflib.get_close_matches(_text(key), by_text, n=1, cutoff=cutoff)
    return _describe(by_text[matches[0]]) if matches else None


def _text(key: Key) -> str:
    return key if isinstance(key, str) else "\0".join(key)


def _describe(key: Key) -> str:
    return f"asset {key!r}" if isinstance(key, str) else f"partition {key[1]!r} of asset {key[0]!r}"


def _refuse_one_shot(context: OutputContext, obj: object) -> NoReturn:
    partition = "" if context.partition is None else f" (partition {str(context.partition.key)!r})"
    raise RiversError(
        f"InMemoryIOHandler does not support the {type(obj).__name__} that asset {context.asset_name!r}"
        f"{partition} returned: it is a one-shot value, so the second reader would find it empty. Return a value "
        "that can be read again, for instance `list(...)` of it."
    )


def _new_process() -> None:
    global _versions
    rest = str(uuid.uuid4()).split("-", 1)[1]
    groups = product(_PAIRS, _PAIRS, _PAIRS, _PAIRS, [f"-{rest}"])  # ends after four billion values
    _versions = map("".join, map(itemgetter(3, 2, 1, 0, 4), groups))


_new_process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_process)

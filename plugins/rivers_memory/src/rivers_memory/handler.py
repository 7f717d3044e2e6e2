"""The handler that keeps values in the process that made them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from pydantic_settings import SettingsConfigDict

from rivers_core import BaseIOHandler, MetadataValue
from rivers_core.exceptions import NotMaterializedError, PartitionValidationError, RiversError
from rivers_memory.kinds import sizers

if TYPE_CHECKING:
    from typing import NoReturn, Self, TypeAlias

    from rivers_core import InputContext, OutputContext, PartitionContext

    Key: TypeAlias = str | tuple[str, str]

_STORAGE: Final[MetadataValue] = MetadataValue.text("memory")
_SMALL: Final = 4096

# making a metadata value costs more than everything else here, and the sizes of small values are few
_sizes: Final[dict[int, MetadataValue]] = {}


class InMemoryIOHandler(BaseIOHandler):
    """Keeps values in this process, by reference: what is loaded is the very object that was stored.

    Nothing is copied and nothing survives the process. Every consumer gets the same object, so one that
    changes it changes it for all. A value that can be read only once (a generator, an open file) is refused:
    the second reader would find it empty.

    An instance travels to another process as configuration, that is, empty.

    Examples:
        >>> from rivers_core import InputContext, OutputContext
        >>> handler = InMemoryIOHandler()
        >>> handler.handle_output(OutputContext("numbers"), [1, 2, 3])
        >>> handler.load_input(InputContext("numbers", "total"))
        [1, 2, 3]
    """

    # a slot is found by plain attribute lookup; a pydantic private attribute costs ten times as much
    __slots__ = ("_values",)

    model_config = SettingsConfigDict(env_prefix="RIVERS_MEMORY_")
    locality = "process"

    if TYPE_CHECKING:
        _values: dict[Key, Any]

    def model_post_init(self, context: Any, /) -> None:
        """Start without values."""
        object.__setattr__(self, "_values", {})

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Keep a reference to the value.

        Args:
            context: Which asset and partition.
            obj: Any value that can be read more than once.

        Raises:
            RiversError: The value can be read only once.
        """
        sizer = sizers[type(obj)]
        if sizer is None:
            _refuse(context, obj)
        size = sizer(obj)
        partition = context.partition
        self._values[context.asset_name if partition is None else _partitioned(context, partition)] = obj
        facts = {"storage": _STORAGE, "size_bytes": _sizes.get(size) or _as_fact(size)}
        if context.output_metadata is None:
            context.output_metadata = facts
        else:
            context.add_output_metadata(facts)

    def load_input(self, context: InputContext) -> Any:
        """The very object that was stored.

        Args:
            context: Which asset and partition.

        Raises:
            NotMaterializedError: Nothing was stored for it in this process.
        """
        partition = context.partition
        try:
            return self._values[context.asset_name if partition is None else _partitioned(context, partition)]
        except KeyError:
            raise self._missing(context) from None

    def exists(self, context: InputContext) -> bool:
        """Whether a value is stored in this process."""
        return _key(context) in self._values

    def delete(self, context: InputContext) -> None:
        """Forget a stored value; what was never stored is no error."""
        self._values.pop(_key(context), None)

    def describe_address(self, context: OutputContext | InputContext) -> str:
        """Says that it is memory, and under which name."""
        return f"memory of this process, {_shown(_key(context))}"

    def __copy__(self) -> Self:
        return type(self)()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return type(self)()

    def _missing(self, context: InputContext) -> NotMaterializedError:
        return NotMaterializedError(
            context.asset_name,
            partition=None if context.partition is None else context.partition.key,
            handler=type(self).__name__,
            address="memory of this process",
            nearest=lambda: _nearest(_key(context), list(self._values)),
        )


def _as_fact(size: int) -> MetadataValue:
    fact = MetadataValue.int(size)
    return _sizes.setdefault(size, fact) if 0 <= size < _SMALL else fact


def _key(context: OutputContext | InputContext) -> Key:
    partition = context.partition
    return context.asset_name if partition is None else _partitioned(context, partition)


def _partitioned(context: OutputContext | InputContext, partition: PartitionContext) -> Key:
    if not partition.is_single:
        raise PartitionValidationError(
            f"InMemoryIOHandler stores and loads one partition per call; asset {context.asset_name!r} came "
            f"with {len(partition.keys)} keys. Call it once for each of `context.partition.keys`."
        )
    return context.asset_name, str(partition.key)


def _nearest(wanted: Key, stored: list[Key]) -> str | None:
    asset = wanted if isinstance(wanted, str) else wanted[0]
    # other partitions of the asset are nearer than other assets, however they are spelt
    candidates = [key for key in stored if (key if isinstance(key, str) else key[0]) == asset] or stored
    by_text = {_spelt(key): key for key in candidates}
    close = difflib.get_close_matches(
        _spelt(wanted), by_text, n=1, cutoff=0.6 if candidates is stored else 0.0
    )
    return _shown(by_text[close[0]]) if close else None


def _spelt(key: Key) -> str:
    return key if isinstance(key, str) else "\0".join(key)


def _shown(key: Key) -> str:
    return f"asset {key!r}" if isinstance(key, str) else f"partition {key[1]!r} of asset {key[0]!r}"


def _refuse(context: OutputContext, obj: object) -> NoReturn:
    partition = "" if context.partition is None else f" (partition {str(context.partition.key)!r})"
    raise RiversError(
        f"InMemoryIOHandler does not store the {type(obj).__name__} that asset {context.asset_name!r}"
        f"{partition} returned: it can be read only once, so the second reader would find it empty. Return "
        "something that can be read again, for instance `list(...)` of it."
    )

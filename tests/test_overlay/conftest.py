"""Fixtures: handlers that record their calls, and an overlay of two."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from pydantic import PrivateAttr

from rivers.partitions import PartitionsDefinition
from rivers_core.contexts import InputContext
from rivers_core.exceptions import NotMaterializedError
from rivers_core.handler import BaseIOHandler
from rivers_core.partitions import PartitionContext, PartitionKey
from rivers_overlay import OverlayIOHandler

if TYPE_CHECKING:
    from rivers_core.contexts import OutputContext

DAYS = PartitionsDefinition.daily("2024-01-01")


class Shelf(BaseIOHandler):
    """Keeps values and notes every call."""

    place: str
    _values: dict[tuple[str, str | None], Any] = PrivateAttr(default_factory=dict)
    _calls: list[str] = PrivateAttr(default_factory=list)

    @property
    def calls(self) -> list[str]:
        return self._calls

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        self._calls.append("write")
        self._values[_place(context)] = obj

    def load_input(self, context: InputContext) -> Any:
        self._calls.append("read")
        try:
            return self._values[_place(context)]
        except KeyError:
            raise NotMaterializedError(context.asset_name, handler="Shelf", address=self.place) from None

    def exists(self, context: InputContext) -> bool:
        return _place(context) in self._values

    def delete(self, context: InputContext) -> None:
        self._calls.append("delete")
        self._values.pop(_place(context), None)

    def describe_address(self, context: OutputContext | InputContext) -> str:
        return f"{self.place}/{context.storage_key}"


def flat(values: list[Any]) -> Any:
    return [item for value in values for item in value]


class Batching(Shelf):
    """Keeps one value per partition, and gives several at once as one value."""

    partition_batches: ClassVar[bool] = True

    as_one: Callable[[list[Any]], Any] = flat
    on_read: Callable[[InputContext], None] | None = None
    all_or_nothing: bool = False

    def load_input(self, context: InputContext) -> Any:
        assert context.partition is not None
        self._calls.append("read")
        if self.on_read is not None:
            self.on_read(context)
        by_key = {
            str(key): self._values.get((context.asset_name, str(key))) for key in context.partition.keys
        }
        missing = [key for key, value in by_key.items() if value is None]
        if missing and (self.all_or_nothing or len(missing) == len(by_key)):
            raise NotMaterializedError(context.asset_name, partition=", ".join(missing), handler="Batching")
        return self.as_one([value for value in by_key.values() if value is not None])


class WaitingForBatches(Batching):
    """The same, asynchronous."""

    async def load_input(self, context: InputContext) -> Any:
        return Batching.load_input(self, context)


class Waiting(Shelf):
    """The same, asynchronous."""

    async def handle_output(self, context: OutputContext, obj: Any) -> None:  # type: ignore[override]
        Shelf.handle_output(self, context, obj)

    async def load_input(self, context: InputContext) -> Any:
        return Shelf.load_input(self, context)


def _place(context: OutputContext | InputContext) -> tuple[str, str | None]:
    return context.asset_name, None if context.partition is None else str(context.partition.key)


def days(*keys: str) -> PartitionContext:
    return PartitionContext([PartitionKey.single(key) for key in keys], DAYS)


@pytest.fixture
def top() -> Shelf:
    return Shelf(place="home")


@pytest.fixture
def base() -> Shelf:
    return Shelf(place="production")


@pytest.fixture
def overlay(top: Shelf, base: Shelf) -> OverlayIOHandler:
    return OverlayIOHandler(top=top, base=base)

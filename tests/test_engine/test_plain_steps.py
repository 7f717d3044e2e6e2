"""Plain steps run without coroutines; what they store, record and raise is the same as on the general path."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest
from pydantic import PrivateAttr

import rivers as rs


class FaultyIOHandler(rs.BaseIOHandler):
    """Keeps values; reports a version, returns a future, or fails as often as it was asked to."""

    version: str | None = None
    is_late: bool = False
    failing_writes: int = 0
    failing_loads: int = 0
    served_by: str | None = None
    _values: dict[str, Any] = PrivateAttr(default_factory=dict)

    def handle_output(self, context: rs.OutputContext, obj: Any) -> Any:
        if self.failing_writes:
            self.failing_writes -= 1
            raise OSError("disk full")
        self._values[context.storage_key] = obj
        context.add_output_metadata({"size": 1})
        if self.version is not None:
            context.register_data_version(self.version)
        if not self.is_late:
            return None
        future: Future[None] = Future()
        future.set_exception(OSError("connection lost"))
        return future

    def load_input(self, context: rs.InputContext) -> Any:
        context.served_by = self.served_by
        if self.failing_loads:
            self.failing_loads -= 1
            raise OSError("connection lost")
        return self._values[context.storage_key]


async def coroutine(value: int) -> int:
    return value


def attempts() -> Any:
    """Return a function that fails once."""
    calls: list[int] = []

    def function(number: int) -> int:
        calls.append(number)
        if len(calls) == 1:
            raise ValueError("first call")
        return number

    return function


def raising(number: int) -> int:
    raise KeyError("no such number")


def interrupted(number: int) -> int:
    raise KeyboardInterrupt


def exhausted(number: int) -> int:
    return next(iter(()))


FUNCTIONS = {
    "value": lambda: lambda number: number + 1,
    "None": lambda: lambda number: None,
    "subclass": lambda: lambda number: True,
    "wrong type": lambda: lambda number: "text",
    "Output": lambda: lambda number: rs.Output(number, metadata={"rows": 3}, data_version="v7"),
    "Materialization": lambda: lambda number: rs.Materialization(metadata={"rows": 3}),
    "Observation": lambda: lambda number: rs.Observation(data_version="v8"),
    "PartitionedOutput": lambda: lambda number: rs.PartitionedOutput({"a": 1}),
    "coroutine": lambda: lambda number: coroutine(number),
    "fails once": attempts,
    "fails": lambda: raising,
    "StopIteration": lambda: exhausted,
    "interrupt": lambda: interrupted,
}
HANDLERS = {
    "plain": {},
    "version": {"version": "w1"},
    "late failure": {"is_late": True},
    "fails once": {"failing_writes": 1},
    "fails": {"failing_writes": 9},
    "load fails once": {"failing_loads": 1},
    "load fails": {"failing_loads": 9},
    "reports its place": {"served_by": "base"},
}


def outcome(function: Any, handler: dict[str, Any], repository: Any, **options: Any) -> list[Any]:
    """Run two assets and return the error, the events, and the stored value."""
    faulty = FaultyIOHandler(failing_writes=0)

    @rs.Asset(io_handler=faulty)
    def number() -> int:
        return 1

    function.__annotations__ = {"number": int, "return": int}
    consumer = rs.Asset(function, name="consumer", io_handler=faulty)
    repo = repository(number, consumer)
    repo.materialize("number")
    for name, value in handler.items():
        setattr(faulty, name, value)
    error, policy = None, rs.RetryPolicy(max_retries=1)
    try:
        repo.materialize("consumer", retry=policy, **options)
    except BaseException as raised:
        error = type(raised), type(raised.__cause__), getattr(raised.__cause__, "__notes__", None)
    events = [
        (
            event.event_type,
            event.attempt,
            event.handler,
            event.step,
            event.metadata,
            len(event.input_data_versions),
            event.data_version if event.data_version in ("v7", "v8", "w1") else None,
        )
        for event in repo.storage.get_events_for_asset("consumer")
    ]
    return [error, events, faulty._values.get("consumer")]


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_plain_step_equals_general_path(function, handler, repository):
    make, options = FUNCTIONS[function], HANDLERS[handler]
    general = outcome(make(), options, repository, timeout=1000)
    assert outcome(make(), options, repository) == general


def test_plain_steps_run_without_coroutine(repository, monkeypatch):
    @rs.Asset
    def number() -> int:
        return 1

    @rs.Asset
    def double(number: int) -> int:
        return 2 * number

    monkeypatch.setattr("rivers.execution.step.run_sync", lambda coroutine: pytest.fail("a coroutine ran"))
    repo = repository(number, double)
    assert repo.materialize().success
    assert repo.load_node("double") == 2


class ReusingIOHandler(rs.BaseIOHandler):
    """Keeps the context of a write, and adds metadata to it during a later load."""

    _context: Any = PrivateAttr(None)

    def handle_output(self, context: rs.OutputContext, obj: Any) -> None:
        self._context = context
        context.add_output_metadata({"size": 1})

    def load_input(self, context: rs.InputContext) -> int:
        self._context.output_metadata["late"] = rs.MetadataValue.int(2)
        return 1


def test_recorded_metadata_stays_as_it_was():
    @rs.Asset(io_handler=ReusingIOHandler())
    def number() -> int:
        return 1

    with rs.CodeRepository([number], config=False).resolve(rs.Storage.memory()) as repo:
        repo.materialize()
        repo.load_node("number")
        assert list(repo.storage.get_latest_materialization("number").typed_metadata) == ["size"]

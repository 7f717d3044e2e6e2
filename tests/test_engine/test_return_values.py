"""Return values: checks against the annotation, awaitables, generators and handler errors."""

from __future__ import annotations

import asyncio
import collections.abc
import decimal
import enum
import threading
import typing
from concurrent.futures import ThreadPoolExecutor

import pytest
from typing_extensions import TypeAliasType

import rivers as rs


class Shape(typing.Protocol):
    def area(self) -> float: ...


@typing.runtime_checkable
class Closable(typing.Protocol):
    def close(self) -> None: ...


class Door:
    def close(self) -> None: ...


class Row(typing.TypedDict):
    amount: int


class Point(typing.NamedTuple):
    x: int


class Colour(enum.Enum):
    RED = 1


Amount = typing.NewType("Amount", int)
Anything = typing.TypeVar("Anything")
NOTHING = object()

# annotation, a value that keeps it, a value that breaks it (NOTHING: none does)
PROMISES = [
    (int, 1, "x"),
    (int, True, 1.0),
    (bool, True, 1),
    (float, 1, "x"),
    (complex, 1.5, "x"),
    (bytes, b"x", bytearray(b"x")),
    (object, None, NOTHING),
    (None, None, 1),
    (decimal.Decimal, decimal.Decimal(1), 1),
    (Colour, Colour.RED, 1),
    (list[int], [1], (1,)),
    (dict[str, int], {}, []),
    (tuple[int, ...], (1,), [1]),
    (type[int], int, 1),
    (collections.abc.Sequence[int], [1], 1),
    (collections.abc.Mapping[str, int], {}, []),
    (typing.Callable[[int], int], len, 1),
    (typing.Optional[int], None, "x"),  # noqa: UP045
    (int | str, "x", 1.5),
    (int | list[int] | None, [1], (1,)),
    (typing.Literal["a", "b"], "a", 5),
    (typing.Literal["a", "b"], "b", "c"),
    (typing.Literal[1], 1, True),
    (typing.Literal["a"] | None, None, "b"),
    (typing.Annotated[int, "positive"], 1, "x"),
    (Amount, 1, "x"),
    (Row, {"amount": 1}, []),
    (Point, Point(1), (1,)),
    (Closable, Door(), 1),
    (Shape, 1, NOTHING),
    (Anything, 1, NOTHING),
    (typing.Any, 1, NOTHING),
    ("int", 1, "x"),
    ("Nowhere", 1, NOTHING),
    (list["Nowhere"], [1], NOTHING),  # noqa: F821
    (TypeAliasType("Rows", list[int]), [1], (1,)),
    (TypeAliasType("Rows", list[int]) | None, None, (1,)),
    (rs.Output, rs.Output(1), NOTHING),
    (rs.Output[int], rs.Output(1), rs.Output("x")),
    (rs.Output[int] | None, None, rs.Output("x")),
    (int | rs.Materialization, rs.Materialization(), "x"),
    (rs.Output | rs.Materialization, rs.Output("x"), NOTHING),
]


def promising(annotation: object, value: object) -> rs.SingleAsset:
    def function():
        return value

    function.__annotations__ = {"return": annotation}
    return rs.Asset(function, name="promised")


@pytest.mark.parametrize(
    ("annotation", "keeps", "breaks"), PROMISES, ids=lambda part: str(part).partition(" at 0x")[0][:40]
)
def test_return_annotation_is_checked_before_storing(repository, annotation, keeps, breaks):
    assert repository(promising(annotation, keeps)).materialize().success
    if breaks is NOTHING:
        return
    repo = repository(promising(annotation, breaks))
    with pytest.raises(
        rs.exceptions.ExecutionError, match="annotated to return .*nothing was stored"
    ) as raised:
        repo.materialize()
    assert isinstance(raised.value.__cause__, rs.exceptions.AssetOutputValidationError)
    assert repo.storage.get_latest_materialization("promised") is None


def test_none_is_named_in_type_error():
    with pytest.raises(rs.exceptions.ExecutionError, match="to return int or None, but returned str"):
        rs.CodeRepository([promising(int | None, "x")], config=False).materialize()


@pytest.mark.parametrize("annotation", [rs.Output[int], rs.Output[int] | rs.Materialization, int])
def test_handler_type_hint_is_the_value_type(repository, diary, annotation):
    def function():
        return rs.Output(1)

    function.__annotations__ = {"return": annotation}
    repository(rs.Asset(function, name="a", io_handler=diary)).materialize()
    assert diary.stored[0].type_hint is int


@pytest.mark.parametrize(
    "result", [rs.Output(1, output_name="other"), rs.Materialization(output_name="other")]
)
def test_result_with_other_output_name_is_rejected(repository, diary, result):
    single = rs.Asset(lambda: result, name="mine", io_handler=diary)
    with pytest.raises(rs.exceptions.ExecutionError, match="output_name='other'.* as its output 'mine'"):
        repository(single).materialize()
    several = rs.Asset.from_multi(
        lambda: {"mine": result, "other": 2},
        name="several",
        output_defs=[rs.AssetDef("mine"), rs.AssetDef("other")],
    )
    with pytest.raises(rs.exceptions.ExecutionError, match="output_name='other'.* as its output 'mine'"):
        repository(several).materialize()
    assert diary.values == {}


def test_yielded_outputs_stay_after_error(repository):
    closed = []

    def two():
        try:
            yield rs.Output(1, output_name="a")
            yield rs.Output(2, output_name="c")
        finally:
            closed.append(True)

    several = rs.Asset.from_multi(two, output_defs=[rs.AssetDef("a"), rs.AssetDef("b")])
    repo = repository(several)
    result = repo.materialize(raise_on_error=False)
    assert result.materialized_assets == ["a"]
    assert "undeclared output 'c'" in result.failed_assets[0][1]
    assert closed == [True]
    assert repo.load_node("a") == 1


def test_sync_generator_does_not_block_loop(repository):
    threads = []

    def two():
        for name in "ab":
            threads.append(threading.current_thread().name)
            yield rs.Output(asyncio.run(asyncio.sleep(0, name)), output_name=name)

    outputs = [rs.AssetDef(name, io_handler=Remote()) for name in "ab"]
    assert repository(rs.Asset.from_multi(two, output_defs=outputs)).materialize().success
    assert "rivers-loop" not in threads


class Remote(rs.BaseIOHandler):
    async def handle_output(self, context, obj): ...

    async def load_input(self, context): ...


# ------------------------------------------------------------------ handlers that leave something behind


class Late(rs.BaseIOHandler):
    """Plain methods around asynchronous ones, as a handler around another may have them."""

    def handle_output(self, context, obj):
        async def store():
            kept[context.storage_key] = obj

        return store()

    def load_input(self, context):
        async def load():
            return kept[context.storage_key]

        return load()


class Lazy(rs.BaseIOHandler):
    def handle_output(self, context, obj):
        yield obj

    def load_input(self, context):
        raise KeyError("gone")

    def describe_address(self, context):
        return "shelf 7"


kept: dict[str, object] = {}


def test_handler_result_is_awaited(repository):
    kept.clear()
    stored = rs.Asset(lambda: 1, name="stored", io_handler=Late())
    repo = repository(stored, rs.Asset(lambda stored: stored + 1, name="more"))
    repo.materialize()
    assert kept == {"stored": 1}
    assert repo.load_node("more") == 2


class InAThread(rs.BaseIOHandler):
    """Leaves the storing to a thread, and says when that is done by a future."""

    def handle_output(self, context, obj):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(kept.__setitem__ if obj else kept.__getitem__, context.storage_key, obj)

    def load_input(self, context):
        return kept[context.storage_key]


@pytest.mark.parametrize("value", [0, 1])
def test_handler_future_is_awaited(repository, value):
    kept.clear()
    repo = repository(rs.Asset(lambda: value, name="stored", io_handler=InAThread()))
    result = repo.materialize(raise_on_error=False)
    assert result.success is bool(value)
    assert [name for name, _ in result.failed_assets] == ([] if value else ["stored"])


def test_sync_wrapper_of_async_handler_loads(repository):
    kept.clear()
    repo = repository(rs.Asset(lambda: 1, name="stored", io_handler=Late()))
    repo.materialize()
    assert repo.load_node("stored") == 1


def test_materialization_annotation_is_checked(repository, diary):
    def elsewhere() -> rs.Materialization:
        return 5

    repo = repository(rs.Asset(elsewhere, io_handler=diary))
    with pytest.raises(
        rs.exceptions.ExecutionError, match="annotated to return Materialization, but returned int"
    ):
        repo.materialize()
    assert diary.values == {}


class Forgetful(type(rs.Storage.memory())):
    def record(self, event):
        if event.event_type == "Materialization":
            raise rs.exceptions.StorageError("disk full")
        super().record(event)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_unrecordable_value_is_not_retried(repository, elsewhere):
    calls = []

    @rs.Asset(retry=rs.RetryPolicy(3))
    def costly():
        calls.append(1)
        return rs.Materialization() if elsewhere else 1

    repo = repository(costly).resolve(Forgetful())
    result = repo.materialize(raise_on_error=False)
    ((_, message),) = result.failed_assets
    assert (
        message
        == "StorageError: disk full (the value of 'costly' is stored, but its event could not be recorded)"
    )
    assert result.materialized_assets == []
    assert calls == [1]


def test_generator_handler_is_rejected(repository):
    repo = repository(rs.Asset(lambda: 1, name="stored", io_handler=Lazy()))
    with pytest.raises(rs.exceptions.ExecutionError, match="handle_output of Lazy is a generator function"):
        repo.materialize()
    assert repo.storage.get_latest_materialization("stored") is None


def test_handler_error_names_asset_and_address(repository):
    external = rs.Asset.external(name="raw", io_handler=Lazy())
    repo = repository(external, rs.Asset(lambda raw: raw, name="clean"))
    with pytest.raises(rs.exceptions.ExecutionError) as raised:
        repo.materialize()
    assert str(raised.value).endswith("KeyError: 'gone' (loading asset 'raw' with 'Lazy' at shelf 7)")
    assert raised.value.__cause__.__notes__ == ["loading asset 'raw' with 'Lazy' at shelf 7"]
    (failure,) = [e for e in repo.storage.get_events_for_asset("clean") if e.event_type == "StepFailure"]
    assert failure.message.endswith("at shelf 7)")

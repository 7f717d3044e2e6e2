"""`conflict="error"`: a step replaces only the value that was stored when it began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import rivers as rs

if TYPE_CHECKING:
    from collections.abc import Callable

ConflictError = rs.exceptions.ConflictError


def pickles(root: str, **settings: Any) -> rs.BaseIOHandler:
    return rs.PickleIOHandler(root, **settings)


def tables(root: str, **settings: Any) -> rs.BaseIOHandler:
    return rs.DeltaIOHandler(root, **settings)


@pytest.fixture(params=[pickles, tables], ids=["pickle", "delta"])
def make(request: pytest.FixtureRequest, tmp_path: Any) -> Callable[..., rs.BaseIOHandler]:
    return lambda **settings: request.param(str(tmp_path / "values"), **settings)


def frame(number: int) -> pl.DataFrame:
    return pl.DataFrame({"day": ["mon"], "n": [number]})


def store(handler: rs.BaseIOHandler, number: int, **context: Any) -> None:
    handler.handle_output(rs.OutputContext("numbers", **context), frame(number))


def number_of(repo: rs.CodeRepository, **options: Any) -> int:
    return int(repo.load_node("numbers", type_hint=pl.DataFrame, **options)["n"][0])


def racing(make: Callable[..., rs.BaseIOHandler], losses: int, **options: Any) -> rs.Asset:
    """Return an asset that another writer overtakes in its first calls."""
    calls: list[int] = []

    @rs.Asset(io_handler=make(conflict="error"), **options)
    def numbers() -> pl.DataFrame:
        calls.append(1)
        if len(calls) <= losses:
            store(make(), 100 + len(calls))
        return frame(len(calls))

    return numbers


@pytest.mark.parametrize("is_stored", [False, True])
def test_value_that_another_writer_stored_meanwhile_stays(repository, make, is_stored: bool) -> None:
    if is_stored:
        store(make(), 1)
    repo = repository(racing(make, losses=1))
    with pytest.raises(ConflictError):
        repo.materialize()
    assert number_of(repo) == 101


def test_unchanged_value_is_replaced(repository, make) -> None:
    repo = repository(racing(make, losses=0))
    repo.materialize()
    repo.materialize()
    assert number_of(repo) == 2


def test_retry_policy_runs_function_again(repository, make) -> None:
    repo = repository(racing(make, losses=2, retry=rs.RetryPolicy(max_retries=2)))
    assert repo.materialize().success
    assert number_of(repo) == 3


def test_lost_races_end_with_retry_policy(repository, make) -> None:
    repo = repository(racing(make, losses=2, retry=rs.RetryPolicy(max_retries=1)))
    with pytest.raises(ConflictError):
        repo.materialize()
    assert number_of(repo) == 102


def test_partition_keys_are_guarded_apart(repository, make) -> None:
    days = rs.PartitionsDefinition.static_(["mon", "tue"])
    key = rs.PartitionContext([rs.PartitionKey.single("mon")], days)
    options = {"metadata": {"delta/partition_expr": "day"}, "partitions_def": days}
    given = {"asset_metadata": options["metadata"], "partition": key}

    @rs.Asset(io_handler=make(conflict="error"), **options)
    def numbers(context: rs.AssetExecutionContext[Any]) -> pl.DataFrame:
        if str(context.partition_key) == "mon":
            store(make(), 100, **given)
        return pl.DataFrame({"day": [str(context.partition_key)], "n": [1]})

    repo = repository(numbers)
    result = repo.materialize(partitions="all", raise_on_error=False)
    assert not result.success
    assert number_of(repo, partition_key=rs.PartitionKey.single("mon")) == 100
    assert number_of(repo, partition_key=rs.PartitionKey.single("tue")) == 1


def test_outputs_of_multi_asset_are_guarded(repository, make) -> None:
    @rs.Asset.from_multi(
        output_defs=[
            rs.AssetDef("numbers", io_handler=make(conflict="error")),
            rs.AssetDef("total", io_handler=rs.InMemoryIOHandler()),
        ]
    )
    def both() -> Any:
        store(make(), 100)
        yield rs.Output(1, output_name="total")
        yield rs.Output(frame(2), output_name="numbers")

    repo = repository(both)
    with pytest.raises(ConflictError):
        repo.materialize()
    assert number_of(repo) == 100


def test_asynchronous_step_is_guarded(repository, make) -> None:
    @rs.Asset(io_handler=make(conflict="error"))
    async def numbers() -> pl.DataFrame:
        store(make(), 100)
        return frame(1)

    repo = repository(numbers)
    with pytest.raises(ConflictError):
        repo.materialize()
    assert number_of(repo) == 100


def test_guarded_handler_refuses_partition_batches(repository, make) -> None:
    days = rs.PartitionsDefinition.static_(["mon", "tue"])

    @rs.Asset(
        io_handler=make(conflict="error"),
        partitions_def=days,
        partition_batches=True,
        metadata={"delta/partition_expr": "day"},
    )
    def numbers() -> pl.DataFrame:
        return frame(1)

    with pytest.raises(rs.exceptions.GraphValidationError, match="partition_batches"):
        repository(numbers).resolve()


def test_overlay_guards_its_top(tmp_path) -> None:
    top = rs.PickleIOHandler(str(tmp_path / "top"), conflict="error")
    base = rs.PickleIOHandler(str(tmp_path / "base"))
    assert rs.OverlayIOHandler(top=top, base=base).always_conditional
    assert not rs.OverlayIOHandler(top=base, base=top).always_conditional

"""Runs that are canceled while they run."""

from __future__ import annotations

import threading

import pytest

import rivers as rs
from rivers.exceptions import ExecutionError


def canceling(run_id="r"):
    """Return an asset that requests the cancellation of its own run, with the repository that it belongs to."""
    repos = []

    @rs.Asset
    def first(context: rs.AssetExecutionContext) -> int:
        repos[0].storage.request_cancellation(context.run_id)
        return 1

    return first, repos


@rs.Asset
def second(first: int) -> int:
    return first + 1


@rs.Asset
async def third(second: int) -> int:
    return second + 1


@pytest.fixture(params=["memory", "embedded"])
def storage(request, tmp_path):
    with rs.Storage.memory() if request.param == "memory" else rs.Storage.embedded(tmp_path) as made:
        yield made


@pytest.mark.parametrize("followers", [[second], [second, third]], ids=["in order", "on a loop"])
def test_canceled_run_starts_no_further_step(repository, storage, followers):
    first, repos = canceling()
    repo = repository(first, *followers).resolve(storage)
    repos.append(repo)
    result = repo.materialize()
    assert not result.success
    assert result.materialized_assets == ["first"]
    assert [name for name, _ in result.skipped_assets] == [asset.name for asset in followers]
    assert all("canceled" in reason for _, reason in result.skipped_assets)
    run = storage.get_run(result.run_id)
    assert run.status == "Canceled"
    assert storage.get_events_for_run(result.run_id)[-1].event_type == "RunCanceled"
    assert storage.get_running_steps() == []


def test_canceled_run_can_be_resumed(repository, storage):
    first, repos = canceling()
    repo = repository(first, second).resolve(storage)
    repos.append(repo)
    canceled = repo.materialize()
    resumed = repo.materialize(run_id_override=canceled.run_id, resume=True)
    assert resumed.success
    assert resumed.materialized_assets == ["second"]
    assert storage.get_run(canceled.run_id).status == "Success"


def test_cancellation_before_the_start_runs_nothing(repository, storage):
    @rs.Asset
    def untouched() -> int:
        raise AssertionError

    repo = repository(untouched).resolve(storage)
    storage.request_cancellation("r")
    result = repo.materialize(run_id_override="r")
    assert not result.success
    assert [name for name, _ in result.skipped_assets] == ["untouched"]


def test_cancellation_after_the_last_step_changes_nothing(repository, storage):
    first, repos = canceling()
    repo = repository(first).resolve(storage)
    repos.append(repo)
    result = repo.materialize()
    assert result.success
    assert storage.get_run(result.run_id).status == "Success"


def test_canceled_run_starts_no_further_key(repository, storage):
    keys = []

    @rs.Asset(partitions_def=rs.PartitionsDefinition.static_(["a", "b", "c"]))
    def daily(context: rs.AssetExecutionContext) -> str:
        keys.append(context.partition_key)
        if context.partition_key == "b":
            repo.storage.request_cancellation(context.run_id)
        return context.partition_key

    repo = repository(daily).resolve(storage)
    result = repo.materialize(partitions="all")
    assert keys == ["a", "b"]
    assert not result.success
    assert storage.get_materialized_partitions("daily") == ["a", "b"]
    assert storage.get_run(result.run_id).status == "Canceled"
    ((name, reason),) = result.skipped_assets
    assert name == "daily"
    assert "1 of the 3" in reason


@pytest.mark.parametrize("is_async", [False, True])
def test_cancellation_ends_a_backoff_at_once(repository, storage, is_async):
    def flaky() -> int:
        raise ConnectionError("gone")

    async def flaky_async() -> int:
        raise ConnectionError("gone")

    def cancel_in_thread(event):
        if event.event_type == "StepRetry":
            threading.Thread(target=storage.request_cancellation, args=[event.run_id]).start()

    policy = rs.RetryPolicy(max_retries=3, backoff=rs.Backoff.constant(3600))
    asset = rs.Asset(flaky_async if is_async else flaky, name="flaky", retry=policy)
    repo = repository(asset).resolve(storage)
    with storage.watching(cancel_in_thread):
        result = repo.materialize(raise_on_error=False)
    assert [name for name, _ in result.failed_assets] == ["flaky"]
    events = storage.get_events_for_run(result.run_id)
    assert [event.event_type for event in events] == [
        "RunStart",
        "StepStart",
        "StepRetry",
        "StepFailure",
        "RunCanceled",
    ]


def test_canceled_run_raises_the_error_of_a_failed_step(repository, storage):
    @rs.Asset(retry=rs.RetryPolicy(max_retries=3))
    def flaky(context: rs.AssetExecutionContext) -> int:
        storage.request_cancellation(context.run_id)
        raise ConnectionError("gone")

    repo = repository(flaky).resolve(storage)
    with pytest.raises(ExecutionError, match="gone"):
        repo.materialize(run_id_override="r")
    assert storage.get_run("r").status == "Canceled"
    assert not [e for e in storage.get_events_for_run("r") if e.event_type == "StepRetry"]


def test_canceled_run_ends_a_mapped_step(repository, storage):
    seen = []

    @rs.Task
    def numbers() -> list[int]:
        return [1, 2, 3]

    @rs.Task
    def noted(number: int) -> int:
        seen.append(number)
        repo.storage.request_cancellation("r")
        return number

    @rs.Task
    def total(numbers: list[int]) -> int:
        raise AssertionError

    @rs.Asset.from_graph
    def graph():
        return total(numbers().map(noted).collect())

    repo = repository(graph).resolve(storage)
    result = repo.materialize(run_id_override="r")
    assert not result.success
    assert seen == [1]
    assert storage.get_run("r").status == "Canceled"


def test_running_steps_are_listed_while_they_run(repository):
    listed = []

    @rs.Asset
    def orders(context: rs.AssetExecutionContext) -> int:
        listed.extend(repo.storage.get_running_steps(context.run_id))
        return 1

    repo = repository(orders)
    repo.materialize()
    ((step,),) = [listed]
    assert (step.step, step.asset_key, step.attempt) == ("orders", "orders", 1)
    assert repo.storage.get_running_steps() == []

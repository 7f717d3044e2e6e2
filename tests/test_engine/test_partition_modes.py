"""`partitions=`: all, missing, stale or latest keys; consumers whose inputs are incomplete."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

import rivers as rs
from rivers.exceptions import ExecutionError, NotMaterializedError, PartitionValidationError

KEYS = rs.PartitionsDefinition.static_(["a", "b", "c"])
MODES = ["all", "missing", "stale", "latest"]


@pytest.fixture
def handler():
    return rs.InMemoryIOHandler()


def letters(handler, calls, code_version=None, definition=KEYS):
    @rs.Asset(io_handler=handler, partitions_def=definition, code_version=code_version)
    def letter(context: rs.AssetExecutionContext) -> str:
        calls.append(context.partition_key)
        return context.partition_key

    return letter


def word(handler):
    @rs.Asset(io_handler=handler)
    def word(letter: dict[str, str]) -> str:
        return "".join(letter.values())

    return word


def test_all_runs_every_key(repository, handler):
    calls = []
    result = repository(letters(handler, calls), word(handler)).materialize(partitions="all")
    assert calls == ["a", "b", "c"]
    assert result.materialized_assets == ["letter", "word"]


def test_missing_runs_the_keys_that_are_not_stored(repository, handler):
    calls = []
    repo = repository(letters(handler, calls), word(handler))
    repo.materialize("letter", "b")
    result = repo.materialize(partitions="missing")
    assert calls == ["b", "a", "c"]
    assert repo.load_node("word") == "abc"
    assert [name for name, _ in result.skipped_assets] == ["letter"]
    assert not repo.materialize(partitions="missing").materialized_assets


def test_skipped_keys_are_not_recorded_under_the_key_that_is_left(repository, handler):
    repo = repository(letters(handler, []))
    repo.materialize(partition_key=["a", "b"])
    run = repo.materialize(partitions="missing").run_id
    (skipped,) = [
        event for event in repo.storage.get_events_for_run(run) if event.event_type == "StepSkipped"
    ]
    assert (skipped.asset_key, skipped.partition_key) == ("letter", None)


def test_missing_leaves_stale_values(repository, handler):
    calls, storage = [], rs.Storage.memory()
    repository(letters(handler, calls, "1")).resolve(storage).materialize(partition_key=["a", "b"])
    changed = repository(letters(handler, calls, "2")).resolve(storage)
    changed.materialize(partitions="missing")
    assert calls == ["a", "b", "c"]
    changed.materialize(partitions="stale")
    assert calls == ["a", "b", "c", "a", "b"]


@pytest.mark.parametrize("arguments", [{"partitions": "stale"}, {"only_stale": True}])
def test_stale_runs_missing_and_stale_keys(repository, handler, arguments):
    calls, storage = [], rs.Storage.memory()
    repository(letters(handler, calls, "1")).resolve(storage).materialize(partition_key="a")
    repo = repository(letters(handler, calls, "2")).resolve(storage)
    repo.materialize(partition_key="b")
    repo.materialize(**arguments)
    assert calls == ["a", "b", "a", "c"]


def test_latest_runs_the_last_complete_window(repository, handler):
    calls = []
    today = datetime.now().date()
    days = rs.PartitionsDefinition.daily(f"{today - timedelta(days=3)}", end=f"{today + timedelta(days=3)}")
    repository(letters(handler, calls, definition=days)).materialize(partitions="latest")
    assert calls == [str(today - timedelta(days=1))]


def test_latest_runs_all_other_dimensions(repository, handler):
    calls = []
    definition = rs.PartitionsDefinition.multi(
        {"day": rs.PartitionsDefinition.daily("2024-01-01", end="2024-01-03"), "letter": KEYS}
    )
    repository(letters(handler, calls, definition=definition)).materialize(partitions="latest")
    assert calls == [f"day=2024-01-02|letter={letter}" for letter in "abc"]


def test_latest_is_refused_without_windows(repository, handler):
    with pytest.raises(PartitionValidationError, match="letter"):
        repository(letters(handler, [])).materialize(partitions="latest")
    with pytest.raises(PartitionValidationError):
        repository(rs.Asset(lambda: 1, name="one")).materialize(partitions="latest")


@pytest.mark.parametrize("mode", MODES)
def test_mode_and_key_exclude_each_other(repository, handler, mode):
    with pytest.raises(PartitionValidationError, match=mode):
        repository(letters(handler, [])).materialize(partitions=mode, partition_key="a")


def test_unknown_mode_is_refused_with_the_nearest_one(repository, handler):
    with pytest.raises(PartitionValidationError, match="'missing'"):
        repository(letters(handler, [])).materialize(partitions="mising")


def test_definition_without_keys_is_skipped(repository, handler):
    letter = letters(handler, [], definition=rs.PartitionsDefinition.dynamic("letters"))
    result = repository(letter).materialize(partitions="all")
    assert result.success
    assert [name for name, _ in result.skipped_assets] == ["letter"]


def test_job_takes_a_mode(repository, handler):
    calls = []
    letter = letters(handler, calls)
    repo = repository(letter, jobs=[rs.Job("nightly", [letter])])
    repo.get_job("nightly").execute(partitions="missing")
    assert calls == ["a", "b", "c"]


def test_unselected_consumer_waits_for_complete_inputs(repository, handler):
    repo = repository(letters(handler, []), word(handler))
    result = repo.materialize(partition_key="a")
    assert result.success
    assert result.materialized_assets == ["letter"]
    ((name, reason),) = result.skipped_assets
    assert name == "word"
    assert "2 of the 3" in reason
    assert "b, c" in reason
    assert repo.materialize(partition_key=["b", "c"]).materialized_assets == ["letter", "word"]


def test_named_consumer_fails_while_its_inputs_are_incomplete(repository, handler):
    repo = repository(letters(handler, []), word(handler))
    with pytest.raises(ExecutionError) as caught:
        repo.materialize(["letter", "word"], partition_key="a")
    assert isinstance(caught.value.__cause__, NotMaterializedError)


def test_partitioned_consumer_leaves_out_incomplete_keys(repository, handler):
    days = rs.PartitionsDefinition.daily("2024-01-01", end="2024-01-03")
    hours = rs.PartitionsDefinition.hourly("2024-01-01", end="2024-01-03")
    keys = [str(key) for key in hours.get_partition_keys()]

    @rs.Asset(io_handler=handler, partitions_def=days)
    def day(letter: dict[str, str]) -> int:
        return len(letter)

    repo = repository(letters(handler, [], definition=hours), day)
    repo.materialize("letter", keys[:30])
    result = repo.materialize(partitions="missing")
    assert result.success
    repo = repository(letters(rs.InMemoryIOHandler(), [], definition=hours), day)
    repo.materialize("letter", keys[:24])
    assert repo.materialize("day", "2024-01-01").success

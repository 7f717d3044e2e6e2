"""Concurrent runs of an asset that continues its own stored value."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading

import pyarrow as pa
import pytest
from pydantic import PrivateAttr

import rivers as rs
from rivers.exceptions import ConflictError, ExecutionError, NotMaterializedError
from rivers.graph import resolve

# FULL=1 is the full proof: 1,000 of 1,000 updates
FULL = bool(os.environ.get("FULL"))
PROCESSES = 4 if FULL else 2

COUNTER = """
import sys
import rivers as rs

folder, runs = sys.argv[1], int(sys.argv[2])

if sys.argv[3] == "pickle":
    @rs.Asset(io_handler=rs.PickleIOHandler(folder + "/values"))
    def count(self: rs.SelfDependency[int]) -> int:
        return (self.get_inner() or 0) + 1
else:
    import pyarrow as pa

    @rs.Asset(io_handler=rs.DeltaIOHandler(folder + "/values"))
    def count(self: rs.SelfDependency[pa.Table]) -> pa.Table:
        table = self.get_inner()
        return pa.table({"n": [1 if table is None else table["n"][0].as_py() + 1]})

with rs.CodeRepository([count], config=False).resolve(rs.Storage.embedded(folder + "/events")) as repo:
    for _ in range(runs):
        while True:
            try:
                repo.materialize()
                break
            except rs.exceptions.ExecutionError as error:
                if not isinstance(error.__cause__, rs.exceptions.ConflictError):
                    raise
"""


class RacedIOHandler(rs.BaseIOHandler):
    """Keeps one value; before each of the first writes another writer replaces it."""

    conditional_writes = True
    locality = "process"
    races: int = 1
    _values: list = PrivateAttr(default_factory=list)
    _conditions: list = PrivateAttr(default_factory=list)

    @property
    def values(self):
        return self._values

    @property
    def conditions(self):
        return self._conditions

    def handle_output(self, context, obj):
        self._conditions.append(context.expected_version)
        if len(self._conditions) <= self.races:
            self._values.append(100 * len(self._conditions))
        version = str(len(self._values)) if self._values else ""
        if context.expected_version not in (None, version):
            raise ConflictError(f"version {version} is stored")
        self._values.append(obj)
        context.offer_content_version(str(len(self._values)))

    def load_input(self, context):
        if not self._values:
            raise NotMaterializedError(context.asset_name)
        context.register_loaded_version(str(len(self._values)))
        return self._values[-1]


def counter(handler, **options):
    @rs.Asset(io_handler=handler, **options)
    def count(self: rs.SelfDependency[int]) -> int:
        return (self.get_inner() or 0) + 1

    return count


@pytest.mark.timeout(3600 if FULL else 600)
@pytest.mark.parametrize(("kind", "runs"), [("pickle", 250 if FULL else 25), ("delta", 250 if FULL else 5)])
def test_processes_lose_no_update(tmp_path, kind, runs):
    command = [sys.executable, "-c", COUNTER, str(tmp_path), str(runs), kind]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * PROCESSES, errors
    context = rs.InputContext("count", "test")
    if kind == "pickle":
        assert rs.PickleIOHandler(tmp_path / "values").load_input(context) == PROCESSES * runs
    else:
        table = rs.DeltaIOHandler(str(tmp_path / "values")).load_input(context)
        assert pa.table(table)["n"].to_pylist() == [PROCESSES * runs]


def test_threads_lose_no_update_in_memory(repository):
    handler = rs.InMemoryIOHandler()
    repos = [repository(counter(handler)) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda repo=repo: [repo.materialize() for _ in range(20)]) for repo in repos
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert handler.load_input(rs.InputContext("count", "test")) == 80


def test_step_runs_again_with_the_value_that_won(repository):
    handler = RacedIOHandler(races=2)
    repo = repository(counter(handler))
    result = repo.materialize()
    assert result.success
    assert handler.values[-1] == 201
    assert handler.conditions == ["", "1", "2"]
    events = [event.event_type for event in repo.storage.get_events_for_run(result.run_id)]
    retried = ["StepStart", "StepRetry"]
    stored = ["StepStart", "Materialization", "StepSuccess"]
    assert events == ["RunStart", *retried, *retried, *stored, "RunSuccess"]


def test_step_gives_up_after_ten_lost_races(repository):
    handler = RacedIOHandler(races=1000)
    repo = repository(counter(handler))
    with pytest.raises(ExecutionError) as caught:
        repo.materialize()
    assert isinstance(caught.value.__cause__, ConflictError)
    assert len(handler.conditions) == 10
    assert not any(value == 1 for value in handler.values)


def test_lost_races_use_no_attempt_of_the_retry_policy(repository):
    handler = RacedIOHandler(races=3)
    calls = []

    @rs.Asset(io_handler=handler, retry=rs.RetryPolicy(max_retries=1))
    def count(self: rs.SelfDependency[int]) -> int:
        calls.append(self.get_inner())
        if len(calls) == 4:
            raise OSError("flaky")
        return (self.get_inner() or 0) + 1

    assert repository(count).materialize().success
    assert calls == [None, 100, 200, 300, 300]


def test_asset_without_its_own_value_is_stored_unconditionally(repository):
    handler = RacedIOHandler(races=0)

    @rs.Asset(io_handler=handler)
    def plain() -> int:
        return 1

    repository(plain).materialize()
    assert handler.conditions == [None]


def test_value_of_another_key_is_no_condition(repository, tmp_path):
    days = rs.PartitionsDefinition.daily("2024-01-01", end="2024-01-03")

    @rs.Asset(
        io_handler=rs.PickleIOHandler(tmp_path),
        partitions_def=days,
        deps=[rs.AssetDef.input("total", partition_mapping=rs.PartitionMapping.time_window(-1))],
    )
    def total(context: rs.AssetExecutionContext, self: rs.SelfDependency[int]) -> int:
        return (self.get_inner() or 0) + 1

    repo = repository(total)
    for _ in range(2):
        repo.materialize(partition_key=["2024-01-01", "2024-01-02"])
    assert repo.load_node("total", partition_key="2024-01-02") == 2


def test_resolve_warns_once_without_conditional_writes(repository, diary, caplog, monkeypatch):
    monkeypatch.setattr(resolve, "_warned", set())
    with caplog.at_level(logging.WARNING, "rivers.graph"):
        repository(counter(diary)).resolve()
        repository(counter(diary)).resolve()
        repository(counter(rs.InMemoryIOHandler())).resolve()
    assert len(caplog.records) == 1
    assert "'count'" in caplog.text
    assert "DiaryIOHandler" in caplog.text

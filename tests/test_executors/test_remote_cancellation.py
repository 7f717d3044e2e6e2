"""Runs that another process cancels while their steps run elsewhere, and where the steps ran."""

from __future__ import annotations

import os
import threading
import time

import pytest

import rivers as rs
from rivers.execution.run import Run
from tests.executors import WORKERS

STEPS = 12


@pytest.fixture
def noticed(monkeypatch):
    """Event that is set after a run noticed that its cancellation was requested."""
    event, cancel = threading.Event(), Run.cancel

    def cancel_and_note(run):
        cancel(run)
        event.set()

    monkeypatch.setattr(Run, "cancel", cancel_and_note)
    return event


@pytest.mark.parametrize("name", ["parallel", "dask"])
def test_canceled_run_finishes_running_steps_and_starts_none(tmp_path, name, noticed, request):
    executor, gate = request.getfixturevalue(name), tmp_path / "gate"
    store = rs.PickleIOHandler(f"file:{tmp_path}/values")

    def asset(number):
        def function() -> int:
            (tmp_path / f"started-{number}.{os.getpid()}").touch()
            while not gate.exists():
                time.sleep(0.01)
            return number

        return rs.Asset(function, name=f"a{number}", io_handler=store)

    def cancel():
        try:
            while len(list(tmp_path.glob("started-*"))) < WORKERS:
                time.sleep(0.01)
            with rs.Storage.embedded(tmp_path / "log") as other:
                # as another process does: the request is only in the file
                other._write(
                    lambda connection: connection.execute("INSERT INTO cancellations VALUES ('run', 1)")
                )
            noticed.wait()
        finally:
            gate.touch()

    thread = threading.Thread(target=cancel, daemon=True)
    assets = [asset(number) for number in range(STEPS)]
    with rs.CodeRepository(assets, config=False) as repo, rs.Storage.embedded(tmp_path / "log") as storage:
        repo.resolve(storage)
        thread.start()
        result = repo.materialize(executor=executor, run_id_override="run")
        thread.join()
        assert storage.get_run("run").status == "Canceled"
        logs = storage.get_run_logs("run")
    started = [path.name.removeprefix("started-").split(".") for path in tmp_path.glob("started-*")]
    assert len(started) == WORKERS
    assert sorted(result.materialized_assets) == sorted(f"a{number}" for number, _ in started)
    assert len(result.skipped_assets) == STEPS - WORKERS
    places = [log.message for log in logs]
    assert len(places) == WORKERS
    assert all(any(f"process {worker}" in place for _, worker in started) for place in places)

"""Runs that another process cancels while their steps run elsewhere, and where the steps ran."""

from __future__ import annotations

import os

import pytest

import rivers as rs
from tests.test_executors.programs import Program

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

STEPS = 30
EXECUTORS = {"parallel": "rs.Executor.parallel(2)", "dask": "rs.Executor.dask(n_workers=2)"}


@pytest.mark.parametrize("name", EXECUTORS)
def test_canceled_run_finishes_running_steps_and_starts_none(tmp_path, name):
    pytest.importorskip("distributed")
    # the coordinator notices the request while many steps are still to come
    body = "time.sleep(0.5)"
    program = Program(tmp_path, EXECUTORS[name], body=body, count=STEPS)
    program.start()
    program.wait_for("started-*", 2)
    with rs.Storage.embedded(tmp_path / "log") as storage:
        assert storage.request_cancellation("run")
        program.process.wait(60)
        events, run = program.events
        logs = storage.get_run_logs("run")
    started = {path.name.split(".")[0].removeprefix("started-") for path in tmp_path.glob("started-*")}
    stored = {event.asset_key for event in events if event.event_type == "Materialization"}
    assert run.status == "Canceled"
    assert stored == {f"a{number}" for number in started}
    assert len(stored) < STEPS
    workers = {path.name.split(".")[1] for path in tmp_path.glob("started-*")}
    places = [log.message for log in logs]
    assert len(places) == len(stored)
    assert all(any(f"process {worker}" in place for worker in workers) for place in places)
    program.assert_no_process_is_left()

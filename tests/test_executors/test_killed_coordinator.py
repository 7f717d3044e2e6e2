"""Coordinators that are killed at random moments: 200 of each kind in `make torture FULL=1`, a tenth without `FULL`."""

from __future__ import annotations

import os
import random
import time

import pytest

import rivers as rs
from tests.test_executors.programs import PATIENCE_S, Program

pytestmark = [pytest.mark.skipif(os.name != "posix", reason="signals of POSIX"), pytest.mark.timeout(900)]

EXECUTORS = {
    "in process": "rs.Executor.in_process()",
    "parallel": "rs.Executor.parallel(2)",
    "dask": "rs.Executor.dask(n_workers=2)",
}
KINDS = [("in process", "SQLite"), ("parallel", "SQLite"), ("dask", "SQLite")]
KINDS += [("in process", "PostgreSQL"), ("parallel", "PostgreSQL")]
SEEDS = {"tenth": 20, "full": 200}.get(os.environ.get("TORTURE", ""), 1)
# the run does not end before the coordinator is killed, however busy the machine is
BODY = "while len(list(folder.glob('called-*'))) > LIMIT and not (folder / 'go').exists(): time.sleep(0.02)"
NAMES = [f"a{number}" for number in range(12)]


def materializations(program):
    events, run = program.events
    stored = [event for event in events if event.event_type == "Materialization"]
    return {event.asset_key: event.data_version for event in stored}, len(stored), run


@pytest.fixture
def url(request, log):
    """URL of the event log; None for SQLite in the folder of the test."""
    return request.getfixturevalue("postgres_url") if log == "PostgreSQL" else None


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize(("name", "log"), KINDS)
def test_killed_coordinator_is_resumed(tmp_path, monkeypatch, name, url, seed):
    if name == "dask":
        pytest.importorskip("distributed")
    if url is not None:
        monkeypatch.setattr("rivers_postgres.owners.GRACE_SECONDS", 0)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    moment = random.Random(seed)
    calls = moment.randrange(10)
    with Program(tmp_path, EXECUTORS[name], body=BODY.replace("LIMIT", str(calls)), url=url) as program:
        program.start()
        program.wait_for("log" if url is None else "started-*")
        program.wait_for("called-*", calls)
        time.sleep(moment.uniform(0, 0.03))
        program.process.kill()
        program.process.wait()
        program.assert_no_process_is_left()

        stored, _, run = materializations(program)
        end = time.monotonic() + PATIENCE_S
        while run is not None and run.status == "Started" and url is not None:
            assert time.monotonic() < end
            time.sleep(0.05)  # the server notices the end of the session
            stored, _, run = materializations(program)
        assert run is None or run.status == "Interrupted"
        (tmp_path / "go").touch()
        for asset, version in stored.items():
            context = rs.InputContext(asset, "test")
            rs.PickleIOHandler(f"file:{tmp_path}/values").load_input(context)
            assert context.loaded_version == version

        # the next cluster of Dask removes what the last one left in the folder for temporary files
        arguments = [] if run is None else ["--resume"]
        assert program.start(*arguments).wait(PATIENCE_S) == 0, program.errors
    versions, count, run = materializations(program)
    assert run.status == "Success"
    assert (sorted(versions), count) == (sorted(NAMES), len(NAMES))
    assert {asset: versions[asset] for asset in stored} == stored
    assert {path.name for path in (tmp_path / "values").iterdir()} == {f"{asset}.pkl" for asset in NAMES}
    left = {path.name for path in (tmp_path / "temporary").rglob("*") if path.is_file()}
    assert left <= {"global.lock", "purge.lock"}  # empty files of Dask, one of each for a machine

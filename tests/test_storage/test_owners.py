"""Several processes with one event log, and processes that are killed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from rivers.storage import Storage


def python(folder, code, *arguments):
    """Start a program with the names `folder`, `Event` and `Storage`, which reports when it is ready."""
    head = """
    import sys
    from rivers.storage import Event, Storage
    folder = sys.argv[1]
    def ready():
        print("ready", flush=True)
        sys.stdin.readline()
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code), str(folder), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


RUNNING = """
storage = Storage.embedded(folder)
storage.start_run("r1", steps=["orders"], tags=[("k", "v")])
storage.record(Event("Materialization", run_id="r1", asset_key="orders", data_version="1"))
storage.flush()
ready()
storage.record(Event("Materialization", run_id="r1", asset_key="orders", data_version="2"))
storage.finish_run("r1", "success")
storage.close()
"""


def finish(process):
    process.stdin.write("\n")
    process.stdin.flush()
    process.communicate()
    assert process.returncode == 0


def kill(process):
    process.kill()
    process.communicate()


def owner_files(folder):
    return list(folder.glob("owners/*.owner"))


@pytest.fixture
def running(tmp_path):
    """A process in the middle of run r1, with one materialization on disk."""
    process = python(tmp_path, RUNNING)
    assert process.stdout.readline() == "ready\n"
    yield process
    if process.poll() is None:
        kill(process)


def test_open_interrupts_killed_run(running, tmp_path):
    kill(running)
    with Storage.embedded(tmp_path) as storage:
        run = storage.get_run("r1")
        assert run.status == "Interrupted"
        assert run.end_time > run.start_time
        assert "ended without finishing it" in run.message
        assert (run.node_names, run.tags) == (["orders"], [("k", "v")])
        events = storage.get_events_for_run("r1")
        assert [event.event_type for event in events] == ["RunStart", "Materialization", "RunInterrupted"]
        assert events[-1].timestamp == run.end_time
        assert storage.get_latest_materialization("orders").data_version == "1"
    assert owner_files(tmp_path) == []


def test_open_interrupts_killed_run_once(running, tmp_path):
    kill(running)
    for _ in range(2):
        with Storage.embedded(tmp_path) as one, Storage.embedded(tmp_path) as two:
            assert one.get_run("r1") == two.get_run("r1")
            assert len(one.get_events_for_run("r1")) == 3


def test_open_leaves_live_run_running(running, tmp_path):
    with Storage.embedded(tmp_path) as storage:
        assert storage.get_run("r1").status == "Started"
        assert len(owner_files(tmp_path)) == 1
        finish(running)
        assert storage.get_run("r1").status == "Success"
        assert storage.get_latest_materialization("orders").data_version == "2"
    assert owner_files(tmp_path) == []


def test_start_run_after_kill_in_open_storage(running, tmp_path):
    with Storage.embedded(tmp_path) as storage:
        assert storage.get_run("r1").status == "Started"
        kill(running)
        storage.start_run("r1")
        types = [event.event_type for event in storage.get_events_for_run("r1")]
        assert types == ["RunStart", "Materialization", "RunInterrupted", "RunStart"]
        assert storage.get_run("r1").status == "Started"


def test_close_leaves_running_run_interrupted(tmp_path):
    with Storage.embedded(tmp_path) as storage:
        storage.start_run("r1")
    with Storage.embedded(tmp_path) as storage:
        assert storage.get_run("r1").status == "Interrupted"


def test_open_leaves_runs_of_same_process_running(tmp_path):
    with Storage.embedded(tmp_path) as one:
        one.start_run("r1")
        with Storage.embedded(tmp_path) as two:
            two.start_run("r2")
            assert {run.run_id for run in two.get_runs(status="running")} == {"r1", "r2"}
        assert one.get_run("r1").status == "Started"


def test_open_removes_stale_lock_files(tmp_path):
    (tmp_path / "owners").mkdir()
    (tmp_path / "owners" / "0123.owner").touch()
    with Storage.embedded(tmp_path):
        assert owner_files(tmp_path) == []


def test_pending_events_are_written_at_exit(tmp_path):
    code = """
    storage = Storage.embedded(folder)
    for n in range(10):
        storage.record(Event("Materialization", run_id="r", asset_key="orders", data_version=str(n)))
    """
    process = python(tmp_path, code)
    process.communicate()
    assert process.returncode == 0
    with Storage.embedded(tmp_path) as storage:
        assert len(storage.get_events_for_run("r")) == 10


def test_concurrent_processes_lose_no_event(tmp_path):
    code = """
    ready()
    with Storage.embedded(folder) as storage:
        run = sys.argv[2]
        storage.start_run(run)
        for n in range(500):
            key = f"{run}-{n}"
            storage.record(Event("Materialization", run_id=run, asset_key="orders", partition_key=key))
        storage.finish_run(run, "success")
    """
    processes = [python(tmp_path, code, f"r{n}") for n in range(3)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    with Storage.embedded(tmp_path) as storage:
        assert {run.status for run in storage.get_runs()} == {"Success"}
        assert storage.get_asset_record("orders").partition_count == 1500
        assert [len(storage.get_events_for_run(f"r{n}")) for n in range(3)] == [502] * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_fork_keeps_events_and_run_of_parent(tmp_path):
    code = """
    import os
    storage = Storage.embedded(folder)
    storage.start_run("r1")
    storage.record(Event("Materialization", run_id="r1", asset_key="parent"))
    if (child := os.fork()) == 0:
        storage.record(Event("Materialization", run_id="r1", asset_key="child"))
        storage.close()
        del storage
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with Storage.embedded(folder) as other:
        assert other.get_run("r1").status == "Started"
    storage.finish_run("r1", "success")
    assert len(storage.get_events_for_run("r1")) == 4
    assert len(storage.get_asset_records()) == 2
    """
    process = python(tmp_path, code)
    process.communicate()
    assert process.returncode == 0


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no users of this kind")
def test_open_reports_unwritable_directory(tmp_path):
    code = """
    import os
    import rivers.storage.sqlite.storage
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        Storage.embedded(folder + "/history").open()
    except Exception as error:
        print(type(error).__name__, error)
    """
    tmp_path.chmod(0o500)
    process = python(tmp_path, code)
    output, _ = process.communicate()
    tmp_path.chmod(0o700)
    assert output.startswith(
        f"StorageError {tmp_path / 'history'}: the directory cannot be created or written"
    )
    assert "Check its permissions, or choose another directory" in output

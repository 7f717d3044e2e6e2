"""Several processes at one history, and processes that die."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from rivers.storage import Storage


def python(folder, code, *arguments):
    """Start a program that has `folder`, `Event` and `Storage` at hand and says when it is ready."""
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


def test_a_killed_run_is_closed_as_interrupted_by_the_next_open(running, tmp_path):
    kill(running)
    with Storage.embedded(tmp_path) as storage:
        run = storage.get_run("r1")
        assert run.status == "interrupted"
        assert run.end_time > run.start_time
        assert "ended without finishing it" in run.message
        assert (run.steps, run.tags) == (("orders",), (("k", "v"),))
        events = storage.get_events_for_run("r1")
        assert [event.event_type for event in events] == ["RunStart", "Materialization", "RunInterrupted"]
        assert events[-1].timestamp == run.end_time
        assert storage.get_latest_materialization("orders").data_version == "1"
    assert owner_files(tmp_path) == []


def test_a_killed_run_is_closed_once(running, tmp_path):
    kill(running)
    for _ in range(2):
        with Storage.embedded(tmp_path) as one, Storage.embedded(tmp_path) as two:
            assert one.get_run("r1") == two.get_run("r1")
            assert len(one.get_events_for_run("r1")) == 3


def test_a_run_that_is_alive_elsewhere_stays_running(running, tmp_path):
    with Storage.embedded(tmp_path) as storage:
        assert storage.get_run("r1").status == "running"
        assert len(owner_files(tmp_path)) == 1
        finish(running)
        assert storage.get_run("r1").status == "success"
        assert storage.get_latest_materialization("orders").data_version == "2"
    assert owner_files(tmp_path) == []


def test_a_storage_that_was_open_before_the_kill_can_start_the_run_again(running, tmp_path):
    with Storage.embedded(tmp_path) as storage:
        assert storage.get_run("r1").status == "running"
        kill(running)
        storage.start_run("r1")
        types = [event.event_type for event in storage.get_events_for_run("r1")]
        assert types == ["RunStart", "Materialization", "RunInterrupted", "RunStart"]
        assert storage.get_run("r1").status == "running"


def test_a_run_that_closing_left_open_is_interrupted(tmp_path):
    with Storage.embedded(tmp_path) as storage:
        storage.start_run("r1")
    with Storage.embedded(tmp_path) as storage:
        assert storage.get_run("r1").status == "interrupted"


def test_runs_of_other_storages_in_this_process_stay_running(tmp_path):
    with Storage.embedded(tmp_path) as one:
        one.start_run("r1")
        with Storage.embedded(tmp_path) as two:
            two.start_run("r2")
            assert {run.run_id for run in two.get_runs(status="running")} == {"r1", "r2"}
        assert one.get_run("r1").status == "running"


def test_lock_files_that_crashes_left_are_removed(tmp_path):
    (tmp_path / "owners").mkdir()
    (tmp_path / "owners" / "0123.owner").touch()
    with Storage.embedded(tmp_path):
        assert owner_files(tmp_path) == []


def test_what_was_recorded_is_written_when_a_program_ends_without_closing(tmp_path):
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


def test_processes_that_open_and_write_at_once_lose_nothing(tmp_path):
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
        assert {run.status for run in storage.get_runs()} == {"success"}
        assert storage.get_asset_record("orders").partition_count == 1500
        assert [len(storage.get_events_for_run(f"r{n}")) for n in range(3)] == [502] * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_neither_writes_what_its_parent_recorded_nor_ends_its_run(tmp_path):
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
        assert other.get_run("r1").status == "running"
    storage.finish_run("r1", "success")
    assert len(storage.get_events_for_run("r1")) == 4
    assert len(storage.get_asset_records()) == 2
    """
    process = python(tmp_path, code)
    process.communicate()
    assert process.returncode == 0


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no users of this kind")
def test_an_unwritable_directory_is_refused_with_its_path_and_what_to_do(tmp_path):
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
    said, _ = process.communicate()
    tmp_path.chmod(0o700)
    assert said.startswith(f"StorageError {tmp_path / 'history'}: the directory cannot be made or written")
    assert "Check its permissions, or choose another directory" in said

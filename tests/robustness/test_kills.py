"""Runs that are killed: after recovery the event log and the stored values agree."""

from __future__ import annotations

import pytest

import rivers as rs
from rivers_testkit.faults import FaultNotSupportedError, KillBeforeSystemCall
from rivers_testkit.processes import ProcessDiedError, ProcessServer

POINTS = 12


def repository(folder):
    store = rs.PickleIOHandler(f"{folder}/values")

    @rs.Asset(io_handler=store)
    def numbers() -> list:
        return list(range(10_000))

    @rs.Asset(io_handler=store)
    def total(numbers: list) -> int:
        return sum(numbers)

    repo = rs.CodeRepository([numbers, total], config=False)
    repo.resolve(rs.Storage.embedded(f"{folder}/log"))
    return repo


def run(folder, run_id, resume=False):
    with repository(folder) as repo:
        repo.materialize(run_id_override=run_id, resume=resume)
        repo.storage.close()


def counted_calls(server, folder):
    """Return the number of system calls of a run that change files."""
    try:
        call = server.start(run, folder, "counted", fault=KillBeforeSystemCall(1_000_000))
    except FaultNotSupportedError as error:
        pytest.skip(str(error))
    call.result()
    return call.supervisor.calls


def test_killed_run_is_closed_and_resumed(tmp_path):
    with ProcessServer(timeout_s=600) as server:
        calls = counted_calls(server, tmp_path / "counted")
        positions = sorted({1 + position * (calls - 1) // (POINTS - 1) for position in range(POINTS)})
        for position in positions:
            folder = tmp_path / str(position)
            with pytest.raises(ProcessDiedError):
                server.call(run, folder, "killed", fault=KillBeforeSystemCall(position))
            with rs.Storage.embedded(folder / "log") as storage:
                assert storage.get_runs(status="Started") == []
                is_recorded = storage.get_run("killed") is not None
            server.call(run, folder, "killed", is_recorded)
            check_recovered(folder)


def check_recovered(folder):
    with rs.Storage.embedded(folder / "log") as storage:
        assert [record.status for record in storage.get_runs()] == ["Success"]
        versions = {
            name: storage.get_latest_materialization(name).data_version for name in ("numbers", "total")
        }
    repo = repository(folder)
    values = {"numbers": list(range(10_000)), "total": sum(range(10_000))}
    for name, value in values.items():
        handler = repo.io_handler_for_output(name)
        context = rs.InputContext(name, "next")
        assert handler.load_input(context) == value
        assert handler.stored_version(context) == versions[name]
    repo.shutdown()
    files = {path.name for path in (folder / "values").rglob("*") if path.is_file()}
    assert files == {"numbers.pkl", "total.pkl"}

"""Every system call of a write fails, pauses or is the last: the old or the new value is stored, and errors say why."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import rivers as rs
from rivers_testkit.faults import FailedSystemCall, FaultNotSupportedError, KillBeforeSystemCall
from rivers_testkit.processes import ProcessDiedError, ProcessServer

if TYPE_CHECKING:
    from pathlib import Path

LARGE = b"x" * 12_000_000
"""More than one part of an upload in parts."""
CAUSES = {
    errno.EIO: ("Input/output error", "os error 5", "Errno 5", "disk I/O error", "disk reports an error"),
    errno.ENOSPC: ("No space left", "os error 28", "Errno 28", "disk is full", "database or disk is full"),
    errno.EACCES: ("Permission denied", "os error 13", "Errno 13", "permission", "unable to open"),
}


SQLITE_CAUSE = "disk I/O error"
"""All that SQLite says about a failed call: it keeps the number of the error for itself."""


@dataclass(frozen=True)
class Target:
    """A handler, and how it writes.

    Args:
        kind: Its name.
        options: Its settings.
        large: Whether the value has several parts.
    """

    kind: str
    options: tuple[tuple[str, Any], ...] = ()
    large: bool = False

    def handler(self, folder: Path) -> rs.BaseIOHandler:
        """Return the handler on a folder."""
        if self.kind == "pickle":
            return rs.PickleIOHandler(folder / "values", **dict(self.options))
        return rs.DeltaIOHandler(table_uri=folder / "values", **dict(self.options))

    def value(self, number: int) -> Any:
        """Return the value of a write."""
        if self.kind == "pickle":
            return (number, LARGE) if self.large else (number, list(range(1_000)))
        return pl.DataFrame({"id": range(number * 2), "n": [number] * number * 2})

    def content(self, number: int) -> Any:
        """Return what is stored after that many writes."""
        if self.kind == "pickle":
            return self.value(number)
        mode = dict(self.options).get("mode")
        writes = range(1, number + 1) if mode == "append" else (1,) if mode == "ignore" else (number,)
        return sorted(row for write in writes for row in self.value(write).rows())

    def read(self, folder: Path) -> Any:
        """Return what is stored."""
        hint = None if self.kind == "pickle" else pl.DataFrame
        value = self.handler(folder).load_input(rs.InputContext("asset", "next", type_hint=hint))
        return value if self.kind == "pickle" else sorted(value.rows())


def write(target: Target, folder: Path, number: int) -> None:
    value = target.value(number)
    context = rs.OutputContext("asset", type_hint=type(value), run_id=f"run-{number}")
    target.handler(folder).handle_output(context, value)


@dataclass(frozen=True)
class PausedSystemCall(FailedSystemCall):
    """The n-th system call is delayed while this process reads what the other one writes.

    Args:
        target: The handler.
        folder: Its folder.
        seen: What was read.
    """

    target: Target | None = None
    folder: Path | None = None
    seen: list[Any] = field(default_factory=list, compare=False)

    def decide(self, pid: int) -> int:
        """Read the value, and let the call proceed."""
        del pid
        assert self.target is not None
        assert self.folder is not None
        self.seen.append(self.target.read(self.folder))
        return 0


MERGE = {"merge_type": "upsert", "predicate": "s.id = t.id"}
TARGETS = {
    "pickle": Target("pickle"),
    "pickle-fsync": Target("pickle", (("fsync", True),)),
    "pickle-large": Target("pickle", large=True),
    "pickle-versions": Target("pickle", (("keep_versions", 2),)),
    "delta-overwrite": Target("delta"),
    "delta-append": Target("delta", (("mode", "append"),)),
    "delta-merge": Target("delta", (("mode", "merge"), ("merge_config", MERGE))),
    "delta-replace": Target("delta", (("mode", "create_or_replace"),)),
}
FAULTS = {
    "EIO": lambda at, *_: FailedSystemCall(at, errno.EIO),
    "ENOSPC": lambda at, *_: FailedSystemCall(at, errno.ENOSPC),
    "EACCES": lambda at, *_: FailedSystemCall(at, errno.EACCES),
    "kill": lambda at, *_: KillBeforeSystemCall(at),
    "pause": lambda at, target, folder: PausedSystemCall(at, target=target, folder=folder),
}


CHOSEN = list(FAULTS) if "TORTURE" in os.environ else ["ENOSPC", "kill"]


@pytest.fixture(scope="module")
def server():
    with ProcessServer(timeout_s=600) as server:
        yield server


@pytest.fixture(scope="module", params=list(TARGETS))
def stored(request, tmp_path_factory, server):
    """A target, a folder with its first value, and how many system calls the second write makes."""
    target, tmp_path = TARGETS[request.param], tmp_path_factory.mktemp("stored")
    first = tmp_path / "first"
    first.mkdir()
    server.call(write, target, first, 1)
    counted = tmp_path / "counted"
    shutil.copytree(first, counted)
    try:
        call = server.start(write, target, counted, 2, fault=FailedSystemCall(1_000_000))
    except FaultNotSupportedError as error:
        pytest.skip(str(error))
    call.result()
    assert target.read(counted) == target.content(2)
    return target, first, call.supervisor.calls


@pytest.mark.parametrize("name", CHOSEN)
def test_fault_at_system_call_leaves_old_or_new_value(tmp_path, server, stored, positions, outcomes, name):
    target, first, calls = stored
    for at in positions(calls):
        folder = tmp_path / "faulty"
        shutil.copytree(first, folder)
        fault = FAULTS[name](at, target, folder)
        outcome = "stored"
        try:
            server.call(write, target, folder, 2, fault=fault)
        except ProcessDiedError:
            outcome = "killed"
        except Exception as error:
            outcome = "refused"
            failure = error
        where = f"call {at} of {calls}"
        content = target.read(folder)
        old, new = target.content(1), target.content(2)
        assert content in ((new,) if outcome == "stored" else (old, new)), where
        if outcome == "refused":
            assert any(cause in str(failure) for cause in CAUSES[fault.error]), f"{where}: {failure}"
        for seen in getattr(fault, "seen", ()):
            assert seen in (old, new), where
        outcomes[f"{outcome}, {'new' if content == new else 'old'} value"] += 1
        check_next_write(server, target, folder, where)
        shutil.rmtree(folder)


def check_next_write(server, target, folder, where):
    """The next write succeeds, and leaves no file of the one before."""
    before = target.read(folder) == target.content(2)
    server.call(write, target, folder, 3)
    expected = target.content(3)
    if dict(target.options).get("mode") == "append" and not before:
        expected = sorted(target.content(1) + target.value(3).rows())
    assert target.read(folder) == expected, where
    if target.kind == "pickle":
        files = [path for path in (folder / "values").rglob("*") if path.is_file() and "#" in path.name]
        assert files == [], where


def record(folder: Path, number: int) -> None:
    """Run two assets, and record them in an event log."""
    store = rs.PickleIOHandler(folder / "values")

    @rs.Asset(io_handler=store)
    def orders() -> int:
        return number

    @rs.Asset(io_handler=store)
    def total(orders: int) -> int:
        return orders + 1

    with rs.CodeRepository([orders, total], config=False) as repo:
        repo.resolve(rs.Storage.embedded(folder / "log"))
        repo.materialize(run_id_override=f"run-{number}")
        repo.storage.close()


@pytest.mark.parametrize("name", [name for name in CHOSEN if name != "pause"])
def test_fault_in_run_leaves_true_events(tmp_path, server, positions, outcomes, name):
    first = tmp_path / "first"
    first.mkdir()
    server.call(record, first, 1)
    counted = tmp_path / "counted"
    shutil.copytree(first, counted)
    try:
        call = server.start(record, counted, 2, fault=FailedSystemCall(1_000_000))
    except FaultNotSupportedError as error:
        pytest.skip(str(error))
    call.result()
    calls = call.supervisor.calls
    for at in positions(calls):
        folder = tmp_path / "faulty"
        shutil.copytree(first, folder)
        fault = FAULTS[name](at)
        outcome = "success"
        try:
            server.call(record, folder, 2, fault=fault)
        except ProcessDiedError:
            outcome = "killed"
        except Exception as error:
            outcome = "failed"
            failure = error
        if outcome == "failed":
            assert any(cause in str(failure) for cause in (*CAUSES[fault.error], SQLITE_CAUSE)), (
                f"call {at} of {calls}: {failure}"
            )
        check_log(folder, outcome, f"call {at} of {calls}, {outcome}")
        outcomes[outcome] += 1
        server.call(record, folder, 3)
        assert values_of(folder) == {"orders": 3, "total": 4}
        shutil.rmtree(folder)


def check_log(folder, outcome, where):
    """No run is left running, and each latest event that the log has belongs to a value that was stored."""
    with rs.Storage.embedded(folder / "log") as storage:
        assert storage.get_runs(status="Started") == [], where
        if outcome == "success":
            assert storage.get_run("run-2").status == "Success", where
            events = storage.get_events_for_run("run-2")
            recorded = [event.asset_key for event in events if event.event_type == "Materialization"]
            assert sorted(recorded) == ["orders", "total"], where
        runs = {name: storage.get_latest_materialization(name).run_id for name in ("orders", "total")}
    values = values_of(folder)
    for name, offset in (("orders", 0), ("total", 1)):
        # a value is stored before its event: it may be newer than the event, never older
        assert values[name] - offset >= int(runs[name].removeprefix("run-")), where


def values_of(folder):
    store = rs.PickleIOHandler(folder / "values")
    return {name: store.load_input(rs.InputContext(name, "next")) for name in ("orders", "total")}

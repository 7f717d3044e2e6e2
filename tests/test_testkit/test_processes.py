"""Functions in other processes, and faults of the operating system."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from rivers_testkit import FailedSystemCall, FileSizeLimit, KillBeforeSystemCall, ProcessServer, call_in_fork
from rivers_testkit.faults import FaultNotSupportedError
from rivers_testkit.processes import ProcessDiedError


def fail(message):
    raise LookupError(message)


def write_file(path, content):
    with open(path, "wb") as file:
        file.write(content)


def start_with_fault(server, fault, path, content=b"text"):
    try:
        return server.start(write_file, path, content, fault=fault)
    except FaultNotSupportedError as error:
        pytest.skip(str(error))


def test_call_runs_in_another_process(process_server):
    assert process_server.call(os.getpid) != os.getpid()
    assert process_server.call(divmod, 7, 2) == (3, 1)


def test_call_runs_in_working_folder(process_server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert process_server.call(Path.cwd) == tmp_path


def test_error_has_traceback_of_process(process_server):
    with pytest.raises(LookupError, match="no such thing") as caught:
        process_server.call(fail, "no such thing")
    assert "in fail" in "".join(caught.value.__notes__)


def test_hanging_call_is_killed(process_server):
    call = process_server.start(time.sleep, 600)
    with pytest.raises(TimeoutError):
        call.result(timeout_s=0.05)


def test_killed_process_is_reported(process_server):
    call = process_server.start(time.sleep, 600)
    call.kill()
    with pytest.raises(ProcessDiedError):
        call.result()


def test_closed_server_starts_again():
    with ProcessServer() as server:
        assert server.call(abs, -1) == 1
        server.close()
        assert server.call(abs, -2) == 2


@pytest.mark.parametrize("at", [1, 2])
def test_system_call_fails(process_server, tmp_path, at):
    call = start_with_fault(process_server, FailedSystemCall(at, errno.EIO), tmp_path / "file")
    with pytest.raises(OSError, match=rf"\[Errno {errno.EIO}\]"):
        call.result()
    assert call.supervisor.calls == at


@pytest.mark.parametrize("at", [1, 2])
def test_process_is_killed_before_system_call(process_server, tmp_path, at):
    call = start_with_fault(process_server, KillBeforeSystemCall(at), tmp_path / "file")
    with pytest.raises(ProcessDiedError):
        call.result()
    assert (tmp_path / "file").exists() is (at == 2)


def test_unreached_fault_changes_nothing(process_server, tmp_path):
    call = start_with_fault(process_server, FailedSystemCall(3), tmp_path / "file")
    call.result()
    assert call.supervisor.calls == 2
    assert (tmp_path / "file").read_bytes() == b"text"


def test_file_size_is_limited(process_server, tmp_path):
    with pytest.raises(OSError, match=rf"\[Errno {errno.EFBIG}\]"):
        process_server.call(write_file, tmp_path / "file", b"text", fault=FileSizeLimit(3))
    assert (tmp_path / "file").read_bytes() in (b"", b"tex")


def test_fork_returns_result_and_error():
    assert call_in_fork(lambda: os.getppid(), 60) == os.getpid()
    with pytest.raises(ZeroDivisionError):
        call_in_fork(lambda: 1 // 0, 60)


def test_hanging_fork_is_killed():
    with pytest.raises(TimeoutError):
        call_in_fork(lambda: time.sleep(600), 0.05)

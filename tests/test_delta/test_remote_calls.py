"""Calls of deltalake in forked processes, and of stores that do not answer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from functools import partial

import polars as pl
import pytest

from rivers_core import OutputContext
from rivers_core.exceptions import RiversError
from rivers_delta import DeltaIOHandler, remote_calls
from tests.test_delta.support import Lake

FORK = textwrap.dedent("""
    import multiprocessing
    import sys
    import pyarrow as pa
    from rivers_core import InputContext, OutputContext
    from rivers_core.exceptions import RiversError
    from rivers_delta import DeltaIOHandler

    handler = DeltaIOHandler(table_uri=sys.argv[1])
    read = InputContext("asset", "next", type_hint=pa.Table)
    calls = {
        "handle_output": lambda it: it.handle_output(OutputContext("asset"), pa.table({"n": [1]})),
        "load_input": lambda it: it.load_input(read),
        "exists": lambda it: it.exists(read),
        "delete": lambda it: it.delete(read),
        "maintain": lambda it: it.maintain(dry_run=False),
        "verify": lambda it: it.verify(read),
    }

    def child(results):
        for name, call in calls.items():
            for it in (handler, DeltaIOHandler(table_uri=sys.argv[1])):
                try:
                    call(it)
                except RiversError as error:
                    results.put(f"{name} {'spawn' in str(error)}")

    handler.handle_output(OutputContext("asset"), pa.table({"n": [1]}))
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()
    process = fork.Process(target=child, args=(results,))
    process.start()
    print(*(results.get() for _ in range(2 * len(calls))), sep="\\n")
    process.join()
    print(handler.load_input(read).num_rows)
""")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_forked_child_of_user_is_refused(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    *refusals, rows = done.stdout.splitlines()
    names = ("handle_output", "load_input", "exists", "delete", "maintain", "verify")
    assert refusals == [f"{name} True" for name in names for _ in range(2)], done.stderr
    assert rows == "1"
    assert done.stderr == ""


@pytest.fixture
def interruptible():
    """Workers of pytest-xdist ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def silent_server():
    """A server that accepts connections, calls a function for the first, and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections, on_accept = [], []

    def accept():
        while True:
            try:
                connections.append(listener.accept()[0])
            except OSError:
                return
            if on_accept:
                on_accept.pop()()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1], on_accept
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
    for connection in connections:
        connection.close()


def silent_lake(port, **options):
    return Lake(
        "s3://bucket/lake",
        storage_options={
            "aws_endpoint_url": f"http://127.0.0.1:{port}", "aws_allow_http": "true", "aws_region": "us-east-1",
            "aws_access_key_id": "a", "aws_secret_access_key": "b-secret", **options,
        },
    )  # fmt: skip


@pytest.mark.parametrize("verb", ["store", "load", "exists", "delete", "maintain"])
def test_interrupt_ends_wait_for_silent_store(silent_server, interruptible, verb, caplog):
    port, on_accept = silent_server
    on_accept.append(partial(os.kill, os.getpid(), signal.SIGINT))
    lake = silent_lake(port, max_retries="0", timeout="60s")
    deed = {
        "store": lambda: lake.store(pl.DataFrame({"n": [1]})),
        "load": lambda: lake.load(pl.DataFrame),
        "exists": lambda: lake.handler.exists(lake.asked()),
        "delete": lambda: lake.handler.delete(lake.asked()),
        "maintain": lambda: lake.handler.maintain([lake.asked()]),
    }[verb]
    with pytest.raises(KeyboardInterrupt) as interrupt:
        deed()
    is_noted = any("unknown" in note for note in getattr(interrupt.value, "__notes__", ()))
    assert is_noted == (verb in ("store", "delete"))
    assert ("unknown" in caplog.text) == is_noted
    remote_calls._interrupted.clear()


def test_silent_store_ends_in_timeout(silent_server):
    lake = silent_lake(silent_server[0], max_retries="0", timeout="50ms")
    with pytest.raises(RiversError, match="asset 'asset'") as failure:
        lake.load(pl.DataFrame)
    assert isinstance(failure.value.__cause__, (TimeoutError, ConnectionError))


def test_remote_stores_get_client_timeouts():
    remote = silent_lake(1, timeout="7s").handler.plain_storage_options()
    assert remote["timeout"] == "7s"
    assert set(remote_calls.CLIENT_DEFAULTS) <= set(remote)
    assert DeltaIOHandler("lake").plain_storage_options() is None


def test_interrupted_commit_is_settled_by_next_call(interruptible):
    proceed, log = threading.Event(), []

    def commit():
        os.kill(os.getpid(), signal.SIGINT)
        proceed.wait()
        log.append("committed")

    with pytest.raises(KeyboardInterrupt):
        remote_calls.call(OutputContext("asset"), "s3://bucket/lake/asset", commit)
    assert log == []
    waiting = threading.Timer(0, proceed.set)
    waiting.start()
    assert remote_calls.call(None, "s3://bucket/lake/asset", lambda: list(log)) == ["committed"]


def test_interrupted_commit_that_does_not_end_is_refused(interruptible, monkeypatch):
    proceed = threading.Event()

    def commit():
        os.kill(os.getpid(), signal.SIGINT)
        proceed.wait()

    monkeypatch.setattr(remote_calls, "_SETTLE_S", 0)
    with pytest.raises(KeyboardInterrupt):
        remote_calls.call(OutputContext("asset"), "s3://bucket/lake/asset", commit)
    with pytest.raises(RiversError, match="s3://bucket/lake/asset"):
        remote_calls.call(None, "s3://bucket/lake/asset", lambda: None)
    proceed.set()
    monkeypatch.undo()
    assert remote_calls.call(None, "s3://bucket/lake/asset", lambda: 1) == 1


def test_remote_call_raises_error_of_function():
    with pytest.raises(ZeroDivisionError):
        remote_calls.call(None, "s3://bucket/lake/asset", lambda: 1 // 0)

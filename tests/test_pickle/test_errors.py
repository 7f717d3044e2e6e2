"""Errors of the pickle handler, and what a failed write leaves behind."""

from __future__ import annotations

import builtins
import errno
import os
import re
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore

from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import RiversError
from rivers_objects.staging import _swept
from rivers_pickle import PickleIOHandler


class Connection:
    def __init__(self):
        self.lock = threading.Lock()


class Slotted:
    __slots__ = ("callback",)

    def __init__(self):
        self.callback = lambda: None


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (lambda: None, "`value` is a function"),
        ({"a": [1, {"deep": threading.Lock()}]}, "`value['a'][1]['deep']` is a _thread.lock"),
        ([Connection()], "`value[0].lock` is a _thread.lock"),
        ((1, Slotted()), "`value[1].callback` is a function"),
        ({threading.get_ident: (n for n in "a")}, "is a generator"),
        (sys, "`value` is a module"),
    ],
    ids=["lambda", "nested", "attribute", "slot", "generator", "module"],
)
def test_store_names_unpicklable_part(lake, value, part):
    with pytest.raises(RiversError, match="partition 'k' of asset 'asset': its value") as caught:
        lake.store(value, keys="k")
    assert part in str(caught.value)
    assert "Nothing was stored" in str(caught.value)
    assert lake.files() == []


def test_store_reports_too_deep_nesting(lake):
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(RiversError, match="nested too deeply"):
        lake.store(value)
    while value:
        value = value[0]


@pytest.mark.parametrize("fsync", [False, True])
def test_failed_stream_keeps_old_value(lake, fsync):
    handler = lake.handler.model_copy(update={"fsync": fsync})
    lake.store("old")
    lake.handler = handler
    with pytest.raises(RiversError, match=re.escape("`value[1]` is a _thread.lock")):
        lake.store([b"x" * 30_000_000, threading.Lock()])
    assert lake.load() == "old"
    assert lake.files() == ["asset.pkl"]


class Interrupts:
    def __reduce__(self):
        raise KeyboardInterrupt


@pytest.mark.parametrize("size", [10, 30_000_000])
def test_interrupt_leaves_no_object(lake, size):
    with pytest.raises(KeyboardInterrupt):
        lake.store([b"x" * size, Interrupts()])
    assert lake.files() == []


def test_store_failure_names_address_and_cause(lake):
    lake.folder.mkdir()
    (lake.folder / "asset").write_text("a file where a folder has to be")
    with pytest.raises(
        RiversError, match=r"Could not store partition 'k' of asset 'asset' at '.*data\.pkl'"
    ) as caught:
        lake.store(1, keys="k")
    assert caught.value.__cause__ is not None
    assert "Debug source" not in str(caught.value.__cause__)


def test_unknown_storage_option_is_named():
    handler = PickleIOHandler("s3://bucket", storage_options={"bogus": "value-not-shown"})
    with pytest.raises(RiversError, match="'bogus'") as caught:
        handler.handle_output(OutputContext("asset"), 1)
    assert "value-not-shown" not in str(caught.value)


def test_unreachable_store_differs_from_refusal():
    options = {"endpoint": "http://127.0.0.1:9", "allow_http": True, "max_retries": 0, "skip_signature": True}
    handler = PickleIOHandler("s3://bucket", storage_options=options)
    with pytest.raises(
        RiversError, match=r"http://127\.0\.0\.1:9/bucket.* The server does not answer"
    ) as caught:
        handler.handle_output(OutputContext("asset"), 1)
    assert "is running" in str(caught.value)


class Answers(BaseHTTPRequestHandler):
    """Server that returns one response to every request, and accepts the start of large uploads."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        begins = self.command == "POST" and self.path.endswith("?uploads=")
        body = (
            b"<R><UploadId>u</UploadId></R>"
            if begins
            else b"<Error><Code>C</Code><Message>m</Message></Error>"
        )
        self.send_response(200 if begins else self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def answering():
    """Return a function that creates a handler on a server with a fixed status."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = {
        "endpoint": f"http://127.0.0.1:{server.server_port}",
        "allow_http": True,
        "max_retries": 0,
        "skip_signature": True,
    }

    def handler(status):
        server.status = status
        return PickleIOHandler("s3://bucket", storage_options=options)

    yield handler
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("size", [10, 12_000_000])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, ConnectionError),
        (503, ConnectionError),
        (429, ConnectionError),
        (408, TimeoutError),
        (400, GenericError),
        (501, GenericError),
        (401, UnauthenticatedError),
        (403, PermissionDeniedError),
    ],
)
def test_transient_status_is_connection_error(answering, status, kind, size):
    with pytest.raises(RiversError, match=f" - {status} ") as caught:
        answering(status).handle_output(OutputContext("asset"), b"x" * size)
    assert isinstance(caught.value.__cause__, kind)
    assert isinstance(caught.value.__cause__, OSError) is issubclass(kind, OSError)


@pytest.mark.parametrize("status", [503, 403])
def test_transient_status_of_exists_is_connection_error(answering, status):
    handler = answering(status)
    for ask in (handler.load_input, handler.exists, handler.delete):
        with pytest.raises(RiversError) as caught:
            ask(InputContext("asset", "next"))
        assert isinstance(caught.value.__cause__, ConnectionError) is (status == 503)


def test_unreachable_server_is_connection_error(answering):
    options = {"endpoint": "http://127.0.0.1:9", "allow_http": True, "max_retries": 0, "skip_signature": True}
    handler = PickleIOHandler("s3://bucket", storage_options=options)
    for size in (10, 12_000_000):
        with pytest.raises(RiversError) as caught:
            handler.handle_output(OutputContext("asset"), b"x" * size)
        assert isinstance(caught.value.__cause__, ConnectionError)


def test_silent_server_is_timeout_error():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = {
            "endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "allow_http": True,
            "max_retries": 0,
            "skip_signature": True,
            "timeout": "100ms",
        }
        with pytest.raises(RiversError) as caught:
            PickleIOHandler("s3://bucket", storage_options=options).load_input(InputContext("asset", "next"))
    assert isinstance(caught.value.__cause__, TimeoutError)


@pytest.mark.parametrize("option", ["max_retries", "retry_timeout"])
def test_malformed_storage_option_is_named(option):
    handler = PickleIOHandler("s3://bucket", storage_options={option: "many"})
    with pytest.raises(RiversError, match=f"option '{option}' must be a number, got 'many'"):
        handler.handle_output(OutputContext("asset"), 1)


@pytest.mark.parametrize("size", [10, 30_000_000])
def test_failed_rename_shows_errno_and_path(lake, size):
    file = lake.folder / "asset.pkl"
    file.mkdir(parents=True)
    with pytest.raises(RiversError, match="Is a directory") as caught:
        lake.store(b"x" * size)
    assert str(errno.EISDIR) in str(caught.value)
    assert str(file) in str(caught.value)
    assert caught.value.__cause__.errno == errno.EISDIR
    assert lake.files() == []


@pytest.mark.parametrize("below", ["", "sub"])
def test_store_that_is_a_file_is_an_error(tmp_path, below):
    (tmp_path / "file").write_text("")
    handler = PickleIOHandler(tmp_path / "file" / below)
    for ask in (handler.load_input, handler.exists, handler.delete):
        with pytest.raises(RiversError, match="asset 'asset' at .*(is a file|Not a directory)") as caught:
            ask(InputContext("asset", "next"))
        assert not isinstance(caught.value, FileNotFoundError)


def test_unreadable_store_is_an_error(lake, monkeypatch):
    lake.store(1)

    def forbidden(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "stat", forbidden)
    monkeypatch.setattr(builtins, "open", forbidden)
    for ask in (lake.handler.load_input, lake.handler.exists):
        with pytest.raises(RiversError, match="Permission denied") as caught:
            ask(lake.asked())
        assert not isinstance(caught.value, FileNotFoundError)


def test_nearest_prefers_same_asset(lake):
    for day in ("2023-01-02", "2024-01-03", "2024-02-01"):
        lake.store(1, "orders", day)
    with pytest.raises(FileNotFoundError, match=re.escape("'orders/2024-01-03/data.pkl'")):
        lake.load("orders", "2024-01-02")
    lake.store(1, "customers")
    with pytest.raises(FileNotFoundError, match=re.escape("'customers.pkl'")):
        lake.load("costumers")
    with pytest.raises(FileNotFoundError) as caught:
        lake.load("weather")
    assert caught.value.nearest is None


KILLED = """
import sys, pickle
from rivers_core.contexts import OutputContext
from rivers_pickle import PickleIOHandler

class Hangs:
    def __reduce__(self):
        print("in the middle", flush=True)
        sys.stdin.read()
        return int, ()

handler = PickleIOHandler(sys.argv[1], fsync=sys.argv[2] == "True")
handler.handle_output(OutputContext("asset"), [b"x" * 40_000_000, Hangs()])
"""


@contextmanager
def writing(lake, fsync):
    """Yield a process in the middle of a write."""
    command = [sys.executable, "-c", KILLED, str(lake.folder), str(fsync)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"in the middle\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("fsync", [False, True])
def test_killed_write_keeps_old_value(lake, fsync):
    lake.store("old")
    with writing(lake, fsync):
        pass
    assert lake.load() == "old"
    assert len(lake.files()) == 2
    listed = list(chain.from_iterable(LocalStore(lake.folder).list()))
    assert [entry["path"] for entry in listed] == ["asset.pkl"]
    assert lake.handler.objects.paths("") == ["asset.pkl"]


def test_first_write_sweeps_leftovers_of_killed_writers(lake):
    lake.folder.mkdir()
    with ExitStack() as writers:
        for _ in range(3):
            writers.enter_context(writing(lake, False))
        running = writers.enter_context(writing(lake, False))
        assert len(lake.files()) == 4
        lake.store("written while others write")
        assert len(lake.files()) == 5
        running.communicate(b"")
        assert running.returncode == 0
    assert len(lake.files()) == 4
    _swept.clear()
    lake.store("new", "daily", "a")
    assert lake.files() == ["asset.pkl", "daily/a/data.pkl"]
    assert lake.load("daily", "a") == "new"


def test_maintain_removes_leftovers_only(lake):
    lake.store(1, "daily", "a")
    with writing(lake, False):
        assert lake.handler.maintain(dry_run=False) == []
    for number in (1, 7):
        file = lake.folder / "daily" / "a" / f"data.pkl#{number}"
        file.write_bytes(b"of obstore")
        os.utime(file, (0, 0))
    recent = lake.folder / "daily" / "a" / "data.pkl#9"
    recent.write_bytes(b"of a live writer")
    foreign = lake.folder / "notes#1"
    foreign.write_text("not ours")
    os.utime(foreign, (0, 0))

    planned = lake.handler.maintain()
    assert sorted(Path(row["file"]).name for row in planned)[1:] == ["data.pkl#1", "data.pkl#7"]
    assert not any(row["done"] for row in planned)
    assert lake.handler.maintain() == planned
    assert all(row["done"] for row in lake.handler.maintain(dry_run=False))
    assert lake.files() == ["daily/a/data.pkl", "daily/a/data.pkl#9", "notes#1"]


def test_maintain_leaves_staging_files_of_other_hosts(lake):
    lake.folder.mkdir()
    file = lake.folder / (".staging#" + "0" * 28)
    file.write_bytes(b"")
    assert lake.handler.maintain(dry_run=False) == []
    os.utime(file, (0, 0))
    assert [row["done"] for row in lake.handler.maintain(dry_run=False)] == [True]


def test_maintain_of_remote_store_reports_nothing():
    assert PickleIOHandler("s3://bucket").maintain() == []

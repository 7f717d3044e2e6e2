"""Writes on the condition that the loaded version is still stored."""

from __future__ import annotations

import pickle
import re
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import ConflictError, RiversError
from rivers_pickle import PickleIOHandler

if TYPE_CHECKING:
    from tests.s3_server import S3Server

LARGE = 5 << 20


def _folder(request):
    return PickleIOHandler(request.getfixturevalue("tmp_path"))


def _memory(request):
    return PickleIOHandler("memory://")


def _s3(request):
    server: S3Server = request.getfixturevalue("s3_server")
    return PickleIOHandler(request.getfixturevalue("s3_url"), storage_options=server.options())


@pytest.fixture(
    params=[_folder, _memory, pytest.param(_s3, marks=pytest.mark.server)], ids=["folder", "memory", "s3"]
)
def handler(request):
    return request.param(request)


def store(handler, value, expected=None):
    context = OutputContext("count")
    context.expected_version = expected
    handler.handle_output(context, value)
    return context.content_version


def load(handler):
    context = InputContext("count", "next")
    return handler.load_input(context), context.loaded_version


@pytest.mark.parametrize("size", [10, LARGE])
def test_write_replaces_the_expected_version_only(handler, size):
    first = store(handler, b"1" * size, expected="")
    second = store(handler, b"2" * size, expected=first)
    for expected in (first, "", "0" * 64):
        with pytest.raises(ConflictError, match="count"):
            store(handler, b"3" * size, expected=expected)
    assert load(handler) == (b"2" * size, second)


def test_concurrent_writers_replace_a_version_once(handler):
    version = store(handler, 0)
    outcomes = []

    def replace(number):
        try:
            store(handler, 1, expected=version)
            outcomes.append("stored")
        except ConflictError:
            outcomes.append("lost")

    threads = [threading.Thread(target=partial(replace, number)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # equal values have equal versions, so that only the identity of a write distinguishes them
    assert sorted(outcomes) == ["lost"] * 7 + ["stored"]


def test_conditional_write_leaves_no_other_object(handler):
    version = store(handler, 1, expected="")
    with pytest.raises(ConflictError):
        store(handler, 2, expected="")
    store(handler, 3, expected=version)
    assert handler.objects.paths("") in (["count.pkl"], [])


def test_object_that_rivers_did_not_write_has_a_version(tmp_path):
    handler = PickleIOHandler(tmp_path)
    (tmp_path / "count.pkl").write_bytes(pickle.dumps(7))
    value, version = load(handler)
    assert value == 7
    store(handler, 8, expected=version)
    assert load(handler)[0] == 8


def test_version_is_found_behind_a_long_footer(tmp_path):
    handler = PickleIOHandler(tmp_path)
    context = OutputContext("count", code_version="v" * 10_000)
    handler.handle_output(context, 1)
    store(handler, 2, expected=context.content_version)
    assert load(handler)[0] == 2


class IgnoringServer(BaseHTTPRequestHandler):
    """An S3 server that stores whatever the condition says."""

    objects: dict[str, bytes] = {}

    def do_PUT(self):
        self.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200)

    def do_HEAD(self):  # the handler looks for the marker of a signed store
        self._answer(404)

    def do_POST(self):  # deletion of several objects
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        for key in re.findall("<Key>(.*?)</Key>", body):
            self.objects.pop(f"/bucket/{key}")
        self._answer(200, b"<DeleteResult/>")

    def _answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def test_store_that_ignores_conditions_is_refused():
    with ThreadingHTTPServer(("127.0.0.1", 0), IgnoringServer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            options = {
                "endpoint": f"http://127.0.0.1:{server.server_port}",
                "allow_http": True,
                "access_key_id": "a",
                "secret_access_key": "b",
                "region": "us-east-1",
            }
            handler = PickleIOHandler("s3://bucket", storage_options=options)
            with pytest.raises(RiversError, match="condition"):
                store(handler, 1, expected="")
            assert IgnoringServer.objects == {}
        finally:
            server.shutdown()
            thread.join()

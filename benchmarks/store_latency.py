"""Loading 100 partitions from an S3 store that answers each request after 20 ms, against loading one after the other.

The store is a small server in a separate process that keeps objects in memory and waits before each answer. The peer
requests the same objects with obstore, one after the other, and unpickles them. Both wait, so the time is wall-clock
time.
"""

from __future__ import annotations

import argparse
import pickle
import subprocess
import sys
import time
from email.utils import formatdate
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import obstore
from harness import Report, run_interleaved
from obstore.store import S3Store

import rivers as rs
from rivers_pickle import PickleIOHandler

COUNT = 100
LATENCY_S = 0.02
# 16 partitions are loaded at once
TARGET = 0.15


class SlowStore(BaseHTTPRequestHandler):
    """Requests for objects by path, each answered after a pause."""

    protocol_version = "HTTP/1.1"
    objects: ClassVar[dict[str, bytes]] = {}

    def do_PUT(self) -> None:
        self.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, b"", self.objects[self.path])

    def do_GET(self) -> None:
        data = self.objects.get(self.path)
        self.answer(404 if data is None else 200, data or b"", data or b"")

    do_HEAD = do_GET  # noqa: N815 - the name that the server calls

    def answer(self, status: int, body: bytes, data: bytes) -> None:
        time.sleep(LATENCY_S)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{md5(data).hexdigest()}"')
        self.send_header("Last-Modified", formatdate(usegmt=True))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None: ...


def serve() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), SlowStore)
    print(server.server_port, flush=True)
    server.serve_forever()


def measure(endpoint: str, rounds: int) -> int:
    report = Report(f"{COUNT} partitions from S3 with {1000 * LATENCY_S:g} ms latency, fastest of {rounds}")
    store = S3Store(
        "bucket",
        endpoint=endpoint,
        region="us-east-1",
        skip_signature=True,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    keys = [f"k{number:03}" for number in range(COUNT)]

    @rs.Asset(io_handler=PickleIOHandler(store), partitions_def=rs.PartitionsDefinition.static_(keys))
    def part() -> int:
        return 1

    @rs.Asset(io_handler=rs.InMemoryIOHandler())
    def total(part: dict[str, int]) -> int:
        return sum(part.values())

    repository = rs.CodeRepository([part, total], config=False).resolve(storage=rs.Storage.memory())
    repository.materialize([part], partitions="all")
    paths = [f"part/{key}/data.pkl" for key in keys]

    def load() -> float:
        start = time.perf_counter()
        repository.materialize([total])
        seconds = time.perf_counter() - start
        assert repository.load_node("total") == COUNT
        return seconds

    def load_one_by_one() -> float:
        start = time.perf_counter()
        assert sum(pickle.loads(obstore.get(store, path).bytes()) for path in paths) == COUNT
        return time.perf_counter() - start

    seconds = run_interleaved({"rivers": load, "one by one": load_one_by_one}, rounds)
    fastest = {name: min(measurements) for name, measurements in seconds.items()}
    report.ratio("load 100 partitions", fastest["rivers"], fastest["one by one"], TARGET)
    return report.exit_code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            return measure(f"http://127.0.0.1:{server.stdout.readline().strip()}", arguments.rounds)
        finally:
            server.kill()


if __name__ == "__main__":
    sys.exit(main())

"""Files of tables in an object store."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obstore.store import MemoryStore
from pyarrow.fs import FileSelector, FileType, PyFileSystem

from rivers_delta.log.remote_files import RemoteFiles, read_remote, remote_files

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = b'{"commitInfo":{}}\n'
OPTIONS = {
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
    "aws_region": "us-east-1",
    "allow_http": "true",
    "timeout": "60s",
    "max_retries": "0",
}


class _OneObject(BaseHTTPRequestHandler):
    """S3 as far as one object is concerned, in a thread of this process: it answers only while it gets the GIL."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        self.send_header("ETag", '"1"')
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def options() -> Iterator[dict[str, str]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _OneObject)
    Thread(target=server.serve_forever, daemon=True).start()
    yield {**OPTIONS, "aws_endpoint": f"http://127.0.0.1:{server.server_port}"}
    server.shutdown()
    server.server_close()


def test_read_remote_waits_without_the_gil(options: dict[str, str]) -> None:
    assert read_remote("s3://lake/table", options, "_delta_log/0.json") == CONTENT


def test_remote_files_wait_without_the_gil(options: dict[str, str]) -> None:
    assert remote_files("s3://lake/table", options).open_input_file("a").size() == len(CONTENT)


def test_read_remote_ignores_options_of_deltalake_only(options: dict[str, str]) -> None:
    options["aws_s3_locking_provider"] = "dynamodb"
    assert read_remote("s3://lake/table", options, "_delta_log/0.json") == CONTENT


@pytest.fixture
def files() -> PyFileSystem:
    return PyFileSystem(RemoteFiles(MemoryStore(), {}))


def test_remote_files_keep_paths_of_escaped_folders(files: PyFileSystem) -> None:
    table = pa.table({"a": range(1000)})
    pq.write_table(table, "k=a%20b/x.parquet", filesystem=files)
    (entry,) = files.get_file_info(FileSelector("", recursive=True))
    assert entry.path == "k=a%20b/x.parquet"
    with files.open_input_file(entry.path) as file:
        assert entry.size == file.size()
        assert pq.ParquetFile(file).read() == table


def test_remote_files_report_missing_file(files: PyFileSystem) -> None:
    assert files.get_file_info("a").type == FileType.NotFound
    with pytest.raises(FileNotFoundError):
        files.open_input_file("a")


def test_remote_files_copy_move_and_delete(files: PyFileSystem) -> None:
    with files.open_output_stream("a/1") as file:
        file.write(b"x")
    files.copy_file("a/1", "a/2")
    files.move("a/1", "b")
    assert [entry.path for entry in files.get_file_info(FileSelector("", recursive=True))] == ["a/2", "b"]
    files.delete_dir("a")
    files.delete_file("b")
    assert files.get_file_info(FileSelector("", recursive=True)) == []


def test_remote_files_do_not_append(files: PyFileSystem) -> None:
    with pytest.raises(OSError, match="append"):
        files.open_append_stream("a")

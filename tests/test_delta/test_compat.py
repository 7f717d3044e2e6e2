"""Defects of libraries that `rivers_delta.compat` works around.

Each test shows one defect without the workaround. A failure means that the installed version no longer has it: remove
the workaround, or narrow its version range.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, WriterProperties, write_deltalake
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileSelector

from rivers_delta.log.remote_files import remote_files

BIG = 2**53 + 1


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "my data")


def test_deltalake_rounds_bounds_of_decimals(folder):
    write_deltalake(folder, pl.DataFrame({"k": pl.Series([Decimal(BIG)], dtype=pl.Decimal(20, 0))}))
    assert pl.DataFrame(DeltaTable(folder).get_add_actions())["max"].to_list() != [{"k": Decimal(BIG)}]


def test_deltalake_truncates_bounds_of_timestamps(folder):
    moment = datetime(2024, 1, 1, 0, 0, 0, 1001)
    write_deltalake(folder, pl.DataFrame({"k": [moment]}))
    log = os.path.join(folder, "_delta_log", f"{0:020d}.json")
    with open(log) as file:
        assert "00:00:00.001001" not in file.read()


def test_deltalake_percent_encodes_local_paths(folder):
    write_deltalake(folder, pa.table({"n": [1]}))
    assert "my%20data" in DeltaTable(folder).table_uri


def test_deltalake_loads_first_version_for_earlier_timestamp(folder):
    write_deltalake(folder, pa.table({"n": [1]}))
    table = DeltaTable(folder)
    table.load_as_version(datetime(1970, 1, 1, tzinfo=UTC))
    assert table.version() == 0


def test_deltalake_drops_compression_with_any_writer_property(folder):
    write_deltalake(folder, pa.table({"n": [1]}), writer_properties=WriterProperties(max_row_group_size=10))
    (path,) = DeltaTable(folder).file_uris()
    assert "snappy" not in path


def test_deltalake_ignores_timestamps_in_maps(folder):
    kind = pa.map_(pa.string(), pa.timestamp("us"))
    with pytest.raises(Exception, match="does not have the required 'timestampNtz' feature"):
        write_deltalake(folder, pa.table({"m": pa.array([[("a", 0)]], kind)}))


class _EmptyBucket(BaseHTTPRequestHandler):
    """S3 without objects, in a thread of this process: it answers only while it gets the GIL."""

    def do_GET(self) -> None:
        body = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


def test_deltalake_holds_the_gil_while_it_waits_for_a_store():
    """A server in this process cannot answer deltalake, and answers another client."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _EmptyBucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = {
        "aws_endpoint_url": f"http://127.0.0.1:{server.server_port}", "aws_allow_http": "true",
        "aws_region": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b", "max_retries": "0",
    }  # fmt: skip
    try:
        everything = FileSelector("", recursive=True)
        files = remote_files("s3://bucket/table", options | {"timeout": "60s"})
        assert files.get_file_info(everything) == []
        with pytest.raises(OSError, match="."):
            DeltaStorageHandler("s3://bucket/table", options | {"timeout": "1s"}).get_file_info_selector(
                everything
            )
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("first", ["deltalake", "rivers_delta.read.load", "rivers_delta.write.writer"])
def test_deltalake_logs_absent_credentials(first):
    """deltalake logs them, and does not if this package imports it."""
    code = f"""
import {first}, contextlib, deltalake, os
with contextlib.suppress(OSError):
    deltalake.DeltaTable("s3://bucket/table", storage_options={{"max_retries": "0"}})
print(os.environ.get("RUST_LOG"))
"""
    with socket.socket() as unused:  # bound, so that nobody listens at its port
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        hidden = ("AWS_", "RUST_LOG")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        environment |= {"AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint, "AWS_CONFIG_FILE": os.devnull}
        environment |= {"AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ("aws_config" in done.stderr) == (first == "deltalake"), done.stderr
    assert done.stdout == "None\n"


def test_polars_takes_retries_as_integers_only():
    with pytest.raises(ValueError, match="expected int"):
        pl.scan_parquet("s3://bucket/file", storage_options={"max_retries": "3"})

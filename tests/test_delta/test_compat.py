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

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, WriterProperties, write_deltalake
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileSelector

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


def test_deltalake_holds_the_gil_while_it_waits_for_a_store():
    """The main thread counts while another lists a store that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        options = {
            "aws_endpoint_url": endpoint, "aws_allow_http": "true", "aws_region": "us-east-1", "timeout": "1s",
            "aws_access_key_id": "a", "aws_secret_access_key": "b", "max_retries": "0",
        }  # fmt: skip
        files = DeltaStorageHandler("s3://bucket/table", options)
        began, count = threading.Event(), 0

        def wait_for_store():
            began.set()
            with pytest.raises(OSError, match="."):
                files.get_file_info_selector(FileSelector("", recursive=True))

        waiting = threading.Thread(target=wait_for_store)
        waiting.start()
        began.wait()
        while waiting.is_alive():
            waiting.join(0.1)
            count += 1
        assert count <= 2


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

"""A LazyFrame fetches only the columns and files that a query needs, counted between the client and an S3 server."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.test_delta.support import Lake

pytestmark = pytest.mark.server

KEYS = ["a", "b", "c"]
ROWS = 4000
WIDE_BYTES = 1024
# of a file: a narrow column, its part of the log, and its end with the footer, of which polars requests too much
OVERHEAD_BYTES = 350_000


class Relay:
    """A process that counts the bytes that a server sends; see `counting_relay.py`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.endpoint = f"http://127.0.0.1:{process.stdout.readline().strip()}"

    def counted(self) -> tuple[int, list[str]]:
        """Return the bytes received and the Parquet files requested since the last call."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        counts = json.loads(self._process.stdout.readline())
        return counts["received"], counts["files"]


@pytest.fixture
def relay(s3_server):
    script = Path(__file__).with_name("counting_relay.py")
    command = [sys.executable, str(script), s3_server.endpoint.rpartition(":")[2]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Relay(process)
        process.kill()


@pytest.fixture
def lake(relay, s3_server, s3_url):
    lake = Lake(s3_url, storage_options=s3_server.options(aws_endpoint_url=relay.endpoint))
    numbers = random.Random(0)
    for key in KEYS:
        texts = [numbers.randbytes(WIDE_BYTES // 2).hex() for _ in range(ROWS)]
        lake.store(
            pl.DataFrame({"r": [key] * ROWS, "n": range(ROWS), "wide": texts}), keys=key, partition_expr="r"
        )
    relay.counted()
    return lake


def test_lazy_frame_reads_needed_columns(lake, relay):
    frame = lake.load(pl.LazyFrame)
    assert frame.select(pl.col("n").sum()).collect().item() == len(KEYS) * sum(range(ROWS))
    narrow, _ = relay.counted()
    assert narrow < len(KEYS) * OVERHEAD_BYTES
    frame.select("wide").collect()
    wide, files = relay.counted()
    assert wide > len(KEYS) * ROWS * WIDE_BYTES / 2 > narrow
    assert len(files) == len(KEYS)


@pytest.mark.parametrize("keys", [None, "b"], ids=["filter", "partition"])
def test_lazy_frame_reads_needed_files(lake, relay, keys):
    options = {} if keys is None else {"keys": keys, "partition_expr": "r"}
    frame = lake.load(pl.LazyFrame, **options).filter(pl.col("r") == "b")
    assert frame.select("wide").collect().height == ROWS
    received, files = relay.counted()
    assert ROWS * WIDE_BYTES / 2 < received < ROWS * WIDE_BYTES + len(KEYS) * OVERHEAD_BYTES
    assert len(files) == 1

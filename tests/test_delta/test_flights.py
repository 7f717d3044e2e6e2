"""The Delta variant of the flights example."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "flights" / "lake.py"


def test_flights_months_merge_and_older_version(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    january, february, back = done.stdout.splitlines()
    assert january.startswith("2013-01: ")
    known = int(january.split()[-3].replace(",", ""))
    assert back == f"after January {known:,} were known"
    flights = pl.read_delta(str(tmp_path / "lake" / "flights_by_month"))
    assert flights.height == 27_004 + 24_951
    aircraft = DeltaTable(str(tmp_path / "lake" / "aircraft"))
    assert aircraft.version() == 1
    assert pl.read_delta(str(tmp_path / "lake" / "aircraft"))["tailnum"].is_unique().all()
    assert f"{aircraft.to_pyarrow_table().num_rows:,} are known" in february

"""The flights example in its environments: values on disk, in Delta Lake, and in a bucket."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import obstore
import polars as pl
import pytest
from deltalake import DeltaTable

import rivers as rs
from flights.definitions import repository
from flights.tables import MONTHS

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "flights"
ALL_MONTHS = rs.PartitionKeyRange.single("2013-01", "2013-12")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(EXAMPLE / "rivers.toml", tmp_path)
    return tmp_path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project without outputs."""
    outputs = shutil.ignore_patterns("data", "lake", "reports", ".rivers", "__pycache__")
    return Path(shutil.copytree(EXAMPLE, tmp_path / "flights", ignore=outputs))


def rivers(project: Path, *arguments: str) -> str:
    """Run the command in the project, and return its output."""
    command = [str(Path(sys.executable).with_name("rivers")), *arguments]
    process = subprocess.run(command, cwd=project, text=True, capture_output=True)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.fixture
def in_bucket(s3_server, s3_url, monkeypatch: pytest.MonkeyPatch) -> str:
    """Select the environment `s3` with the S3 server of the tests, and return the prefix in the bucket."""
    monkeypatch.setenv("RIVERS_ENV", "s3")
    for handler in ("TABLES", "NOTES"):
        monkeypatch.setenv(f"RIVERS_IO_HANDLERS__{handler}__STORE", s3_url)
        monkeypatch.setenv(f"RIVERS_IO_HANDLERS__{handler}__STORAGE_OPTIONS", json.dumps(s3_server.options()))
    return s3_url.removeprefix("s3://").partition("/")[2]


def test_default_environment_stores_on_disk(folder: Path) -> None:
    with repository(folder) as repo:
        repo.materialize(["weather"])
    assert (folder / "data" / "weather.pkl").exists()
    assert (folder / ".rivers").is_dir()


def test_s3_environment_validates(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVERS_ENV", "s3")
    with repository(folder) as repo:
        repo.validate()
        assert str(repo.io_handler_for_output("flights").store) == "s3://flights/data"


@pytest.mark.server
def test_s3_environment_stores_in_bucket(folder: Path, in_bucket: str, s3_server) -> None:
    with repository(folder) as repo:
        result = repo.materialize(partition_key=ALL_MONTHS)
        text = repo.load_node("advice")
    assert result.success
    assert text.startswith("Leave before nine: 1 flight in 15")
    paths = [item["path"] for batch in obstore.list(s3_server.store(), in_bucket) for item in batch]
    months = {f"{in_bucket}/month_delays/{key}/data.pkl" for key in MONTHS.get_partition_keys()}
    tables = {f"{in_bucket}/{name}.pkl" for name in ("flights", "weather", "by_hour", "advice")}
    assert months | tables <= set(paths)
    assert not (folder / "data").exists()

    with repository(folder) as later:
        assert later.materialize(["advice"]).materialized_assets == ["advice"]


def test_dev_environment_runs_readme_commands(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVERS_ENV", "dev")
    rivers(project, "materialize", "--partition", "2013-01..2013-12")
    assert (project / "data" / "flights.pkl").exists()
    assert "Leave before nine" in rivers(project, "load", "advice")
    assert "fresh, 12 partitions" in rivers(project, "assets")
    assert json.loads(rivers(project, "materialize", "advice", "--json"))["success"]


def test_lake_environment_stores_delta_tables(project: Path) -> None:
    rivers(project, "materialize", "--env", "lake", "--partition", "2013-01..2013-12")
    flights = pl.read_delta(str(project / "lake" / "flights"))
    assert flights["cancelled"].sum() == 8_255
    months = DeltaTable(project / "lake" / "month_delays").partitions()
    assert sorted(part["month"] for part in months) == [str(key) for key in MONTHS.get_partition_keys()]
    assert "Leave before nine" in rivers(project, "load", "advice", "--env", "lake")
    stored = sum(path.stat().st_size for path in (project / "lake" / "flights").rglob("*") if path.is_file())
    assert stored < len(pickle.dumps(flights)) / 10


@pytest.mark.timeout(300)
@pytest.mark.parametrize("executor", ["parallel", "dask"])
def test_executor_environment_computes_the_same(project: Path, executor: str) -> None:
    rivers(project, "materialize", "--env", executor, "--partition", "2013-01..2013-12")
    assert "Leave before nine: 1 flight in 15" in rivers(project, "load", "advice", "--env", executor)
    assert (project / "data" / "departures.pkl").exists()


@pytest.mark.server
def test_s3_environment_runs_readme_commands(project: Path, in_bucket: str, s3_server) -> None:
    rivers(project, "materialize", "--env", "s3", "--partition", "2013-01..2013-12")
    assert not (project / "data").exists()
    assert obstore.head(s3_server.store(), f"{in_bucket}/flights.pkl")["size"] > 1_000_000
    assert "Leave before nine" in rivers(project, "load", "advice", "--env", "s3")

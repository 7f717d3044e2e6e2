"""The flights example in its environments: on the disk, in Delta Lake, in a bucket. No function knows which."""

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
    """The whole project, as somebody copied it."""
    outputs = shutil.ignore_patterns("data", "lake", "reports", ".rivers", "__pycache__")
    return Path(shutil.copytree(EXAMPLE, tmp_path / "flights", ignore=outputs))


def rivers(project: Path, *arguments: str) -> str:
    """What the command prints, run in the project."""
    command = [str(Path(sys.executable).with_name("rivers")), *arguments]
    done = subprocess.run(command, cwd=project, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def in_bucket(s3_server, s3_url, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment `s3` of the example, on the server of the tests."""
    monkeypatch.setenv("RIVERS_ENV", "s3")
    for handler in ("TABLES", "NOTES"):
        monkeypatch.setenv(f"RIVERS_IO_HANDLERS__{handler}__STORE", s3_url)
        monkeypatch.setenv(f"RIVERS_IO_HANDLERS__{handler}__STORAGE_OPTIONS", json.dumps(s3_server.options()))
    return s3_url.removeprefix("s3://").partition("/")[2]


def test_tables_are_on_the_disk_unless_something_else_is_said(folder: Path) -> None:
    with repository(folder) as repo:
        repo.materialize(["weather"])
    assert (folder / "data" / "weather.pkl").exists()
    assert (folder / ".rivers").is_dir()


def test_the_environment_s3_is_complete(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVERS_ENV", "s3")
    with repository(folder) as repo:
        repo.validate()
        assert str(repo.io_handler_for_output("flights").store) == "s3://flights/data"


@pytest.mark.server
def test_one_variable_moves_the_tables_to_a_bucket(folder: Path, in_bucket: str, s3_server) -> None:
    with repository(folder) as repo:
        result = repo.materialize(partition_key=ALL_MONTHS)
        text = repo.load_node("advice")
    assert result.success
    assert text.startswith("Leave before nine: 1 flight in 15")
    listed = [item["path"] for batch in obstore.list(s3_server.store(), in_bucket) for item in batch]
    months = {f"{in_bucket}/month_delays/{key}/data.pkl" for key in MONTHS.get_partition_keys()}
    tables = {f"{in_bucket}/{name}.pkl" for name in ("flights", "weather", "by_hour", "advice")}
    assert months | tables <= set(listed)
    assert not (folder / "data").exists()

    with repository(folder) as later:
        assert later.materialize(["advice"]).materialized_assets == ["advice"]


def test_the_commands_of_the_story_in_the_environment_dev(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVERS_ENV", "dev")
    rivers(project, "materialize", "--partition", "2013-01..2013-12")
    assert (project / "data" / "flights.pkl").exists()
    assert "Leave before nine" in rivers(project, "load", "advice")
    assert "fresh, 12 partitions" in rivers(project, "assets")
    assert json.loads(rivers(project, "materialize", "advice", "--json"))["success"]


def test_the_environment_lake_keeps_tables_that_others_can_read(project: Path) -> None:
    rivers(project, "materialize", "--env", "lake", "--partition", "2013-01..2013-12")
    flights = pl.read_delta(str(project / "lake" / "flights"))
    assert flights["cancelled"].sum() == 8_255
    months = DeltaTable(project / "lake" / "month_delays").partitions()
    assert sorted(part["month"] for part in months) == [str(key) for key in MONTHS.get_partition_keys()]
    assert "Leave before nine" in rivers(project, "load", "advice", "--env", "lake")
    stored = sum(path.stat().st_size for path in (project / "lake" / "flights").rglob("*") if path.is_file())
    assert stored < len(pickle.dumps(flights)) / 10


@pytest.mark.server
def test_the_same_commands_in_the_environment_s3(project: Path, in_bucket: str, s3_server) -> None:
    rivers(project, "materialize", "--env", "s3", "--partition", "2013-01..2013-12")
    assert not (project / "data").exists()
    assert obstore.head(s3_server.store(), f"{in_bucket}/flights.pkl")["size"] > 1_000_000
    assert "Leave before nine" in rivers(project, "load", "advice", "--env", "s3")

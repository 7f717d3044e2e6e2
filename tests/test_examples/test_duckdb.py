"""The DuckDB example passes the conformance kit, and is found by its entry point."""

from __future__ import annotations

import tomllib
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from rivers_core import InputContext, OutputContext, PluginRegistry
from rivers_core.exceptions import AssetOutputValidationError, ConflictError
from rivers_duckdb.handler import DuckdbIOHandler
from rivers_testkit import IOHandlerTests, Sample

EXAMPLE = Path(__file__).parents[2] / "docs/examples/rivers_duckdb"


class TestConformance(IOHandlerTests):
    model_examples = 5
    samples = (
        Sample("polars", lambda: pl.DataFrame({"a": [1, None], "b": ["x", "ä"]})),
        Sample("pyarrow", lambda: pl.DataFrame({"a": [1.5, 2.5]}).to_arrow()),
        Sample("pandas", lambda: pl.DataFrame({"a": [1, 2]}).to_pandas()),
        Sample("no rows", lambda: pl.DataFrame(schema={"a": pl.Int64, "b": pl.String})),
    )

    @pytest.fixture
    def handler(self, tmp_path):
        return DuckdbIOHandler(path=tmp_path / "tables.duckdb")

    def make_value(self, number, *, rows=1, partition=None):
        return pl.DataFrame(super().make_value(number, rows=rows, partition=partition))

    def stored_files(self, handler, context):
        return [handler.path]

    def same_value(self, loaded, stored):
        return type(loaded) is type(stored) and pl.DataFrame(loaded).equals(pl.DataFrame(stored))


def test_table_is_readable_by_other_clients(tmp_path):
    DuckdbIOHandler(path=tmp_path / "t.duckdb").handle_output(
        OutputContext("orders"), pl.DataFrame({"n": [2]})
    )
    with duckdb.connect(tmp_path / "t.duckdb") as connection:
        assert connection.sql("SELECT n + 1 FROM main.orders").fetchall() == [(3,)]


@pytest.mark.parametrize("name", ['a"; DROP TABLE b; --', "Orders", "orders", "select"])
def test_table_name_is_quoted(tmp_path, name):
    handler = DuckdbIOHandler(path=tmp_path / "t.duckdb")
    frame = pl.DataFrame({name: [1]})
    handler.handle_output(OutputContext(name), frame)
    assert handler.load_input(InputContext(name, "report")).equals(frame)


@pytest.mark.parametrize("dtype", [pl.Datetime("ns", "UTC"), pl.Time, pl.Decimal(38, 2), pl.Enum(["1"])])
def test_column_type_comes_back(tmp_path, dtype):
    handler = DuckdbIOHandler(path=tmp_path / "t.duckdb")
    frame = pl.DataFrame({"at": ["1"]}) if dtype == pl.Enum else pl.DataFrame({"at": [1]})
    handler.handle_output(OutputContext("a"), frame.cast(dtype))
    assert handler.load_input(InputContext("a", "b")).equals(frame.cast(dtype))


def test_columns_of_other_names_are_refused(tmp_path):
    rows = pa.table([[1], [2]], names=["n", "n"])
    with pytest.raises(AssetOutputValidationError, match="'a'"):
        DuckdbIOHandler(path=tmp_path / "t.duckdb").handle_output(OutputContext("a"), rows)


def test_file_of_other_process_is_conflict(tmp_path, process_server):
    path = tmp_path / "t.duckdb"
    with duckdb.connect(path):
        handler = DuckdbIOHandler(path=path, lock_timeout_s=0)
        with pytest.raises(ConflictError, match=r"t\.duckdb"):
            process_server.call(handler.handle_output, OutputContext("a"), pl.DataFrame({"n": [1]}))


def test_file_of_other_connection_is_conflict(tmp_path):
    path = tmp_path / "t.duckdb"
    handler = DuckdbIOHandler(path=path, lock_timeout_s=0)
    with duckdb.connect(path), pytest.raises(ConflictError, match=r"t\.duckdb"):
        handler.handle_output(OutputContext("a"), pl.DataFrame({"n": [1]}))
    handler.handle_output(OutputContext("a"), pl.DataFrame({"n": [1]}))
    assert handler.exists(InputContext("a", "b"))


def test_entry_point_is_discovered(fake_distribution):
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    fake_distribution("rivers-duckdb", project["entry-points"]["rivers"], {})
    assert PluginRegistry().handler("duckdb") is DuckdbIOHandler

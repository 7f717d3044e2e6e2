"""A frame library that is not installed is reported with the pip command, before the run where settings tell."""

from __future__ import annotations

from types import SimpleNamespace

import polars as pl
import pyarrow as pa
import pytest

import rivers as rs
from rivers.exceptions import GraphValidationError
from rivers_core import InputContext, OutputContext
from rivers_core.exceptions import PluginLoadError
from rivers_delta import DeltaIOHandler
from rivers_duckdb.handler import DuckdbIOHandler
from rivers_frames import registry
from rivers_parquet import ParquetIOHandler

TABLE = pa.table({"n": [1]})


@pytest.fixture(params=["parquet", "delta", "duckdb"])
def handler(request, tmp_path):
    if request.param == "duckdb":
        return DuckdbIOHandler(path=tmp_path / "tables.duckdb")
    if request.param == "delta":
        return DeltaIOHandler(table_uri=str(tmp_path))
    return ParquetIOHandler(tmp_path)


@pytest.fixture
def without_polars(monkeypatch):
    is_installed = registry._is_installed
    monkeypatch.setattr(registry, "_is_installed", lambda module: module != "polars" and is_installed(module))


def validate(handler, hint):
    """Resolve an asset and a consumer whose parameter has a type."""

    def orders():
        return TABLE

    def total(orders):
        return orders

    total.__annotations__["orders"] = hint
    assets = [rs.Asset(io_handler=handler)(function) for function in (orders, total)]
    rs.CodeRepository(assets, config=False).validate()


@pytest.mark.usefixtures("without_polars")
def test_missing_library_of_parameter_is_a_finding(handler):
    with pytest.raises(GraphValidationError, match=r"'orders'.*polars\.DataFrame.*pip install polars"):
        validate(handler, pl.DataFrame)


def test_missing_library_of_result_is_a_finding(handler, without_polars):
    @rs.Asset(io_handler=handler)
    def orders() -> pl.DataFrame:
        return pl.DataFrame()

    with pytest.raises(GraphValidationError, match=r"'orders'.*polars\.DataFrame.*pip install polars"):
        rs.CodeRepository([orders], config=False).validate()


def test_missing_library_of_stored_type_is_reported(handler, request):
    handler.handle_output(OutputContext("orders"), pl.DataFrame({"n": [1]}))
    request.getfixturevalue("without_polars")
    event = SimpleNamespace(typed_metadata={"delta/type": rs.MetadataValue.text("polars.DataFrame")})
    context = InputContext("orders", "total", upstream=event)
    with pytest.raises(PluginLoadError, match=r"'orders' as polars\.DataFrame.*pip install polars"):
        handler.load_input(context)
    context.type_hint = pa.Table
    assert handler.load_input(context)["n"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("name", "words"),
    [("polars.Dataframe", "'polars.DataFrame'"), ("polars.DataFrame", "pip install polars")],
)
@pytest.mark.parametrize("kind", ["parquet", "delta"])
@pytest.mark.usefixtures("without_polars")
def test_default_type_is_checked_at_resolve(tmp_path, kind, name, words):
    if kind == "parquet":
        handler = ParquetIOHandler(tmp_path, default_type=name)
    else:
        handler = DeltaIOHandler(table_uri=str(tmp_path), handler_config={"default_type": name})
    with pytest.raises(GraphValidationError, match=words):
        validate(handler, pa.Table)


def test_installed_default_type_replaces_missing_one(tmp_path, request):
    handler = ParquetIOHandler(tmp_path, default_type="pyarrow.Table")
    handler.handle_output(OutputContext("orders"), pl.DataFrame({"n": [1]}))
    request.getfixturevalue("without_polars")
    assert isinstance(handler.load_input(InputContext("orders", "total")), pa.Table)

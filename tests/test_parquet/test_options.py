"""Options in the metadata of an asset, and the settings of the handler."""

from __future__ import annotations

import pickle

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

import rivers as rs
from rivers.exceptions import GraphValidationError
from rivers_core.exceptions import InvalidMetadataError
from rivers_parquet import ParquetIOHandler

FRAME = pl.DataFrame({"a": [1, 2], "b": ["x", "y"], "a.b": [0.5, 1.5]})


@pytest.mark.parametrize("hint", [pl.DataFrame, pl.LazyFrame, pa.Table, pd.DataFrame, pa.RecordBatchReader])
def test_columns_are_projected_in_order(tables, hint):
    tables.store(FRAME)
    loaded = tables.load(hint, columns=["a.b", "a"])
    if isinstance(loaded, pl.LazyFrame):
        loaded = loaded.collect()
    if isinstance(loaded, pa.RecordBatchReader):
        loaded = loaded.read_all()
    names = loaded.column_names if isinstance(loaded, pa.Table) else list(loaded.columns)
    assert names == ["a.b", "a"]


def test_unknown_column_is_refused(tables):
    tables.store(FRAME)
    with pytest.raises(InvalidMetadataError, match="'c' of 'parquet/columns'"):
        tables.load(pl.DataFrame, columns=["a", "c"])


@pytest.mark.parametrize("value", [FRAME, FRAME.to_arrow()], ids=["polars", "pyarrow"])
@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "brotli", "lz4", "uncompressed"])
def test_compression_is_applied(tables, value, compression):
    tables.store(value, compression=compression)
    written = pq.read_metadata(tables.file()).row_group(0).column(0).compression
    assert written.lower().removesuffix("_raw") == compression
    assert tables.load(pl.DataFrame)["a"].to_list() == [1, 2]


@pytest.mark.parametrize("value", [FRAME, FRAME.to_arrow()], ids=["polars", "pyarrow"])
def test_layout_options_are_applied(tables, value):
    tables.store(value, row_group_size=1, statistics=False, compression_level=3)
    written = pq.read_metadata(tables.file())
    assert written.num_row_groups == 2
    assert not written.row_group(0).column(0).is_stats_set


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("compresion", "zstd"),
        ("compression", "zip"),
        ("compression_level", 99),
        ("row_group_size", 0),
        ("row_group_size", True),
        ("columns", []),
        ("columns", ["a", "a"]),
        ("columns", 3),
        ("statistics", "perhaps"),
    ],
)
def test_invalid_option_is_found_at_resolve(tmp_path, option, value):
    @rs.Asset(io_handler=ParquetIOHandler(tmp_path), metadata={f"parquet/{option}": value})
    def orders() -> pl.DataFrame:
        return FRAME

    with pytest.raises(GraphValidationError, match=option):
        rs.CodeRepository([orders], config=False).resolve()


def test_level_has_to_fit_compression(tmp_path):
    with pytest.raises(ValidationError, match="snappy"):
        ParquetIOHandler(tmp_path, compression="snappy", compression_level=3)
    handler = ParquetIOHandler(tmp_path, compression_level=22)
    assert handler.check_options({"parquet/compression": "gzip"}) == []
    assert handler.check_options({"parquet/compression_level": 5, "parquet/compression": "lz4"})


def test_options_as_text(tables):
    tables.store(FRAME, row_group_size="1", statistics="false")
    assert list(tables.load(pl.DataFrame, columns='["b"]').columns) == ["b"]


def test_handler_is_pickled_as_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    handler = ParquetIOHandler("tables", compression="snappy")
    copy = pickle.loads(pickle.dumps(handler))
    monkeypatch.chdir("/")
    assert copy == handler
    assert copy.store == str(tmp_path / "tables")


def test_settings_are_read_from_variables(monkeypatch):
    monkeypatch.setenv("RIVERS_PARQUET_STORE", "s3://bucket")
    monkeypatch.setenv("RIVERS_PARQUET_STORAGE_OPTIONS", '{"secret_access_key": "hidden"}')
    handler = ParquetIOHandler()
    assert handler.locality == "shared"
    assert "hidden" not in repr(handler)

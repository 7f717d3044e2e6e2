"""Round trips: tables of each library, loaded as each type."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import arro3.core as ac
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from rivers_core import MetadataValue
from rivers_core.exceptions import AssetOutputValidationError, RiversError
from rivers_delta import DeltaIOHandler
from rivers_frames import FrameAdapter, FrameTypeRegistry, FrameTypeSpec, hookimpl

ROWS = {"id": [1, 2, 3], "name": ["a", None, "c"], "value": [0.5, 1.5, None]}


def made(kind: type) -> Any:
    return {
        pl.DataFrame: lambda: pl.DataFrame(ROWS),
        pl.LazyFrame: lambda: pl.LazyFrame(ROWS),
        pa.Table: lambda: pa.table(ROWS),
        pa.RecordBatchReader: lambda: pa.table(ROWS).to_reader(max_chunksize=2),
        pd.DataFrame: lambda: pa.table(ROWS).to_pandas(),
        ac.Table: lambda: ac.Table.from_arrow(pa.table(ROWS)),
        ac.RecordBatchReader: lambda: ac.RecordBatchReader.from_arrow(pa.table(ROWS)),
        duckdb.DuckDBPyRelation: lambda: duckdb.from_arrow(pa.table(ROWS)),
    }[kind]()


def rows(value: Any) -> dict[str, list[Any]]:
    if isinstance(value, pl.LazyFrame):
        value = value.collect()
    if isinstance(value, pd.DataFrame):
        value = pa.Table.from_pandas(value, preserve_index=False)
    if isinstance(value, duckdb.DuckDBPyRelation):
        value = value.to_arrow_table()
    return pl.DataFrame(pa.table(value)).sort("id").to_dict(as_series=False)


KINDS = [
    pl.DataFrame, pl.LazyFrame, pa.Table, pa.RecordBatchReader, pd.DataFrame, ac.Table, ac.RecordBatchReader,
    duckdb.DuckDBPyRelation,
]  # fmt: skip


@pytest.mark.parametrize("written", KINDS)
def test_types_round_trip(lake, written):
    lake.store(made(written))
    loaded = lake.load(written)
    assert isinstance(loaded, written)
    assert rows(loaded) == ROWS


@pytest.mark.parametrize("asked", KINDS)
def test_types_follow_consumer_hint(lake, asked):
    lake.store(made(pl.DataFrame))
    loaded = lake.load(asked)
    assert isinstance(loaded, asked)
    assert rows(loaded) == ROWS


@pytest.mark.parametrize(
    ("hint", "kind"), [(pl.DataFrame | None, pl.DataFrame), (None, pl.DataFrame), (Any, pl.DataFrame)]
)
def test_types_of_open_or_optional_hint(lake, hint, kind):
    lake.store(made(pl.DataFrame))
    assert isinstance(lake.load(hint), kind)


def test_types_follow_recorded_event(lake):
    context = lake.store(made(pa.Table))
    event = SimpleNamespace(typed_metadata=context.output_metadata)
    assert isinstance(lake.load(upstream=event), pa.Table)
    assert context.output_metadata["delta/type"] == MetadataValue.text("pyarrow.Table")


def test_types_follow_default_type(tmp_path, lake):
    lake.store(made(pl.DataFrame))
    handler = DeltaIOHandler(
        table_uri=lake.handler.table_uri, handler_config={"default_type": "pandas.DataFrame"}
    )
    assert isinstance(handler.load_input(lake.asked()), pd.DataFrame)


def test_types_keep_order_of_chunks(lake):
    frame = pl.concat([pl.DataFrame({"n": [3, 1]}), pl.DataFrame({"n": [2]}), pl.DataFrame({"n": [0]})])
    for value in (frame, frame.to_arrow(), frame.to_pandas()):
        lake.store(value)
        assert lake.load(pl.DataFrame)["n"].to_list() == [3, 1, 2, 0]


def test_types_lazy_frame_pushes_down(lake):
    lake.store(pl.DataFrame({"region": ["us"], "value": [1]}), keys="us", partition_expr="region")
    lake.store(pl.DataFrame({"region": ["eu"], "value": [2]}), keys="eu", partition_expr="region")
    frame = lake.load(pl.LazyFrame, keys="eu", partition_expr="region").select("value")
    plan = frame.explain()
    assert isinstance(frame, pl.LazyFrame)
    assert "PROJECT 1/1" in plan or "PROJECT 2/2" in plan or 'col("region")' in plan
    assert frame.collect()["value"].to_list() == [2]


def test_types_lazy_query_is_streamed(lake):
    lake.store(
        pl.DataFrame({"n": list(range(1000)), "c": pl.Series(["x"] * 1000, dtype=pl.Categorical)}), "source"
    )
    query = lake.load(pl.LazyFrame, "source").group_by("c").agg(pl.col("n").sum()).sort("c")
    lake.store(query)
    assert lake.load(pl.DataFrame).rows() == [("x", 499500)]
    frame = lake.load(pl.LazyFrame, "source")
    relation = duckdb.sql("SELECT sum(n)::BIGINT AS total, 'us' AS region FROM frame")
    lake.store(relation, "by_duckdb", keys="us", partition_expr="region")
    assert lake.load(pl.DataFrame, "by_duckdb")["total"].to_list() == [499500]
    assert frame is not None


def test_types_failing_lazy_frame_stores_nothing(lake):
    broken = pl.LazyFrame({"a": ["x"]}).select(pl.col("a").cast(pl.Int64))
    with pytest.raises(RiversError, match="asset 'asset'"):
        lake.store(broken)
    assert not lake.handler.exists(lake.asked())


@pytest.mark.parametrize("value", [[1, 2], {"a": [1]}, "text", 3])
def test_types_refuse_values_that_are_not_tables(lake, value):
    with pytest.raises(AssetOutputValidationError, match=r"one of polars\.DataFrame"):
        lake.store(value)


def test_types_refuse_meaningful_pandas_index(lake):
    with pytest.raises(AssetOutputValidationError, match="reset_index"):
        lake.store(pd.DataFrame({"a": [1, 2]}, index=["x", "y"]))
    for index in (pd.Index([5, 6], name="n"), pd.MultiIndex.from_tuples([(1, 2), (3, 4)]), [0.5, 1.5]):
        with pytest.raises(AssetOutputValidationError, match="reset_index"):
            lake.store(pd.DataFrame({"a": [1, 2]}, index=index))
    with pytest.raises(AssetOutputValidationError, match="reset_index"):
        lake.store(pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2024", periods=2)))
    with pytest.raises(AssetOutputValidationError, match="column name 0"):
        lake.store(pd.DataFrame({0: [1, 2]}))


def test_types_accept_positional_pandas_index(lake):
    frame = pd.DataFrame({"a": [3, 1, 2]})
    for kept in (
        frame[frame["a"] > 1],
        frame.sort_values("a"),
        pd.concat([frame, frame]),
        frame.tail(1),
        frame[:0],
    ):
        lake.store(kept)
        pd.testing.assert_frame_equal(lake.load(pd.DataFrame), kept.reset_index(drop=True))


def test_types_refuse_single_column(lake):
    for column in (pl.Series("a", [1]), pa.chunked_array([[1]])):
        with pytest.raises(RiversError, match="make it a frame"):
            lake.store(column)


def test_types_refuse_intervals(lake):
    with pytest.raises(AssetOutputValidationError, match="column 'c' has categories that are intervals"):
        lake.store(pd.DataFrame({"c": pd.cut([1, 5], [0, 2, 6])}))


def test_types_of_pandas_round_trip(lake):
    frame = pd.DataFrame({
        "int": pd.array([1, None, 3], dtype="Int64"),
        "bool": pd.array([True, None, False], dtype="boolean"),
        "category": pd.Categorical(["a", "b", "a"]),
        "plain": [1, 2, 3],
        "text": ["x", "y", None],
    })  # fmt: skip
    lake.store(frame)
    pd.testing.assert_frame_equal(lake.load(pd.DataFrame), frame)


def test_types_of_polars_round_trip(lake):
    frame = pl.DataFrame({
        "enum": pl.Series(["a", "b"], dtype=pl.Enum(["a", "b", "c"])),
        "category": pl.Series(["x", None], dtype=pl.Categorical),
        "unsigned": pl.Series([0, 2**64 - 1], dtype=pl.UInt64),
        "small": pl.Series([0, 255], dtype=pl.UInt8),
        "array": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2)),
        "list": pl.Series([["a"], []], dtype=pl.List(pl.String)),
        "moment": pl.Series([0, 1], dtype=pl.Datetime("ms", "Europe/Berlin")),
    })  # fmt: skip
    lake.store(frame)
    assert_frame_equal(lake.load(pl.DataFrame), frame)
    assert_frame_equal(lake.load(pl.LazyFrame).collect(), frame)


@pytest.mark.parametrize("dtype", [pl.Int128, pl.Object])
def test_types_refuse_polars_types_beyond_arrow(lake, dtype):
    with pytest.raises(AssetOutputValidationError, match="'odd'"):
        lake.store(pl.DataFrame({"odd": pl.Series([1], dtype=dtype)}))


class Measured(pd.DataFrame):
    """A frame type of a third party."""


class MeasuredAdapter(FrameAdapter):
    def from_reader(self, reader):
        return Measured(pa.table(reader).to_pandas())

    def open(self, value):
        return super().open(pa.Table.from_pandas(pd.DataFrame(value), preserve_index=False))


@pytest.fixture
def third_party(monkeypatch):
    module = ModuleType("measured_plugin")

    @hookimpl
    def rivers_frame_types():
        yield FrameTypeSpec("measured_lib.Measured", "measured_lib:MeasuredAdapter")

    module.rivers_frame_types = rivers_frame_types
    library = ModuleType("measured_lib")
    library.Measured, library.MeasuredAdapter = Measured, MeasuredAdapter
    monkeypatch.setitem(sys.modules, "measured_lib", library)
    known = FrameTypeRegistry([("measured", module)], entry_points=[])
    for home in ("rivers_delta.write.request", "rivers_delta.read.load"):
        monkeypatch.setattr(f"{home}.get_frame_types", lambda: known)
    return known


def test_registry_prefers_most_specific_type(lake, third_party):
    context = lake.store(Measured({"a": [1, 2]}))
    assert context.output_metadata["delta/type"].raw_value() == "measured_lib.Measured"
    assert type(lake.load(Measured)) is Measured
    assert type(lake.load(pd.DataFrame)) is pd.DataFrame


@pytest.mark.parametrize(
    "hint", [pl.DataFrame, pa.Table, pl.LazyFrame | None, Any, None, object, dict[str, pl.DataFrame]]
)
def test_registry_can_load_frame_types(lake, hint):
    assert lake.handler.can_load_type(hint)


@pytest.mark.parametrize("hint", [int, list[int], str | None, dict[str, int]])
def test_registry_cannot_load_other_types(lake, hint):
    assert not lake.handler.can_load_type(hint)


def test_registry_can_store_frame_types(lake):
    assert lake.handler.accepts_type(pl.LazyFrame)
    assert lake.handler.accepts_type(pl.DataFrame | None)
    assert lake.handler.accepts_type(duckdb.DuckDBPyRelation)
    assert not lake.handler.accepts_type(list)
    assert not lake.handler.accepts_type(int)


def test_registry_imports_no_library():
    code = (
        "import sys; from rivers_delta import DeltaIOHandler; H = DeltaIOHandler('lake'); "
        "assert not H.accepts_type(int) and not H.can_load_type(list[int]) and H.can_load_type(None); "
        "print([m for m in ('polars', 'pyarrow', 'pandas', 'deltalake', 'duckdb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_package_import_is_light():
    heavy = ["deltalake", "polars", "pyarrow", "pandas", "pydantic", "arro3"]
    code = f"import sys, rivers_delta, rivers_delta.plugin; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("absent", "library", "table", "asked"),
    [
        ("'pandas',", "polars as lib", "lib.DataFrame({'r': ['x'], 'n': [1]})", "lib.DataFrame"),
        ("'polars', 'pandas'", "pyarrow as lib", "lib.table({'r': ['x'], 'n': [1]})", "lib.Table"),
    ],
)
def test_types_need_one_frame_library(absent, library, table, asked):
    code = f"""
import sys, tempfile
class Absent:
    def find_spec(self, name, *rest):
        if name.partition(".")[0] in [{absent}]:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import {library}
from rivers_core import InputContext, OutputContext, PartitionContext, PartitionKey
from rivers_delta import DeltaIOHandler
handler = DeltaIOHandler(table_uri=tempfile.mkdtemp())
options, keys = {{'delta/partition_expr': 'r'}}, PartitionContext([PartitionKey('x')])
handler.handle_output(OutputContext('a', options, keys), {table})
print(len(handler.load_input(InputContext('a', 'b', options, keys, {asked}))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("1", 0), done.stderr


def test_reader_does_not_block_process_exit(lake):
    lake.store(pl.DataFrame({"n": range(500_000)}), mode="append")
    code = f"""
import pyarrow as pa
from rivers_core import InputContext
from rivers_delta import DeltaIOHandler
handler = DeltaIOHandler(table_uri={lake.handler.table_uri!r})
reader = handler.load_input(InputContext("asset", "b", type_hint=pa.RecordBatchReader))
print(reader.read_next_batch().num_rows > 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout.strip(), done.returncode) == ("True", 0), done.stderr

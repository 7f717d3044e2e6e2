"""What goes in comes out: each library's tables, as the type that somebody asks for."""

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
from rivers_core.exceptions import AssetOutputValidationError, PluginLoadError, RiversError
from rivers_delta import DeltaIOHandler, TypeAdapter, TypeSpec, hookimpl
from rivers_delta.types import registry
from rivers_delta.types.registry import TypeRegistry

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
def test_every_type_is_stored_and_comes_back_as_itself(lake, written):
    lake.store(made(written))
    loaded = lake.load(written)
    assert isinstance(loaded, written)
    assert rows(loaded) == ROWS


@pytest.mark.parametrize("asked", KINDS)
def test_the_consumer_decides_what_it_gets(lake, asked):
    lake.store(made(pl.DataFrame))
    loaded = lake.load(asked)
    assert isinstance(loaded, asked)
    assert rows(loaded) == ROWS


@pytest.mark.parametrize(
    ("hint", "kind"), [(pl.DataFrame | None, pl.DataFrame), (None, pl.DataFrame), (Any, pl.DataFrame)]
)
def test_an_open_or_optional_hint_gives_what_fits(lake, hint, kind):
    lake.store(made(pl.DataFrame))
    assert isinstance(lake.load(hint), kind)


def test_without_a_hint_the_type_that_the_event_recorded_is_loaded(lake):
    context = lake.store(made(pa.Table))
    event = SimpleNamespace(typed_metadata=context.output_metadata)
    assert isinstance(lake.load(upstream=event), pa.Table)
    assert context.output_metadata["delta/type"] == MetadataValue.text("pyarrow.Table")


def test_the_handler_may_say_what_is_loaded_when_nobody_else_does(tmp_path, lake):
    lake.store(made(pl.DataFrame))
    other = DeltaIOHandler(
        table_uri=lake.handler.table_uri, handler_config={"default_type": "pandas.DataFrame"}
    )
    assert isinstance(other.load_input(lake.asked()), pd.DataFrame)


def test_tables_of_several_chunks_keep_the_order_of_their_rows(lake):
    frame = pl.concat([pl.DataFrame({"n": [3, 1]}), pl.DataFrame({"n": [2]}), pl.DataFrame({"n": [0]})])
    for value in (frame, frame.to_arrow(), frame.to_pandas()):
        lake.store(value)
        assert lake.load(pl.DataFrame)["n"].to_list() == [3, 1, 2, 0]


def test_a_lazy_frame_stays_lazy_and_reads_only_what_is_asked_for(lake):
    lake.store(pl.DataFrame({"region": ["us"], "value": [1]}), keys="us", partition_expr="region")
    lake.store(pl.DataFrame({"region": ["eu"], "value": [2]}), keys="eu", partition_expr="region")
    frame = lake.load(pl.LazyFrame, keys="eu", partition_expr="region").select("value")
    plan = frame.explain()
    assert isinstance(frame, pl.LazyFrame)
    assert "PROJECT 1/1" in plan or "PROJECT 2/2" in plan or 'col("region")' in plan
    assert frame.collect()["value"].to_list() == [2]


def test_a_query_over_another_table_is_streamed_into_a_table(lake):
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


def test_a_lazy_frame_with_an_error_stores_nothing(lake):
    broken = pl.LazyFrame({"a": ["x"]}).select(pl.col("a").cast(pl.Int64))
    with pytest.raises(RiversError, match="asset 'asset'"):
        lake.store(broken)
    assert not lake.handler.exists(lake.asked())


@pytest.mark.parametrize("value", [[1, 2], {"a": [1]}, "text", 3])
def test_what_is_no_table_is_refused_with_what_would_be(lake, value):
    with pytest.raises(AssetOutputValidationError, match=r"one of polars\.DataFrame"):
        lake.store(value)


def test_a_pandas_index_that_says_something_is_refused_rather_than_lost(lake):
    with pytest.raises(AssetOutputValidationError, match="reset_index"):
        lake.store(pd.DataFrame({"a": [1, 2]}, index=["x", "y"]))
    for index in (pd.Index([5, 6], name="n"), pd.MultiIndex.from_tuples([(1, 2), (3, 4)]), [0.5, 1.5]):
        with pytest.raises(AssetOutputValidationError, match="reset_index"):
            lake.store(pd.DataFrame({"a": [1, 2]}, index=index))
    with pytest.raises(AssetOutputValidationError, match="reset_index"):
        lake.store(pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2024", periods=2)))
    with pytest.raises(AssetOutputValidationError, match="column name 0"):
        lake.store(pd.DataFrame({0: [1, 2]}))


def test_the_places_that_pandas_keeps_of_rows_are_no_index_that_says_something(lake):
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


def test_a_single_column_is_no_table_and_told_so(lake):
    for column in (pl.Series("a", [1]), pa.chunked_array([[1]])):
        with pytest.raises(RiversError, match="make it a frame"):
            lake.store(column)


def test_intervals_are_refused_with_the_column(lake):
    with pytest.raises(AssetOutputValidationError, match="column 'c' has categories that are intervals"):
        lake.store(pd.DataFrame({"c": pd.cut([1, 5], [0, 2, 6])}))


def test_pandas_own_types_come_back(lake):
    frame = pd.DataFrame({
        "int": pd.array([1, None, 3], dtype="Int64"),
        "bool": pd.array([True, None, False], dtype="boolean"),
        "category": pd.Categorical(["a", "b", "a"]),
        "plain": [1, 2, 3],
        "text": ["x", "y", None],
    })  # fmt: skip
    lake.store(frame)
    pd.testing.assert_frame_equal(lake.load(pd.DataFrame), frame)


def test_polars_own_types_come_back(lake):
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
def test_a_polars_type_that_arrow_has_not_is_refused_with_the_column(lake, dtype):
    with pytest.raises(AssetOutputValidationError, match="'odd'"):
        lake.store(pl.DataFrame({"odd": pl.Series([1], dtype=dtype)}))


class Measured(pd.DataFrame):
    """A frame of somebody's own."""


class MeasuredAdapter(TypeAdapter):
    def from_reader(self, reader):
        return Measured(pa.table(reader).to_pandas())

    def open(self, value):
        return super().open(pa.Table.from_pandas(pd.DataFrame(value), preserve_index=False))


@pytest.fixture
def third_party(monkeypatch):
    module = ModuleType("measured_plugin")

    @hookimpl
    def rivers_delta_types():
        yield TypeSpec("measured_lib.Measured", "measured_lib:MeasuredAdapter")

    module.rivers_delta_types = rivers_delta_types
    library = ModuleType("measured_lib")
    library.Measured, library.MeasuredAdapter = Measured, MeasuredAdapter
    monkeypatch.setitem(sys.modules, "measured_lib", library)
    known = TypeRegistry([("measured", module)], entry_points=[])
    for home in ("rivers_delta.types.registry", "rivers_delta.write.request", "rivers_delta.read.load"):
        monkeypatch.setattr(f"{home}.get_types", lambda: known)
    return known


def test_a_third_package_adds_a_type_and_the_most_specific_wins(lake, third_party):
    context = lake.store(Measured({"a": [1, 2]}))
    assert context.output_metadata["delta/type"].raw_value() == "measured_lib.Measured"
    assert type(lake.load(Measured)) is Measured
    assert type(lake.load(pd.DataFrame)) is pd.DataFrame


def test_a_broken_type_plugin_stops_nobody_else():
    def explode():
        raise RuntimeError("no")

    entry = SimpleNamespace(name="bad", dist=SimpleNamespace(name="acme"), load=explode)
    types = TypeRegistry(entry_points=[entry])
    assert types.for_class(pl.DataFrame) is not None
    assert isinstance(types.broken["acme:bad"], RuntimeError)


def test_an_adapter_that_cannot_be_imported_says_so():
    types = TypeRegistry(entry_points=[])
    with pytest.raises(PluginLoadError, match="no_such_module"):
        types.adapter(TypeSpec("x.Y", "no_such_module:Adapter"))


def test_without_any_library_the_error_names_the_pip_line(monkeypatch):
    monkeypatch.setattr(registry, "_is_installed", lambda module: False)
    with pytest.raises(RiversError, match="pip install"):
        TypeRegistry(entry_points=[]).installed()


@pytest.mark.parametrize("name", ["frame", "polars DataFrame", ""])
def test_a_type_is_announced_by_its_dotted_name(name):
    with pytest.raises(ValueError, match="dotted name"):
        TypeSpec(name, "a:B")


@pytest.mark.parametrize(
    "hint", [pl.DataFrame, pa.Table, pl.LazyFrame | None, Any, None, object, dict[str, pl.DataFrame]]
)
def test_annotations_of_tables_can_be_loaded(lake, hint):
    assert lake.handler.can_load_type(hint)


@pytest.mark.parametrize("hint", [int, list[int], str | None, dict[str, int]])
def test_other_annotations_cannot_be_loaded(lake, hint):
    assert not lake.handler.can_load_type(hint)


def test_annotations_are_judged_before_anything_runs(lake):
    assert lake.handler.accepts_type(pl.LazyFrame)
    assert lake.handler.accepts_type(pl.DataFrame | None)
    assert lake.handler.accepts_type(duckdb.DuckDBPyRelation)
    assert not lake.handler.accepts_type(list)
    assert not lake.handler.accepts_type(int)


def test_looking_at_annotations_imports_no_library():
    code = (
        "import sys; from rivers_delta import DeltaIOHandler; H = DeltaIOHandler('lake'); "
        "assert not H.accepts_type(int) and not H.can_load_type(list[int]) and H.can_load_type(None); "
        "print([m for m in ('polars', 'pyarrow', 'pandas', 'deltalake', 'duckdb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_package_imports_next_to_nothing():
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
def test_one_library_is_enough(absent, library, table, asked):
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


def test_a_program_may_end_before_a_reader_does(lake):
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

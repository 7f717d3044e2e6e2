"""Tables of other engines: every value is loaded correctly, or an error names the unsupported feature."""

from __future__ import annotations

import json
import os
import re
import shutil
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable

import rivers as rs
from rivers_core.exceptions import IntegrityError, RiversError
from tests.test_delta.foreign import field, mapped, write_foreign
from tests.test_delta.support import Lake

FRAMES = [pl.DataFrame, pl.LazyFrame, pa.Table, pa.RecordBatchReader, pd.DataFrame]
TABLES = os.environ.get("RIVERS_DELTA_TABLES")
FAR = datetime(9999, 12, 31, tzinfo=UTC)
NEAR = datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC)


def values(loaded) -> list[str]:
    """The rows of any frame, as sorted text."""
    if isinstance(loaded, pl.LazyFrame):
        loaded = loaded.collect()
    if isinstance(loaded, pd.DataFrame):
        rows = [[_plain(value) for value in row] for row in loaded.astype(object).itertuples(index=False)]
        return sorted(map(repr, rows))
    if isinstance(loaded, pa.RecordBatchReader):
        loaded = loaded.read_all()
    return sorted(repr([_plain(value) for value in row.values()]) for row in pa.table(loaded).to_pylist())


def _plain(value):
    """A value without the differences between frame types: containers of pandas, and kinds of null."""
    if value is pd.NaT:
        return None
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, pd.Timestamp):
        value = value.to_pydatetime()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None if value is pd.NA or value != value else value


def _tables() -> list[str]:
    return sorted(path.name for path in Path(TABLES).iterdir() if path.is_dir()) if TABLES else ["-"]


@pytest.mark.skipif(not TABLES, reason="RIVERS_DELTA_TABLES does not name a folder of tables")
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("name", _tables())
def test_load_equals_scan_of_deltalake(name, frame):
    lake = Lake(TABLES)
    try:
        expected = pa.table(DeltaTable(f"{TABLES}/{name}").scan())
    except Exception:
        with pytest.raises(RiversError, match=r"feature '|data file '"):
            lake.load(frame, name)
        return
    if name == "table_with_edge_timestamps":
        # The scan of deltalake returns the year 1816.
        days = [FAR.replace(day=day) for day in (31, 30)]
        column = expected.schema.get_field_index("BIG_DATE")
        order = expected.column("NORMAL_DATE").to_pylist()
        expected = expected.set_column(column, "BIG_DATE", [[days[moment.month - 1] for moment in order]])
    loaded = lake.load(frame, name)
    if frame is pd.DataFrame:
        schema = pa.schema(DeltaTable(f"{TABLES}/{name}").schema())
        expected = pa.Table.from_pylist(expected.to_pylist(), schema=schema).to_pandas()
    assert values(loaded) == values(expected)


REFUSALS = r"feature '|INT96|data file '|partitioned by|occurs \d+ times"
"""Reasons for which a change of a foreign table may be refused; the table is then as it was."""


def as_frame(rows: pa.Table, frame):
    """Return rows as a frame of a type."""
    if frame is pa.Table:
        return rows
    if frame is pa.RecordBatchReader:
        return rows.to_reader()
    if frame is pd.DataFrame:
        return rows.to_pandas(types_mapper=pd.ArrowDtype)
    return pl.from_arrow(rows) if frame is pl.DataFrame else pl.from_arrow(rows).lazy()


def take(rows: pa.Table, positions) -> pa.Table:
    """Return some rows; pyarrow does not take from all of its types."""
    return pa.concat_tables([rows.slice(i, 1) for i in positions] or [rows.slice(0, 0)])


def changes_of(rows: pa.Table, partition: list[str]):
    """Yield mode, new rows, options and the expected rows of each change of a table.

    Args:
        rows: The rows of the table.
        partition: Its partition columns.
    """
    new = rows.slice(0, 2)
    yield "append", new, {}, values(rows) + values(new)
    yield "overwrite", new, {}, values(new)
    yield "create_or_replace", new, {}, values(new)
    keys = [f'"{column.name}"' for column in rows.schema if not pa.types.is_nested(column.type)]
    if keys:
        one = rows.slice(0, 1)
        condition = " AND ".join(f"(s.{key} IS NOT DISTINCT FROM t.{key})" for key in keys)
        yield "merge", one, {"merge_predicate": condition}, values(rows)
    if partition and rows.num_rows:
        column = rows.column(partition[0]).to_pylist()
        text = str(column[0]).lower() if isinstance(column[0], bool) else str(column[0])
        (alike, others) = (
            [i for i, key in enumerate(column) if (key == column[0]) is wanted] for wanted in (True, False)
        )
        one = take(rows, alike[:1])
        options = {"keys": text.replace(" ", "T"), "partition_expr": partition[0]}
        yield "overwrite", one, options, values(take(rows, others)) + values(one)


@pytest.mark.skipif(not TABLES, reason="RIVERS_DELTA_TABLES does not name a folder of tables")
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("name", _tables())
def test_change_equals_change_of_values(tmp_path, name, frame):
    table = DeltaTable(f"{TABLES}/{name}")
    rows, partition = pa.schema(table.schema()).empty_table(), table.metadata().partition_columns
    has_files = True
    try:
        rows = Lake(TABLES).load(pa.Table, name)
    except RiversError as error:
        has_files = not isinstance(error, IntegrityError)
    for number, (mode, new, options, expected) in enumerate(changes_of(rows, partition)):
        lake = Lake(tmp_path / str(number))
        copy = tmp_path / str(number) / name
        shutil.copytree(f"{TABLES}/{name}", copy)
        refusal = None
        try:
            lake.store(as_frame(new, frame), name, mode=mode, **options)
        except RiversError as error:
            refusal = str(error)
        if refusal is not None:
            assert re.search(REFUSALS, refusal), f"{mode}: {refusal}"
            assert DeltaTable(str(copy)).version() == table.version()
        elif has_files or mode != "append":
            assert values(lake.load(pa.Table, name)) == sorted(expected), mode


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("form", ["legacy", "feature"])
def test_load_column_mapping(tmp_path, frame, form):
    nested = {"type": "struct", "fields": [mapped("y", "string", 3)]}
    rows = pa.table({"col-1": [1, 2], "col-2": [{"col-3": "p"}, None]})
    versions = {"protocol": (2, 5)} if form == "legacy" else {"features": ["columnMapping"]}
    write_foreign(
        tmp_path / "asset",
        [mapped("x", "long", 1), mapped("s", nested, 2)],
        {"f.parquet": (rows, {})},
        configuration={"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "3"},
        **versions,
    )
    expected = values(pa.table({"x": [1, 2], "s": [{"y": "p"}, None]}))
    assert values(Lake(tmp_path).load(frame)) == expected
    assert values(Lake(tmp_path).load(frame, columns=["x"])) == ["[1]", "[2]"]


def test_self_dependency_over_mapped_column(tmp_path):
    write_foreign(
        tmp_path / "counter",
        [mapped("n", "long", 1)],
        {"f.parquet": (pa.table({"col-1": [41]}), {})},
        protocol=(2, 5),
        configuration={"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "1"},
    )

    @rs.Asset(io_handler=Lake(tmp_path).handler)
    def counter(self: rs.SelfDependency[pa.Table]) -> pa.Table:
        before = self.get_inner()
        return pa.table({"n": [(before["n"][0].as_py() or 0) + 1]})

    with rs.CodeRepository([counter], config=False) as repo:
        repo.materialize()
        assert repo.load_node("counter", type_hint=pa.Table).to_pydict() == {"n": [42]}


@pytest.mark.parametrize("frame", FRAMES)
def test_load_refuses_column_mapping_by_id(tmp_path, frame):
    write_foreign(
        tmp_path / "asset",
        [mapped("x", "long", 1)],
        {"f.parquet": (pa.table({"other": [1]}), {})},
        features=["columnMapping"],
        configuration={"delta.columnMapping.mode": "id", "delta.columnMapping.maxColumnId": "1"},
    )
    with pytest.raises(RiversError, match=r"asset 'asset'.*'delta.columnMapping.mode' 'id'"):
        Lake(tmp_path).load(frame)


KEYS = [
    ("string", "a b/c=%", "a b/c=%"),
    ("long", "7", 7),
    ("date", "2024-01-31", date(2024, 1, 31)),
    ("boolean", "true", True),
    ("double", "1.5", 1.5),
    ("decimal(5,2)", "1.50", Decimal("1.50")),
    ("timestamp", "2024-01-31 05:00:00.000001", datetime(2024, 1, 31, 5, 0, 0, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("folder", ["", "k=wrong/"])
@pytest.mark.parametrize(("kind", "text", "value"), KEYS, ids=[kind for kind, _, _ in KEYS])
def test_load_takes_partition_values_from_log(tmp_path, frame, folder, kind, text, value):
    files = {
        f"{folder}f.parquet": (pa.table({"n": [1, 2]}), {"k": text}),
        f"{folder}g.parquet": (pa.table({"n": [3]}), {"k": None}),
    }
    write_foreign(tmp_path / "asset", [field("n", "long"), field("k", kind)], files)
    lake = Lake(tmp_path)
    assert values(lake.load(frame)) == values(pa.table({"n": [1, 2, 3], "k": [value, value, None]}))
    key = text.replace(" ", "T") if kind == "timestamp" else text
    assert len(values(lake.load(frame, keys=key, partition_expr="k"))) == 2
    assert values(lake.load(frame, keys=key, partition_expr="k", columns=["n"])) == ["[1]", "[2]"]


def test_lazy_frame_over_foreign_folders_is_a_query(tmp_path):
    files = {
        "f.parquet": (pa.table({"n": [1, 2]}), {"k": "a"}),
        "g.parquet": (pa.table({"n": [3]}), {"k": "b"}),
    }
    write_foreign(tmp_path / "asset", [field("n", "long"), field("k", "string")], files)
    frame = Lake(tmp_path).load(pl.LazyFrame)
    assert frame.select(pl.len()).collect().item() == 3
    assert frame.filter(pl.col("n") > 1).select("k").collect()["k"].sort().to_list() == ["a", "b"]
    assert frame.head(2).collect().height == 2
    assert frame.filter(pl.col("k") == "b").head(1).collect().rows() == [(3, "b")]
    assert frame.group_by("k").len().sort("k").collect().rows() == [("a", 2), ("b", 1)]


def _int96(folder, **options):
    kinds = {"t": pa.timestamp("us", "UTC"), "l": pa.list_(pa.timestamp("us", "UTC"))}
    rows = pa.table({"t": pa.array([FAR, NEAR], kinds["t"]), "l": pa.array([[NEAR], [FAR]], kinds["l"])})
    fields = [
        field("t", "timestamp"),
        field("l", {"type": "array", "elementType": "timestamp", "containsNull": True}),
    ]
    write_foreign(folder, fields, {"f.parquet": (rows, {})}, use_deprecated_int96_timestamps=True, **options)
    return rows


@pytest.mark.parametrize("frame", FRAMES)
def test_load_int96_timestamps(tmp_path, frame):
    rows = _int96(tmp_path / "asset")
    expected = rows.to_pandas() if frame is pd.DataFrame else rows
    assert values(Lake(tmp_path).load(frame)) == values(expected)
    assert values(Lake(tmp_path).load(frame, columns=["t"])) == values(rows.select(["t"]))


@pytest.mark.parametrize("frame", FRAMES)
def test_load_refuses_int96_with_deletion_vectors(tmp_path, frame):
    _int96(tmp_path / "asset", features=["deletionVectors"])
    with pytest.raises(RiversError, match="asset 'asset'.*'t'.*INT96.*'deletionVectors'"):
        Lake(tmp_path).load(frame)


@pytest.mark.parametrize("frame", FRAMES)
def test_load_v2_checkpoint(tmp_path, frame):
    write_foreign(
        tmp_path / "asset", [field("n", "long")], {"f.parquet": (pa.table({"n": [1]}), {})},
        features=["v2Checkpoint"],
    )  # fmt: skip
    assert values(Lake(tmp_path).load(frame)) == ["[1]"]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("feature", ["typeWidening", "someFutureFeature"])
def test_load_refuses_unknown_reader_feature(tmp_path, frame, feature):
    write_foreign(
        tmp_path / "asset",
        [field("n", "long")],
        {"f.parquet": (pa.table({"n": [1]}), {})},
        features=[feature],
    )
    with pytest.raises(RiversError, match="asset 'asset'") as refused:
        Lake(tmp_path).load(frame)
    assert "context stack" not in str(refused.value)


@pytest.mark.parametrize("frame", FRAMES)
def test_load_refuses_files_of_other_size(lake, frame):
    lake.store(pl.DataFrame({"n": [1, 2]}))
    (path,) = lake.table().file_uris()
    with open(path, "ab") as file:
        file.write(b"x")
    with pytest.raises(IntegrityError, match="asset 'asset'.*bytes"):
        lake.load(frame)
    os.remove(path)
    with pytest.raises(IntegrityError, match="asset 'asset'.*not found"):
        lake.load(frame)


def test_load_ignores_damage_in_other_partitions(lake):
    for key in ("a", "b"):
        lake.store(pl.DataFrame({"k": [key], "n": [1]}), keys=key, partition_expr="k")
    (path,) = (path for path in lake.table().file_uris() if "k=b" in path)
    os.remove(path)
    assert lake.load(pl.DataFrame, keys="a", partition_expr="k").height == 1
    with pytest.raises(IntegrityError):
        lake.load(pl.DataFrame, keys="b", partition_expr="k")


@pytest.mark.parametrize("path", ["../secret.parquet", "/secret.parquet", "file:///secret.parquet"])
def test_load_refuses_files_outside_of_table(tmp_path, path):
    write_foreign(tmp_path / "asset", [field("n", "long")], {"f.parquet": (pa.table({"n": [1]}), {})})
    log = tmp_path / "asset" / "_delta_log" / f"{0:020d}.json"
    log.write_text(log.read_text().replace("f.parquet", path))
    with pytest.raises(IntegrityError, match="asset 'asset'.*outside"):
        Lake(tmp_path).load(pa.Table)


@pytest.mark.parametrize("change", ["merge", "overwrite", "delete", "optimize"])
def test_changes_refuse_to_rewrite_int96(tmp_path, change):
    _int96(tmp_path / "asset")
    lake = Lake(tmp_path)
    key = {"keys": "2024-01-01T00:00:00.000001", "partition_expr": "t"}
    new = pa.table({"t": pa.array([NEAR], pa.timestamp("us", "UTC")), "l": [[NEAR]]})
    changes = {
        "merge": lambda: lake.store(new, mode="merge", merge_predicate="s.t = t.t"),
        "overwrite": lambda: lake.store(new, **key),
        "delete": lambda: lake.handler.delete(lake.asked(**key)),
        "optimize": lambda: lake.handler.maintain([lake.asked()], dry_run=False, vacuum=False),
    }
    with pytest.raises(RiversError, match="'t'.*INT96"):
        changes[change]()
    assert lake.table().version() == 0


CHANGES = {
    "merge": lambda lake: lake.store(pa.table({"n": [1]}), mode="merge", merge_predicate="s.n = t.n"),
    "overwrite": lambda lake: lake.store(pa.table({"n": [1]}), keys="1", partition_expr="n"),
    "delete": lambda lake: lake.handler.delete(lake.asked(keys="1", partition_expr="n")),
    "optimize": lambda lake: lake.handler.maintain([lake.asked()], dry_run=False, vacuum=False),
}


@pytest.mark.parametrize("damage", ["longer", "missing", "outside"])
@pytest.mark.parametrize("change", CHANGES)
def test_changes_refuse_to_rewrite_damaged_files(tmp_path, change, damage):
    folder = tmp_path / "asset"
    files = {name: (pa.table({"n": [1, 2]}), {}) for name in ("f.parquet", "g.parquet")}
    write_foreign(folder, [field("n", "long")], files)
    lake = Lake(tmp_path)
    if damage == "longer":
        with open(folder / "f.parquet", "ab") as file:
            file.write(b"x")
    elif damage == "missing":
        os.remove(folder / "f.parquet")
    else:
        log = folder / "_delta_log" / f"{0:020d}.json"
        log.write_text(log.read_text().replace("f.parquet", "../f.parquet"))
    with pytest.raises(IntegrityError, match=r"f\.parquet"):
        CHANGES[change](lake)
    assert lake.table().version() == 0


LENGTH = "__CHAR_VARCHAR_TYPE_STRING"
TEXT = {
    "varchar(2)": ("string", pa.string(), lambda text: text),
    "char(2)": ("string", pa.string(), lambda text: text),
    "array<varchar(2)>": (
        {"type": "array", "elementType": "string", "containsNull": True},
        pa.list_(pa.string()),
        lambda text: ["", text],
    ),
    "map<varchar(2),decimal(5,2)>": (
        {"type": "map", "keyType": "string", "valueType": "decimal(5,2)", "valueContainsNull": True},
        pa.map_(pa.string(), pa.decimal128(5, 2)),
        lambda text: [(text, None)],
    ),
    "struct<a b:string,c:array<char(2)>>": (
        {
            "type": "struct",
            "fields": [
                field("a b", "string"),
                field("c", {"type": "array", "elementType": "string", "containsNull": True}),
            ],
        },
        pa.struct([("a b", pa.string()), ("c", pa.list_(pa.string()))]),
        lambda text: {"a b": "long enough", "c": [text, None]},
    ),
}
"""Types that Spark declares for a column: the type in the table, the Arrow type, and a value with a text."""


@pytest.mark.parametrize("declared", TEXT)
@pytest.mark.parametrize("mode", ["append", "overwrite", "merge"])
def test_write_refuses_text_beyond_declared_length(tmp_path, mode, declared):
    stored, arrow, value = TEXT[declared]

    def rows(*texts):
        return pa.table({"n": range(len(texts)), "t": pa.array([*map(value, texts)], arrow)})

    fields = [field("n", "long"), field("t", stored, **{LENGTH: declared})]
    write_foreign(tmp_path / "asset", fields, {"f.parquet": (rows("a"), {})})
    lake = Lake(tmp_path)
    with pytest.raises(RiversError, match=r"'t'.* 3 characters.*char\(2\).* 2\b"):
        lake.store(rows("bb", "ccc"), mode=mode, merge_predicate="s.n = t.n")
    assert lake.table().version() == 0
    new = rows("🌊🌊")
    lake.store(new, mode=mode, merge_predicate="s.n = t.n")
    assert set(values(new)) <= set(values(lake.load(pa.Table)))


def _declare_length(folder, declared: str = "varchar(2)") -> None:
    fields = [field("n", "long"), field("t", "string", **{LENGTH: declared})]
    write_foreign(folder / "asset", fields, {"f.parquet": (pa.table({"n": [1], "t": ["a"]}), {})})


@pytest.mark.parametrize("kind", ["when_matched_update", "when_not_matched_by_source_update"])
def test_merge_refuses_sql_for_declared_length(tmp_path, kind):
    _declare_length(tmp_path)
    new = pa.table({"n": [1 if kind == "when_matched_update" else 2], "t": ["bb"]})

    def merge(sql):
        operations = {kind: [{"updates": {"t": sql}}]}
        config = {"merge_type": "custom", "predicate": "s.n = t.n", "operations": operations}
        Lake(tmp_path, mode="merge", merge_config=config).store(new)

    for sql in ("t.t || 'cc'", "'ccc'"):
        with pytest.raises(RiversError, match=r"'t'.*varchar\(2\)"):
            merge(sql)
    merge("'''c'")
    assert values(Lake(tmp_path).load(pa.Table)) == [repr([1, "'c"])]


def test_write_refuses_declared_type_of_other_shape(tmp_path):
    _declare_length(tmp_path, "array<varchar(2)>")
    with pytest.raises(RiversError, match=r"'t'.*array<varchar\(2\)>"):
        Lake(tmp_path).store(pa.table({"n": [1], "t": ["a"]}))
    assert values(Lake(tmp_path).load(pa.Table)) == [repr([1, "a"])]


def frame_of(frame, columns):
    """Return columns as a frame, with the types that its library gives them."""
    if frame in (pl.DataFrame, pl.LazyFrame):
        rows = pl.DataFrame(columns)
        return rows if frame is pl.DataFrame else rows.lazy()
    if frame is pd.DataFrame:
        return pd.DataFrame(columns)
    return pa.table(columns) if frame is pa.Table else pa.table(columns).to_reader()


@pytest.mark.parametrize("frame", FRAMES)
def test_overwrite_keeps_declarations_of_columns(tmp_path, frame):
    invariant = '{"expression": {"expression": "n < 3"}}'
    fields = [
        field("n", "long", **{"delta.invariants": invariant}),
        field("t", "string", comment="a note") | {"nullable": False},
    ]
    write_foreign(tmp_path / "asset", fields, {"f.parquet": (pa.table({"n": [1], "t": ["a"]}), {})})
    lake = Lake(tmp_path)
    declared = lake.table().schema().to_json()
    lake.store(frame_of(frame, {"n": [2], "t": ["b"]}))
    assert lake.table().schema().to_json() == declared
    assert values(lake.load(frame)) == [repr([2, "b"])]
    for rows, column in (({"n": [3], "t": ["c"]}, "n"), ({"n": [1, 1], "t": ["c", None]}, "t")):
        with pytest.raises(RiversError, match=f"'{column}'"):
            lake.store(frame_of(frame, rows))
    assert lake.table().version() == 1


BYTES = [field(name, "binary") | {"nullable": False} for name in ("metadata", "value")]
NESTED = {
    "variant": ("variant", lambda item: item),
    "struct": ({"type": "struct", "fields": BYTES}, lambda item: item),
    "list": (
        {"type": "array", "elementType": {"type": "struct", "fields": BYTES}, "containsNull": True},
        lambda item: [item],
    ),
    "field": (
        {"type": "struct", "fields": [field("v", {"type": "struct", "fields": BYTES})]},
        lambda item: {"v": item},
    ),
}
"""Types with nested fields that must not be null, and values around such fields."""


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("kind", NESTED)
def test_write_nested_fields_that_forbid_nulls(tmp_path, kind, frame):
    stored, around = NESTED[kind]
    first = around({"metadata": b"m", "value": b"v"})
    features = {"features": ["variantType"]} if kind == "variant" else {}
    files = {"f.parquet": (pa.table({"n": [1], "s": [first]}), {})}
    write_foreign(tmp_path / "asset", [field("n", "long"), field("s", stored)], files, **features)
    lake = Lake(tmp_path)
    declared = lake.table().schema().to_json()
    new = {"n": [2, 3], "s": [around({"metadata": b"a", "value": b"b"}), None]}
    expected = {1: first, 2: new["s"][0], 3: None}
    for mode, keys in (("merge", [1, 2, 3]), ("append", [1, 2, 2, 3, 3]), ("overwrite", [2, 3])):
        lake.store(frame_of(frame, new), mode=mode, merge_predicate="s.n = t.n")
        loaded = lake.load(pa.Table).sort_by("n").to_pydict()
        assert loaded == {"n": keys, "s": [expected[key] for key in keys]}
        assert lake.table().schema().to_json() == declared
    with pytest.raises(RiversError, match=r"'s'.*'([\w.]+\.)?value'"):
        lake.store(frame_of(frame, {"n": [4], "s": [around({"metadata": b"a", "value": None})]}))


REQUIRED = pa.struct([("y", pa.string()), ("z", pa.int64())])
MAPPING = {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "4"}
PROTOCOLS = {
    "none": {},
    "legacy": {"protocol": (2, 5), "configuration": MAPPING},
    "feature": {"features": ["columnMapping"], "configuration": MAPPING},
}
"""Protocols of a table: without column mapping, as a renamed column leaves it, and with the list of features."""


def write_required_field(folder, protocol):
    """Write a table with a struct `s`, one of whose fields is required, and optional in the data file, as in Spark."""
    is_mapped = protocol != "none"
    column = mapped if is_mapped else lambda name, kind, number: field(name, kind)
    required = column("y", "string", 3) | {"nullable": False}
    kind = {"type": "struct", "fields": [required, column("z", "long", 4)]}
    rows = pa.table({"x": [1, 2], "s": pa.array([{"y": "p", "z": 1}, None], REQUIRED)})
    if is_mapped:
        physical = pa.struct([("col-3", pa.string()), ("col-4", pa.int64())])
        rows = pa.table({"col-1": [1, 2], "col-2": pa.array([{"col-3": "p", "col-4": 1}, None], physical)})
    columns = [column("x", "long", 1), column("s", kind, 2)]
    write_foreign(folder, columns, {"f.parquet": (rows, {})}, **PROTOCOLS[protocol])


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_load_null_struct_with_required_field(tmp_path, frame, protocol):
    write_required_field(tmp_path / "asset", protocol)
    lake = Lake(tmp_path)
    rows = pa.table({"x": [1, 2], "s": pa.array([{"y": "p", "z": 1}, None], REQUIRED)})
    expected = rows.to_pandas() if frame is pd.DataFrame else rows
    assert values(lake.load(frame)) == values(expected)
    assert values(lake.load(frame, columns=["s"])) == values(
        expected[["s"]] if frame is pd.DataFrame else rows.select(["s"])
    )


def test_load_names_null_in_required_field(tmp_path):
    kind = {"type": "struct", "fields": [field("y", "string") | {"nullable": False}]}
    rows = pa.table({"s": pa.array([{"y": None}], pa.struct([("y", pa.string())]))})
    write_foreign(tmp_path / "asset", [field("s", kind)], {"f.parquet": (rows, {})})
    with pytest.raises(RiversError, match="asset 'asset'.*'s'.*'y'"):
        Lake(tmp_path).load(pa.Table)


OLD, EMPTY, NEW = (1, {"y": "p", "z": 1}), (2, None), {"y": "q", "z": 5}
ASSIGNMENTS = {
    "column": (1, "when_matched_update", {"s": "s.s"}, [(1, NEW), EMPTY]),
    "renamed": (1, "when_matched_update", {"s": "s.other"}, [(1, NEW), EMPTY]),
    "kept": (1, "when_matched_update", {"x": "s.x + 9"}, [EMPTY, (10, OLD[1])]),
    "null": (1, "when_matched_update", {"s": "null"}, [(1, None), EMPTY]),
    "inserted": (3, "when_not_matched_insert", {"x": "s.x", "s": "s.other"}, [OLD, EMPTY, (3, NEW)]),
    "omitted": (3, "when_not_matched_insert", {"x": "s.x"}, [OLD, EMPTY, (3, None)]),
    "computed": (1, "when_matched_update", {"s": "coalesce(t.s, s.s)"}, None),
}
"""A key, an operation, its assignments, and the rows afterwards; None if deltalake cannot compute the value."""


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("case", ASSIGNMENTS)
def test_custom_merge_of_required_fields(tmp_path, case, protocol):
    key, operation, updates, expected = ASSIGNMENTS[case]
    write_required_field(tmp_path / "asset", protocol)
    operations = {operation: [{"updates": updates}]}
    config = {"merge_type": "custom", "predicate": "s.x = t.x", "operations": operations}
    lake = Lake(tmp_path, mode="merge", merge_config=config)
    declared = json.loads(lake.table().schema().to_json())
    column = pa.array([NEW], REQUIRED)
    rows = pa.table({"x": [key], "s": column, "other": column})
    if expected is None:
        with pytest.raises(RiversError, match="column of the value"):
            lake.store(rows)
        expected = [OLD, EMPTY]
    else:
        lake.store(rows)
    loaded = lake.load(pa.Table).sort_by("x")
    assert list(zip(loaded["x"].to_pylist(), loaded["s"].to_pylist(), strict=True)) == expected
    assert json.loads(lake.table().schema().to_json()) == declared


def test_custom_merge_names_null_in_required_field(tmp_path):
    write_required_field(tmp_path / "asset", "legacy")
    operations = {"when_matched_update": [{"updates": {"s": "s.other"}}]}
    config = {"merge_type": "custom", "predicate": "s.x = t.x", "operations": operations}
    lake = Lake(tmp_path, mode="merge", merge_config=config)
    with pytest.raises(RiversError, match="'other'.*'y'"):
        lake.store(pa.table({"x": [1], "other": pa.array([{"y": None, "z": 1}], REQUIRED)}))
    assert lake.table().version() == 0


def test_merge_into_partition_ignores_damage_in_others(lake):
    for key in ("a", "b"):
        lake.store(pl.DataFrame({"k": [key], "n": [1]}), keys=key, partition_expr="k")
    (path,) = (path for path in lake.table().file_uris() if "k=b" in path)
    os.remove(path)
    new = pl.DataFrame({"k": ["a"], "n": [2]})
    lake.store(new, keys="a", partition_expr="k", mode="merge", merge_predicate="s.k = t.k")
    assert lake.load(pl.DataFrame, keys="a", partition_expr="k").equals(new)


def test_folder_without_log_is_damage(lake):
    lake.store(pl.DataFrame({"k": ["a"], "n": [1]}), keys="a", partition_expr="k")
    folder = lake.handler.address("asset", None)
    shutil.rmtree(f"{folder}/_delta_log")
    for attempt in (
        lambda: lake.load(pl.DataFrame),
        lambda: lake.handler.exists(lake.asked()),
        lambda: lake.store(pl.DataFrame({"n": [1]})),
    ):
        with pytest.raises(IntegrityError, match="_delta_log"):
            attempt()


def test_write_killed_before_first_commit_can_be_repeated(lake):
    folder = Path(lake.handler.address("asset", None))
    (folder / "_delta_log").mkdir(parents=True)
    (folder / "part-0.parquet").write_bytes(b"")
    assert not lake.handler.exists(lake.asked())
    lake.store(pl.DataFrame({"n": [1]}))
    assert lake.load(pl.DataFrame).height == 1

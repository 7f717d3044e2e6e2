from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys

import arro3.core
import deltalake
import polars as pl
import pyarrow as pa
import pytest

from rivers_core import MetadataValue, Schema
from rivers_core.exceptions import InvalidMetadataError, MetadataTypeError

ORDERS = pa.schema({"id": pa.int64()})
ALL_TYPES = pa.schema(
    {
        "id": pa.int64(),
        "at": pa.timestamp("us", "UTC"),
        "tags": pa.list_(pa.string()),
        "point": pa.struct({"x": pa.float32(), "y": pa.float64()}),
        "kind": pa.dictionary(pa.int32(), pa.string()),
        "size": pa.dictionary(pa.int8(), pa.string(), ordered=True),
        "counts": pa.map_(pa.string(), pa.int64()),
        "price": pa.decimal128(10, 2),
        "rgb": pa.list_(pa.uint8(), 3),
        "digest": pa.binary(16),
        "day": pa.date32(),
        "time": pa.time64("ns"),
        "took": pa.duration("ms"),
        "large": pa.large_list(pa.large_string()),
        "view": pa.string_view(),
        "views": pa.list_view(pa.int8()),
        "runs": pa.run_end_encoded(pa.int32(), pa.string()),
        "either": pa.dense_union([pa.field("a", pa.int8())]),
        "none": pa.null(),
    }
)
IPC_TYPES = pa.schema([field for field in ALL_TYPES if field.name not in {"view", "views", "runs"}])
STORED = (
    '{"type": "schema", "columns": [{"name": "id", "format": "l", "type": "int64", "flags": 0}, '
    '{"name": "tags", "format": "+l", "type": "list<item: string>", "children": '
    '[{"name": "item", "format": "u", "type": "string"}]}, {"name": "kind", "format": "c", "type": '
    '"dictionary<values=string, indices=int8, ordered=0>", "dictionary": '
    '{"name": "", "format": "u", "type": "string"}}]}'
)


def test_schema_prints_types_like_pyarrow():
    schema = Schema(ALL_TYPES)
    plain = [str(kind) for kind in ALL_TYPES.types if str(kind)[:3] not in ("run", "den")]

    assert schema.names == ALL_TYPES.names
    assert [kind for kind in schema.types if kind[:3] not in ("run", "den")] == plain
    assert len(schema) == len(ALL_TYPES)
    assert repr(Schema(ORDERS)) == 'Schema({"id": "int64"})'
    assert str(Schema(ORDERS)) == "id: int64"


def test_schema_compares_names_and_types():
    schema = Schema(ORDERS)
    required = pa.schema([pa.field("id", pa.int64(), nullable=False)], metadata={"a": "b"})

    assert schema == Schema(required)
    assert hash(schema) == hash(Schema(required))
    assert schema != Schema(pa.schema({"id": pa.int32()}))
    assert schema != Schema(pa.schema({"key": pa.int64()}))
    assert bool(Schema(pa.schema([])))


def test_schema_is_immutable():
    schema = Schema(ORDERS)
    schema.names.append("more")
    schema.to_plain()[0]["name"] = "other"

    assert schema.names == ["id"]
    with pytest.raises(AttributeError, match="immutable"):
        schema.names = []


@pytest.mark.parametrize(
    "source",
    [
        ORDERS,
        arro3.core.Schema.from_arrow(ORDERS),
        deltalake.Schema([deltalake.Field("id", "long")]),
        pl.DataFrame({"id": [1]}).to_arrow().schema,
    ],
    ids=["pyarrow", "arro3", "deltalake", "polars"],
)
def test_schema_accepts_any_arrow_library(source):
    assert (Schema(source).names, Schema(source).types) == (["id"], ["int64"])


def test_schema_exports_key_value_metadata():
    source = pa.schema({"id": pa.int64()}, metadata={"origin": "orders"})

    assert pa.schema(Schema(source)).metadata == {b"origin": b"orders"}
    assert Schema(Schema(source)) == Schema(source)


@pytest.mark.parametrize(
    "restore",
    [
        lambda value: MetadataValue.from_json(value.to_json()),
        lambda value: pickle.loads(pickle.dumps(value)),
        copy.deepcopy,
    ],
    ids=["json", "pickle", "deepcopy"],
)
def test_restored_schema_exports_the_same_types(restore):
    restored = restore(MetadataValue.schema(ALL_TYPES)).value

    assert pa.schema(restored) == ALL_TYPES
    assert Schema(restored) == Schema(ALL_TYPES)


def test_restored_schema_is_read_by_arro3():
    source = pa.schema([field for field in IPC_TYPES if field.name != "size"])  # arro3 drops `ordered`
    restored = Schema.from_plain(Schema(source).to_plain())

    assert pa.schema(arro3.core.Schema.from_arrow(restored)) == source


def test_schema_keeps_its_stored_form():
    value = MetadataValue.from_json(STORED)

    assert pa.schema(value.raw_value()) == pa.schema(
        [
            pa.field("id", pa.int64(), nullable=False),
            ("tags", pa.list_(pa.string())),
            ("kind", pa.dictionary(pa.int8(), pa.string())),
        ]
    )
    assert json.loads(value.to_json()) == json.loads(STORED)
    assert json.loads(MetadataValue.schema(pa.schema(value.value)).to_json()) == json.loads(STORED)


def test_schema_round_trips_through_ipc():
    source = IPC_TYPES.with_metadata({"origin": "orders"})

    assert pa.ipc.read_schema(pa.py_buffer(Schema(source).to_ipc())).equals(source, check_metadata=True)
    assert pa.schema(Schema.from_ipc(Schema(source).to_ipc())).equals(source, check_metadata=True)
    assert Schema.from_ipc(source.serialize().to_pybytes()) == Schema(source)


def test_schema_reports_types_that_ipc_cannot_encode():
    with pytest.raises(InvalidMetadataError, match='"view": "string_view"'):
        Schema(pa.schema({"view": pa.string_view()})).to_ipc()


@pytest.mark.parametrize("data", [b"", b"not arrow", Schema(ORDERS).to_ipc()[:50], "text"])
def test_schema_rejects_bytes_that_are_not_ipc(data):
    kind = InvalidMetadataError if isinstance(data, bytes) else MetadataTypeError
    with pytest.raises(kind, match="IPC"):
        Schema.from_ipc(data)


def test_schema_rejects_objects_without_arrow_schema():
    with pytest.raises(TypeError, match=r"Table.*\.schema"):
        Schema(pa.table({"id": [1]}))
    with pytest.raises(TypeError, match="dict"):
        Schema({"id": "int64"})
    with pytest.raises(TypeError, match="int64"):
        Schema(pa.int64())


def test_schema_rejects_object_that_is_not_a_capsule():
    class Broken:
        def __arrow_c_schema__(self):
            return "not a capsule"

    with pytest.raises(TypeError, match="PyCapsule"):
        Schema(Broken())


def test_schema_rejects_consumed_capsule():
    class Consumed:
        def __init__(self):
            self.capsule = ORDERS.__arrow_c_schema__()
            pa.Schema._import_from_c_capsule(self.capsule)

        def __arrow_c_schema__(self):
            return self.capsule

    with pytest.raises(TypeError, match="released"):
        Schema(Consumed())


@pytest.mark.parametrize(
    "columns", [[{}], [1], 1, [{"name": "m", "format": "+m"}], [{"name": "a", "format": "tsx:"}]]
)
def test_schema_rejects_malformed_stored_columns(columns):
    with pytest.raises(InvalidMetadataError):
        Schema.from_plain(columns)


PROGRAM_WITHOUT_NANOARROW = """
import pickle, sys
sys.modules["nanoarrow"] = None
from rivers_core import MetadataValue, Schema
from rivers_core.exceptions import InvalidMetadataError

stored = pickle.loads(eval(sys.argv[1]))
assert stored.names == ["id"] and str(stored) == "id: int64" and stored == pickle.loads(pickle.dumps(stored))
assert MetadataValue.from_json(MetadataValue.schema(stored).to_json()).value == stored
for use in (stored.to_ipc, stored.__arrow_c_schema__, lambda: Schema(stored), lambda: Schema.from_ipc(b"")):
    try:
        use()
    except InvalidMetadataError as error:
        assert 'pip install "rivers-core[arrow]"' in str(error), error
    else:
        raise AssertionError(use)
"""


def test_schema_is_readable_without_nanoarrow():
    command = [sys.executable, "-c", PROGRAM_WITHOUT_NANOARROW, repr(pickle.dumps(Schema(ORDERS)))]
    result = subprocess.run(command, capture_output=True, text=True)

    assert result.returncode == 0, result.stderr

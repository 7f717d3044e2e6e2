"""Round trips of values."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import NotMaterializedError, PartitionValidationError, RiversError
from rivers_core.partitions import PartitionContext, PartitionKey
from rivers_pickle import PickleIOHandler
from rivers_pickle.stream import write_pickle


@dataclass
class Point:
    x: int
    y: int


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


@given(
    value=plain,
    name=st.text(min_size=1, max_size=8),
    key=st.none() | st.text("abÄ/ .%", min_size=1, max_size=4),
)
def test_value_round_trips_under_any_name(value, name, key):
    handler = PickleIOHandler("memory://", prefix="p")
    partition = None if key is None else PartitionContext([PartitionKey(key)])
    handler.handle_output(OutputContext(name, partition=partition), value)
    assert handler.load_input(InputContext(name, "next", partition=partition)) == value


@pytest.mark.parametrize(
    "value",
    [
        np.arange(3_000_000),
        np.asfortranarray(np.arange(1_000_000).reshape(1000, 1000)),
        np.arange(2_000_000)[::2],
        bytearray(b"x" * 9_000_000),
        [b"a" * 5_000_000, "text", b"b" * 5_000_000],
        np.array([{"a": 1}], dtype=object),
        np.zeros(0),
    ],
    ids=["large", "fortran", "strided", "bytearray", "mixed", "objects", "empty"],
)
def test_buffers_round_trip(lake, value):
    lake.store(value)
    assert np.array_equal(lake.load(), value) if isinstance(value, np.ndarray) else lake.load() == value


SCRATCH = bytearray(200_000)


class Chunk:
    """Pickled through a buffer that the next one uses too."""

    def __init__(self, number, view):
        self.number = number
        self.view = view

    def __reduce__(self):
        SCRATCH[:] = bytes([self.number]) * len(SCRATCH)
        return bytes, (pickle.PickleBuffer(self.view(SCRATCH)),)


@pytest.mark.parametrize("fsync", [False, True])
@pytest.mark.parametrize("count", [3, 60])
@pytest.mark.parametrize("view", [memoryview, lambda buffer: np.frombuffer(buffer, dtype=np.uint8)])
def test_reused_buffer_is_copied(lake, count, view, fsync):
    lake.handler = lake.handler.model_copy(update={"fsync": fsync})
    lake.store([Chunk(number, view) for number in range(count)])
    assert lake.load() == [bytes([number]) * len(SCRATCH) for number in range(count)]


class Pieces(list):
    """An object in a store, as the pieces that it was written in."""

    write = list.append

    @contextmanager
    def open(self):
        yield self


@pytest.mark.parametrize("value", [np.arange(3_000_000), b"x" * 24_000_000, pa.array(range(3_000_000))])
def test_large_buffers_are_not_copied(value):
    pieces = Pieces()
    write_pickle(pieces, value, lambda size, digest: b"")
    memory = value.buffers()[1] if isinstance(value, pa.Array) else value
    whole = np.frombuffer(memory, dtype=np.uint8)
    large = [np.frombuffer(piece, dtype=np.uint8) for piece in pieces if len(piece) > 100_000]
    assert sum(map(len, large)) == whole.nbytes
    assert all(np.may_share_memory(piece, whole) for piece in large)


def test_tables_round_trip(lake):
    frame = pl.DataFrame({"a": range(1000), "b": ["text"] * 1000})
    lake.store({"polars": frame, "arrow": frame.to_arrow(), "point": Point(1, 2)})
    again = lake.load()
    assert again["polars"].equals(frame)
    assert again["arrow"].equals(frame.to_arrow())
    assert isinstance(again["arrow"], pa.Table)
    assert again["point"] == Point(1, 2)


def test_object_is_loadable_with_plain_pickle(lake):
    lake.store({"rows": [1, 2, 3]})
    with (lake.folder / "asset.pkl").open("rb") as file:
        assert pickle.load(file) == {"rows": [1, 2, 3]}
    assert pickle._loads((lake.folder / "asset.pkl").read_bytes()) == {"rows": [1, 2, 3]}


def test_foreign_pickle_is_loaded(lake):
    lake.folder.mkdir()
    (lake.folder / "asset.pkl").write_bytes(pickle.dumps({"rows": 3}, protocol=2))
    assert lake.load() == {"rows": 3}


def test_store_reports_path_and_size(lake):
    context = lake.store([1, 2, 3], keys="2024-01-01")
    facts = {name: value.raw_value() for name, value in context.output_metadata.items()}
    file = lake.folder / "asset" / "2024-01-01" / "data.pkl"
    assert facts.pop("write_duration_s") > 0
    assert facts == {
        "path": "asset/2024-01-01/data.pkl",
        "uri": str(file),
        "serializer": "pickle",
        "size_bytes": file.stat().st_size,
    }


def test_signing_keeps_data_version(lake, signed):
    assert lake.store([1]).data_version == signed.store([1]).data_version


def test_not_materialized_names_address_and_nearest(lake):
    for name in ("orders", "customers"):
        lake.store(1, name)
    for day in ("2024-01-01", "2024-01-02", "2024-02-01"):
        lake.store(1, "daily", day)
    with pytest.raises(NotMaterializedError, match=r"PickleIOHandler.*'.*/lake/order\.pkl'.*'orders\.pkl'"):
        lake.load("order")
    with pytest.raises(
        NotMaterializedError, match=r"daily/2024-02-02/data\.pkl.*'daily/2024-02-01/data\.pkl'"
    ):
        lake.load("daily", "2024-02-02")


def test_load_creates_no_folder(lake):
    with pytest.raises(NotMaterializedError):
        lake.load()
    assert not lake.handler.exists(lake.asked())
    lake.handler.delete(lake.asked())
    assert not lake.folder.exists()


def test_handler_refuses_several_partition_keys(lake):
    with pytest.raises(PartitionValidationError):
        lake.store(1, keys=["a", "b"])
    assert lake.handler.describe_address(lake.asked(keys=["a", "b"])) == str(lake.folder / "asset")


def test_handler_is_thread_safe():
    handler = PickleIOHandler("memory://")

    def work(number):
        for turn in range(20):
            handler.handle_output(OutputContext(f"asset{number}"), [number, turn])
            assert handler.load_input(InputContext(f"asset{number}", "next")) == [number, turn]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    loaded = [handler.load_input(InputContext(f"asset{number}", "next")) for number in range(8)]
    assert loaded == [[number, 19] for number in range(8)]


def sliced(value):
    table = pa.table({"name": [f"name{number}" for number in range(20_000)], "number": range(20_000)})
    slices = {
        "table": table.slice(5, 1),
        "batch": table.to_batches()[0].slice(5, 1),
        "array": table["name"].chunk(0).slice(5, 1),
        "chunked": table["name"].slice(5, 1),
        "nested": {"tables": [table.slice(5, 1)]},
    }
    return slices[value]


@pytest.mark.parametrize("value", ["table", "batch", "array", "chunked", "nested"])
def test_slice_is_stored_without_foreign_rows(lake, value):
    lake.store(sliced(value))
    data = (lake.folder / "asset.pkl").read_bytes()
    assert len(data) < 5_000
    assert b"name5" in data
    assert b"name6" not in data
    assert lake.load() == sliced(value)


def long_texts(kind):
    """Different texts as an array of a type that pyarrow cannot take rows from, or takes more than these rows."""
    texts = [f"a text that is not inlined {number}" for number in range(2_000)]
    if kind == "run ends":
        return pa.RunEndEncodedArray.from_arrays(pa.array(range(1, 2_001), pa.int32()), pa.array(texts))
    values = {
        "text": (texts, pa.string_view()),
        "bytes": (list(map(str.encode, texts)), pa.binary_view()),
        "lists": ([[text, None] for text in texts], pa.list_(pa.string_view())),
        "pairs": ([[text, text] for text in texts], pa.list_(pa.string_view(), 2)),
        "structs": ([{"a": text} for text in texts], pa.struct([("a", pa.string_view())])),
        "maps": ([[(text, text)] for text in texts], pa.map_(pa.string(), pa.string_view())),
        "list views": ([[text] for text in texts], pa.list_view(pa.string())),
        "large list views": ([[text] for text in texts], pa.large_list_view(pa.string())),
    }
    return pa.array(*values[kind])


@pytest.mark.parametrize("container", ["array", "chunked", "batch", "table"])
@pytest.mark.parametrize(
    "kind",
    ["text", "bytes", "lists", "pairs", "structs", "maps", "list views", "large list views", "run ends"],
)
def test_slice_of_views_is_stored_without_foreign_rows(lake, kind, container):
    values = long_texts(kind)
    part = {
        "array": values,
        "chunked": pa.chunked_array([values]),
        "batch": pa.record_batch({"x": values}),
        "table": pa.table({"x": values}),
    }[container].slice(5, 2)
    lake.store(part)
    data = (lake.folder / "asset.pkl").read_bytes()
    assert b"inlined 6" in data
    assert b"inlined 7" not in data
    assert b"inlined 1999" not in data
    loaded = lake.load()
    loaded.validate(full=True)
    assert loaded.equals(part)


def test_list_views_of_views_are_stored(lake):
    values = pa.array([["a text that is not inlined"], None, []], pa.list_view(pa.string_view()))
    for part in (values, values.slice(1, 2)):
        lake.store(part)
        assert lake.load().equals(part)


def test_equal_rows_have_equal_data_versions(lake):
    rows = pa.table({"name": ["a", "b", "a", "b"], "number": [1, None, 1, None]})
    whole = pa.table({"name": ["a", "b"], "number": [1, None]})
    chunked = pa.concat_tables([rows.slice(0, 1), rows.slice(3, 1)])
    versions = {
        lake.store(table).data_version for table in (rows.slice(0, 2), rows.slice(2, 2), whole, chunked)
    }
    assert len(versions) == 1


def test_large_slice_is_compacted(lake):
    table = pa.table({"number": range(2_000_000)})
    lake.store(table.slice(1_000_000, 500_000))
    assert (lake.folder / "asset.pkl").stat().st_size < 5_000_000
    assert lake.load().equals(table.slice(1_000_000, 500_000))


def test_load_error_explains_class_of_main(lake):
    code = (
        "import sys\n"
        "from rivers_core.contexts import OutputContext\n"
        "from rivers_pickle import PickleIOHandler\n"
        "class Local: pass\n"
        "PickleIOHandler(sys.argv[1]).handle_output(OutputContext('asset'), [Local()])\n"
    )
    subprocess.run([sys.executable, "-c", code, str(lake.folder)], check=True)
    with pytest.raises(RiversError, match="__main__") as caught:
        lake.load()
    assert "Local" in str(caught.value)
    assert "module" in str(caught.value)
    assert "Install" not in str(caught.value)


@pytest.mark.parametrize(
    "wrap", [lambda thing: thing, lambda thing: [{"x": (1, thing)}], type], ids=["top", "nested", "class"]
)
def test_type_of_main_is_warned_of_once(lake, caplog, monkeypatch, wrap):
    class Thing:
        pass

    Thing.__module__, Thing.__qualname__ = "__main__", "Thing"
    monkeypatch.setattr(sys.modules["__main__"], "Thing", Thing, raising=False)
    monkeypatch.setattr("rivers_pickle.handler._warned_names", set())
    with caplog.at_level("WARNING", "rivers.handlers"):
        PickleIOHandler("memory://").handle_output(OutputContext("asset"), wrap(Thing()))
        lake.store(["__main__", b"\x8c\x08__main__" * 10])
        assert not caplog.records
        lake.store(wrap(Thing()))
        lake.store(wrap(Thing()))
    assert len(caplog.records) == 1
    assert "Thing" in caplog.text

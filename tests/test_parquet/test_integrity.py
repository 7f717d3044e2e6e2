"""Damaged, misplaced and foreign files: refused or read, never taken for a value that was never stored."""

from __future__ import annotations

import os
import random
import shutil
import threading

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from rivers_core.exceptions import ConflictError, IntegrityError, NotMaterializedError, RiversError
from rivers_parquet import scan
from rivers_parquet.seal import MAGIC, SIZE
from tests.test_parquet.support import Tables, facts

FRAME = pl.DataFrame({"n": range(500), "text": [str(n) for n in range(500)]})


@pytest.mark.parametrize("value", [FRAME, FRAME.to_arrow()], ids=["polars", "pyarrow"])
def test_any_changed_byte_is_detected(tables, value):
    tables.store(value)
    intact = tables.file().read_bytes()
    chosen = random.Random(0).sample(range(len(intact)), 150)
    for place in {*range(4), *chosen, *range(len(intact) - 60, len(intact))}:
        damaged = bytearray(intact)
        damaged[place] ^= 1 << place % 8
        tables.file().write_bytes(damaged)
        with pytest.raises(IntegrityError):
            tables.load(pl.DataFrame)


def test_any_truncation_is_detected(tables):
    tables.store(FRAME)
    intact = tables.file().read_bytes()
    for length in (0, 1, 4, 8, 11, len(intact) // 2, len(intact) - 8, len(intact) - 1):
        tables.file().write_bytes(intact[:length])
        for hint in (pl.DataFrame, pl.LazyFrame, pa.Table, pa.RecordBatchReader):
            with pytest.raises(IntegrityError):
                tables.load(hint)
    assert tables.handler.exists(tables.asked())


@pytest.mark.skipif(os.name == "nt", reason="limits the size of files with POSIX resource limits")
def test_disk_that_is_full_before_the_end_of_the_file_keeps_the_old_value(tables):
    import resource

    tables.store(FRAME)
    intact = tables.file().read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # the file without its seal has room, and the write of seal and footer is accepted in part
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(intact) - SIZE + 10, limits[1]))
    try:
        with pytest.raises(RiversError, match="File too large"):
            tables.store(FRAME)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert tables.file().read_bytes() == intact
    assert tables.load(pl.DataFrame).equals(FRAME)


def test_lazy_frame_verifies_footer(tables):
    tables.store(FRAME)
    damaged = bytearray(tables.file().read_bytes())
    damaged[-40] ^= 1
    tables.file().write_bytes(damaged)
    with pytest.raises(IntegrityError):
        tables.load(pl.LazyFrame)


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be replaced on Windows")
def test_lazy_frame_reads_version_that_was_loaded(tables):
    for key in ("a", "b"):
        tables.store(FRAME, keys=key)
    lazy = tables.load(pl.LazyFrame, keys=["a", "b"])
    for value in (FRAME.with_columns(n=-pl.col("n")), pl.DataFrame({"m": ["x"]})):
        tables.store(value, keys="a")
        assert lazy.collect().equals(pl.concat([FRAME, FRAME]))
        assert lazy.select(pl.col("n").sum()).collect(engine="streaming").item() == 2 * FRAME["n"].sum()
    tables.handler.delete(tables.asked(keys=["a", "b"]))
    assert lazy.filter(pl.col("n") == 499).collect().height == 2


QUERIES = [
    lambda frame: frame,
    lambda frame: frame.select("text"),
    lambda frame: frame.filter(pl.col("n") % 7 == 1).select("text"),
    lambda frame: frame.select(pl.len()),
    lambda frame: frame.head(3),
    lambda frame: frame.filter(pl.col("text") != "4").head(5).select("n"),
    lambda frame: frame.slice(900, 200),
    lambda frame: frame.tail(2),
    lambda frame: frame.group_by("n").len().sort("n"),
    lambda frame: frame.join(frame, on="n").sort(pl.all()),
    lambda frame: frame.with_columns(m=pl.col("n") + 1).filter(pl.col("m") > 490),
]


@pytest.mark.parametrize("columns", [None, ["text", "n"]])
def test_checked_lazy_frame_equals_data_frame(tables, monkeypatch, columns):
    monkeypatch.setattr(scan, "_MAX_PINNED", 1)
    monkeypatch.setattr(scan, "_CHECKED_AT_ONCE", 2)
    options = {} if columns is None else {"columns": columns}
    keys = ["a", "b", "c"]
    for key in keys:
        tables.store(FRAME if key != "b" else FRAME.with_columns(more=1.5), keys=key)
    lazy, frame = (
        tables.load(pl.LazyFrame, keys=keys, **options),
        tables.load(pl.DataFrame, keys=keys, **options),
    )
    assert lazy.collect_schema() == frame.schema
    for query in QUERIES:
        for engine in ("in-memory", "streaming"):
            assert query(lazy).collect(engine=engine).equals(query(frame.lazy()).collect())


@pytest.mark.parametrize("change", ["replaced", "other columns", "removed", "while read"])
def test_checked_lazy_frame_refuses_replaced_file(tables, monkeypatch, change):
    monkeypatch.setattr(scan, "_MAX_PINNED", 0)
    tables.store(FRAME)
    lazy = tables.load(pl.LazyFrame)
    if change == "removed":
        tables.handler.delete(tables.asked())
    elif change == "while read":
        stored, scanned = tables.store, scan._scanned
        monkeypatch.setattr(scan, "_scanned", lambda *args: (scanned(*args), stored(FRAME.head(3)))[0])
    else:
        tables.store(FRAME.tail(9) if change == "replaced" else pl.DataFrame({"m": ["x"]}))
    for query in (lazy, lazy.head(1), lazy.filter(pl.col("n") > 1).select("text")):
        with pytest.raises(ConflictError, match="'asset'"):
            query.collect()


def test_removed_seal_is_detected(tables):
    tables.store(FRAME)
    data = tables.file().read_bytes()
    start = data.index(MAGIC)
    tables.file().write_bytes(data[:start] + data[start + SIZE :])
    assert pq.read_table(tables.file()).num_rows == 500
    with pytest.raises(IntegrityError, match="seal"):
        tables.load(pl.DataFrame)


def test_file_of_another_asset_is_refused(tables):
    tables.store(FRAME, "orders")
    shutil.copy(tables.file("orders.parquet"), tables.file("sales.parquet"))
    with pytest.raises(IntegrityError, match="'orders'"):
        tables.load(pl.DataFrame, "sales")


def test_other_bytes_are_not_absence(tables):
    tables.file().parent.mkdir()
    for content in (b"", b"PAR1", b"hello world, this is text", b"PAR1" + b"\xff" * 20 + b"PAR1"):
        tables.file().write_bytes(content)
        with pytest.raises(IntegrityError):
            tables.load(pl.DataFrame)


def test_damaged_foreign_file_is_refused(tables):
    tables.file().parent.mkdir()
    FRAME.write_parquet(tables.file())
    damaged = bytearray(tables.file().read_bytes())
    damaged[4:40] = b"\xff" * 36
    tables.file().write_bytes(damaged)
    with pytest.raises(IntegrityError):
        tables.load(pl.DataFrame)


def test_absence_names_nearest_file(tables):
    tables.store(FRAME, "orders")
    with pytest.raises(NotMaterializedError, match=r"orders\.parquet"):
        tables.load(pl.DataFrame, "order")
    tables.handler.delete(tables.asked(name="never"))
    tables.handler.delete(tables.asked(name="orders"))
    assert not tables.handler.exists(tables.asked(name="orders"))


def test_lazy_frame_has_version_of_its_data_frame(tables):
    frame = pl.DataFrame({"n": range(300_000)})
    assert tables.store(frame.lazy()).content_version == tables.store(frame.lazy()).content_version


def test_other_readers_read_stored_files(tables):
    context = tables.store(FRAME)
    assert pl.read_parquet(tables.file()).equals(FRAME)
    assert pd.read_parquet(tables.file())["n"].sum() == FRAME["n"].sum()
    assert pq.read_table(tables.file()).num_rows == 500
    metadata = facts(context)
    assert metadata["parquet/num_rows"] == 500
    assert metadata["size_bytes"] == tables.file().stat().st_size
    assert metadata["rivers/schema"].names == ["n", "text"]


def test_foreign_files_are_read(tables):
    tables.file().parent.mkdir()
    table = pa.table({"n": [1, 2], "moment": pa.array([0, 253_402_300_799_000_000], pa.timestamp("us"))})
    pq.write_table(table, tables.file(), use_deprecated_int96_timestamps=True)
    moments = table["moment"].to_pylist()
    for hint in (pl.DataFrame, pa.Table):
        assert pa.table(tables.load(hint))["moment"].to_pylist() == moments
    assert tables.load(pl.LazyFrame).collect()["moment"].to_list() == moments
    asked = tables.asked(pl.DataFrame)
    tables.handler.load_input(asked)
    assert asked.loaded_version == blake3(tables.file().read_bytes()).hexdigest()


def test_readers_and_writers_do_not_disturb_each_other(tables):
    tables.store(pl.DataFrame({"n": [0] * 1000}))
    failures = []

    def write():
        for number in range(20):
            tables.store(pl.DataFrame({"n": [number] * 1000}))

    def read():
        for _ in range(20):
            values = tables.load(pl.DataFrame)["n"].unique().to_list()
            if len(values) != 1:
                failures.append(values)

    threads = [threading.Thread(target=work) for work in (write, read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


COLUMNS = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: "\x00" not in name and name.isprintable()),
    st.sampled_from([pl.Int64, pl.String, pl.Boolean, pl.Float64, pl.Date]),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25)
@given(columns=COLUMNS, height=st.integers(0, 5), data=st.data())
def test_frames_round_trip(tmp_path_factory, columns, height, data):
    values = {
        pl.Int64: st.integers(-(2**63), 2**63 - 1),
        pl.String: st.text(max_size=10),
        pl.Boolean: st.booleans(),
        pl.Float64: st.floats(allow_nan=False),
        pl.Date: st.dates(),
    }
    frame = pl.DataFrame(
        {
            name: pl.Series(
                data.draw(st.lists(st.none() | values[kind], min_size=height, max_size=height)), dtype=kind
            )
            for name, kind in columns.items()
        }
    )
    tables = Tables(tmp_path_factory.mktemp("tables"))
    for value in (frame, frame.to_arrow(), frame.to_pandas()):
        tables.store(value)
        loaded = tables.load(type(value))
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(loaded, value)
        else:
            assert loaded.equals(value)
    assert tables.load(pl.LazyFrame).select(pl.all()).collect().columns == list(columns)


@pytest.mark.parametrize("store", ["folder", "memory"])
def test_verify_reads_all_partitions(tmp_path, store):
    tables = Tables(tmp_path if store == "folder" else "memory://", prefix="area")
    for key in ("2024-01-01", "a/b", ".."):
        tables.store(FRAME, keys=key)
    tables.store(FRAME, name="asset2")
    counts = tables.handler.verify(tables.asked())
    assert counts["bytes"] > 0
    assert counts | {"bytes": 0} == {"files": 3, "rows": 1500, "bytes": 0, "digests": 3}
    assert tables.handler.verify(tables.asked(keys=["a/b", ".."]))["files"] == 2


def test_verify_detects_damage_of_one_partition(tables):
    for key in ("a", "b"):
        tables.store(FRAME, keys=key)
    file = tables.file("asset/b/data.parquet")
    damaged = bytearray(file.read_bytes())
    damaged[100] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(IntegrityError, match="asset/b/data"):
        tables.handler.verify(tables.asked())
    tables.file("asset/a/data.parquet").replace(file)
    with pytest.raises(IntegrityError, match="asset/a"):
        tables.handler.verify(tables.asked())


def test_verify_decodes_foreign_file(tables):
    tables.file().parent.mkdir(parents=True)
    pq.write_table(FRAME.to_arrow(), tables.file(), compression="none")
    assert tables.handler.verify(tables.asked())["digests"] == 0
    damaged = bytearray(tables.file().read_bytes())
    damaged[8:40] = bytes(32)
    tables.file().write_bytes(damaged)
    with pytest.raises(IntegrityError, match=r"asset\.parquet"):
        tables.handler.verify(tables.asked())


def test_verify_of_absent_asset_raises(tables):
    with pytest.raises(NotMaterializedError, match="'asset'"):
        tables.handler.verify(tables.asked())


def test_stream_holds_few_row_groups(tables):
    numbers = pa.table({"n": np.random.default_rng(0).integers(0, 2**63, 2_000_000)})
    tables.store(numbers, row_group_size=100_000, compression="uncompressed")
    del numbers
    before = pa.total_allocated_bytes()
    reader = tables.load(pa.RecordBatchReader)
    held = [pa.total_allocated_bytes() - before for _ in reader]
    assert max(held) < tables.file().stat().st_size / 4

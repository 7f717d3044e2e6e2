"""One-shot streams: stored completely or rejected; the rest of a consumed stream is never stored."""

from __future__ import annotations

import pyarrow as pa
import pytest
from arro3.core import RecordBatchReader

import rivers as rs
from rivers_core.exceptions import AssetOutputValidationError, OneShotValueError, RiversError
from rivers_delta import DeltaIOHandler

TABLE = pa.table({"v": [1, 2, 3]})


class Stream:
    """Has an Arrow C stream and nothing else; exports it a limited number of times."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __arrow_c_stream__(self, requested_schema=None):
        self.left -= 1
        return (TABLE if self.left >= 0 else TABLE.schema.empty_table()).__arrow_c_stream__()


READERS = [TABLE.to_reader, lambda: RecordBatchReader.from_arrow(TABLE), lambda: Stream(1)]


@pytest.mark.parametrize("made", READERS, ids=["pyarrow", "arro3", "another"])
def test_one_shot_remainder_is_refused(lake, made):
    stream = made()
    lake.store(stream, "first")
    with pytest.raises(OneShotValueError, match=r"asset 'second'.*one-shot stream.*3 rows.*LazyFrame"):
        lake.store(stream, "second")
    assert lake.load(pa.Table, "first").num_rows == 3


@pytest.mark.parametrize("made", READERS, ids=["pyarrow", "arro3", "another"])
def test_one_shot_stream_of_failed_write_is_refused(lake, made, monkeypatch):
    stream = made()

    def fail(*args, **kwargs):
        raise OSError("the disk is full")

    monkeypatch.setattr("rivers_delta.write.commit.write_deltalake", fail)
    with pytest.raises(RiversError, match="disk is full"):
        lake.store(stream)
    monkeypatch.undo()
    with pytest.raises(OneShotValueError, match="not to its end"):
        lake.store(stream)


def test_one_shot_stream_stays_unread_if_columns_are_refused(lake):
    lake.store(pa.table({"v": [0], "w": [0]}))
    stream = TABLE.to_reader()
    with pytest.raises(AssetOutputValidationError, match="'w' of the table is missing"):
        lake.store(stream, mode="append")
    lake.store(stream, mode="append", schema_mode="merge")
    assert lake.load(pa.Table).num_rows == 4


def test_one_shot_accepts_replayable_stream_again(lake):
    stream = Stream(99)
    lake.store(stream, "first")
    lake.store(stream, "second")
    assert lake.load(pa.Table, "second").num_rows == 3


def test_one_shot_accepts_empty_stream_again(lake):
    stream = TABLE.schema.empty_table().to_reader()
    lake.store(stream, "first")
    lake.store(stream, "second")
    assert lake.load(pa.Table, "second").num_rows == 0


class Unreliable(DeltaIOHandler):
    """The answer to the first write gets lost."""

    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        if context.attempt == 1:
            raise ConnectionError("no answer")


@pytest.mark.parametrize("mode", ["overwrite", "append", "create_or_replace"])
def test_one_shot_retry_stores_whole_stream_once(tmp_path, mode):
    lake, calls = Unreliable(table_uri=str(tmp_path), mode=mode), []

    @rs.Asset(io_handler=lake, retry=rs.RetryPolicy(2))
    def numbers() -> pa.RecordBatchReader:
        calls.append(1)
        return TABLE.to_reader()

    with rs.CodeRepository([numbers], config=False) as repo:
        assert repo.materialize().success
        assert repo.load_node("numbers", type_hint=pa.Table).equals(TABLE)
    assert len(calls) == (1 if mode == "append" else 2)

"""Defects of libraries that `rivers_frames` works around.

Each test shows one defect without the workaround. A failure means that the installed version no longer has it: remove
the workaround, or narrow its version range.
"""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from arro3.core import RecordBatchReader

from rivers_frames.compat import without_views


def test_arro3_rejects_null_columns_of_polars():
    with pytest.raises(Exception, match="."):
        RecordBatchReader.from_arrow(pl.DataFrame({"n": [None, None]})).read_all()


def test_arro3_loses_order_of_dictionaries():
    kind = pa.dictionary(pa.int8(), pa.string(), ordered=True)
    reader = RecordBatchReader.from_arrow(pa.table({"c": pa.array(["a"], pa.string()).cast(kind)}))
    assert not pa.schema(reader.schema).field("c").type.ordered


def test_pyarrow_does_not_look_up_string_views():
    views = pa.array(["a"], pa.string_view())
    with pytest.raises(pa.ArrowNotImplementedError):
        pc.is_in(views, value_set=views)


def test_pyarrow_does_not_filter_string_views():
    batch = pa.record_batch({"c": pa.array(["a", "b"], pa.string_view())})
    with pytest.raises(pa.ArrowNotImplementedError):
        batch.filter(pc.equal(batch["c"].cast(pa.string()), "b"))
    assert without_views(batch.schema).field("c").type == pa.string()


def test_pyarrow_does_not_look_up_half_floats():
    halves = pa.array([1.5], pa.float16())
    with pytest.raises(pa.ArrowException):
        pc.index_in(halves, value_set=halves)

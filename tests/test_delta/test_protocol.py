"""Tables with features that deltalake does not write: refused at once, with the name of the feature."""

from __future__ import annotations

import os

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from rivers_core.exceptions import ConflictError, RiversError
from rivers_delta.write import commit, delete
from tests.test_delta.foreign import field, write_foreign
from tests.test_delta.support import Lake

FRAME = pl.DataFrame({"k": ["a"], "n": [1]})


@pytest.mark.parametrize("mode", ["append", "overwrite", "merge", "create_or_replace", "ignore", "error"])
@pytest.mark.parametrize(
    ("protocol", "feature"),
    [({"protocol": (1, 6)}, "identityColumns")]
    + [
        ({"writer_features": [name]}, name)
        for name in ("identityColumns", "rowTracking", "icebergCompatV1", "someFutureFeature")
    ],
)
def test_write_refuses_unsupported_feature_at_once(tmp_path, monkeypatch, mode, protocol, feature):
    fields = [field("k", "string"), field("n", "long")]
    rows = pa.table({"k": ["a"], "n": [1]})
    write_foreign(tmp_path / "asset", fields, {"f.parquet": (rows, {})}, **protocol)

    def attempted(*args, **kwargs):
        raise AssertionError("a write was attempted")

    monkeypatch.setattr(commit, "write_deltalake", attempted)
    monkeypatch.setattr(delete, "write_deltalake", attempted)
    lake = Lake(tmp_path)
    options = {"merge_predicate": "s.n = t.n"} if mode == "merge" else {}
    with pytest.raises(RiversError, match=f"asset 'asset'.*'{feature}'") as refused:
        lake.store(FRAME, mode=mode, **options)
    assert not isinstance(refused.value, ConflictError)
    with pytest.raises(RiversError, match=f"asset 'asset'.*'{feature}'"):
        lake.handler.delete(lake.asked(keys="a", partition_expr="k"))
    assert os.listdir(tmp_path / "asset" / "_delta_log") == [f"{0:020d}.json"]


@pytest.mark.parametrize(
    "protocol",
    [
        {"protocol": (1, 4)},
        {"protocol": (2, 5)},
        {"features": ["deletionVectors", "v2Checkpoint"]},
        {"writer_features": ["appendOnly", "invariants", "checkConstraints", "changeDataFeed"]},
    ],
)
def test_write_accepts_supported_features(tmp_path, protocol):
    rows = pa.table({"k": ["a"], "n": [1]})
    fields = [field("k", "string"), field("n", "long")]
    write_foreign(tmp_path / "asset", fields, {"f.parquet": (rows, {})}, **protocol)
    lake = Lake(tmp_path)
    lake.store(FRAME, mode="append")
    assert pa.table(DeltaTable(str(tmp_path / "asset")).scan()).num_rows == 2

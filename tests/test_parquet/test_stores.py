"""Parquet files in a real S3 server and in memory."""

from __future__ import annotations

import obstore
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from obstore.store import MemoryStore, S3Store

from rivers_core.exceptions import ConflictError, IntegrityError, NotMaterializedError, RiversError
from rivers_parquet import files
from tests.test_parquet.support import Tables

FRAME = pl.DataFrame({"n": range(1000), "text": [str(n) for n in range(1000)]})


@pytest.fixture
def bucket(s3_server, s3_url):
    return Tables(s3_url, storage_options=s3_server.options())


@pytest.mark.server
@pytest.mark.parametrize("hint", [pl.DataFrame, pl.LazyFrame, pa.Table, pd.DataFrame, pa.RecordBatchReader])
def test_s3_round_trip(bucket, hint):
    bucket.store(FRAME)
    loaded = bucket.load(hint)
    assert isinstance(loaded, hint)
    if isinstance(loaded, pl.LazyFrame):
        loaded = loaded.filter(pl.col("n") < 3).collect()
        assert loaded["n"].to_list() == [0, 1, 2]
    elif isinstance(loaded, pa.RecordBatchReader):
        assert loaded.read_all().num_rows == 1000
    else:
        assert len(loaded) == 1000


@pytest.mark.server
def test_s3_partitions_are_one_lazy_frame(bucket):
    for number, key in enumerate(["a", "b", "c=d"]):
        bucket.store(pl.DataFrame({"n": [number]}), keys=key)
    assert bucket.load(pl.LazyFrame, keys=["a", "b", "c=d"]).collect()["n"].to_list() == [0, 1, 2]
    assert bucket.load(pa.Table, keys=["c=d", "a"])["n"].to_pylist() == [2, 0]


@pytest.mark.server
def test_s3_absence_and_damage(bucket, s3_server):
    with pytest.raises(NotMaterializedError):
        bucket.load(pl.LazyFrame)
    bucket.handler.delete(bucket.asked())
    bucket.store(FRAME)
    client = bucket.handler.objects._connected()
    data = bytearray(obstore.get(client, "asset.parquet").bytes())
    data[100] ^= 1
    obstore.put(client, "asset.parquet", bytes(data))
    with pytest.raises(IntegrityError):
        bucket.load(pl.DataFrame)
    data[-30] ^= 1
    obstore.put(client, "asset.parquet", bytes(data))
    with pytest.raises(IntegrityError):
        bucket.load(pl.LazyFrame)


@pytest.mark.server
def test_s3_store_object_is_scanned_natively(s3_server, s3_url):
    name, _, prefix = s3_url.removeprefix("s3://").partition("/")
    config = {key: value for key, value in s3_server.options().items() if key != "aws_allow_http"}
    store = S3Store(name, prefix=prefix, config=config, client_options={"allow_http": True})
    tables = Tables(store)
    tables.store(FRAME)
    assert tables.load(pl.LazyFrame).collect().equals(FRAME)


@pytest.mark.server
def test_s3_lazy_frame_refuses_replaced_object(bucket):
    bucket.store(FRAME)
    lazy = bucket.load(pl.LazyFrame)
    assert lazy.filter(pl.col("n") > 997).select("text").collect()["text"].to_list() == ["998", "999"]
    bucket.store(FRAME.with_columns(n=pl.col("n") + 1))
    with pytest.raises(ConflictError, match="'asset'"):
        lazy.select("n").collect()
    bucket.handler.delete(bucket.asked())
    with pytest.raises(ConflictError, match="'asset'"):
        lazy.collect()


@pytest.mark.server
def test_s3_large_object_is_spooled(bucket, monkeypatch, tmp_path):
    monkeypatch.setattr(files, "_MAX_IN_MEMORY", 100)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    bucket.store(FRAME)
    reader = bucket.load(pa.RecordBatchReader)
    assert reader.read_all().num_rows == 1000
    assert bucket.load(pl.DataFrame).equals(FRAME)
    del reader
    assert not list(tmp_path.iterdir())


@pytest.mark.server
def test_s3_error_shows_no_secret(s3_server, s3_url):
    options = s3_server.options(aws_secret_access_key="wrong-secret-value")
    tables = Tables(s3_url, storage_options=options)
    with pytest.raises(RiversError) as failure:
        tables.store(FRAME)
    assert "wrong-secret-value" not in str(failure.value)
    assert "asset.parquet" in str(failure.value)


@pytest.mark.parametrize("store", ["memory://", MemoryStore()], ids=["url", "object"])
def test_memory_round_trip(store):
    tables = Tables(store)
    tables.store(FRAME)
    assert tables.handler.locality == "process"
    assert tables.load(pl.LazyFrame).filter(pl.col("n") == 5).collect().height == 1
    assert tables.load(pl.DataFrame).equals(FRAME)

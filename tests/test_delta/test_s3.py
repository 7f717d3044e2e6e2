"""Tables on a real S3 server."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pyarrow as pa
import pytest
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileSelector

import rivers as rs
from rivers.inspection.check import run_store_tests, stores_to_test
from rivers_core import PartitionKey
from rivers_core.exceptions import ConflictError, IntegrityError, NotMaterializedError, RiversError
from rivers_delta.log.partition_markers import app_transactions
from rivers_delta.log.remote_files import remote_files
from rivers_delta.write import commit
from tests.test_delta.support import Lake, facts

pytestmark = pytest.mark.server

FRAME = pl.DataFrame({"n": [1]})


@pytest.fixture
def bucket(s3_server, s3_url):
    return Lake(s3_url, storage_options=s3_server.options())


@pytest.mark.parametrize("hint", [pl.DataFrame, pl.LazyFrame, pa.Table, pa.RecordBatchReader])
def test_s3_round_trip(bucket, hint):
    bucket.store(
        pl.DataFrame({"n": [1, 2], "c": pl.Series(["a", "b"], dtype=pl.Categorical)}), "Sales / 100%"
    )
    loaded = bucket.load(hint, "Sales / 100%")
    loaded = loaded.collect() if isinstance(loaded, pl.LazyFrame) else loaded
    loaded = loaded.read_all() if isinstance(loaded, pa.RecordBatchReader) else loaded
    assert pl.DataFrame(loaded)["n"].to_list() == [1, 2]


@pytest.mark.parametrize("ending", ["", "reader.read_next_batch()", "del reader", "reader.read_all()"])
def test_s3_reader_does_not_block_process_exit(bucket, s3_server, s3_url, ending):
    bucket.store(pl.DataFrame({"n": range(300_000)}))
    code = f"""
import pyarrow as pa
from rivers_core import InputContext
from rivers_delta import DeltaIOHandler
handler = DeltaIOHandler(table_uri={s3_url!r}, storage_options={s3_server.options()!r})
reader = handler.load_input(InputContext("asset", "b", type_hint=pa.RecordBatchReader))
{ending}
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_s3_partitions_appends_and_merges(bucket):
    for key in ("us", "a/b c"):
        bucket.store(pl.DataFrame({"r": [key], "n": [1]}), "parts", keys=key, partition_expr="r")
        bucket.store(pl.DataFrame({"r": [key], "n": [2]}), "parts", keys=key, partition_expr="r")
    assert bucket.load(pl.DataFrame, "parts", keys="a/b c", partition_expr="r")["n"].to_list() == [2]
    for _ in range(2):
        context = bucket.store(pl.DataFrame({"n": [1]}), "log", mode="append", run_id="run-1")
    assert facts(context)["repeated"] is True
    for number in (1, 2):
        bucket.store(
            pl.DataFrame({"id": [1, number]}).unique(), "m", mode="merge", merge_predicate="s.id = t.id"
        )
    assert bucket.load(pl.DataFrame, "m").height == 2


@pytest.mark.parametrize("interval", [1, 100], ids=["checkpoint", "no checkpoint"])
def test_s3_finds_many_partitions(s3_server, s3_url, interval):
    lake = Lake(s3_url, storage_options=s3_server.options(), handler_config={"checkpoint_interval": interval})
    keys = [PartitionKey(f"k{number}") for number in range(25)]
    frame = pl.DataFrame({"k": [str(key) for key in keys], "n": range(25)})
    lake.store(frame[:20], keys=keys[:23], partition_expr="k")
    lake.store(frame[:20], keys=keys[:23], partition_expr="k", mode="append")
    assert lake.load(pl.DataFrame, keys=keys[:23], partition_expr="k").height == 40
    with pytest.raises(NotMaterializedError, match="'k23, k24'"):
        lake.load(pl.DataFrame, keys=keys, partition_expr="k")
    assert app_transactions(lake.open()) is not None


def test_s3_concurrent_appends_lose_nothing(s3_server, s3_url):
    lakes = [Lake(s3_url, storage_options=s3_server.options()) for _ in range(3)]

    def append(number):
        for turn in range(2):
            lakes[number].store(
                pl.DataFrame({"n": [number * 10 + turn]}), mode="append", run_id=f"{number}-{turn}"
            )

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(append, range(3)))
    assert sorted(lakes[0].load(pl.DataFrame)["n"]) == [0, 1, 10, 11, 20, 21]


def test_s3_absent_table(bucket):
    with pytest.raises(NotMaterializedError):
        bucket.load(pl.DataFrame, "never")
    assert not bucket.handler.exists(bucket.asked(name="never"))


def test_s3_wrong_secret_is_redacted_error(s3_server, s3_url):
    wrong = "not-the-secret-at-all"
    lake = Lake(s3_url, storage_options=s3_server.options(aws_secret_access_key=wrong, max_retries="0"))
    for doing in (lambda: lake.load(pl.DataFrame), lambda: lake.store(pl.DataFrame({"n": [1]}))):
        with pytest.raises(RiversError, match="credentials are invalid") as failure:
            doing()
        assert not isinstance(failure.value, FileNotFoundError)
        assert wrong not in str(failure.value)


def test_s3_missing_bucket_is_not_absent(s3_server):
    lake = Lake("s3://no-such-bucket/lake", storage_options=s3_server.options(max_retries="0"))
    with pytest.raises(RiversError):
        lake.store(pl.DataFrame({"n": [1]}))


def test_s3_options_from_environment(s3_server, s3_url, monkeypatch):
    for name, value in s3_server.options().items():
        monkeypatch.setenv(name.upper(), value)
    lake = Lake(s3_url)
    lake.store(pl.DataFrame({"n": [1]}))
    for hint in (pl.DataFrame, pa.Table):
        assert len(pa.table(lake.load(hint))) == 1


def test_s3_maintains_named_assets(bucket):
    for number in range(2):
        bucket.store(pl.DataFrame({"n": [number]}), mode="append")
    (optimize,) = bucket.handler.maintain([bucket.asked()], dry_run=False, vacuum=False)
    assert optimize["files"] == 2


def test_s3_deletes_whole_table(bucket):
    frame = pl.DataFrame({"k": ["a b"], "n": [1]})
    for name in ("asset", "asset2"):
        for key in ("a b", "c"):
            rows = frame.with_columns(k=pl.lit(key))
            bucket.store(rows, name, keys=key, partition_expr="k")
    bucket.table().create_checkpoint()
    bucket.handler.delete(bucket.asked())
    assert not bucket.handler.exists(bucket.asked())
    store = DeltaStorageHandler(bucket.handler.address("asset", None), bucket.handler.plain_storage_options())
    entries = store.get_file_info_selector(FileSelector("", recursive=True))
    assert not [entry for entry in entries if entry.size]  # the server lists empty folders as objects
    bucket.handler.delete(bucket.asked())
    assert bucket.load(pl.DataFrame, "asset2").height == 2
    bucket.store(frame)
    assert bucket.load(pl.DataFrame).height == 1


def objects(bucket, name="asset"):
    """Files of a table; the server lists empty folders as objects."""
    store = DeltaStorageHandler(bucket.handler.address(name, None), bucket.handler.plain_storage_options())
    entries = store.get_file_info_selector(FileSelector("", recursive=True, allow_not_found=True))
    return [entry.path for entry in entries if entry.size]


def test_s3_passes_store_test_and_leaves_nothing(bucket):
    @rs.Asset(io_handler=bucket.handler)
    def asset() -> pl.DataFrame:
        return pl.DataFrame()

    graph = rs.CodeRepository([asset], config=False).graph
    (store,) = run_store_tests(stores_to_test(graph), timeout=60)
    assert (store.state, store.remark) == ("ok", "")
    assert set(store.timings) == {"put", "get", "delete"}
    root = DeltaStorageHandler(bucket.handler.table_uri, bucket.handler.plain_storage_options())
    entries = root.get_file_info_selector(FileSelector("", recursive=True, allow_not_found=True))
    assert not [entry.path for entry in entries if entry.size]


def test_s3_lost_log_is_not_absent_table(bucket):
    bucket.store(pl.DataFrame({"n": [1]}))
    store = DeltaStorageHandler(bucket.handler.address("asset", None), bucket.handler.plain_storage_options())
    for path in objects(bucket):
        if path.startswith("_delta_log/"):
            store.delete_file(path)
    for doing in (bucket.load, lambda: bucket.handler.exists(bucket.asked()), lambda: bucket.store(FRAME)):
        with pytest.raises(IntegrityError, match="_delta_log"):
            doing()
    bucket.handler.delete(bucket.asked())
    bucket.store(FRAME)


def test_s3_killed_creation_leaves_no_table(bucket, monkeypatch):
    """Data files were written and the process ended before the commit."""

    def killed(target, rows, **arguments):
        del rows, arguments
        files = remote_files(target, bucket.handler.plain_storage_options())
        with files.open_output_stream("part-00001.parquet") as file:
            file.write(b"PAR1")
        raise KeyboardInterrupt

    monkeypatch.setattr(commit, "write_deltalake", killed)
    with pytest.raises(KeyboardInterrupt):
        bucket.store(FRAME)
    monkeypatch.undo()
    assert not bucket.handler.exists(bucket.asked())
    bucket.store(FRAME)
    assert bucket.load(pl.DataFrame).equals(FRAME)


def test_s3_verifies_files_and_digests(s3_server, s3_url):
    lake = Lake(s3_url, storage_options=s3_server.options(), handler_config={"digests": True})
    lake.store(FRAME)
    assert lake.handler.verify(lake.asked())["digests"] == 1
    store = remote_files(lake.handler.address("asset", None), s3_server.options())
    (path,) = [path for path in objects(lake) if path.endswith(".parquet")]
    with store.open_output_stream(path) as file:
        file.write(b"PAR1 but nothing else")
    with pytest.raises(IntegrityError, match="bytes"):
        lake.handler.verify(lake.asked())


def test_s3_conditional_write(bucket):
    written = bucket.store(FRAME)
    context = bucket.asked(pl.DataFrame)
    bucket.handler.load_input(context)
    assert context.loaded_version == written.content_version
    for expected, is_stored in ((context.loaded_version, True), (context.loaded_version, False)):
        output = bucket.output(FRAME)
        output.expected_version = expected
        if is_stored:
            bucket.handler.handle_output(output, FRAME)
        else:
            with pytest.raises(ConflictError):
                bucket.handler.handle_output(output, FRAME)

"""Write the test data beside this file: files as the first release of rivers wrote them.

Run once with version 0.1.0 (commit b793848), and kept for documentation only: no test runs it, and with a later
version it would write that version's files. `tests/test_compatibility` reads its output with the current code.

Usage: python generate.py

Layout:
    pickle_objects/  objects of `PickleIOHandler`: `plain` unsigned, `signed` with the key of the test
    values/          pickles of public value classes, and `json_forms.json`, their JSON forms by name
    lake/            tables of `DeltaIOHandler`
    configuration/   a `rivers.toml` with every documented key, and its `.env` as `dotenv`
    project/         a project with its pickle objects, Delta table and event log (`event_log` is its `.rivers`)
    incidents/       the event log of runs that failed, were retried, canceled or killed, and what the killed run stored

Absolute paths in the metadata of events are replaced by `/srv/project`.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

import rivers as rs
from rivers_delta import (
    DeltaIOHandler,
    MergeConfig,
    MergeOperationsConfig,
    WhenMatchedUpdate,
    WhenNotMatchedInsertAll,
)
from rivers_delta.commits import Committer
from rivers_overlay import OverlayIOHandler
from rivers_pickle import PickleIOHandler

HERE = Path(__file__).resolve().parent
SIGNING_KEY = "first-release-test-key"
DAYS = rs.PartitionsDefinition.daily("2024-01-01", end="2024-02-01")
REGIONS = rs.PartitionsDefinition.static_(["eu", "us"])
CELLS = rs.PartitionsDefinition.multi({"day": DAYS, "region": REGIONS})
WRITER_PROPERTIES = {"compression": "ZSTD", "compression_level": 3}


def partition(keys, definition=None):
    return None if keys is None else rs.PartitionContext([rs.PartitionKey(keys)], definition)


# ---------------------------------------------------------------------- pickle objects


def pickle_objects():
    plain = PickleIOHandler(HERE / "pickle_objects" / "plain", prefix="team/values")
    signed = PickleIOHandler(HERE / "pickle_objects" / "signed", signing_key=SIGNING_KEY)
    objects = [
        ("orders", None, {"ids": [1, 2, 3], "name": "naïve ☃"}),
        ("orders.pkl", "a", "partition beside a dotted name"),
        ("Orders", None, "capitals"),
        ("Größe/Übersicht", None, "not ASCII"),
        ("daily", "2024-01-31", [1.5, None]),
        ("daily", "Zoë US", "capital and not ASCII"),
        ("daily", "a/b:c", "reserved characters"),
        ("cells", {"region": "US", "day": "2024-01-31"}, ("cell", 1)),
        ("con", "nul", "device names"),
        ("large_buffer", None, np.arange(20_000, dtype=np.int16).reshape(100, 200)),
        ("polars_frame", None, pl.DataFrame({"id": [1, 2], "name": ["a", None]})),
        ("pandas_frame", None, pd.DataFrame({"id": [1, 2], "name": ["a", "b"]})),
        (
            "own_values",
            None,
            {
                rs.PartitionKey.single("a"): rs.MetadataValue.int(1),
                rs.PartitionKey.multi({"x": "1", "y": "2"}): rs.MetadataValue.text("t"),
            },
        ),
    ]
    for name, key, value in objects:
        plain.handle_output(rs.OutputContext(name, partition=partition(key), code_version="7"), value)
    for name, key, value in objects[:5]:
        signed.handle_output(rs.OutputContext(name, partition=partition(key)), value)
    foreign = HERE / "pickle_objects" / "plain" / "team" / "values" / "without_footer.pkl"
    foreign.write_bytes(pickle.dumps({"written": "by pickle.dump"}))


# ---------------------------------------------------------------------- values


def keys():
    return {
        "key-single": rs.PartitionKey.single("2024-01-31"),
        "key-single-several": rs.PartitionKey.single(["a", "Zoë"]),
        "key-multi": rs.PartitionKey.multi({"region": "us", "day": "2024-01-31"}),
        "key-multi-several": rs.PartitionKey.multi({"region": ["us", "eu"], "day": "2024-01-31"}),
    }


def ranges():
    return {
        "range-single": rs.PartitionKeyRange.single("2024-01-02", "2024-01-04"),
        "range-multi": rs.PartitionKeyRange.multi(
            {"day": ("2024-01-02", "2024-01-03"), "region": ["us", "eu"]}
        ),
    }


def definitions():
    definition = rs.PartitionsDefinition
    return {
        "definition-static": definition.static_(["us", "eu", "größe"]),
        "definition-dynamic": definition.dynamic("customers"),
        "definition-daily": definition.daily("2024-01-01", end="2024-01-04"),
        "definition-daily-open": definition.daily("2024-01-01", fmt="%Y/%m/%d"),
        "definition-hourly": definition.hourly(datetime(2024, 1, 1, 6), datetime(2024, 1, 1, 9)),
        "definition-cron": definition.time_window("2024-01-01", cron_schedule="0 0 1 * *", end="2024-04-01"),
        "definition-interval": definition.time_window(
            "2024-01-01", interval_seconds=0.5, end=datetime(2024, 1, 1, 0, 0, 1), fmt="%H:%M:%S.%f"
        ),
        "definition-multi": definition.multi(
            {
                "day": definition.daily("2024-01-01", end="2024-01-03"),
                "region": definition.static_(["us", "eu"]),
            }
        ),
    }


def mappings():
    mapping = rs.PartitionMapping
    return {
        "mapping-identity": mapping.identity(),
        "mapping-all-partitions": mapping.all_partitions(),
        "mapping-static": mapping.static_({"a": ["x", "y"], "b": "z"}),
        "mapping-time-window": mapping.time_window(-1),
        "mapping-specific-partitions": mapping.specific_partitions(
            ["a", {"day": "2024-01-01", "region": "us"}, rs.PartitionKeyRange.single("b", "d")]
        ),
        "mapping-multi": mapping.multi({"day": mapping.time_window(-1), "region": mapping.all_partitions()}),
        "mapping-multi-to-single": mapping.multi_to_single("day"),
        "mapping-multi-to-single-inner": mapping.multi_to_single("day", mapping.time_window(1)),
        "mapping-for-keys": mapping.for_keys(["a", "b"]),
        "mapping-for-keys-inner": mapping.for_keys(["a"], mapping.all_partitions()),
        "mapping-subset": mapping.subset(),
        "mapping-subset-inner": mapping.subset(mapping.identity()),
    }


def schema():
    return pa.schema(
        [
            pa.field("id", pa.int64(), nullable=False),
            pa.field("name", pa.string()),
            pa.field("at", pa.timestamp("us", tz="UTC")),
            pa.field("price", pa.decimal128(10, 2)),
            pa.field("tags", pa.list_(pa.string())),
            pa.field("place", pa.struct([pa.field("x", pa.float64()), pa.field("y", pa.float64())])),
            pa.field("counts", pa.map_(pa.string(), pa.int32())),
            pa.field("kind", pa.dictionary(pa.int8(), pa.string(), ordered=True)),
        ]
    )


def metadata():
    value = rs.MetadataValue
    return {
        "metadata-text": value.text("naïve ☃"),
        "metadata-int": value.int(2**70),
        "metadata-float": value.float_(0.1),
        "metadata-float-infinite": value.float_(float("-inf")),
        "metadata-bool": value.bool_(True),
        "metadata-null": value.null(),
        "metadata-url": value.url("https://example.com/page?a=1"),
        "metadata-path": value.path("raw/orders.csv"),
        "metadata-json": value.json({"a": [1, None, {"b": "c"}], "z": 0.5}),
        "metadata-markdown": value.md("# Title"),
        "metadata-timestamp": value.timestamp(datetime(2024, 1, 31, 12, 30, 15, 123456)),
        "metadata-timestamp-zone": value.timestamp(datetime(2024, 1, 31, 12, 30, tzinfo=UTC)),
        "metadata-bytes": value.bytes(b"\x00\xff"),
        "metadata-duration": value.duration(timedelta(days=1, microseconds=1)),
        "metadata-sql": value.sql("SELECT 1"),
        "metadata-sql-dialect": value.sql("SELECT 1", dialect="postgres"),
        "metadata-code-block": value.code_block("x = 1", language="python"),
        "metadata-image-path": value.image("plots/a.png"),
        "metadata-image-bytes": value.image(b"\x89PNG\r\n"),
        "metadata-percentage": value.percentage(12.5),
        "metadata-list": value.list_(
            [1, "two", value.null(), value.list_([value.url("https://example.com/")])]
        ),
        "metadata-date-range": value.date_range(date(2024, 1, 1), date(2024, 1, 31)),
        "metadata-date-range-times": value.date_range(datetime(2024, 1, 1, 6), datetime(2024, 1, 1, 7)),
        "metadata-schema": value.schema(schema()),
        "metadata-data-version": value.data_version("v1"),
    }


def retries():
    backoff = rs.Backoff
    return {
        "backoff-constant": backoff.constant(5),
        "backoff-linear": backoff.linear(2, max=10),
        "backoff-exponential": backoff.exponential(1, factor=3, max=60, jitter=0.25),
        "backoff-fixed": backoff.fixed([1, 10, 60]),
        "retry-default": rs.RetryPolicy(),
        "retry-full": rs.RetryPolicy(
            3,
            backoff=backoff.constant(5),
            retry_on=(rs.RetryOn.TRANSIENT, rs.FailureReason.OUT_OF_MEMORY, ValueError),
            escalate=[rs.Compute(cpu=2, memory="2Gi"), rs.Compute(cpu=4, memory="4Gi", gpu=1)],
        ),
        "retry-on-transient": rs.RetryOn.TRANSIENT,
        "failure-reason": rs.FailureReason.TIMEOUT,
    }


def handlers():
    merge = MergeConfig(
        merge_type="custom",
        predicate="s.id = t.id",
        operations=MergeOperationsConfig(
            when_matched_update=[WhenMatchedUpdate(updates={"n": "s.n"})],
            when_not_matched_insert_all=[WhenNotMatchedInsertAll(except_cols=["note"])],
        ),
    )
    s3 = {"region": "eu-central-1", "access_key_id": "key-id", "secret_access_key": "secret-value"}
    return {
        "handler-memory": rs.InMemoryIOHandler(),
        "handler-pickle": PickleIOHandler("s3://bucket/data"),
        "handler-pickle-full": PickleIOHandler(
            "s3://bucket/data", prefix="a/b", signing_key=SIGNING_KEY, storage_options=s3
        ),
        "handler-pickle-local": PickleIOHandler("/srv/project/data", fsync=True),
        "handler-delta": DeltaIOHandler(table_uri="s3://bucket/lake"),
        "handler-delta-full": DeltaIOHandler(
            table_uri="/srv/project/lake",
            mode="merge",
            schema_mode="merge",
            storage_options={"timeout": "30s"},
            writer_properties=WRITER_PROPERTIES,
            commit_properties={"custom_metadata": {"team": "a"}, "max_commit_retries": 3},
            table_config={"delta.appendOnly": False},
            merge_config=merge,
            handler_config={"max_attempts": 3, "default_type": "polars.DataFrame"},
        ),
        "handler-overlay": OverlayIOHandler(
            top=PickleIOHandler("/srv/project/mine"), base=PickleIOHandler("s3://bucket/production")
        ),
        "merge-config": merge,
    }


def errors():
    exceptions = rs.exceptions
    return {
        "error-not-materialized": exceptions.NotMaterializedError(
            "orders",
            partition=rs.PartitionKey.single("2024-01-31"),
            handler="PickleIOHandler",
            address="s3://bucket/orders.pkl",
            nearest="partition '2024-01-30'",
        ),
        "error-not-materialized-message": exceptions.NotMaterializedError("orders", message="Nothing yet."),
        "error-integrity": exceptions.IntegrityError("damaged"),
        "error-conflict": exceptions.ConflictError("lost the race"),
        "error-partition-validation": exceptions.PartitionValidationError("no such key"),
        "error-invalid-metadata": exceptions.InvalidMetadataError("no such option"),
        "error-configuration": exceptions.ConfigurationError("2 problems found:", ["first", "second"]),
    }


def values():
    folder = HERE / "values"
    folder.mkdir()
    everything = {
        **keys(),
        **ranges(),
        **definitions(),
        **mappings(),
        "schema": rs.Schema(schema()),
        **metadata(),
        **retries(),
        **handlers(),
        **errors(),
    }
    for name, value in everything.items():
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(value, protocol=5))
    forms = {name: value.to_json() for name, value in {**keys(), **metadata()}.items()}
    text = json.dumps(forms, indent=2, ensure_ascii=False)
    (folder / "json_forms.json").write_text(f"{text}\n", encoding="utf-8")


# ---------------------------------------------------------------------- Delta tables


class Lake:
    def __init__(self, **settings):
        self.handler = DeltaIOHandler(
            table_uri=str(HERE / "lake"), writer_properties=WRITER_PROPERTIES, **settings
        )

    def store(self, name, value, keys=None, definition=None, run_id=None, **options):
        metadata = {f"delta/{option}": item for option, item in options.items()}
        context = rs.OutputContext(
            name, metadata, partition(keys, definition), type_hint=type(value), run_id=run_id
        )
        self.handler.handle_output(context, value)

    def delete(self, name, keys, **options):
        metadata = {f"delta/{option}": item for option, item in options.items()}
        self.handler.delete(rs.InputContext(name, "next", metadata, partition(keys)))


def plain_tables(lake):
    types = {
        "id": [1, 2],
        "name": ["a", None],
        "price": pl.Series([Decimal("1.50"), None], dtype=pl.Decimal(10, 2)),
        "day": [date(2024, 1, 31), None],
        "at": pl.Series([datetime(2024, 1, 31, 12), None], dtype=pl.Datetime("us", "UTC")),
        "flag": [True, None],
        "tags": [["x", "y"], []],
        "place": [{"x": 1.5, "y": None}, {"x": 0.0, "y": 2.0}],
        "raw": [b"\x00\xff", None],
    }
    lake.store("plain", pl.DataFrame({"id": [0]}))
    lake.store("plain", pl.DataFrame(types), mode="create_or_replace")
    lake.store("Größe~US", pl.DataFrame({"n": [1]}))
    lake.store("elsewhere", pl.DataFrame({"n": [2]}), root_name="other_folder")
    for number in range(3):
        lake.store("log", pl.DataFrame({"n": [number]}), mode="append", run_id=f"run-{number}")
    match = {"mode": "merge", "merge_predicate": "s.id = t.id"}
    lake.store("customers", pl.DataFrame({"id": [1, 2], "name": ["Ada", "Bob"]}), **match)
    lake.store("customers", pl.DataFrame({"id": [2, 3], "name": ["Bo", "Cy"]}), **match)
    lake.store(
        "customers",
        pl.DataFrame({"id": [4], "name": ["Di"], "age": [30]}),
        mode="append",
        schema_mode="merge",
    )


def unfinished_table(lake):
    with mock.patch.object(Committer, "_merge", side_effect=RuntimeError("killed")):
        try:
            lake.store(
                "unfinished",
                pl.DataFrame({"id": [1]}),
                mode="merge",
                merge_type="update_only",
                merge_predicate="s.id = t.id",
            )
        except rs.exceptions.RiversError:
            return
    raise AssertionError("the merge was not interrupted")


def special_columns(lake):
    sizes = pd.CategoricalDtype(["S", "M", "L", "XL"], ordered=True)
    lake.store(
        "pandas_categories",
        pd.DataFrame(
            {
                "size": pd.Series(["L", "S", None], dtype=sizes),
                "color": pd.Categorical(["red", "blue", "red"], ["red", "green", "blue"]),
            }
        ),
    )
    lake.store(
        "polars_categories",
        pl.DataFrame(
            {
                "size": pl.Series(["L", "S"], dtype=pl.Enum(["S", "M", "L"])),
                "color": pl.Series(["red", "blue"], dtype=pl.Categorical),
            }
        ),
    )
    numbers = pa.DictionaryArray.from_arrays(
        pa.array([1, None, 0], pa.int8()), pa.array([30, 10]), ordered=True
    )
    lake.store("arrow_dictionary", pa.table({"n": numbers}))
    moment = datetime(2024, 1, 31, 12, 30, 15, 123456)
    lake.store(
        "moments",
        pl.DataFrame(
            {
                "ns": pl.Series([moment], dtype=pl.Datetime("ns")),
                "ms": pl.Series([moment.replace(microsecond=123000)], dtype=pl.Datetime("ms")),
                "berlin": pl.Series([moment]).dt.replace_time_zone("Europe/Berlin"),
                "ns_utc": pl.Series([moment], dtype=pl.Datetime("ns")).dt.replace_time_zone("UTC"),
            }
        ),
    )
    lake.store(
        "numbers",
        pl.DataFrame(
            {
                "u8": pl.Series([255], dtype=pl.UInt8),
                "u16": pl.Series([2**16 - 1], dtype=pl.UInt16),
                "u32": pl.Series([2**32 - 1], dtype=pl.UInt32),
                "u64": pl.Series([2**64 - 1], dtype=pl.UInt64),
                "array": pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2)),
            }
        ),
    )
    lake.store(
        "arrow_types",
        pa.table(
            {
                "large": pa.array(["a"], pa.large_string()),
                "half": pa.array([np.float16(1.5)], pa.float16()),
                "fixed": pa.array([b"abc"], pa.binary(3)),
                "offset": pa.array([moment.replace(tzinfo=UTC)], pa.timestamp("us", tz="+05:30")),
            }
        ),
    )
    lake.store("objects", pd.DataFrame({"n": pd.Series([2**60 + 1, None], dtype=object)}))


def partitioned_tables(lake):
    region = {"partition_expr": "region"}

    def sales(*rows):
        return pl.DataFrame(rows, schema={"region": pl.String, "n": pl.Int64}, orient="row")

    lake.store("by_region", sales(("us", 1), ("eu", 2)), ["us", "eu"], **region)
    for key in ("emptied", "deleted", "Zoë/US", "a b%"):
        lake.store("by_region", sales((key, 3)), key, **region)
    lake.store("by_region", sales(), "emptied", **region)
    lake.delete("by_region", "deleted", **region)
    by_day = {"partition_expr": "sold_at", "definition": DAYS}
    for day in (30, 31):
        rows = pl.DataFrame(
            {"sold_at": [datetime(2024, 1, day), datetime(2024, 1, day, 23, 59)], "n": [day, -day]}
        )
        lake.store("by_day", rows, f"2024-01-{day}", **by_day)
    lake.store(
        "by_date", pl.DataFrame({"day": [date(2024, 1, 31)], "n": [1]}), "2024-01-31", partition_expr="day"
    )
    cells = {"partition_expr": {"day": "sold_at", "region": "region"}, "definition": CELLS}
    for day, name in ((30, "eu"), (31, "us")):
        rows = pl.DataFrame({"sold_at": [datetime(2024, 1, day, 6)], "region": [name], "n": [day]})
        lake.store("cells", rows, {"day": f"2024-01-{day}", "region": name}, **cells)
    for name, value, key in (
        ("by_int", 7, "7"),
        ("by_bool", True, "true"),
        ("by_float", 1.5, "1.5"),
        ("by_decimal", Decimal("1.50"), "1.50"),
    ):
        lake.store(name, pl.DataFrame({"k": [value], "n": [1]}), key, partition_expr="k")
    categories = pl.Series(["a"], dtype=pl.Categorical)
    lake.store("by_category", pl.DataFrame({"k": categories, "n": [1]}), "a", partition_expr="k")
    lake.store("partitioned_later", sales((None, 0)))
    lake.store("partitioned_later", sales(("us", 1)), "us", **region)
    checkpoints = Lake(handler_config={"checkpoint_interval": 2})
    for number in range(3):
        checkpoints.store("checkpointed", sales(("us", number)), "us", **region)
        checkpoints.store("checkpointed", sales(), "empty", **region)


def lake():
    tables = Lake()
    plain_tables(tables)
    unfinished_table(tables)
    special_columns(tables)
    partitioned_tables(tables)


# ---------------------------------------------------------------------- event logs


def keep_log(folder, target, root):
    """Copy an event log without opening it with rivers, which would close interrupted runs."""
    target.mkdir(parents=True)
    shutil.copytree(folder / "owners", target / "owners")
    (target / "owners" / "opening.lock").unlink(missing_ok=True)
    connection = sqlite3.connect(folder / "rivers.db", isolation_level=None)
    connection.execute("UPDATE events SET metadata = replace(metadata, ?, '/srv/project')", (str(root),))
    connection.execute("UPDATE events SET message = replace(message, ?, '/srv/project')", (str(root),))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.execute("VACUUM INTO ?", (str(target / "rivers.db"),))
    connection.close()
    copy = sqlite3.connect(target / "rivers.db", isolation_level=None)
    copy.execute("PRAGMA journal_mode = WAL").fetchall()
    copy.close()


def project(temporary):
    root = temporary / "project"
    shutil.copytree(HERE / "project", root, ignore=shutil.ignore_patterns("__pycache__"))
    os.chdir(root)
    sys.path.insert(0, str(root))
    from pipeline import repo

    with repo:
        repo.resolve()
        repo.storage.add_dynamic_partitions("customers", ["Zoë", "Ann", "Bob"])
        repo.storage.delete_dynamic_partition("customers", "Bob")
        repo.get_job("nightly").execute(
            tags=[("why", "schedule"), ("why", "test")], run_id_override="run-job"
        )
        repo.materialize(["exported", "low", "high"], run_id_override="run-selection")
        days = rs.PartitionKey.single(["2024-01-01", "2024-01-02"])
        repo.materialize(["sales"], partition_key=days, run_id_override="run-sales")
        for day in ("2024-01-01", "2024-01-02"):
            selection = ["daily_revenue", "running_total"]
            repo.materialize(selection, partition_key=day, run_id_override=f"run-daily-{day}")
        cell = rs.PartitionKey.multi({"day": "2024-01-02", "region": "eu"})
        repo.materialize(["cells"], partition_key=cell, run_id_override="run-cell")
        repo.materialize(["profile"], partition_key="Zoë", run_id_override="run-profile")
        repo.observe()
    keep_log(root / ".rivers", HERE / "project" / "event_log", root)
    for folder in ("data", "lake"):
        shutil.copytree(root / folder, HERE / "project" / folder)


def incident_repository(storage, data):
    stored = PickleIOHandler(data)
    calls = []
    resolved = []

    @rs.Asset(retry=rs.RetryPolicy(2, backoff=rs.Backoff.constant(0)))
    def flaky():
        calls.append("flaky")
        if len(calls) == 1:
            raise ConnectionError("connection lost")
        return 1

    @rs.Asset
    def broken(flaky):
        raise ValueError("no data for größe")

    @rs.Asset
    def skipped(broken):
        return 3

    @rs.Asset(io_handler=stored)
    def first():
        return 1

    @rs.Asset(io_handler=stored)
    def killed(first):
        resolved[0].storage.flush()
        os._exit(9)

    repo = rs.CodeRepository([flaky, broken, skipped, first, killed], config=False)
    resolved.append(repo.resolve(storage))
    return repo


def incidents(temporary):
    folder = temporary / "incidents"
    with rs.Storage.embedded(folder) as storage, incident_repository(storage, folder / "data") as repo:
        repo.materialize(["flaky"], run_id_override="run-retried")
        repo.materialize(["flaky", "broken", "skipped"], raise_on_error=False, run_id_override="run-failed")
        storage.start_run("run-canceled", steps=["flaky"], tags=[("by", "test")], partition_key="a,b")
        storage.finish_run("run-canceled", "canceled", "Ctrl-C")
    killed = subprocess.run([sys.executable, __file__, "--killed", str(folder)], check=False)
    assert killed.returncode == 9, killed
    keep_log(folder, HERE / "incidents" / "event_log", folder)
    shutil.copytree(folder / "data", HERE / "incidents" / "data")


# ---------------------------------------------------------------------- all


def main():
    version = importlib.metadata.version("rivers")
    assert version == "0.1.0", version
    for name in (
        "pickle_objects",
        "values",
        "lake",
        "incidents",
        "project/data",
        "project/lake",
        "project/event_log",
    ):
        shutil.rmtree(HERE / name, ignore_errors=True)
    pickle_objects()
    values()
    lake()
    with tempfile.TemporaryDirectory() as temporary:
        project(Path(temporary))
        incidents(Path(temporary))
        os.chdir(HERE)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--killed"]:
        folder = Path(sys.argv[2])
        repo = incident_repository(rs.Storage.embedded(folder), folder / "data")
        repo.materialize(["first", "killed"], run_id_override="run-killed")
    else:
        main()

"""Files of the first release (0.1.0) stay readable: pickles, Delta tables, event logs and configuration.

`tests/data/first_release/generate.py` documents how that release wrote them. Every expected value is written down
here; files are copied before anything that could modify them is opened.
"""

from __future__ import annotations

import importlib.util
import json
import pickle
import shutil
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import rivers as rs
from rivers_core import PluginRegistry, load_config, storage_key
from rivers_core.exceptions import (
    ConfigurationError,
    ConflictError,
    IntegrityError,
    InvalidMetadataError,
    NotMaterializedError,
    PartitionValidationError,
    RiversError,
)
from rivers_delta import (
    DeltaIOHandler,
    MergeConfig,
    MergeOperationsConfig,
    WhenMatchedUpdate,
    WhenNotMatchedInsertAll,
)
from rivers_overlay import OverlayIOHandler
from rivers_pickle import PickleIOHandler

FILES = Path(__file__).parents[1] / "data" / "first_release"
SIGNING_KEY = "first-release-test-key"

PartitionKey, PartitionKeyRange = rs.PartitionKey, rs.PartitionKeyRange
PartitionsDefinition, PartitionMapping = rs.PartitionsDefinition, rs.PartitionMapping
MetadataValue = rs.MetadataValue

DAYS = PartitionsDefinition.daily("2024-01-01", end="2024-02-01")
REGIONS = PartitionsDefinition.static_(["eu", "us"])
CELLS = PartitionsDefinition.multi({"day": DAYS, "region": REGIONS})


def copied(name, target):
    """Copy a folder of test data, so that the original is never opened for writing."""
    return Path(shutil.copytree(FILES / name, target / name))


def files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def partition_of(key, definition=None):
    return None if key is None else rs.PartitionContext([PartitionKey(key)], definition)


def library(name, written_with):
    """Skip with a library older than the one that pickled its own object."""
    numbers = [tuple(int(part) for part in text.split(".")[:2]) for text in (version(name), written_with)]
    return pytest.mark.skipif(numbers[0] < numbers[1], reason=f"pickled by {name} {written_with}")


# ---------------------------------------------------------------------- pickle objects

OBJECTS = {
    ("orders", None): {"ids": [1, 2, 3], "name": "naïve ☃"},
    ("orders.pkl", "a"): "partition beside a dotted name",
    ("Orders", None): "capitals",
    ("Größe/Übersicht", None): "not ASCII",
    ("daily", "2024-01-31"): [1.5, None],
    ("daily", "Zoë US"): "capital and not ASCII",
    ("daily", "a/b:c"): "reserved characters",
    ("cells", ("day=2024-01-31", "region=US")): ("cell", 1),
    ("con", "nul"): "device names",
    ("own_values", None): {
        PartitionKey.single("a"): MetadataValue.int(1),
        PartitionKey.multi({"x": "1", "y": "2"}): MetadataValue.text("t"),
    },
    ("without_footer", None): {"written": "by pickle.dump"},
}
SIGNED = list(OBJECTS)[:5]


def object_context(name, key=None):
    dimensions = dict(part.split("=") for part in key) if isinstance(key, tuple) else key
    return rs.InputContext(name, "next", partition=partition_of(dimensions))


def plain_store(root=FILES):
    return PickleIOHandler(root / "pickle_objects" / "plain", prefix="team/values")


def signed_store(root=FILES, signing_key=SIGNING_KEY):
    return PickleIOHandler(root / "pickle_objects" / "signed", signing_key=signing_key)


@pytest.mark.parametrize(("name", "key"), OBJECTS)
def test_pickle_object_reads_unsigned(name, key):
    assert plain_store().exists(object_context(name, key))
    assert plain_store().load_input(object_context(name, key)) == OBJECTS[name, key]


@pytest.mark.parametrize(("name", "key"), SIGNED)
def test_pickle_object_reads_signed(name, key):
    assert signed_store().load_input(object_context(name, key)) == OBJECTS[name, key]


@library("numpy", "2.0")
def test_pickle_object_reads_large_buffer():
    array = plain_store().load_input(object_context("large_buffer"))
    np.testing.assert_array_equal(array, np.arange(20_000, dtype=np.int16).reshape(100, 200))
    assert array.dtype == np.int16


@library("polars", "2.1")
def test_pickle_object_reads_polars_frame():
    frame = plain_store().load_input(object_context("polars_frame"))
    assert frame.equals(pl.DataFrame({"id": [1, 2], "name": ["a", None]}))


@library("pandas", "3.1")
def test_pickle_object_reads_pandas_frame():
    frame = plain_store().load_input(object_context("pandas_frame"))
    pd.testing.assert_frame_equal(frame, pd.DataFrame({"id": [1, 2], "name": ["a", "b"]}))


def test_pickle_object_verifies_signature():
    with pytest.raises(IntegrityError):
        signed_store(signing_key="another key of 16+").load_input(object_context("orders"))
    with pytest.raises(IntegrityError):
        signed_store(signing_key=None).load_input(object_context("orders"))


def test_pickle_object_verifies_digest(tmp_path):
    copied("pickle_objects", tmp_path)
    path = tmp_path / "pickle_objects" / "plain" / "team" / "values" / "orders.pkl"
    path.write_bytes(path.read_bytes().replace(b"ids", b"idz"))
    with pytest.raises(IntegrityError):
        plain_store(tmp_path).load_input(object_context("orders"))


def test_pickle_object_keeps_address_and_data_version(tmp_path):
    folder = copied("pickle_objects", tmp_path)
    before = files_below(folder)
    for name, key in OBJECTS:
        context = rs.OutputContext(name, partition=object_context(name, key).partition)
        plain_store(tmp_path).handle_output(context, OBJECTS[name, key])
    for name, key in SIGNED:
        context = rs.OutputContext(name, partition=object_context(name, key).partition)
        signed_store(tmp_path).handle_output(context, OBJECTS[name, key])
    assert [name for name in files_below(folder) if name != "signed/.rivers-signed"] == before


@pytest.mark.parametrize(
    ("asset", "key", "expected"),
    [
        ("orders", None, "orders"),
        ("orders", "2024-01-31", "orders/2024-01-31"),
        ("Orders", "US", "Orders~1/US~3"),
        ("a/b", "c:d", "a%2Fb/c%3Ad"),
        ("größe", "☃", "grö%C3%9Fe/%E2%98%83"),
        ("con", "..", "%63on/%2E%2E"),
        ("cells", {"region": "us", "day": "2024-01-31"}, "cells/day=2024-01-31/region=us"),
        ("a" * 200, None, "a" * 146 + "~hd63a46941ee0449fd1a7292005e08096"),
    ],
)
def test_storage_key_keeps_form(asset, key, expected):
    assert storage_key(asset, None if key is None else PartitionKey(key)) == expected


# ---------------------------------------------------------------------- pickled values and JSON forms

SCHEMA = pa.schema(
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

KEYS = {
    "key-single": PartitionKey.single("2024-01-31"),
    "key-single-several": PartitionKey.single(["a", "Zoë"]),
    "key-multi": PartitionKey.multi({"region": "us", "day": "2024-01-31"}),
    "key-multi-several": PartitionKey.multi({"region": ["us", "eu"], "day": "2024-01-31"}),
}

RANGES = {
    "range-single": PartitionKeyRange.single("2024-01-02", "2024-01-04"),
    "range-multi": PartitionKeyRange.multi({"day": ("2024-01-02", "2024-01-03"), "region": ["us", "eu"]}),
}

DEFINITIONS = {
    "definition-static": PartitionsDefinition.static_(["us", "eu", "größe"]),
    "definition-dynamic": PartitionsDefinition.dynamic("customers"),
    "definition-daily": PartitionsDefinition.daily("2024-01-01", end="2024-01-04"),
    "definition-daily-open": PartitionsDefinition.daily("2024-01-01", fmt="%Y/%m/%d"),
    "definition-hourly": PartitionsDefinition.hourly(datetime(2024, 1, 1, 6), datetime(2024, 1, 1, 9)),
    "definition-cron": PartitionsDefinition.time_window(
        "2024-01-01", cron_schedule="0 0 1 * *", end="2024-04-01"
    ),
    "definition-interval": PartitionsDefinition.time_window(
        "2024-01-01", interval_seconds=0.5, end=datetime(2024, 1, 1, 0, 0, 1), fmt="%H:%M:%S.%f"
    ),
    "definition-multi": PartitionsDefinition.multi(
        {
            "day": PartitionsDefinition.daily("2024-01-01", end="2024-01-03"),
            "region": PartitionsDefinition.static_(["us", "eu"]),
        }
    ),
}

LISTED_KEYS = {
    "definition-static": ["us", "eu", "größe"],
    "definition-daily": ["2024-01-01", "2024-01-02", "2024-01-03"],
    "definition-hourly": ["2024-01-01T06:00", "2024-01-01T07:00", "2024-01-01T08:00"],
    "definition-cron": ["2024-01-01", "2024-02-01", "2024-03-01"],
    "definition-interval": ["00:00:00.000000", "00:00:00.500000"],
    "definition-multi": [
        "day=2024-01-01|region=us",
        "day=2024-01-01|region=eu",
        "day=2024-01-02|region=us",
        "day=2024-01-02|region=eu",
    ],
}

MAPPINGS = {
    "mapping-identity": PartitionMapping.identity(),
    "mapping-all-partitions": PartitionMapping.all_partitions(),
    "mapping-static": PartitionMapping.static_({"a": ["x", "y"], "b": "z"}),
    "mapping-time-window": PartitionMapping.time_window(-1),
    "mapping-specific-partitions": PartitionMapping.specific_partitions(
        ["a", {"day": "2024-01-01", "region": "us"}, PartitionKeyRange.single("b", "d")]
    ),
    "mapping-multi": PartitionMapping.multi(
        {"day": PartitionMapping.time_window(-1), "region": PartitionMapping.all_partitions()}
    ),
    "mapping-multi-to-single": PartitionMapping.multi_to_single("day"),
    "mapping-multi-to-single-inner": PartitionMapping.multi_to_single("day", PartitionMapping.time_window(1)),
    "mapping-for-keys": PartitionMapping.for_keys(["a", "b"]),
    "mapping-for-keys-inner": PartitionMapping.for_keys(["a"], PartitionMapping.all_partitions()),
    "mapping-subset": PartitionMapping.subset(),
    "mapping-subset-inner": PartitionMapping.subset(PartitionMapping.identity()),
}

METADATA = {
    "metadata-text": MetadataValue.text("naïve ☃"),
    "metadata-int": MetadataValue.int(2**70),
    "metadata-float": MetadataValue.float_(0.1),
    "metadata-float-infinite": MetadataValue.float_(float("-inf")),
    "metadata-bool": MetadataValue.bool_(True),
    "metadata-null": MetadataValue.null(),
    "metadata-url": MetadataValue.url("https://example.com/page?a=1"),
    "metadata-path": MetadataValue.path("raw/orders.csv"),
    "metadata-json": MetadataValue.json({"a": [1, None, {"b": "c"}], "z": 0.5}),
    "metadata-markdown": MetadataValue.md("# Title"),
    "metadata-timestamp": MetadataValue.timestamp(datetime(2024, 1, 31, 12, 30, 15, 123456)),
    "metadata-timestamp-zone": MetadataValue.timestamp(datetime(2024, 1, 31, 12, 30, tzinfo=UTC)),
    "metadata-bytes": MetadataValue.bytes(b"\x00\xff"),
    "metadata-duration": MetadataValue.duration(timedelta(days=1, microseconds=1)),
    "metadata-sql": MetadataValue.sql("SELECT 1"),
    "metadata-sql-dialect": MetadataValue.sql("SELECT 1", dialect="postgres"),
    "metadata-code-block": MetadataValue.code_block("x = 1", language="python"),
    "metadata-image-path": MetadataValue.image("plots/a.png"),
    "metadata-image-bytes": MetadataValue.image(b"\x89PNG\r\n"),
    "metadata-percentage": MetadataValue.percentage(12.5),
    "metadata-list": MetadataValue.list_(
        [1, "two", MetadataValue.null(), MetadataValue.list_([MetadataValue.url("https://example.com/")])]
    ),
    "metadata-date-range": MetadataValue.date_range(date(2024, 1, 1), date(2024, 1, 31)),
    "metadata-date-range-times": MetadataValue.date_range(datetime(2024, 1, 1, 6), datetime(2024, 1, 1, 7)),
    "metadata-schema": MetadataValue.schema(SCHEMA),
    "metadata-data-version": MetadataValue.data_version("v1"),
}

RETRIES = {
    "backoff-constant": rs.Backoff.constant(5),
    "backoff-linear": rs.Backoff.linear(2, max_delay=10),
    "backoff-exponential": rs.Backoff.exponential(1, factor=3, max_delay=60, jitter=0.25),
    "backoff-fixed": rs.Backoff.fixed([1, 10, 60]),
    "retry-default": rs.RetryPolicy(),
    "retry-full": rs.RetryPolicy(
        3,
        backoff=rs.Backoff.constant(5),
        retry_on=(rs.RetryOn.TRANSIENT, rs.FailureReason.OUT_OF_MEMORY, ValueError),
        escalate=[rs.Compute(cpu=2, memory="2Gi"), rs.Compute(cpu=4, memory="4Gi", gpu=1)],
    ),
    "retry-on-transient": rs.RetryOn.TRANSIENT,
    "failure-reason": rs.FailureReason.TIMEOUT,
}

MERGE = MergeConfig(
    merge_type="custom",
    predicate="s.id = t.id",
    operations=MergeOperationsConfig(
        when_matched_update=[WhenMatchedUpdate(updates={"n": "s.n"})],
        when_not_matched_insert_all=[WhenNotMatchedInsertAll(except_cols=["note"])],
    ),
)

# Built by the tests, so that no environment variable is read while they are collected.
HANDLERS = {
    "handler-pickle": lambda: PickleIOHandler("s3://bucket/data"),
    "handler-pickle-full": lambda: PickleIOHandler(
        "s3://bucket/data",
        prefix="a/b",
        signing_key=SIGNING_KEY,
        storage_options={
            "region": "eu-central-1",
            "access_key_id": "key-id",
            "secret_access_key": "secret-value",
        },
    ),
    "handler-pickle-local": lambda: PickleIOHandler("/srv/project/data", fsync=True),
    "handler-delta": lambda: DeltaIOHandler(table_uri="s3://bucket/lake"),
    "handler-delta-full": lambda: DeltaIOHandler(
        table_uri="/srv/project/lake",
        mode="merge",
        schema_mode="merge",
        storage_options={"timeout": "30s"},
        writer_properties={"compression": "ZSTD", "compression_level": 3},
        commit_properties={"custom_metadata": {"team": "a"}, "max_commit_retries": 3},
        table_config={"delta.appendOnly": False},
        merge_config=MERGE,
        handler_config={"max_attempts": 3, "default_type": "polars.DataFrame"},
    ),
    "handler-overlay": lambda: OverlayIOHandler(
        top=PickleIOHandler("/srv/project/mine"), base=PickleIOHandler("s3://bucket/production")
    ),
}

EQUAL_VALUES = {
    **KEYS,
    **RANGES,
    **DEFINITIONS,
    **MAPPINGS,
    "schema": rs.Schema(SCHEMA),
    **METADATA,
    **RETRIES,
    "merge-config": MERGE,
}

ERRORS = {
    "error-integrity": (IntegrityError, "damaged"),
    "error-conflict": (ConflictError, "lost the race"),
    "error-partition-validation": (PartitionValidationError, "no such key"),
    "error-invalid-metadata": (InvalidMetadataError, "no such option"),
}

OTHERS = [
    "handler-memory",
    "error-configuration",
    "error-not-materialized",
    "error-not-materialized-message",
]


def unpickled(name):
    return pickle.loads((FILES / "values" / f"{name}.pickle").read_bytes())


def test_pickled_values_are_all_tested():
    stored = {path.stem for path in (FILES / "values").glob("*.pickle")}
    assert stored == {*EQUAL_VALUES, *HANDLERS, *ERRORS, *OTHERS}


@pytest.mark.parametrize("name", EQUAL_VALUES)
def test_pickled_value_reads(name):
    value = unpickled(name)
    assert value == EQUAL_VALUES[name]
    assert type(value) is type(EQUAL_VALUES[name])
    assert repr(value) == repr(EQUAL_VALUES[name])


@pytest.mark.parametrize("name", [*KEYS, *RANGES, *DEFINITIONS, *MAPPINGS, *METADATA])
def test_pickled_value_keeps_hash(name):
    assert {unpickled(name): "found"}[EQUAL_VALUES[name]] == "found"


@pytest.mark.parametrize("name", LISTED_KEYS)
def test_pickled_definition_lists_keys(name):
    assert [str(key) for key in unpickled(name).get_partition_keys()] == LISTED_KEYS[name]


def test_pickled_schema_exports_arrow():
    assert pa.schema(unpickled("schema")).equals(SCHEMA)
    assert pa.schema(unpickled("metadata-schema").raw_value()).equals(SCHEMA)


@pytest.mark.parametrize("name", HANDLERS)
def test_pickled_handler_reads(name):
    handler, expected = unpickled(name), HANDLERS[name]()
    assert handler == expected
    assert repr(handler) == repr(expected)


def test_pickled_handler_keeps_secrets():
    handler = unpickled("handler-pickle-full")
    assert handler.signing_key.get_secret_value() == SIGNING_KEY
    assert handler.storage_options["secret_access_key"].get_secret_value() == "secret-value"


def test_pickled_memory_handler_is_empty():
    handler = unpickled("handler-memory")
    assert type(handler) is rs.InMemoryIOHandler
    with pytest.raises(NotMaterializedError):
        handler.load_input(rs.InputContext("orders", "next"))


@pytest.mark.parametrize("name", ERRORS)
def test_pickled_error_reads(name):
    error = unpickled(name)
    assert (type(error), str(error)) == ERRORS[name]


def test_pickled_configuration_error_keeps_findings():
    error = unpickled("error-configuration")
    assert type(error) is ConfigurationError
    assert error.findings == ("first", "second")
    assert "2 problems found:" in str(error)


def test_pickled_not_materialized_error_keeps_facts():
    error = unpickled("error-not-materialized")
    assert type(error) is NotMaterializedError
    assert (error.asset_name, error.partition) == ("orders", PartitionKey.single("2024-01-31"))
    assert (error.handler, error.address) == ("PickleIOHandler", "s3://bucket/orders.pkl")
    assert error.nearest == "partition '2024-01-30'"
    assert "'2024-01-31'" in str(error)
    assert str(unpickled("error-not-materialized-message")) == "Nothing yet."


@pytest.mark.parametrize("name", [*KEYS, *METADATA])
def test_json_form_reads(name):
    text = json.loads((FILES / "values" / "json_forms.json").read_text(encoding="utf-8"))[name]
    kind = PartitionKey if name in KEYS else MetadataValue
    assert kind.from_json(text) == {**KEYS, **METADATA}[name]


# ---------------------------------------------------------------------- Delta tables

BY_REGION = {"partition_expr": "region"}
BY_DAY = {"partition_expr": "sold_at", "definition": DAYS}
MOMENT = datetime(2024, 1, 31, 12, 30, 15, 123456)


class Lake:
    """Load and store tables of a copied lake."""

    def __init__(self, root, **settings):
        self.handler = DeltaIOHandler(table_uri=str(root), **settings)

    def context(self, name, hint=pl.DataFrame, keys=None, definition=None, **options):
        metadata = {f"delta/{option}": value for option, value in options.items()}
        return rs.InputContext(name, "next", metadata, partition_of(keys, definition), hint)

    def load(self, name, hint=pl.DataFrame, **arguments):
        return self.handler.load_input(self.context(name, hint, **arguments))

    def exists(self, name, **arguments):
        return self.handler.exists(self.context(name, **arguments))

    def store(self, name, value, keys=None, definition=None, **options):
        metadata = {f"delta/{option}": item for option, item in options.items()}
        context = rs.OutputContext(name, metadata, partition_of(keys, definition), type(value))
        self.handler.handle_output(context, value)


@pytest.fixture
def lake(tmp_path):
    return Lake(copied("lake", tmp_path))


def test_delta_table_reads_types(lake):
    expected = pl.DataFrame(
        {
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
    )
    assert lake.load("plain").equals(expected)
    assert lake.load("plain").schema == expected.schema
    assert lake.load("plain", pl.LazyFrame).collect().equals(expected)
    assert pl.DataFrame(lake.load("plain", pa.Table)).equals(expected)


def test_delta_table_reads_older_version(lake):
    assert lake.load("plain", version=0).rows() == [(0,)]


def test_delta_table_keeps_address(lake):
    assert lake.load("Größe~US").rows() == [(1,)]
    assert lake.load("elsewhere", root_name="other_folder").rows() == [(2,)]
    lake.store("Größe~US", pl.DataFrame({"n": [3]}))
    assert lake.load("Größe~US", version=0).rows() == [(1,)]


def test_delta_append_table_reads(lake):
    assert sorted(lake.load("log")["n"]) == [0, 1, 2]
    lake.store("log", pl.DataFrame({"n": [3]}), mode="append")
    assert sorted(lake.load("log")["n"]) == [0, 1, 2, 3]


def test_delta_merge_table_reads(lake):
    rows = [(1, "Ada", None), (2, "Bo", None), (3, "Cy", None), (4, "Di", 30)]
    assert lake.load("customers").select("id", "name", "age").sort("id").rows() == rows
    frame = pl.DataFrame({"id": [1], "name": ["Eve"], "age": [31]})
    lake.store("customers", frame, mode="merge", merge_predicate="s.id = t.id")
    assert lake.load("customers").sort("id").row(0, named=True) == {"id": 1, "name": "Eve", "age": 31}


def test_delta_unfinished_table_counts_as_missing(lake):
    assert not lake.exists("unfinished")
    with pytest.raises(NotMaterializedError):
        lake.load("unfinished")
    lake.store("unfinished", pl.DataFrame({"id": [5]}), mode="error")
    assert lake.load("unfinished").rows() == [(5,)]


def test_delta_pandas_categories_read(lake):
    expected = pd.DataFrame(
        {
            "size": pd.Series(
                ["L", "S", None], dtype=pd.CategoricalDtype(["S", "M", "L", "XL"], ordered=True)
            ),
            "color": pd.Categorical(["red", "blue", "red"], ["red", "green", "blue"]),
        }
    )
    pd.testing.assert_frame_equal(lake.load("pandas_categories", pd.DataFrame), expected)
    lake.store("pandas_categories", expected, mode="append")
    assert len(lake.load("pandas_categories", pd.DataFrame)) == 6


def test_delta_polars_categories_read(lake):
    frame = lake.load("polars_categories")
    assert frame.dtypes == [pl.Enum(["S", "M", "L"]), pl.Categorical]
    assert frame.rows() == [("L", "red"), ("S", "blue")]
    with pytest.raises(RiversError):
        lake.store(
            "polars_categories",
            frame.with_columns(size=pl.Series(["XXL"] * 2, dtype=pl.Enum(["S", "M", "L", "XXL"]))),
            mode="append",
        )


def test_delta_arrow_dictionary_reads(lake):
    numbers = pa.DictionaryArray.from_arrays(
        pa.array([1, None, 0], pa.int8()), pa.array([30, 10]), ordered=True
    )
    assert lake.load("arrow_dictionary", pa.Table).equals(pa.table({"n": numbers}))


def test_delta_nanoseconds_and_zones_read(lake):
    frame = lake.load("moments")
    assert frame.columns == ["ns", "ms", "berlin", "ns_utc"]
    assert frame.dtypes == [
        pl.Datetime("ns"),
        pl.Datetime("ms"),
        pl.Datetime("us", "Europe/Berlin"),
        pl.Datetime("ns", "UTC"),
    ]
    berlin = MOMENT.replace(tzinfo=ZoneInfo("Europe/Berlin"))
    assert frame.row(0) == (MOMENT, MOMENT.replace(microsecond=123000), berlin, MOMENT.replace(tzinfo=UTC))


def test_delta_unsigned_numbers_read(lake):
    frame = lake.load("numbers")
    assert frame.dtypes == [pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Array(pl.Int64, 2)]
    assert frame.row(0) == (255, 2**16 - 1, 2**32 - 1, 2**64 - 1, [1, 2])


def test_delta_arrow_types_read(lake):
    expected = pa.table(
        {
            "large": pa.array(["a"], pa.large_string()),
            "half": pa.array([np.float16(1.5)], pa.float16()),
            "fixed": pa.array([b"abc"], pa.binary(3)),
            "offset": pa.array([MOMENT.replace(tzinfo=UTC)], pa.timestamp("us", tz="+05:30")),
        }
    )
    assert lake.load("arrow_types", pa.Table).equals(expected)


def test_delta_pandas_objects_read(lake):
    frame = lake.load("objects", pd.DataFrame)
    assert frame["n"].dtype == object
    assert frame["n"].tolist() == [2**60 + 1, None]


@pytest.mark.parametrize(
    ("key", "numbers"), [("us", [1]), ("eu", [2]), ("Zoë/US", [3]), ("a b%", [3]), ("emptied", [])]
)
def test_delta_partition_reads(lake, key, numbers):
    assert lake.exists("by_region", keys=key, **BY_REGION)
    frame = lake.load("by_region", keys=key, **BY_REGION)
    assert frame.rows() == [(key, number) for number in numbers]


@pytest.mark.parametrize("key", ["deleted", "never"])
def test_delta_missing_partition_is_reported(lake, key):
    assert not lake.exists("by_region", keys=key, **BY_REGION)
    with pytest.raises(NotMaterializedError, match=repr(key)):
        lake.load("by_region", keys=key, **BY_REGION)


def test_delta_partition_is_replaced_alone(lake):
    lake.store("by_region", pl.DataFrame({"region": ["us"], "n": [9]}), keys="us", **BY_REGION)
    rows = [("Zoë/US", 3), ("a b%", 3), ("eu", 2), ("us", 9)]
    assert sorted(lake.load("by_region").rows()) == rows


def test_delta_table_refuses_to_drop_partitions(lake):
    for name in ("by_region", "by_day", "partitioned_later"):
        frame = lake.load(name)
        with pytest.raises(PartitionValidationError):
            lake.store(name, frame)


def test_delta_time_partitions_read(lake):
    for day in (30, 31):
        frame = lake.load("by_day", keys=f"2024-01-{day}", **BY_DAY)
        assert sorted(frame["n"]) == [-day, day]
    assert lake.load("by_day", keys=["2024-01-30", "2024-01-31"], **BY_DAY).height == 4
    assert not lake.exists("by_day", keys="2024-01-29", **BY_DAY)


def test_delta_dimension_partitions_read(lake):
    options = {"partition_expr": {"day": "sold_at", "region": "region"}, "definition": CELLS}
    frame = lake.load("cells", keys={"day": "2024-01-31", "region": "us"}, **options)
    assert frame.rows() == [(datetime(2024, 1, 31, 6), "us", 31)]
    assert not lake.exists("cells", keys={"day": "2024-01-31", "region": "eu"}, **options)


@pytest.mark.parametrize(
    ("name", "column", "key", "value"),
    [
        ("by_date", "day", "2024-01-31", date(2024, 1, 31)),
        ("by_int", "k", "7", 7),
        ("by_bool", "k", "true", True),
        ("by_float", "k", "1.5", 1.5),
        ("by_decimal", "k", "1.50", Decimal("1.50")),
        ("by_category", "k", "a", "a"),
    ],
)
def test_delta_typed_partition_reads(lake, name, column, key, value):
    assert lake.load(name, keys=key, partition_expr=column).rows() == [(value, 1)]


def test_delta_table_partitioned_later_reads(lake):
    assert lake.load("partitioned_later", keys="us", **BY_REGION).rows() == [("us", 1)]
    assert lake.load("partitioned_later").height == 2


def test_delta_partition_markers_survive_checkpoints(lake):
    checkpoints = list((Path(lake.handler.table_uri) / "checkpointed" / "_delta_log").glob("*.parquet"))
    assert len(checkpoints) == 3
    assert lake.load("checkpointed", keys="empty", **BY_REGION).height == 0
    assert lake.load("checkpointed", keys="us", **BY_REGION).rows() == [("us", 2)]
    many = ["empty", "us", *(f"never-{number}" for number in range(25))]
    with pytest.raises(NotMaterializedError, match="'never-0"):
        lake.load("checkpointed", keys=many, **BY_REGION)


# ---------------------------------------------------------------------- event logs


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The pipeline module of the recorded project, in a copy that is the working folder."""
    folder = copied("project", tmp_path)
    (folder / "event_log").rename(folder / ".rivers")
    monkeypatch.chdir(folder)
    spec = importlib.util.spec_from_file_location("first_release_pipeline", folder / "pipeline.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    with module.repo:
        yield module


@pytest.fixture
def event_log(tmp_path):
    folder = Path(shutil.copytree(FILES / "project" / "event_log", tmp_path / "log"))
    with rs.Storage.embedded(folder) as storage:
        yield storage


@pytest.fixture
def incidents(tmp_path):
    folder = copied("incidents", tmp_path)
    with rs.Storage.embedded(folder / "event_log") as storage:
        yield storage


def test_event_log_reads_runs(event_log):
    runs = event_log.get_runs()
    assert [(run.run_id, run.status) for run in runs[1:]] == [
        ("run-profile", "Success"),
        ("run-cell", "Success"),
        ("run-daily-2024-01-02", "Success"),
        ("run-daily-2024-01-01", "Success"),
        ("run-sales", "Success"),
        ("run-selection", "Success"),
        ("run-job", "Success"),
    ]
    assert all(run.start_time < run.end_time for run in runs)
    run = event_log.get_run("run-job")
    assert (run.job_name, run.node_names) == ("nightly", ["orders", "total"])
    assert run.tags == [("why", "schedule"), ("why", "test")]
    assert event_log.get_run("run-sales").partition_key == "2024-01-01,2024-01-02"
    assert event_log.get_run("run-cell").partition_key == "day=2024-01-02|region=eu"
    assert event_log.get_run("run-selection").selection == ("exported", "low", "high")


def test_event_log_reads_materializations(event_log):
    events = event_log.get_events_for_run("run-daily-2024-01-02", with_steps=False)
    assert [(event.event_type, event.asset_key, event.partition_key) for event in events] == [
        ("RunStart", None, "2024-01-02"),
        ("Materialization", "daily_revenue", "2024-01-02"),
        ("Materialization", "running_total", "2024-01-02"),
        ("RunSuccess", None, "2024-01-02"),
    ]
    revenue, running = events[1:3]
    assert (revenue.handler, revenue.attempt, revenue.step) == ("scratch", 1, "daily_revenue")
    assert running.input_data_versions == [("daily_revenue", revenue.data_version)]
    ids = [event.id for event in events]
    assert ids == sorted(ids)


def test_event_log_reads_metadata(event_log):
    event = event_log.get_latest_materialization("orders")
    assert (event.data_version, event.code_version) == ("2024-06-01", "2")
    assert list(event.tags) == [
        ("why", "schedule"),
        ("why", "test"),
        ("source", "shop"),
        ("größe", "klein"),
    ]
    metadata = dict(event.typed_metadata)
    for name in ("size_bytes", "write_duration_s"):
        metadata.pop(name)
    assert metadata == {
        "path": MetadataValue.text("orders.pkl"),
        "uri": MetadataValue.text("/srv/project/data/orders.pkl"),
        "serializer": MetadataValue.text("pickle"),
        "text": MetadataValue.text("naïve ☃"),
        "int": MetadataValue.int(2**40),
        "float": MetadataValue.float_(0.1),
        "infinite": MetadataValue.float_(float("-inf")),
        "bool": MetadataValue.bool_(True),
        "null": MetadataValue.null(),
        "url": MetadataValue.url("https://example.com/orders?day=1"),
        "file": MetadataValue.path("raw/orders.csv"),
        "json": MetadataValue.json({"a": [1, None, {"b": "c"}]}),
        "md": MetadataValue.md("# Orders"),
        "timestamp": MetadataValue.timestamp(MOMENT),
        "bytes": MetadataValue.bytes(b"\x00\xff"),
        "duration": MetadataValue.duration(1.000001),
        "sql": MetadataValue.sql("SELECT 1", dialect="postgres"),
        "code": MetadataValue.code_block("x = 1", language="python"),
        "image": MetadataValue.image(b"\x89PNG\r\n"),
        "percentage": MetadataValue.percentage(12.5),
        "list": MetadataValue.list_([1, "two", MetadataValue.null()]),
        "range": MetadataValue.date_range("2024-01-01", "2024-01-31"),
        "schema": MetadataValue.schema(pa.schema({"id": pa.int64()})),
        "version": MetadataValue.data_version("v1"),
    }
    assert dict(event.metadata)["percentage"] == "12.5%"


def test_event_log_reads_delta_metadata(event_log):
    event = event_log.get_latest_materialization("sales", "2024-01-02")
    metadata = event.typed_metadata
    assert metadata["delta/num_rows"] == MetadataValue.int(6)
    assert metadata["delta/version"] == MetadataValue.int(0)
    schema = pa.schema(metadata["rivers/schema"].raw_value())
    assert schema.equals(pa.schema({"sold_at": pa.timestamp("us"), "amount": pa.float64()}))


def test_event_log_reads_observations(event_log):
    (event,) = event_log.get_events_for_asset("bookings", with_steps=False)
    assert (event.event_type, event.data_version) == ("Observation", "b7")
    assert event.typed_metadata == {"rows": MetadataValue.int(7)}


def test_event_log_reads_external_materialization(event_log):
    (event,) = event_log.get_events_for_asset("exported", with_steps=False)
    assert (event.event_type, event.data_version, event.handler) == ("Materialization", "export-1", None)
    assert list(event.tags) == [("target", "mail"), ("target", "ftp")]


def test_event_log_reads_partitions(event_log):
    assert event_log.get_materialized_partitions("sales") == ["2024-01-01", "2024-01-02"]
    assert event_log.get_materialized_partitions("cells") == ["day=2024-01-02|region=eu"]
    assert event_log.get_materialized_partitions("profile") == ["Zoë"]
    assert event_log.get_dynamic_partitions("customers") == ["Zoë", "Ann"]
    assert not event_log.has_dynamic_partition("customers", "Bob")
    record = event_log.get_asset_record("running_total")
    assert record.last_run_id == "run-daily-2024-01-02"


def test_event_log_reads_retry(incidents):
    events = incidents.get_events_for_run("run-retried", with_steps=False)
    assert [event.event_type for event in events] == [
        "RunStart",
        "StepRetry",
        "Materialization",
        "RunSuccess",
    ]
    retry, stored = events[1:3]
    assert (retry.asset_key, retry.attempt, stored.attempt) == ("flaky", 1, 2)
    assert "ConnectionError: connection lost" in retry.message


def test_event_log_reads_failure(incidents):
    run = incidents.get_run("run-failed")
    assert (run.status, run.message) == ("Failure", "ValueError: no data for größe")
    events = incidents.get_events_for_run("run-failed", with_steps=False)
    assert [(event.event_type, event.asset_key) for event in events] == [
        ("RunStart", None),
        ("Materialization", "flaky"),
        ("StepFailure", "broken"),
        ("StepSkipped", "skipped"),
        ("RunFailure", None),
    ]
    assert events[2].message == "ValueError: no data for größe"


def test_event_log_reads_canceled_run(incidents):
    run = incidents.get_run("run-canceled")
    assert (run.status, run.message, run.partition_key) == ("Canceled", "Ctrl-C", "a,b")
    assert run.tags == [("by", "test")]


def test_event_log_closes_killed_run(incidents, tmp_path):
    run = incidents.get_run("run-killed")
    assert run.status == "Interrupted"
    assert run.end_time > run.start_time
    events = incidents.get_events_for_run("run-killed", with_steps=False)
    assert [event.event_type for event in events] == ["RunStart", "Materialization", "RunInterrupted"]
    assert not list((tmp_path / "incidents" / "event_log").rglob("*.owner"))


def test_event_log_resumes_killed_run(incidents, tmp_path):
    stored = PickleIOHandler(tmp_path / "incidents" / "data")

    @rs.Asset(io_handler=stored)
    def first():
        raise AssertionError("finished before the run was killed")

    @rs.Asset(io_handler=stored)
    def killed(first):
        return first + 1

    with rs.CodeRepository([first, killed], config=False) as repo:
        repo.resolve(incidents)
        result = repo.materialize(["first", "killed"], run_id_override="run-killed", resume=True)
        assert result.materialized_assets == ["killed"]
        assert repo.load_node("killed") == 2
    assert incidents.get_run("run-killed").status == "Success"


def test_project_status_stays_fresh(project):
    states = {(item.asset, item.partition): item.state for item in project.repo.status()}
    fresh = {place for place, state in states.items() if state == "fresh"}
    assert fresh == {
        ("orders", None),
        ("total", None),
        ("exported", None),
        ("low", None),
        ("high", None),
        ("sales", "2024-01-01"),
        ("sales", "2024-01-02"),
        ("daily_revenue", "2024-01-01"),
        ("daily_revenue", "2024-01-02"),
        ("running_total", "2024-01-01"),
        ("running_total", "2024-01-02"),
        ("cells", "day=2024-01-02|region=eu"),
        ("profile", "Zoë"),
    }
    assert {state for place, state in states.items() if place not in fresh} == {"missing"}


def test_project_loads_stored_values(project):
    load = project.repo.load_node
    assert load("orders") == [30, 12]
    assert (load("total"), load("low"), load("high")) == (42, 12, 30)
    assert load("daily_revenue", partition_key=PartitionKey.single("2024-01-02")) == 6.0
    assert load("running_total", partition_key=PartitionKey.single("2024-01-02")) == 9.0
    assert load("profile", partition_key=PartitionKey.single("Zoë")) == "profile of Zoë"
    cell = PartitionKey.multi({"day": "2024-01-02", "region": "eu"})
    assert load("cells", partition_key=cell) == "day=2024-01-02|region=eu"
    frame = load("sales", partition_key=PartitionKey.single("2024-01-02"), type_hint=pl.DataFrame)
    assert frame.rows() == [(datetime(2024, 1, 2, hour), 2.0) for hour in (0, 8, 16)]


def test_project_table_reads_recorded_type(project):
    event = project.repo.storage.get_latest_materialization("sales", "2024-01-02")
    handler = DeltaIOHandler(table_uri="lake", handler_config={"default_type": "pyarrow.Table"})
    assert isinstance(handler.load_input(rs.InputContext("sales", "next")), pa.Table)
    assert isinstance(handler.load_input(rs.InputContext("sales", "next", upstream=event)), pl.DataFrame)


def test_project_skips_fresh_assets(project):
    assert project.repo.materialize(["orders", "total"], only_stale=True).materialized_assets == []


def test_project_continues_self_dependency(project):
    selection = ["sales", "daily_revenue", "running_total"]
    project.repo.materialize(selection, partition_key="2024-01-03")
    day = PartitionKey.single("2024-01-03")
    assert project.repo.load_node("running_total", partition_key=day) == 18.0
    assert len(project.repo.storage.get_events_for_asset("running_total", with_steps=False)) == 3


# ---------------------------------------------------------------------- configuration


@pytest.fixture
def configuration(tmp_path, monkeypatch):
    """Load the copied `rivers.toml` for an environment, with a registry that no other test sees."""
    folder = copied("configuration", tmp_path)
    monkeypatch.chdir(tmp_path)

    def load(environment=None):
        return load_config(folder / "rivers.toml", environment=environment, registry=PluginRegistry())

    return load


def bucket_handler(**settings):
    options = {"region": "eu-central-1", "endpoint": "http://127.0.0.1:8333", "allow_http": "true"}
    options |= settings.pop("storage_options", {})
    return PickleIOHandler(
        "s3://bucket/values", signing_key="signing-key-of-the-file", storage_options=options, **settings
    )


def lake_handler(table_uri):
    return DeltaIOHandler(
        table_uri=str(table_uri),
        mode="merge",
        schema_mode="merge",
        storage_options={"AWS_REGION": "eu", "timeout": "30s"},
        writer_properties={
            "compression": "ZSTD",
            "compression_level": 3,
            "column_properties": {
                "id": {
                    "dictionary_enabled": False,
                    "bloom_filter_properties": {"set_bloom_filter_enabled": True},
                }
            },
        },
        commit_properties={"custom_metadata": {"team": "a"}, "max_commit_retries": 3},
        table_config={"delta.appendOnly": "false"},
        merge_config=MergeConfig(
            merge_type="custom",
            predicate="source.id = target.id",
            source_alias="source",
            target_alias="target",
            error_on_type_mismatch=False,
            operations=MergeOperationsConfig(
                when_matched_update=[
                    WhenMatchedUpdate(predicate="source.n > target.n", updates={"n": "source.n"})
                ],
                when_not_matched_insert_all=[WhenNotMatchedInsertAll(except_cols=["note"])],
            ),
        ),
        handler_config={
            "max_attempts": 3,
            "first_delay_s": 0.1,
            "longest_delay_s": 1,
            "checkpoint_interval": 20,
            "target_file_size": 1048576,
            "default_type": "polars.DataFrame",
        },
    )


def test_configuration_reads_base(configuration, tmp_path):
    config = configuration()
    assert config.findings() == []
    assert (config.repository, config.default_io_handler) == ("shop.definitions:repo", "scratch")
    assert config.handler_names == ["bucket", "layered", "my-lake", "notes", "scratch"]
    root = tmp_path / "configuration"
    scratch = PickleIOHandler(root / "data", prefix="team-a/values", fsync=True)
    assert config.handler("scratch") == scratch
    assert config.handler("bucket") == bucket_handler()
    assert config.handler("my-lake") == lake_handler(root / "lake")
    assert config.handler("layered") == OverlayIOHandler(top=scratch, base=bucket_handler())
    assert type(config.handler("notes")) is rs.InMemoryIOHandler


def test_configuration_reads_patterns(configuration):
    config = configuration()
    names = ["raw_items", "raw_orders", "note_1", "note_12", "a_x", "orders"]
    assert [rule and rule[1] for rule in map(config.rule_for, names)] == [
        "my-lake",
        "bucket",
        "notes",
        None,
        "layered",
        None,
    ]


def test_configuration_reads_environment(configuration):
    config = configuration("prod")
    assert config.findings() == []
    assert (config.repository, config.default_io_handler) == ("shop.production:repo", "bucket")
    options = {"endpoint": "https://s3.example.com", "allow_http": "false"}
    assert config.handler("bucket") == bucket_handler(prefix="prod", storage_options=options)
    assert config.handler("notes") == PickleIOHandler("s3://bucket/notes")
    assert config.handler("archive") == PickleIOHandler("s3://bucket/archive")
    assert config.rule_for("raw_orders") == ("raw_orders", "archive")
    assert config.rule_for("raw_items") == ("raw_*", "my-lake")


def test_configuration_reads_empty_environment(configuration):
    assert configuration("empty").handler("bucket") == bucket_handler()


def test_configuration_reads_environment_name(configuration, monkeypatch):
    monkeypatch.setenv("RIVERS_ENV", "prod")
    assert configuration().environment == "prod"


def test_configuration_reads_dotenv(configuration, tmp_path):
    folder = tmp_path / "configuration"
    (folder / "dotenv").rename(folder / ".env")
    config = configuration()
    assert config.handler("my-lake") == lake_handler("s3://bucket/lake")
    assert config.handler("bucket") == bucket_handler(storage_options={"region": "us-east-1"})


def test_configuration_reads_plugin_rules(configuration):
    assert configuration().registry.handler("overlay") is OverlayIOHandler
    assert configuration().registry.handler("pickle") is PickleIOHandler
    locked = configuration("locked").registry
    assert locked.handler("pickle") is PickleIOHandler
    with pytest.raises(RiversError, match="rivers-overlay"):
        locked.handler("overlay")

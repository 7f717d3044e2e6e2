"""Settings, options, and credentials that stay hidden."""

from __future__ import annotations

import logging
import pickle
import re
import traceback

import deltalake
import polars as pl
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from rivers_core import InputContext, OutputContext, get_registry, load_config
from rivers_core.authoring import option_secrets
from rivers_core.exceptions import InvalidMetadataError, RiversError
from rivers_delta import DeltaIOHandler, HandlerConfig, PartitionExpr, errors
from tests.test_delta.support import Lake

SECRET = "hunter2-very-secret-indeed"


def test_handler_is_found_by_name():
    assert get_registry().handler("delta") is DeltaIOHandler


def test_settings_read_prefixed_variables_only(monkeypatch, tmp_path):
    monkeypatch.setenv("RIVERS_DELTA_TABLE_URI", str(tmp_path))
    monkeypatch.setenv("RIVERS_DELTA_MODE", "append")
    monkeypatch.setenv("RIVERS_DELTA_STORAGE_OPTIONS", '{"aws_region": "eu-central-1"}')
    monkeypatch.setenv("MODE", "error")
    monkeypatch.setenv("SCHEMA_MODE", "merge")
    handler = DeltaIOHandler()
    assert (handler.table_uri, handler.mode, handler.schema_mode) == (str(tmp_path), "append", None)
    assert handler.plain_storage_options() == {"aws_region": "eu-central-1"}
    assert DeltaIOHandler(mode="ignore").mode == "ignore"


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "overwite"},
        {"schema_mode": "merg"},
        {"writer_properties": {"compresion": "zstd"}},
        {"commit_properties": {"max_commit_retries": -1}},
        {"handler_config": {"max_attempts": 0}},
        {"table_url": "x"},
    ],
)
def test_settings_refuse_invalid_values(tmp_path, wrong):
    with pytest.raises(ValidationError):
        DeltaIOHandler(table_uri=str(tmp_path), **wrong)


@pytest.mark.parametrize("value", [True, 3, 1.5, None, ["lake"], {"x": 1}, b"lake"])
def test_table_uri_must_be_text_or_path(value):
    with pytest.raises(ValidationError, match="table_uri must be a path or URL"):
        DeltaIOHandler(table_uri=value)


def test_table_config_variable_keeps_its_letters(tmp_path, monkeypatch):
    name = "RIVERS_IO_HANDLERS__LAKE__TABLE_CONFIG__delta.enableChangeDataFeed"
    monkeypatch.setenv(name, "true")
    config = load_config({"io_handlers": {"lake": {"use": "delta", "table_uri": str(tmp_path)}}})
    assert config.handler("lake").table_config == {"delta.enableChangeDataFeed": "true"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("delta.enableChangeDatafeed", "true", "Did you mean 'delta.enableChangeDataFeed'"),
        ("owner", "me", "'owner' is not a table property"),
        ("delta.logRetentionDuration", "7 days", "'interval 7 days'"),
        ("delta.appendOnly", "yes", "'true' or 'false'"),
        ("delta.checkpointInterval", "0", "1 or more"),
        ("delta.dataSkippingNumIndexedCols", "-2", "-1 for all"),
    ],
)
def test_table_properties_are_checked_before_the_first_write(tmp_path, name, value, message):
    with pytest.raises(ValidationError, match=message):
        DeltaIOHandler(tmp_path, table_config={name: value})
    (problem,) = DeltaIOHandler(tmp_path).check_options({"delta/table_configuration": {name: value}})
    assert re.search(message, problem)


def test_valid_table_properties_reach_table(tmp_path):
    properties = {"delta.logRetentionDuration": "interval 2 weeks", "delta.checkpointInterval": 5}
    lake = Lake(tmp_path, table_config=properties)
    lake.store(pl.DataFrame({"n": [1]}), table_configuration={"delta.appendOnly": False})
    expected = {name: str(value) for name, value in properties.items()} | {"delta.appendOnly": "false"}
    assert expected.items() <= lake.table().metadata().configuration.items()


def test_writer_property_misspelled_gets_suggestion(tmp_path):
    with pytest.raises(ValidationError, match="Did you mean 'compression'"):
        DeltaIOHandler(table_uri=str(tmp_path), writer_properties={"compresion": "zstd"})


def test_writer_properties_per_column(tmp_path):
    handler = DeltaIOHandler(
        table_uri=str(tmp_path),
        writer_properties={
            "compression": "gzip",
            "column_properties": {"n": {"bloom_filter_properties": {"set_bloom_filter_enabled": True}}},
            "default_column_properties": {"dictionary_enabled": False},
        },
    )
    handler.handle_output(OutputContext("asset"), pl.DataFrame({"n": [1]}))
    assert handler.load_input(InputContext("asset", "next", type_hint=pl.DataFrame)).height == 1


def test_options_report_every_problem(lake):
    faults = lake.handler.check_options({
        "delta/mdoe": "append", "delta/mode": "apend", "delta/columns": "id", "delta/version": "soon",
        "delta/root_name": "../x", "delta/partition_expr": {"a": "c", "b": "c"}, "delta/merge_type": "upsrt",
        "delta/writer_properties": {"compresion": 1}, "delta/change_feed": {"from": 1}, "owner": "me", "other/mode": 1,
    })  # fmt: skip
    message = "\n".join(faults)
    assert len(faults) == 9
    for hint in (
        "'delta/mode'?",
        "'append'?",
        "delta/columns",
        "delta/version",
        "'upsert'?",
        "'compression'?",
    ):
        assert hint in message


def test_options_valid_have_no_problems(lake):
    assert lake.handler.check_options({
        "delta/mode": "merge", "delta/schema_mode": "merge", "delta/partition_expr": {"day": "t"},
        "delta/root_name": "x", "delta/columns": ["a"],
        "delta/merge_predicate": "s.a = t.a", "delta/merge_type": "upsert",
        "delta/table_configuration": {"delta.appendOnly": "true"}, "delta/writer_properties": {"compression": "zstd"},
        "delta/commit_properties": {"max_commit_retries": 3}, "delta/change_feed": True,
    }) == []  # fmt: skip
    assert lake.handler.check_options({"delta/version": 3, "delta/columns": '["a", "b"]'}) == []


def test_options_are_checked_on_write(lake):
    with pytest.raises(InvalidMetadataError, match="Did you mean 'delta/mode'"):
        lake.store(pl.DataFrame({"n": [1]}), mdoe="append")


def test_partition_expr_compares_and_hashes():
    expr = PartitionExpr({"day": "t", "region": "r"})
    assert expr == PartitionExpr.parse('{"day": "t", "region": "r"}')
    assert eval(repr(expr)) == expr
    assert len({expr, PartitionExpr.parse(expr)}) == 1
    assert PartitionExpr.parse("{not json").columns == ("{not json",)


def test_handler_pickles_as_configuration(tmp_path):
    handler = DeltaIOHandler(
        table_uri=str(tmp_path), mode="append", storage_options={"aws_secret_access_key": SECRET},
        merge_config={"predicate": "s.a = t.a"}, handler_config=HandlerConfig(max_attempts=3),
    )  # fmt: skip
    handler._cache.history("somewhere")
    again = pickle.loads(pickle.dumps(handler))
    assert again == handler
    assert again.plain_storage_options() == {"aws_secret_access_key": SECRET}
    assert again._cache._histories == {}


def test_credentials_are_never_shown(caplog):
    caplog.set_level(logging.DEBUG)
    handler = DeltaIOHandler(
        table_uri="s3://bucket-that-is-not-there/lake",
        storage_options={
            "aws_access_key_id": "AKIA-" + SECRET, "aws_secret_access_key": SECRET, "aws_session_token": SECRET,
            "aws_region": "us-east-1", "aws_endpoint_url": f"http://user:{SECRET}@127.0.0.1:9",
            "max_retries": "0", "retry_timeout": "1s", "aws_allow_http": "true",
        },
    )  # fmt: skip
    messages = [
        repr(handler),
        str(handler),
        repr(handler.storage_options),
        str(handler.describe_address(OutputContext("a"))),
    ]
    for doing in (
        lambda: handler.handle_output(OutputContext("asset"), pl.DataFrame({"n": [1]})),
        lambda: handler.load_input(InputContext("asset", "next")),
        lambda: handler.exists(InputContext("asset", "next")),
    ):
        with pytest.raises(RiversError) as failure:
            doing()
        messages.append("".join(traceback.format_exception(failure.value)))
    with pytest.raises(ValidationError) as failure:
        DeltaIOHandler(table_uri="x", storage_options={"aws_secret_access_key": [SECRET]})
    messages += [str(failure.value), caplog.text]
    assert not [text for text in messages if SECRET in text]


def test_endpoint_is_shown_without_user_and_query():
    options = {
        "aws_endpoint_url": f"http://me:{SECRET}@127.0.0.1:9/?key={SECRET}2", "aws_region": "us-east-1",
        "aws_access_key_id": "kid", "aws_secret_access_key": "pw", "aws_allow_http": "true", "max_retries": "0",
    }  # fmt: skip
    handler = DeltaIOHandler(table_uri="s3://bucket/lake", storage_options=options)
    with pytest.raises(
        RiversError, match=r"http://\*+@127\.0\.0\.1:9/\?\*+/bucket/lake/asset/.* refused"
    ) as failure:
        handler.handle_output(OutputContext("asset"), pl.DataFrame({"n": [1]}))
    assert SECRET not in "".join(traceback.format_exception(failure.value))
    assert sorted(option_secrets(handler.plain_storage_options())) == sorted(
        [SECRET, f"key={SECRET}2", "kid", "pw"]
    )


@pytest.mark.parametrize(("messages", "shown"), [
    ("parsing 'pw' failed", "parsing '*' failed"), ("<Key>pw</Key>", "<Key>*</Key>"), ("id=pw, ok", "id=*, ok"),
    ("scope=pw/2024/us", "scope=*/2024/us"), ("it is pw.", "it is *."),
    ("spw pw-a a.pw pw.example.com pwd", None), ("/data/pw/lake", None), ("s3://pw/lake", None),
])  # fmt: skip
def test_short_secret_is_redacted_as_word(messages, shown):
    assert re.sub(r"\*+", "*", errors.redact_library_text(messages, {"aws_secret_access_key": "pw"})) == (
        shown or messages
    )


def test_plain_storage_options_are_not_secret():
    options = {"aws_region": "eu-central-1", "aws_allow_http": "true", "aws_s3_allow_unsafe_rename": "true",
               "timeout": "30 seconds", "aws_endpoint_url": "http://localhost:9000"}  # fmt: skip
    assert option_secrets(options) == []


def test_writer_property_keeps_other_defaults(tmp_path):
    for name, properties in (
        ("plain", None),
        ("set", {"max_row_group_size": 10}),
        ("none", {"compression": "UNCOMPRESSED"}),
    ):
        handler = DeltaIOHandler(table_uri=str(tmp_path / name), writer_properties=properties)
        handler.handle_output(OutputContext("asset"), pl.DataFrame({"n": [1], "text": ["x" * 100]}))
    kept, changed, own = (
        next((tmp_path / name / "asset").glob("*.parquet")).name.split("-c000")[1]
        for name in ("plain", "set", "none")
    )
    assert (kept, changed, own) == (".snappy.parquet", ".snappy.parquet", ".parquet")


def test_unreachable_store_is_not_absent():
    handler = DeltaIOHandler(
        table_uri="s3://bucket/lake",
        storage_options={"aws_endpoint_url": "http://127.0.0.1:9", "aws_region": "us-east-1", "aws_allow_http": "true",
                         "aws_access_key_id": "k", "aws_secret_access_key": "s", "max_retries": "0"},
    )  # fmt: skip
    with pytest.raises(RiversError) as failure:
        handler.load_input(InputContext("asset", "next"))
    assert not isinstance(failure.value, FileNotFoundError)


def test_handler_accepts_positional_arguments(tmp_path):
    handler = DeltaIOHandler(tmp_path / "lake", "append", None, None, None, None, None, None, None)
    assert (handler.mode, handler.handler_config) == ("append", DeltaIOHandler(tmp_path).handler_config)


def test_settings_accept_objects_of_deltalake(tmp_path):
    bloom = deltalake.BloomFilterProperties(set_bloom_filter_enabled=True, fpp=0.1)
    columns = {"n": deltalake.ColumnProperties(statistics_enabled="NONE", bloom_filter_properties=bloom)}
    writer = deltalake.WriterProperties(
        compression="ZSTD", compression_level=5, max_row_group_size=10, column_properties=columns
    )
    commit = deltalake.CommitProperties(
        custom_metadata={"team": "blue"},
        max_commit_retries=2,
        app_transactions=[deltalake.Transaction("loader", 7)],
    )
    handler = pickle.loads(
        pickle.dumps(
            DeltaIOHandler(table_uri=str(tmp_path), writer_properties=writer, commit_properties=commit)
        )
    )
    assert handler.writer_properties == {
        "compression": "ZSTD",
        "compression_level": 5,
        "max_row_group_size": 10,
        "column_properties": {
            "n": {
                "statistics_enabled": "NONE",
                "bloom_filter_properties": {"set_bloom_filter_enabled": True, "fpp": 0.1},
            }
        },
    }
    handler.handle_output(OutputContext("asset"), pl.DataFrame({"n": range(20)}))
    table = deltalake.DeltaTable(handler.asset_table_uri("asset"))
    assert table.history(1)[0]["team"] == "blue"
    assert table.transaction_version("loader") == 7
    (file,) = tmp_path.glob("asset/*.parquet")
    stored = pq.ParquetFile(file).metadata
    assert (stored.num_row_groups, stored.row_group(0).column(0).compression) == (2, "ZSTD")


@pytest.mark.parametrize("value", [deltalake.WriterProperties(), 3, {"app_transactions": [("loader", "7")]}])
def test_commit_properties_refuse_other_objects(tmp_path, value):
    if isinstance(value, deltalake.WriterProperties):
        value.max_row_group_size = 10
    with pytest.raises(ValidationError):
        DeltaIOHandler(table_uri=str(tmp_path), commit_properties=value)

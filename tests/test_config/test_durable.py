"""`durable = true`: one switch that reaches every handler on a local disk."""

from __future__ import annotations

import pytest

import rivers as rs
from rivers_core.config import load_config
from rivers_core.exceptions import ConfigurationError

HANDLERS = """
[io_handlers.values]
use = "pickle"
store = "file:./values"
[io_handlers.lake]
use = "delta"
table_uri = "./lake"
[io_handlers.bucket]
use = "pickle"
store = "s3://bucket/values"
[io_handlers.remote]
use = "delta"
table_uri = "s3://bucket/lake"
[io_handlers.scratch]
use = "pickle"
store = "./scratch"
fsync = false
"""


def load(tmp_path, text, **options):
    file = tmp_path / "rivers.toml"
    file.write_text(text + HANDLERS)
    return load_config(file, **options)


def test_durable_reaches_local_handlers_that_do_not_decide(tmp_path):
    config = load(tmp_path, "durable = true")
    assert config.durable
    states = {name: config.handler(name).fsync for name in ("values", "lake", "bucket", "remote", "scratch")}
    assert states == {"values": True, "lake": True, "bucket": False, "remote": False, "scratch": False}
    (field,) = (item for item in config.fields("lake") if item.field == "fsync")
    assert field.origin == "file"


def test_durable_is_off_by_default_and_by_environment(tmp_path):
    assert not load(tmp_path, "").durable
    switch = "durable = true\n[environments.dev]\ndurable = false\n"
    assert load(tmp_path, switch).durable
    config = load(tmp_path, switch, environment="dev")
    assert not config.durable
    assert not config.handler("values").fsync


@pytest.mark.parametrize("value", ['"yes"', "1", "[]"])
def test_durable_must_be_true_or_false(tmp_path, value):
    with pytest.raises(ConfigurationError, match="durable"):
        load(tmp_path, f"durable = {value}").check()


@pytest.mark.parametrize(("switch", "synchronous"), [("false", 1), ("true", 2)])
def test_durable_reaches_the_event_log(tmp_path, switch, synchronous):
    file = tmp_path / "rivers.toml"
    file.write_text(f"durable = {switch}")
    with rs.CodeRepository([], config=file) as repo:
        assert repo.storage._read("PRAGMA synchronous") == [(synchronous,)]

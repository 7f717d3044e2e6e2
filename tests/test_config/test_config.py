"""Load a configuration, and use its handlers."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from rivers_core.config import load_config
from rivers_core.exceptions import ConfigurationError, HandlerNotFoundError

FULL = """
    repository = "flights.definitions:repo"
    default_io_handler = "scratch"

    [io_handlers.scratch]
    use = "disk"
    store = "file:./data"
    options = { region = "eu", tier = "hot" }

    [io_handlers.team-lake]
    use = "acme:table"
    table_uri = "s3://bucket/lake"
    token = "a token of more than twenty letters"

    [assets]
    "raw_*" = "team-lake"

    [environments.prod]
    default_io_handler = "team-lake"

    [environments.prod.io_handlers.scratch]
    store = "s3://bucket/scratch"
    options = { tier = "cold" }

    [environments.prod.assets]
    "tmp_*" = "scratch"

    [environments.lab.io_handlers.scratch]
    use = "table"
    table_uri = "memory://"
    token = "another token of many letters"
"""


def test_load_config_reads_file(load, project):
    config = load(FULL)
    assert (config.path, config.root, config.environment) == (project / "rivers.toml", project, None)
    assert (config.repository, config.default_io_handler) == ("flights.definitions:repo", "scratch")
    assert config.handler_names == ["scratch", "team-lake"]
    assert config.findings() == []
    config.check()
    handler = config.handler("scratch")
    assert (handler.store, handler.options) == ((project / "data").as_uri(), {"region": "eu", "tier": "hot"})
    assert config.handler("team-lake").token.get_secret_value().startswith("a token")
    assert config.rules == {"raw_*": "team-lake"}
    assert repr(config) == "Config('rivers.toml', handlers=['scratch', 'team-lake'])"


def test_handler_is_built_once_on_first_use(load, classes):
    config = load(FULL)
    assert classes.Disk.built == []
    assert config.handler("scratch") is config.handler("scratch")
    assert len(classes.Disk.built) == 1


def test_environment_is_merged_over_base(load):
    config = load(FULL, environment="prod")
    assert (config.environment, config.default_io_handler) == ("prod", "team-lake")
    handler = config.handler("scratch")
    assert (handler.store, handler.options) == ("s3://bucket/scratch", {"region": "eu", "tier": "cold"})
    assert config.rules == {"raw_*": "team-lake", "tmp_*": "scratch"}
    assert config.findings() == []
    assert load(FULL).handler("scratch").options["tier"] == "hot"


def test_environment_with_other_class_drops_base_settings(load):
    config = load(FULL, environment="lab")
    assert type(config.handler("scratch")).__name__ == "Table"
    assert config.findings() == []


def test_rivers_env_selects_environment(load, project, monkeypatch):
    (project / ".env").write_text("RIVERS_ENV=lab\n")
    assert load(FULL).environment == "lab"
    monkeypatch.setenv("RIVERS_ENV", "prod")
    assert load(FULL).environment == "prod"
    assert load(FULL, environment="lab").environment == "lab"


@pytest.mark.parametrize("variable", [True, False])
def test_load_config_reports_unknown_environment(variable, load, monkeypatch):
    monkeypatch.setenv("RIVERS_ENV", "prd" if variable else "prod")
    selected_by = "RIVERS_ENV in the environment" if variable else "given as an argument"
    expected = rf"'prd' \({selected_by}\)\. Did you mean 'prod'\? It has: lab, prod"
    with pytest.raises(ConfigurationError, match=expected):
        load(FULL, environment=None if variable else "prd")


def test_handler_reports_unknown_name(load):
    config = load(FULL)
    assert not config.has_handler("lake")
    with pytest.raises(HandlerNotFoundError, match=r"'scrach'.* Did you mean 'scratch'\?.*team-lake"):
        config.handler("scrach")
    with pytest.raises(HandlerNotFoundError):
        config.fields("scrach")


def test_load_config_accepts_mapping(project, registry, classes):
    config = load_config(
        {"default_io_handler": "scratch", "io_handlers": {"scratch": {"use": classes.Disk, "store": "data"}}},
        registry=registry,
    )
    assert config.findings() == []
    assert config.handler("scratch").store == str(project / "data")
    assert config.fields("scratch")[0] == ("store", str(project / "data"), "code")
    assert (config.path, config.root) == (None, project)


def test_configured_handler_is_pickled_with_values(load, monkeypatch):
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__SIZE", "4")
    handler = load(FULL).handler("scratch")
    data = pickle.dumps(handler.configuration()[1])
    monkeypatch.delenv("RIVERS_IO_HANDLERS__SCRATCH__SIZE")
    assert pickle.loads(data)["size"] == 4


def test_load_config_applies_plugin_policy(load, registry):
    text = '[plugins]\nallow = ["acme-*"]\ndeny = ["acme-bad"]\npin = { json = "acme-json" }\n'
    load(text)
    with pytest.raises(HandlerNotFoundError, match="'acme-json:json' is not installed"):
        registry.handler("json")


def test_fields_returns_value_and_origin(load, monkeypatch, project):
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__KEY", "hidden")
    (project / ".env").write_text("RIVERS_IO_HANDLERS__SCRATCH__SIZE=3\n")
    text = FULL.replace('tier = "hot"', 'tier = "hot", aws_secret_access_key = "hidden"')
    fields = {
        field: (value, origin) for field, value, origin in load(text, environment="prod").fields("scratch")
    }
    assert fields == {
        "store": ("s3://bucket/scratch", "file (prod)"),
        "prefix": ("", "default"),
        "size": ("3", ".env"),
        "sync": (False, "default"),
        "options": ({"region": "eu", "tier": "cold", "aws_secret_access_key": "**********"}, "file (prod)"),
        "key": ("**********", "environment"),
        "columns": (None, "default"),
    }
    assert load(text).fields("scratch")[0] == ("store", (project / "data").as_uri(), "file")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("file:./data", "file://{root}/data"),
        ("file:data", "file://{root}/data"),
        ("file:.", "file://{root}"),
        ("file:../data", "file://{above}/data"),
        ("file://./data", "file://{root}/data"),
        ("file:./a%20b", "file://{root}/a%20b"),
        ("file:///data", "file:///data"),
        ("data", "{root}/data"),
        ("./data/../x", "{root}/x"),
        ("/data", "/data"),
        ("s3://bucket/x", "s3://bucket/x"),
        ("s3//bucket/x", "s3//bucket/x"),
        ("s3/bucket", "{root}/s3/bucket"),
        ("memory:", "memory:"),
        ("~/data", "{home}/data"),
        ("", ""),
    ],
)
def test_locations_are_relative_to_the_file(written, expected, load, project, monkeypatch, tmp_path):
    (project / "deep").mkdir()
    config = load(f"[io_handlers.lake]\nuse = 'disk'\nstore = '{written}'\nprefix = 'data'\n")
    monkeypatch.chdir(project / "deep")
    handler = config.handler("lake")
    assert handler.store == expected.format(root=project, above=tmp_path, home=Path.home())
    assert handler.prefix == "data"

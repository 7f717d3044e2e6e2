"""Handlers by name: built lazily, once, from the file, its environments and variables."""

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


def test_the_file_says_what_it_says(load, project):
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


def test_handlers_are_built_lazily_once_and_shared(load, classes):
    config = load(FULL)
    assert classes.Disk.made == []
    assert config.handler("scratch") is config.handler("scratch")
    assert len(classes.Disk.made) == 1


def test_an_environment_is_laid_over_the_base(load):
    config = load(FULL, environment="prod")
    assert (config.environment, config.default_io_handler) == ("prod", "team-lake")
    handler = config.handler("scratch")
    assert (handler.store, handler.options) == ("s3://bucket/scratch", {"region": "eu", "tier": "cold"})
    assert config.rules == {"raw_*": "team-lake", "tmp_*": "scratch"}
    assert config.findings() == []
    assert load(FULL).handler("scratch").options["tier"] == "hot"


def test_an_environment_that_uses_another_handler_starts_from_nothing(load):
    config = load(FULL, environment="lab")
    assert type(config.handler("scratch")).__name__ == "Table"
    assert config.findings() == []


def test_rivers_env_chooses_the_environment(load, project, monkeypatch):
    (project / ".env").write_text("RIVERS_ENV=lab\n")
    assert load(FULL).environment == "lab"
    monkeypatch.setenv("RIVERS_ENV", "prod")
    assert load(FULL).environment == "prod"
    assert load(FULL, environment="lab").environment == "lab"


@pytest.mark.parametrize("variable", [True, False])
def test_an_unknown_environment_is_an_error_with_the_nearest(variable, load, monkeypatch):
    monkeypatch.setenv("RIVERS_ENV", "prd" if variable else "prod")
    said_by = "RIVERS_ENV in the environment" if variable else "asked for"
    expected = rf"environment 'prd' \({said_by}\)\. Did you mean 'prod'\? It has: lab, prod"
    with pytest.raises(ConfigurationError, match=expected):
        load(FULL, environment=None if variable else "prd")


def test_the_order_of_sources(load, project, monkeypatch):
    text = "[io_handlers.lake]\nuse = 'disk'\nstore = 'memory:'\nprefix = 'file'\nsize = 2\n"
    values = lambda **given: (lambda h: (h.prefix, h.size, h.sync))(load(text).handler("lake", **given))  # noqa: E731
    assert values() == ("file", 2, False)
    (project / ".env").write_text(
        "RIVERS_IO_HANDLERS__LAKE__PREFIX=dotenv\nRIVERS_IO_HANDLERS__LAKE__SIZE=3\n"
    )
    assert values() == ("dotenv", 3, False)
    monkeypatch.setenv("RIVERS_IO_HANDLERS__LAKE__PREFIX", "environment")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__LAKE__SYNC", "true")
    assert values() == ("environment", 3, True)
    assert values(prefix="argument") == ("argument", 3, True)
    config = load(text)
    assert config.handler("lake", size=9) is not config.handler("lake", size=9)
    assert config.handler("lake").size == 3


def test_a_configured_handler_reads_no_other_variable(load, monkeypatch, project):
    monkeypatch.setenv("PREFIX", "stray")
    monkeypatch.setenv("RIVERS_DISK_PREFIX", "of the class")
    (project / ".env").write_text("RIVERS_DISK_SIZE=7\nSIZE=8\nSOMETHING=else\n")
    handler = load(FULL).handler("scratch")
    assert (handler.prefix, handler.size) == ("", 1)


def test_names_with_dashes_are_underscores_in_variables_in_any_case(load, monkeypatch):
    monkeypatch.setenv("rivers_io_handlers__Team_Lake__table_URI", "memory://other")
    assert load(FULL).handler("team-lake").table_uri == "memory://other"


def test_structures_in_variables_are_json_or_nested_names(load, monkeypatch):
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__OPTIONS__TIER", "cold")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__COLUMNS", '["a", "b"]')
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__PREFIX", '["a"]')
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__KEY", "{not json")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__TEAM_LAKE__MERGE__MODE", "upsert")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__TEAM_LAKE__MERGE__LIMIT", "5")
    config = load(FULL)
    handler = config.handler("scratch")
    assert (handler.options, handler.columns) == ({"region": "eu", "tier": "cold"}, ["a", "b"])
    assert (handler.prefix, handler.key.get_secret_value()) == ('["a"]', "{not json")
    assert config.handler("team-lake").merge.model_dump() == {"mode": "upsert", "limit": 5}
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__OPTIONS", '{"only": "this"}')
    monkeypatch.delenv("RIVERS_IO_HANDLERS__SCRATCH__OPTIONS__TIER")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__COLUMNS", "null")
    handler = load(FULL).handler("scratch")
    assert (handler.options, handler.columns) == ({"only": "this"}, None)


def test_a_variable_can_choose_the_handler_or_add_one(load, monkeypatch):
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__USE", "table")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__TABLE_URI", "memory://")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__TOKEN", "a token of more than twenty letters")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__EXTRA__USE", "bare")
    config = load(FULL)
    assert [type(config.handler(name)).__name__ for name in ("scratch", "extra")] == ["Table", "Bare"]
    assert config.findings() == []


def test_a_variable_for_a_handler_of_another_environment_is_no_mistake(load, monkeypatch):
    text = "[environments.prod.io_handlers.lake]\nuse = 'disk'\nstore = 'x'\n[environments.dev]\n"
    monkeypatch.setenv("RIVERS_IO_HANDLERS__LAKE__KEY", "abc")
    config = load(text, environment="dev")
    assert (config.findings(), config.handler_names) == ([], [])
    assert load(text, environment="prod").handler("lake").key.get_secret_value() == "abc"


def test_an_unknown_handler_is_an_error_with_the_nearest(load):
    config = load(FULL)
    assert not config.has_handler("lake")
    with pytest.raises(
        HandlerNotFoundError, match=r"IO handler 'scrach'\. Did you mean 'scratch'\?.*team-lake"
    ):
        config.handler("scrach")
    with pytest.raises(HandlerNotFoundError):
        config.fields("scrach")


def test_a_configuration_can_be_given_as_python(project, registry, classes):
    instance = classes.Disk(store="here")
    config = load_config(
        {
            "default_io_handler": "kept",
            "io_handlers": {"kept": instance, "made": {"use": classes.Disk, "store": "data"}},
        },
        registry=registry,
    )
    assert config.findings() == []
    assert config.handler("kept") is instance
    assert config.handler("made").store == str(project / "data")
    assert config.fields("made")[0] == ("store", str(project / "data"), "code")
    assert {name: origin for name, _, origin in config.fields("kept")}["store"] == "code"
    assert (config.path, config.root) == (None, project)
    with pytest.raises(ConfigurationError, match="is an instance"):
        config.handler("kept", prefix="x")


def test_a_configured_handler_travels_with_its_values(load, monkeypatch):
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__SIZE", "4")
    handler = load(FULL).handler("scratch")
    data = pickle.dumps(handler.configuration()[1])
    monkeypatch.delenv("RIVERS_IO_HANDLERS__SCRATCH__SIZE")
    assert pickle.loads(data)["size"] == 4


def test_plugin_rules_reach_the_registry(load, registry):
    text = '[plugins]\nallow = ["acme-*"]\ndeny = ["acme-bad"]\npin = { json = "acme-json" }\n'
    load(text)
    with pytest.raises(HandlerNotFoundError, match="'acme-json:json' is not installed"):
        registry.handler("json")


def test_a_field_tells_its_value_and_its_origin(load, monkeypatch, project):
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
    ("written", "meant"),
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
def test_locations_are_relative_to_the_file_not_to_the_shell(
    written, meant, load, project, monkeypatch, tmp_path
):
    (project / "deep").mkdir()
    config = load(f"[io_handlers.lake]\nuse = 'disk'\nstore = '{written}'\nprefix = 'data'\n")
    monkeypatch.chdir(project / "deep")
    handler = config.handler("lake")
    assert handler.store == meant.format(root=project, above=tmp_path, home=Path.home())
    assert handler.prefix == "data"

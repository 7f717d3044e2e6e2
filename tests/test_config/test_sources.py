"""Settings from environment variables and from `.env`."""

from __future__ import annotations

import os
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from rivers_core import BaseIOHandler
from rivers_core.config.parser import Setting
from rivers_core.config.sources import HandlerSettingsSource
from rivers_core.exceptions import ConfigurationError
from tests.test_config.test_config import FULL

PREFIX = "RIVERS_IO_HANDLERS__"


class Inner(BaseModel):
    Port: int = 0
    headers: dict[str, str] = Field(default_factory=dict)


class Wide(BaseIOHandler):
    Size: int | None = None
    names: list[str] = Field(default_factory=list)
    headers: dict[str, SecretStr] | None = None
    by_name: dict[str, list[int]] = Field(default_factory=dict)
    inner: Inner | None = None
    loose: str | list[str] = ""
    anything: Any = None
    other: BaseIOHandler | None = None
    aliased: str = Field("", validation_alias="url")

    def handle_output(self, context, obj):
        pass

    def load_input(self, context):
        pass


def source(lower=None, **variables):
    parts = [
        Setting(tuple(name.split("__")), text, "environment", f"{PREFIX}X__{name} (environment)")
        for name, text in variables.items()
    ]
    return HandlerSettingsSource(Wide, parts, lower or {})


def decode(name, text):
    return source(**{name: text})()


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("SIZE", "3", {"Size": "3"}),
        ("SIZE", "null", {"Size": None}),
        ("NAMES", '["a"]', {"names": ["a"]}),
        ("LOOSE", "5", {"loose": "5"}),
        ("LOOSE", '["5"]', {"loose": ["5"]}),
        ("LOOSE", "null", {"loose": "null"}),
        ("ANYTHING", "5", {"anything": "5"}),
        ("ANYTHING", "{broken", {"anything": "{broken"}),
        ("ANYTHING", '{"a": 1}', {"anything": {"a": 1}}),
        ("OTHER", "lake", {"other": "lake"}),
        ("URL", "x", {"aliased": "x"}),
        ("ALIASED", "x", {"aliased": "x"}),
        ("INNER__PORT", "7", {"inner": {"Port": "7"}}),
        ("BY_NAME__Days", "[1]", {"by_name": {"Days": [1]}}),
    ],
)
def test_source_decodes_variable(name, text, values):
    assert decode(name, text) == values


def test_source_keeps_letters_of_mapping_keys():
    assert decode("HEADERS__X_Api_Key", "k") == {"headers": {"X_Api_Key": "k"}}
    assert decode("INNER__HEADERS__X_Api", "k") == {"inner": {"headers": {"X_Api": "k"}}}
    lower = {"headers": {"x_api_key": "other"}}
    assert source(lower, HEADERS__X_API_KEY="k")() == {"headers": {"x_api_key": "k"}}


def test_variable_below_mapping_keeps_letters_of_its_key(load, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}LAKE__OPTIONS__delta.enableChangeDataFeed", "true")
    handler = load("[io_handlers.lake]\nuse = 'disk'\nstore = 'x'\n").handler("lake")
    assert handler.options == {"delta.enableChangeDataFeed": "true"}


def test_source_merges_parts_into_whole_field():
    assert source(HEADERS__B="2", HEADERS='{"a": "1"}')() == {"headers": {"a": "1", "B": "2"}}


def test_source_reports_each_invalid_json_with_variable():
    problems = {item.place: item.problem for item in source(NAMES="[1", BY_NAME__A="[").settings()}
    assert set(problems) == {f"{PREFIX}X__NAMES (environment)", f"{PREFIX}X__BY_NAME__A (environment)"}
    assert all("invalid JSON" in problem for problem in problems.values())
    assert source(NAMES="[1")() == {}


def test_source_reports_misspelled_nested_field():
    (setting,) = source(INNER__PROT="7").settings()
    assert "'inner' does not have the setting 'PROT'" in setting.problem
    assert "'Port'" in setting.problem


def test_invalid_json_is_a_finding_without_the_value(load, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}SCRATCH__OPTIONS", '{"key": "planted')
    config = load(FULL)
    (finding,) = config.findings()
    assert finding.startswith(f"{PREFIX}SCRATCH__OPTIONS (environment): invalid JSON")
    assert "planted" not in finding
    with pytest.raises(ConfigurationError):
        config.handler("scratch")


def test_use_variable_for_handler_of_other_environment_adds_none(load, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}LAKE__USE", "bare")
    text = "[environments.prod.io_handlers.lake]\nuse = 'disk'\nstore = 'x'\n[environments.dev]\n"
    assert load(text, environment="dev").handler_names == []


SOURCES = ("default", "file", "file (prod)", ".env", "environment", "code")
FIELDS = ("prefix", "size", "key")


@given(st.fixed_dictionaries({field: st.sets(st.sampled_from(SOURCES[1:])) for field in FIELDS}))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_precedence_holds_for_any_combination_of_sources(project, load, set_by):
    def assigned(origin):
        return {field: SOURCES.index(origin) for field in FIELDS if origin in set_by[field]}

    def variables(origin):
        return {f"{PREFIX}LAKE__{field.upper()}": str(value) for field, value in assigned(origin).items()}

    def table(name, origin):
        return "".join([f"[{name}]\n", *(f"{field} = '{n}'\n" for field, n in assigned(origin).items())])

    text = table("io_handlers.lake", "file") + "use = 'disk'\nstore = 'x'\n"
    text += table("environments.prod.io_handlers.lake", "file (prod)")
    (project / ".env").write_text("".join(f"{name}={text}\n" for name, text in variables(".env").items()))
    with mock.patch.dict(os.environ, variables("environment")):
        config = load(text, environment="prod")
        in_code = {field: str(value) for field, value in assigned("code").items()}
        handler = config.handler("lake", **in_code)
        origins = {field: origin for field, _, origin in config.fields("lake")}
    key = handler.key and handler.key.get_secret_value()
    values = {"prefix": handler.prefix, "size": str(handler.size), "key": key}
    for field, default in zip(FIELDS, ("", "1", None), strict=True):
        highest = max((SOURCES.index(origin) for origin in set_by[field]), default=0)
        assert values[field] == (str(highest) if highest else default)
        without_code = max((SOURCES.index(origin) for origin in set_by[field] - {"code"}), default=0)
        assert origins[field] == SOURCES[without_code]


def test_sources_have_documented_precedence(load, project, monkeypatch):
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


def test_handler_ignores_variables_of_its_class(load, monkeypatch, project):
    monkeypatch.setenv("PREFIX", "stray")
    monkeypatch.setenv("RIVERS_DISK_PREFIX", "of the class")
    (project / ".env").write_text("RIVERS_DISK_SIZE=7\nSIZE=8\nSOMETHING=else\n")
    handler = load(FULL).handler("scratch")
    assert (handler.prefix, handler.size) == ("", 1)


def test_variable_name_ignores_case_and_punctuation(load, monkeypatch):
    monkeypatch.setenv("rivers_io_handlers__Team_Lake__table_URI", "memory://other")
    assert load(FULL).handler("team-lake").table_uri == "memory://other"


def test_variables_set_structures_as_json_or_by_key(load, monkeypatch):
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


def test_use_variable_selects_class_or_adds_handler(load, monkeypatch):
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__USE", "table")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__TABLE_URI", "memory://")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__TOKEN", "a token of more than twenty letters")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__EXTRA__USE", "bare")
    config = load(FULL)
    assert [type(config.handler(name)).__name__ for name in ("scratch", "extra")] == ["Table", "Bare"]
    assert config.findings() == []


def test_variable_for_handler_of_other_environment_is_ignored(load, monkeypatch):
    text = "[environments.prod.io_handlers.lake]\nuse = 'disk'\nstore = 'x'\n[environments.dev]\n"
    monkeypatch.setenv("RIVERS_IO_HANDLERS__LAKE__KEY", "abc")
    config = load(text, environment="dev")
    assert (config.findings(), config.handler_names) == ([], [])
    assert load(text, environment="prod").handler("lake").key.get_secret_value() == "abc"

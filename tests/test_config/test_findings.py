"""Findings of a configuration: all problems, each with file, table and key, without secrets."""

from __future__ import annotations

import pytest

from rivers_core.config import load_config
from rivers_core.exceptions import ConfigurationError
from rivers_core.plugins import PluginRegistry

WRONG = """
    colour = 1
    repository = 3
    default_io_handler = "scrach"

    [io_handler.x]
    use = "disk"

    [io_handlers]
    flat = "disk"

    [io_handlers.scratch]
    use = "disk"
    prefx = "a"
    size = "many"
    prefix = "/slash"

    [io_handlers."my lake"]
    use = "disk"

    [io_handlers.lake]
    use = "tabel"

    [io_handlers.none]
    store = "x"

    [io_handlers.odd]
    use = ["disk"]

    [io_handlers.nested]
    use = "table"
    table_uri = "x"
    token = "hidden-but-short"
    merge = { mode = 3, limt = 4 }

    [assets]
    "raw_*" = "scratsh"
    "tmp_*" = 4
    "mem_*" = "bare"

    [plugins]
    alow = []
    deny = "x"
    pin = { json = 3 }

    [environments.prod]
    io_handler = {}

    [environments.prod.io_handlers.scratch]
    sync = "perhaps"
"""


def test_check_reports_all_findings(load, monkeypatch):
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__COLUMNS", "x")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__LAEK__MODE", "x")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__STOER", "x")
    config = load(WRONG, environment="prod")
    with pytest.raises(ConfigurationError) as caught:
        config.check()
    assert caught.value.findings == tuple(config.findings())
    assert str(caught.value).splitlines()[0] == f"{len(caught.value.findings)} problems found in rivers.toml:"
    findings = "\n".join(caught.value.findings)
    for expected in (
        "rivers.toml colour: unknown key. Use one of: repository, ",
        "rivers.toml repository: must be a non-empty string, got 3.",
        "rivers.toml default_io_handler: IO handler 'scrach' not found. Did you mean 'scratch'? Configured: ",
        "rivers.toml io_handler: unknown key. Did you mean 'io_handlers'?",
        "rivers.toml [io_handlers.flat]: must be a table, got a str.",
        "rivers.toml [io_handlers.scratch] prefx: Disk does not have this setting. Did you mean 'prefix'? Its ",
        "rivers.toml [io_handlers.scratch] size: input should be a valid integer",
        "rivers.toml [io_handlers.scratch] prefix: '/slash' starts with a slash.",
        "rivers.toml [io_handlers.scratch] store: is required.",
        "rivers.toml [environments.prod.io_handlers.scratch] sync: input should be a valid boolean",
        "RIVERS_IO_HANDLERS__SCRATCH__COLUMNS (environment): input should be a valid list.",
        "RIVERS_IO_HANDLERS__SCRATCH__STOER (environment): Disk does not have this setting. Did you mean",
        (
            "RIVERS_IO_HANDLERS__LAEK__MODE (environment): IO handler 'laek' is not configured. "
            "Did you mean 'lake'?"
        ),
        "rivers.toml [io_handlers.my lake]: 'my lake' is not a valid handler name",
        (
            "rivers.toml [io_handlers.lake] use: Unknown IO handler 'tabel'. Did you mean 'table'? "
            "Installed: bare, disk, either, overlay, table."
        ),
        "rivers.toml [io_handlers.none] use: is required. Installed handlers: bare, disk, ",
        "rivers.toml [io_handlers.odd] use: must be the name of a handler, got ['disk'].",
        "rivers.toml [io_handlers.nested] merge.mode: input should be a valid string.",
        "rivers.toml [io_handlers.nested] token: the token ********** is too short.",
        "rivers.toml [assets] raw_*: IO handler 'scratsh' not found. Did you mean 'scratch'?",
        "rivers.toml [assets] tmp_*: must be a non-empty string, got 4.",
        "rivers.toml [plugins] alow: unknown key. Did you mean 'allow'? Use one of: allow, deny, pin.",
        "rivers.toml [plugins] deny: must be a list of distribution names, got 'x'.",
        "rivers.toml [plugins.pin] json: must be a non-empty string, got 3.",
        "rivers.toml [environments.prod] io_handler: unknown key. Did you mean 'io_handlers'?",
    ):
        assert expected in findings
    assert "mem_*" not in findings
    assert "hidden" not in findings
    assert "many" not in findings
    assert len(caught.value.findings) == len(set(caught.value.findings))


def test_handler_reports_only_its_findings(load):
    config = load(WRONG)
    with pytest.raises(ConfigurationError, match="4 problems found in .*'scratch'") as caught:
        config.handler("scratch")
    assert len(caught.value.findings) == 4
    assert all("[io_handlers.scratch]" in finding for finding in caught.value.findings)


def test_valid_handler_works_beside_invalid_ones(load):
    config = load(WRONG + "\n    [io_handlers.fine]\n    use = 'bare'\n")
    assert config.handler("fine")


def test_findings_report_ambiguous_handler_names(load):
    config = load("[io_handlers.my-lake]\nuse = 'bare'\n[io_handlers.My_lake]\nuse = 'bare'\n")
    assert config.findings() == [
        (
            "rivers.toml [io_handlers]: 'My_lake' and 'my-lake' have the same variables "
            "(RIVERS_IO_HANDLERS__MY_LAKE__...). Rename one."
        )
    ]


@pytest.mark.parametrize(
    "variable",
    ["RIVERS_IO_HANDLERS__LAKE", "RIVERS_IO_HANDLERS__LAKE__", "RIVERS_IO_HANDLERS__LAKE__OPTIONS__"],
)
def test_findings_report_variable_without_field(variable, load, monkeypatch):
    monkeypatch.setenv(variable, "x")
    (finding,) = load("[io_handlers.lake]\nuse = 'disk'\nstore = 'x'\n").findings()
    assert finding == f"{variable} (environment): does not name a field. Use RIVERS_IO_HANDLERS__LAKE__FIELD."


@pytest.mark.parametrize("section", ["io_handlers", "assets", "plugins", "environments"])
def test_findings_report_section_that_is_not_a_table(section, registry):
    for value in (3, "x", [1]):
        config = load_config({section: value}, registry=registry)
        assert any(
            f"the configuration [{section}]: must be a table" in finding for finding in config.findings()
        )


def test_invalid_plugin_policy_denies_all():
    config = load_config({"plugins": {"allow": 3}}, registry=PluginRegistry())
    assert "must be a list" in config.findings()[0]
    assert {state.state for state in config.registry.plugins()} == {"denied"}


@pytest.mark.parametrize(
    "value", ["topsecret-topsecret", {"nested": "topsecret-topsecret"}, ["topsecret-topsecret"]]
)
def test_findings_show_no_secret(value, load, monkeypatch, registry):
    for field in ("key", "options", "size", "columns", "sync"):
        tables = {"io_handlers": {"lake": {"use": "disk", "store": "x", field: value, "prefix": "/"}}}
        config = load_config(tables, registry=registry)
        if field == "key":
            assert "topsecret" not in "".join(config.findings())
            assert "topsecret" not in repr(config.fields("lake"))
        with pytest.raises(ConfigurationError) as caught:
            config.handler("lake")
        assert "topsecret" not in str(caught.value)

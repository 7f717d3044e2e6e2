"""Expand `${NAME}` in the values of a configuration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivers_core.config import load_config, load_plugin_policy
from rivers_core.config.expansion import ExpansionError, expand
from rivers_core.exceptions import ConfigurationError
from rivers_core.plugins import PluginRegistry

VARIABLES = {"HOST": "s3.local", "EMPTY": "", "LOOP": "${HOST}"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain $HOST {HOST}", "plain $HOST {HOST}"),
        ("https://${HOST}:9000", "https://s3.local:9000"),
        ("${HOST}${HOST}", "s3.locals3.local"),
        ("${HOST:-other}", "s3.local"),
        ("${UNSET:-other one}", "other one"),
        ("${UNSET:-}", ""),
        ("${EMPTY}", ""),
        ("${EMPTY:-other}", "other"),
        ("$${HOST}", "${HOST}"),
        ("$$${HOST}", "$${HOST}"),
        ("${LOOP}", "${HOST}"),
        ("${UNSET:-$HOME}", "$HOME"),
    ],
)
def test_expand_replaces_references_once(text, expanded):
    assert expand(text, VARIABLES.get) == expanded


def test_expand_descends_into_containers():
    value = {"a": ["${HOST}", 1, {"b": "${HOST}"}], "${HOST}": True}
    assert expand(value, VARIABLES.get) == {"a": ["s3.local", 1, {"b": "s3.local"}], "${HOST}": True}
    with pytest.raises(ExpansionError) as caught:
        expand({"a": ["x", "${UNSET}"]}, VARIABLES.get)
    assert caught.value.path == ("a", 1)


@pytest.mark.parametrize("text", ["${", "${}", "${A B}", "${HOST", "${1}", "${UNSET:-${HOST}}", "${HOST-x}"])
def test_expand_reports_malformed_reference(text):
    with pytest.raises(ExpansionError, match="NAME"):
        expand(text, VARIABLES.get)


@given(st.text(alphabet="${}:-AB "))
def test_expand_escaped_text_is_literal(text):
    assert expand(text.replace("${", "$${"), {}.get) == text


TEXT = """
    repository = "${PACKAGE:-flights}.definitions:repo"
    default_io_handler = "${DEFAULT}"

    [io_handlers.scratch]
    use = "${BACKEND:-disk}"
    store = "${ROOT}/data"
    prefix = "p$${x}"
    options = { region = "${REGION}", tier = "hot" }
    columns = ["a", "${COLUMN:-b}"]
    key = "${SCRATCH_KEY:-none}"

    [io_handlers.unused]
    use = "disk"
    store = "${UNUSED_ROOT}"

    [assets]
    "raw_*" = "${DEFAULT}"

    [environments.prod.io_handlers.unused]
    store = "memory:"

    [environments.other.io_handlers.scratch]
    prefix = "${OTHER}"
"""


@pytest.fixture
def variables(project, monkeypatch):
    (project / ".env").write_text("REGION=from-dotenv\nROOT=ignored\nDEFAULT=scratch\n")
    monkeypatch.setenv("ROOT", "file:./root")
    monkeypatch.setenv("SCRATCH_KEY", "planted-secret")


def test_config_expands_every_table_from_environment_and_dotenv(load, variables, project):
    config = load(TEXT, environment="prod")
    assert config.findings() == []
    handler = config.handler("scratch")
    assert handler.store == (project / "root" / "data").as_uri()
    assert (handler.prefix, handler.columns) == ("p${x}", ["a", "b"])
    assert handler.options == {"region": "from-dotenv", "tier": "hot"}
    assert config.repository == "flights.definitions:repo"
    assert config.default_io_handler == "scratch"
    assert config.rule_for("raw_orders") == ("raw_*", "scratch")
    fields = {field: (value, origin) for field, value, origin in config.fields("scratch")}
    assert fields["store"] == ((project / "root" / "data").as_uri(), "file")
    assert fields["key"] == ("**********", "file")


def test_unset_variable_is_a_finding_of_its_handler(load, variables):
    config = load(TEXT)
    (finding,) = config.findings()
    assert finding.startswith("rivers.toml [io_handlers.unused] store: UNUSED_ROOT is not set.")
    assert config.handler("scratch")
    with pytest.raises(ConfigurationError, match="UNUSED_ROOT"):
        config.handler("unused")
    (finding,) = load(TEXT, environment="other").findings()[:1]
    assert finding.startswith(
        "rivers.toml [environments.other.io_handlers.scratch] prefix: OTHER is not set."
    )


def test_unset_variable_of_replaced_value_is_not_a_finding(load, variables, monkeypatch):
    assert load(TEXT, environment="prod").findings() == []
    assert load(TEXT).handler("unused", store="memory:").store == "memory:"
    monkeypatch.setenv("RIVERS_IO_HANDLERS__UNUSED__STORE", "memory:")
    assert load(TEXT).findings() == []


def test_findings_name_key_of_each_unset_variable(load):
    text = """
        repository = "${A}"
        default_io_handler = "${B}"
        [io_handlers.lake]
        use = "${C}"
        [io_handlers.disk]
        use = "disk"
        store = "x"
        columns = ["a", "${D}${E}"]
        options = { region = "${F}" }
        [assets]
        "a_*" = "${G}"
        "b_*" = { handler = "disk", metadata = { mode = "${H}" } }
        [plugins]
        deny = ["${I}"]
    """
    config = load(text)
    findings = "\n".join(config.findings())
    for expected in (
        "rivers.toml repository: A is",
        "rivers.toml default_io_handler: B is",
        "rivers.toml [io_handlers.lake] use: C is",
        "rivers.toml [io_handlers.disk] columns.1: D and E are",
        "rivers.toml [io_handlers.disk] options.region: F is",
        "rivers.toml [assets] a_*: G is",
        "rivers.toml [assets.b_*] metadata.mode: H is",
        "rivers.toml [plugins] deny.0: I is",
    ):
        assert expected in findings
    assert len(config.findings()) == 8
    for use in (
        lambda: config.repository,
        lambda: config.default_io_handler,
        lambda: config.rule_for("a_x"),
        lambda: config.metadata_for("b_x"),
    ):
        with pytest.raises(ConfigurationError, match="not set"):
            use()


def test_variables_and_arguments_are_not_expanded(load, project, monkeypatch):
    monkeypatch.setenv("HOST", "wrong")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__LAKE__PREFIX", "${HOST}")
    config = load("[io_handlers.lake]\nuse = 'disk'\nstore = 'memory:'\n")
    assert config.handler("lake").prefix == "${HOST}"
    assert config.handler("lake", prefix="a${HOST}").prefix == "a${HOST}"


def test_tables_in_code_are_expanded(registry, monkeypatch):
    monkeypatch.setenv("ROOT", "memory:")
    config = load_config({"io_handlers": {"lake": {"use": "disk", "store": "${ROOT}"}}}, registry=registry)
    assert config.handler("lake").store == "memory:"


def test_unset_variable_in_plugin_policy_denies(project):
    for rule, name in (("allow", "A"), ("deny", "B")):
        (project / "rivers.toml").write_text(f"[plugins]\n{rule} = ['${{{name}}}']\n")
        with pytest.raises(ConfigurationError, match=rf"\[plugins\] {rule}\.0: {name} is not set"):
            load_plugin_policy()
        assert {item.state for item in load_config(registry=PluginRegistry()).registry.plugins()} == {
            "denied"
        }
    (project / ".env").write_text("B=acme-*\n")
    assert load_plugin_policy()[0] == {"deny": ("acme-*",)}

"""Find and read the configuration file."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rivers_core.config import find_config, list_environments, load_config, load_plugin_policy
from rivers_core.exceptions import ConfigurationError


def test_find_config_returns_nearest_file_upwards(project):
    deep = project / "a" / "b"
    deep.mkdir(parents=True)
    assert find_config(deep) is None
    (project / "rivers.toml").touch()
    assert find_config(deep) == project / "rivers.toml"
    (project / "a" / "pyproject.toml").write_text("[project]\nname = 'no-rivers-table'\n")
    assert find_config(deep) == project / "rivers.toml"
    (project / "a" / "pyproject.toml").write_text("[tool.rivers]\n")
    assert find_config(deep) == project / "a" / "pyproject.toml"
    (project / "a" / "rivers.toml").touch()
    assert find_config(deep) == project / "a" / "rivers.toml"
    assert find_config() == project / "rivers.toml"


def test_find_config_ignores_foreign_broken_pyproject(project):
    (project / "pyproject.toml").write_text("not = = toml")
    assert find_config() is None
    (project / "pyproject.toml").write_bytes(b"\xff\xfe")
    assert find_config() is None
    (project / "pyproject.toml").write_text("[tool.rivers]\nnot = = toml")
    with pytest.raises(ConfigurationError, match=r"pyproject\.toml.*line 2"):
        load_config()


@pytest.mark.parametrize("named", ["elsewhere/rivers.toml", "elsewhere", "elsewhere/other.toml"])
def test_find_config_reads_rivers_config_variable(named, project, monkeypatch):
    folder = project / "elsewhere"
    folder.mkdir()
    (folder / "rivers.toml").touch()
    (folder / "other.toml").touch()
    monkeypatch.setenv("RIVERS_CONFIG", named)
    assert find_config().parent == folder
    assert load_config().root == folder


@pytest.mark.parametrize(
    ("named", "reason"), [("nowhere.toml", "does not exist"), (".", "does not contain rivers.toml")]
)
def test_load_config_reports_missing_file(named, reason, project, monkeypatch):
    with pytest.raises(ConfigurationError, match=reason):
        load_config(named)
    monkeypatch.setenv("RIVERS_CONFIG", named)
    with pytest.raises(ConfigurationError, match=rf"RIVERS_CONFIG.*{reason}"):
        find_config()


def test_read_config_uses_table_of_pyproject(project, registry):
    (project / "pyproject.toml").write_text(
        "[project]\nname = 'x'\n[tool.rivers.io_handlers.lake]\nuse = 'disk'\n"
    )
    config = load_config(registry=registry)
    (finding,) = config.findings()
    assert finding.startswith("pyproject.toml [tool.rivers.io_handlers.lake] store: is required.")
    (project / "pyproject.toml").write_text("[tool]\nrivers = 3\n")
    with pytest.raises(ConfigurationError, match=r"\[tool\.rivers\] must be a table"):
        load_config(registry=registry)


def test_load_config_without_file_is_empty(project, registry, monkeypatch):
    monkeypatch.setenv("RIVERS_ENV", "prod")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__LAKE__STORE", "x")
    config = load_config(registry=registry)
    assert (config.path, config.root, config.environment) == (None, project, None)
    assert (config.handler_names, config.default_io_handler, config.repository) == ([], None, None)
    assert config.rule_for("orders") is None
    assert config.findings() == []


def test_read_config_reports_line_of_invalid_toml(load):
    with pytest.raises(ConfigurationError, match=r"rivers\.toml: .*at line 2") as caught:
        load("a = 1\nb = = 2\n")
    assert "\n" not in str(caught.value)


def test_read_config_accepts_byte_order_mark(project, registry):
    (project / "rivers.toml").write_bytes(b"\xef\xbb\xbfrepository = 'a:b'\r\n[environments.prod]\r\n")
    (project / ".env").write_bytes(b"\xef\xbb\xbfRIVERS_ENV=prod\r\n")
    config = load_config(registry=registry)
    assert (config.repository, config.environment) == ("a:b", "prod")


def test_read_dotenv_reports_invalid_encoding(project, registry):
    (project / ".env").write_bytes(b"\xff\xfehidden")
    with pytest.raises(ConfigurationError, match=r"\.env: cannot be read: 'utf-8' codec") as caught:
        load_config(registry=registry)
    assert "hidden" not in str(caught.value)


POLICY = """
    [plugins]
    allow = ["acme-*"]
    pin = { json = "acme-json" }
    [environments.prod.plugins]
    deny = ["acme-slow"]
    pin = { csv = "acme-csv" }
    [environments.dev]
"""


def write(project, text):
    (project / "rivers.toml").write_text(text)


def test_load_plugin_policy_merges_environment(project, monkeypatch):
    write(project, POLICY)
    base = {"allow": ("acme-*",), "pin": {"json": "acme-json"}}
    prod = {"allow": ("acme-*",), "deny": ("acme-slow",), "pin": {"json": "acme-json", "csv": "acme-csv"}}
    assert load_plugin_policy() == (base, "rivers.toml")
    assert load_plugin_policy(project, "prod") == (prod, "rivers.toml")
    monkeypatch.setenv("RIVERS_ENV", "prod")
    assert load_plugin_policy(environment="unknown") == (prod, "rivers.toml")
    assert load_plugin_policy(environment="dev") == (base, "rivers.toml")
    monkeypatch.delenv("RIVERS_ENV")
    (project / ".env").write_text("RIVERS_ENV=prod\n")
    assert load_plugin_policy()[0] == prod
    assert list_environments() == ["dev", "prod"]


def test_load_plugin_policy_equals_policy_of_load_config(project, registry, monkeypatch):
    write(project, POLICY)
    policies = []
    monkeypatch.setattr(
        type(registry), "with_policy", lambda self, source, **policy: policies.append(policy) or self
    )
    load_config(registry=registry, environment="prod")
    assert policies == [load_plugin_policy(environment="prod")[0]]


def test_load_plugin_policy_without_file_is_empty(project):
    assert load_plugin_policy() == ({}, "the configuration")
    assert list_environments() == []


@pytest.mark.parametrize(
    "text", ["[plugins]\nallow = 3", "[environments.prod.plugins]\nallow = 3", "plugins = 3"]
)
def test_load_plugin_policy_reports_invalid_table(project, text):
    write(project, text)
    with pytest.raises(ConfigurationError, match=r"1 problem found in .*rivers\.toml") as caught:
        load_plugin_policy(environment="prod")
    assert "plugins" in caught.value.findings[0]


def test_load_plugin_policy_does_not_import_pydantic(project):
    write(project, POLICY)
    code = "import sys; from rivers_core.config import load_plugin_policy; load_plugin_policy()"
    code += "; print('pydantic' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 2000 + "]" * 2000,
        "a = " + "{ a = " * 2000 + "1" + " }" * 2000,
        ".".join("a" * 2000) + " = 1",
        "[" + ".".join("a" * 2000) + "]",
        "\n[io_handlers.x]\nuse = 'disk'\nstore = 'x'\noptions = " + "[" * 120 + "]" * 120,
    ],
)
@pytest.mark.parametrize("file", ["rivers.toml", "pyproject.toml"])
def test_load_config_reports_deep_nesting_once(text, file, project):
    if file == "pyproject.toml":
        text = "[tool.rivers]\n" + text.replace("\n[", "\n[tool.rivers.").replace("[a.", "[tool.rivers.a.")
    (project / file).write_text(text)
    for read in (load_config, load_plugin_policy, list_environments):
        with pytest.raises(ConfigurationError, match=r"nested more than 100 levels deep") as caught:
            read(project / file)
        assert len(str(caught.value)) < 500


def test_find_config_ignores_deeply_nested_foreign_pyproject(project):
    (project / "pyproject.toml").write_text("[tool.other]\nrivers = " + "[" * 5000 + "]" * 5000)
    assert find_config() is None


def test_deep_tables_in_code_and_variables_are_findings(registry, load, monkeypatch):
    tables: dict = {}
    tables["io_handlers"] = tables
    with pytest.raises(ConfigurationError, match="100 levels deep"):
        load_config(tables, registry=registry)
    text = "[io_handlers.lake]\nuse = 'disk'\nstore = 'x'\n"
    for depth in (150, 50_000):
        monkeypatch.setenv("RIVERS_IO_HANDLERS__LAKE__OPTIONS", "[" * depth + "]" * depth)
        (finding,) = load(text).findings()
        assert "RIVERS_IO_HANDLERS__LAKE__OPTIONS" in finding
        assert "too deeply" in finding

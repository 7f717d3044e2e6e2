"""The configuration is found from the current folder upwards, or where somebody says."""

from __future__ import annotations

import pytest

from rivers_core.config import find_config, load_config
from rivers_core.exceptions import ConfigurationError


def test_the_nearest_file_upwards_is_found(project):
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


def test_a_broken_pyproject_of_somebody_else_is_passed_over(project):
    (project / "pyproject.toml").write_text("not = = toml")
    assert find_config() is None
    (project / "pyproject.toml").write_bytes(b"\xff\xfe")
    assert find_config() is None
    (project / "pyproject.toml").write_text("[tool.rivers]\nnot = = toml")
    with pytest.raises(ConfigurationError, match=r"pyproject\.toml: this is not TOML: .*line 2"):
        load_config()


@pytest.mark.parametrize("named", ["elsewhere/rivers.toml", "elsewhere", "elsewhere/other.toml"])
def test_rivers_config_names_a_file_or_its_folder(named, project, monkeypatch):
    folder = project / "elsewhere"
    folder.mkdir()
    (folder / "rivers.toml").touch()
    (folder / "other.toml").touch()
    monkeypatch.setenv("RIVERS_CONFIG", named)
    assert find_config().parent == folder
    assert load_config().root == folder


@pytest.mark.parametrize(
    ("named", "reason"), [("nowhere.toml", "does not exist"), (".", "no rivers.toml in it")]
)
def test_a_named_file_that_is_not_there_is_an_error(named, reason, project, monkeypatch):
    with pytest.raises(ConfigurationError, match=reason):
        load_config(named)
    monkeypatch.setenv("RIVERS_CONFIG", named)
    with pytest.raises(ConfigurationError, match=rf"RIVERS_CONFIG.*{reason}"):
        find_config()


def test_the_table_of_a_pyproject_is_read_and_named(project, registry):
    (project / "pyproject.toml").write_text(
        "[project]\nname = 'x'\n[tool.rivers.io_handlers.lake]\nuse = 'disk'\n"
    )
    config = load_config(registry=registry)
    assert config.findings() == ["pyproject.toml [tool.rivers.io_handlers.lake] store: is required."]
    (project / "pyproject.toml").write_text("[tool]\nrivers = 3\n")
    with pytest.raises(ConfigurationError, match=r"\[tool\.rivers\] has to be a table"):
        load_config(registry=registry)


def test_no_file_is_an_empty_configuration(project, registry, monkeypatch):
    monkeypatch.setenv("RIVERS_ENV", "prod")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__LAKE__STORE", "x")
    config = load_config(registry=registry)
    assert (config.path, config.root, config.environment) == (None, project, None)
    assert (config.handler_names, config.default_io_handler, config.repository) == ([], None, None)
    assert config.rule_for("orders") is None
    assert config.findings() == []


def test_an_error_in_toml_says_where(load):
    with pytest.raises(ConfigurationError, match=r"rivers\.toml: this is not TOML: .*at line 2") as caught:
        load("a = 1\nb = = 2\n")
    assert "\n" not in str(caught.value)


def test_files_of_windows_editors_are_read(project, registry):
    (project / "rivers.toml").write_bytes(b"\xef\xbb\xbfrepository = 'a:b'\r\n[environments.prod]\r\n")
    (project / ".env").write_bytes(b"\xef\xbb\xbfRIVERS_ENV=prod\r\n")
    config = load_config(registry=registry)
    assert (config.repository, config.environment) == ("a:b", "prod")


def test_a_dotenv_that_is_no_text_is_named(project, registry):
    (project / ".env").write_bytes(b"\xff\xfehidden")
    with pytest.raises(ConfigurationError, match=r"\.env: cannot be read: 'utf-8' codec") as caught:
        load_config(registry=registry)
    assert "hidden" not in str(caught.value)

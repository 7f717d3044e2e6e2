"""Where a project's events are, and that environments do not share them."""

from __future__ import annotations

import pytest

import rivers as rs

TOML = """
default_io_handler = "files"
[io_handlers.files]
use = "pickle"
store = "file:./data"
[environments.prod.io_handlers.files]
store = "file:./prod"
[environments."a/b".io_handlers.files]
store = "file:./other"
"""


@rs.Asset
def numbers() -> list[int]:
    return [1, 2]


@pytest.fixture
def project(tmp_path):
    (tmp_path / "rivers.toml").write_text(TOML)
    return tmp_path


def repository(project):
    return rs.CodeRepository([numbers], config=project / "rivers.toml")


def test_the_history_is_beside_the_configuration(project):
    with repository(project) as repo:
        repo.materialize()
    assert (project / ".rivers" / "rivers.db").exists()


def test_what_one_environment_stored_is_missing_in_another(project, monkeypatch):
    with repository(project) as repo:
        repo.materialize()
        assert [status.state for status in repo.status()] == ["fresh"]
    monkeypatch.setenv("RIVERS_ENV", "prod")
    with repository(project) as repo:
        assert [status.state for status in repo.status()] == ["missing"]
        assert repo.materialize(only_stale=True).materialized_assets == ["numbers"]
    assert (project / ".rivers" / "prod" / "rivers.db").exists()


def test_the_name_of_an_environment_leads_nowhere_else(project, monkeypatch):
    monkeypatch.setenv("RIVERS_ENV", "a/b")
    with repository(project) as repo:
        repo.materialize()
    assert [path.name for path in (project / ".rivers").iterdir()] == ["a%2Fb"]

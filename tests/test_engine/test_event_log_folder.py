"""Folder of a project's event log, per environment."""

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


def test_event_log_is_beside_config_file(project):
    with repository(project) as repo:
        repo.materialize()
    assert (project / ".rivers" / "rivers.db").exists()


def test_event_log_is_separate_per_environment(project, monkeypatch):
    with repository(project) as repo:
        repo.materialize()
        assert [status.state for status in repo.status()] == ["fresh"]
    monkeypatch.setenv("RIVERS_ENV", "prod")
    with repository(project) as repo:
        assert [status.state for status in repo.status()] == ["missing"]
        assert repo.materialize(only_stale=True).materialized_assets == ["numbers"]
    assert (project / ".rivers" / "prod" / "rivers.db").exists()


def test_environment_name_cannot_leave_folder(project, monkeypatch):
    monkeypatch.setenv("RIVERS_ENV", "a/b")
    with repository(project) as repo:
        repo.materialize()
    assert [path.name for path in (project / ".rivers").iterdir()] == ["a%2Fb"]

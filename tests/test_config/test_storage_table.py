"""The table `[storage]`: where the event log is, without credentials in the file."""

from __future__ import annotations

import pytest

import rivers as rs
from rivers.inspection import Project
from rivers.inspection.settings import config_document
from rivers_core import PluginRegistry, load_config
from rivers_core.exceptions import ConfigurationError


def load(tmp_path, text, environment=None):
    (tmp_path / "rivers.toml").write_text(text)
    return load_config(tmp_path, environment=environment, registry=PluginRegistry())


def test_storage_url_expands_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "hunter2-secret")
    config = load(tmp_path, '[storage]\nurl = "postgresql://me:${DB_PASSWORD}@db/flights"\ndurable = true')
    config.check()
    assert config.storage_url == "postgresql://me:hunter2-secret@db/flights"
    assert (config.storage_durable, config.durable) == (True, False)
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@db/flights",
        "postgresql://db/flights?user=me&password=hunter2",
        "postgresql://me:${A:-hunter2}@db/flights",
        "postgresql://me:x${A}@db/flights",
    ],
)
def test_storage_url_rejects_password_in_file(tmp_path, url, monkeypatch):
    monkeypatch.setenv("A", "1")
    config = load(tmp_path, f'[storage]\nurl = "{url}"')
    (finding,) = config.findings()
    assert "rivers.toml [storage] url" in finding
    assert "hunter2" not in finding
    with pytest.raises(ConfigurationError, match="password"):
        _ = config.storage_url


def test_password_of_storage_is_a_secret_of_the_project(tmp_path, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "hunter2%2Fsecret")
    config = load(tmp_path, '[storage]\nurl = "postgresql://me:${DB_PASSWORD}@db/flights"')
    monkeypatch.setenv("RIVERS_CONFIG", str(config.path))
    project = Project(None, str(config.path), None)
    assert "hunter2" not in str(config_document(project.config))
    assert {"hunter2%2Fsecret", "hunter2/secret"} <= set(project.secrets())


@pytest.mark.parametrize("text", ["url = 3", "durable = 1", "adress = 'x'", "url = '${UNSET_VARIABLE}'"])
def test_storage_table_reports_problems(tmp_path, text):
    assert len(load(tmp_path, f"[storage]\n{text}").findings()) == 1


def test_each_environment_needs_its_server(tmp_path):
    text = '[storage]\nurl = "postgresql://db/flights"\n[environments.prod.storage]\n'
    assert load(tmp_path, text).storage_url == "postgresql://db/flights"
    (finding,) = load(tmp_path, text, "prod").findings()
    assert "[environments.prod.storage]" in finding
    separate = f'{text}url = "postgresql://db/prod"'
    assert load(tmp_path, separate, "prod").storage_url == "postgresql://db/prod"


def test_folder_of_event_log_is_relative_to_the_file(tmp_path):
    config = load(tmp_path, '[storage]\nurl = "file:./history"')

    @rs.Asset
    def orders() -> int:
        return 1

    with rs.CodeRepository([orders], config=config.path) as repo:
        repo.resolve().materialize()
        assert repo.storage.path == tmp_path / "history"


@pytest.mark.server
def test_project_uses_the_configured_server(tmp_path, postgres_url, monkeypatch):
    monkeypatch.setenv("EVENTS", postgres_url)
    config = load(tmp_path, '[storage]\nurl = "${EVENTS}"')

    @rs.Asset
    def orders() -> int:
        return 1

    with rs.CodeRepository([orders], config=config.path) as repo:
        run = repo.resolve().materialize()
        assert type(repo.storage).__name__ == "PostgresStorage"
        repo.storage.close()
    monkeypatch.setenv("RIVERS_CONFIG", str(config.path))
    project = Project(None, str(config.path), None)
    assert project.event_log is None
    assert project.storage(reading=True).get_run(run.run_id).status == "Success"
    reader = project.storage_to_read()
    assert [record.run_id for record in reader.get_runs()] == [run.run_id]
    reader.close()
    project.close()

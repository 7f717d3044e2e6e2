"""Handlers by name: configuration, plugins, and which of them wins."""

from __future__ import annotations

import sys

import pyarrow as pa
import pytest

import rivers as rs
from rivers_core import get_registry, load_config

CONFIG = """
default_io_handler = "scratch"

[io_handlers.scratch]
use = "pickle"
store = "file:./data"

[io_handlers.fast]
use = "memory"

[assets]
"raw_*" = "fast"
"raw_big" = "scratch"

[environments.test.io_handlers.scratch]
store = "memory:///"
"""


@pytest.fixture
def project(tmp_path, repository):
    (tmp_path / "rivers.toml").write_text(CONFIG)

    def make(*names, **options):
        def asset(name):
            handler = options.get(name)
            return rs.Asset(lambda: name, name=name, io_handler=handler)

        return repository(*map(asset, names), config=tmp_path / "rivers.toml")

    make.folder = tmp_path
    return make


def test_handler_rules_precedence(project, diary):
    repo = project(
        "plain", "raw_a", "raw_big", "named", "own", "bare", named="fast", own=diary, bare="memory"
    )
    chosen = {
        name: (repo.handler_binding(name).label, repo.handler_binding(name).reason) for name in repo.assets
    }
    assert chosen == {
        "plain": ("scratch", "default_io_handler of the configuration, configured"),
        "raw_a": ("fast", "pattern 'raw_*' of the configuration, configured"),
        "raw_big": ("scratch", "pattern 'raw_big' of the configuration, configured"),
        "named": ("fast", "named on the asset, configured"),
        "own": ("DiaryIOHandler", "given on the asset"),
        "bare": ("memory", "named on the asset"),
    }


def test_configured_handler_is_shared(project):
    repo = project("a", "b")
    assert repo.io_handler_for_output("a") is repo.io_handler_for_output("b")
    repo.materialize()
    assert (project.folder / "data" / "a.pkl").is_file()


def test_configured_event_log_is_beside_file(project):
    repo = project("a")
    repo.materialize()
    assert (project.folder / ".rivers").is_dir()
    again = project("a")
    assert again.storage.get_latest_materialization("a").handler == "scratch"
    assert again.load_node("a") == "a"


def test_config_file_is_found_upwards(project, repository, monkeypatch):
    project("a")
    below = project.folder / "deep" / "er"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    repo = repository(rs.Asset(lambda: 1, name="a"), config=None)
    assert repo.handler_binding("a").label == "scratch"


def test_environment_changes_store_only(project, monkeypatch):
    monkeypatch.setenv("RIVERS_ENV", "test")
    repo = project("a")
    repo.materialize()
    assert not (project.folder / "data").exists()
    assert repo.load_node("a") == "a"


def test_variable_takes_precedence_over_file(project, monkeypatch):
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SCRATCH__PREFIX", "from/env")
    project("a").materialize()
    assert (project.folder / "data" / "from" / "env" / "a.pkl").is_file()


def test_config_findings_are_reported_once(tmp_path, repository):
    (tmp_path / "rivers.toml").write_text('[io_handlers.lake]\nuse = "pickle"\nstroe = "file:./x"\n')

    @rs.Asset(io_handler="lake")
    def a(): ...

    @rs.Asset(io_handler="lake")
    def b(unknown): ...

    with pytest.raises(rs.exceptions.GraphValidationError) as caught:
        repository(a, b, config=tmp_path / "rivers.toml").validate()
    text = str(caught.value)
    assert text.count("stroe") == 1
    assert "Did you mean 'store'" in text
    assert "'unknown' is neither an asset nor a resource" in text


RULES = """
default_io_handler = "${UNSET_DEFAULT:-memory}"

[assets]
"raw_*" = { metadata = { "memory/team" = "ingest", owner = "config", tier = 1 } }
"raw_big" = { handler = "memory", metadata = { owner = "big" } }
"graph/*" = { metadata = { owner = "node" } }
"""


def test_asset_metadata_of_config_is_merged_below_code(tmp_path, repository):
    (tmp_path / "rivers.toml").write_text(RULES)
    seen = {}

    @rs.Asset(metadata={"owner": "code"})
    def raw_small(context: rs.AssetExecutionContext) -> int:
        seen.update(context.asset_metadata)
        return 1

    @rs.Asset
    def raw_big() -> int:
        return 2

    @rs.Asset.from_multi(output_defs=[rs.AssetDef("raw_x", metadata={"tier": 2}), rs.AssetDef("other")])
    def multi():
        return 1, 2

    repo = repository(raw_small, raw_big, multi, config=tmp_path / "rivers.toml")
    outputs = repo.graph.outputs
    assert outputs["raw_small"].metadata == {"memory/team": "ingest", "owner": "code", "tier": 1}
    assert outputs["raw_big"].metadata == {"memory/team": "ingest", "owner": "big", "tier": 1}
    assert outputs["raw_x"].metadata == {"memory/team": "ingest", "owner": "config", "tier": 2}
    assert outputs["other"].metadata == {}
    assert repo.handler_binding("raw_big").reason.startswith("pattern 'raw_big'")
    repo.materialize(["raw_small"])
    assert seen == outputs["raw_small"].metadata


def test_handler_options_of_config_reach_the_handler(tmp_path, repository):
    (tmp_path / "rivers.toml").write_text(
        """
        [io_handlers.lake]
        use = "delta"
        table_uri = "lake"
        [assets]
        "raw_*" = { handler = "lake", metadata = { "delta/mode" = "append" } }
        "*_b" = { handler = "lake", metadata = { "delta/mod" = "append" } }
        """
    )

    @rs.Asset
    def raw_a() -> pa.Table:
        return pa.table({"x": [1]})

    repo = repository(raw_a, config=tmp_path / "rivers.toml")
    repo.materialize()
    repo.materialize()
    assert repo.load_node("raw_a").num_rows == 2
    with pytest.raises(rs.exceptions.GraphValidationError, match="delta/mod"):
        repository(rs.Asset(lambda: 1, name="x_b"), config=tmp_path / "rivers.toml").validate()


def test_executor_of_config_is_checked(tmp_path, repository):
    (tmp_path / "rivers.toml").write_text('[assets]\na = { metadata = { "rivers/executor" = "nowhere" } }\n')
    repo = repository(rs.Asset(lambda: 1, name="a"), config=tmp_path / "rivers.toml")
    with pytest.raises(rs.exceptions.GraphValidationError, match="nowhere"):
        repo.validate()


@pytest.mark.parametrize(
    "text",
    [
        'default_io_handler = "${UNSET_NAME}"',
        '[assets]\n"*" = "${UNSET_NAME}"',
        '[assets]\n"*" = { metadata = { x = "${UNSET_NAME}" } }',
        '[io_handlers.lake]\nuse = "pickle"\nstore = "${UNSET_NAME}"\n[assets]\n"*" = "lake"',
    ],
)
def test_unset_variable_is_reported_once_before_anything_runs(text, tmp_path, repository):
    (tmp_path / "rivers.toml").write_text(text)
    repo = repository(
        rs.Asset(lambda: 1, name="a"), rs.Asset(lambda: 1, name="b"), config=tmp_path / "rivers.toml"
    )
    with pytest.raises(rs.exceptions.GraphValidationError) as caught:
        repo.validate()
    assert str(caught.value).count("UNSET_NAME is not set") == 1


def test_unknown_handler_lists_configured_names(project):
    with pytest.raises(rs.exceptions.GraphValidationError, match="Did you mean 'scratch'"):
        project("a", a="scrach").validate()


def test_missing_setting_names_its_sources(repository):
    @rs.Asset(io_handler="pickle")
    def a(): ...

    with pytest.raises(rs.exceptions.GraphValidationError, match=r"\[io_handlers\.pickle\]"):
        repository(a).validate()


WRAPPER = """
from rivers_core.hooks import hookimpl

@hookimpl
def rivers_wrap_io_handler(handler):
    from rivers_memory.handler import InMemoryIOHandler
    return type("Wrapped", (InMemoryIOHandler,), {})()

@hookimpl
def rivers_run_start():
    seen.append("run")

seen = []
"""


def test_repository_keeps_own_plugin_policy(tmp_path, monkeypatch):
    site = tmp_path / "site"
    info = site / "acme_wrapping-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-wrapping\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "".join(f"[rivers.{group}]\nwrapping = acme_wrapping\n" for group in ("resolve", "observers"))
    )
    (site / "acme_wrapping.py").write_text(WRAPPER)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)

    @rs.Asset
    def orders() -> int:
        return 1

    closed = load_config({"plugins": {"deny": ["acme-*"]}})
    repos = [rs.CodeRepository([orders], config=config) for config in (closed, load_config({}), False)]
    for _ in range(2):
        kinds = [type(repo.io_handler_for_output("orders")).__name__ for repo in repos]
        assert kinds == ["InMemoryIOHandler", "Wrapped", "Wrapped"]
    for repo in repos:
        with repo:
            repo.materialize()
    get_registry().configure()
    assert sys.modules.pop("acme_wrapping").seen == ["run", "run"]

"""A developer's environment: production is read, home is written to, and history says which was which."""

from __future__ import annotations

import asyncio

import pytest

import rivers as rs
from rivers_core.hooks import hookimpl
from rivers_core.plugins import get_registry
from tests.test_overlay.conftest import DAYS, Waiting

TOML = """
default_io_handler = "store"

[io_handlers.store]
use = "pickle"
store = "file:./production"
[io_handlers.mine]
use = "pickle"
store = "file:./mine"
[io_handlers.lake]
use = "pickle"
store = "file:./production"

[environments.branch.io_handlers.store]
use = "overlay"
top = "mine"
base = "lake"
"""


@rs.Asset
def orders() -> list[str]:
    return ["bread", "milk"]


@rs.Asset
def report(orders: list[str]) -> str:
    return ", ".join(orders)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "rivers.toml").write_text(TOML)
    with rs.CodeRepository([orders, report], config=tmp_path / "rivers.toml") as production:
        production.materialize()
    return tmp_path


def branch(project, monkeypatch, assets=(orders, report)):
    monkeypatch.setenv("RIVERS_ENV", "branch")
    return rs.CodeRepository(list(assets), config=project / "rivers.toml")


def served(repo, asset="report"):
    return repo.storage.get_latest_materialization(asset).typed_metadata["rivers/served_by"].raw_value()


def test_one_asset_alone_reads_production_and_writes_at_home(project, monkeypatch):
    before = {path.name: path.read_bytes() for path in (project / "production").iterdir()}
    with branch(project, monkeypatch) as repo:
        repo.materialize(["report"])
        assert served(repo) == {"orders": "base"}
    assert [path.name for path in (project / "mine").iterdir()] == ["report.pkl"]
    assert {path.name: path.read_bytes() for path in (project / "production").iterdir()} == before


def test_what_was_made_at_home_is_used_from_then_on(project, monkeypatch):
    @rs.Asset(name="orders")
    def changed_orders() -> list[str]:
        return ["cheese"]

    with branch(project, monkeypatch, [changed_orders, report]) as repo:
        repo.materialize()
        assert repo.load_node("report") == "cheese"
        assert served(repo) == {"orders": "top"}


def test_observers_see_which_layer_served(project, monkeypatch):
    seen = []

    class Watcher:
        @hookimpl
        def rivers_input_loaded(self, context, handler):
            seen.append((context.asset_name, context.served_by))

    get_registry().register(Watcher(), "watcher")
    try:
        with branch(project, monkeypatch) as repo:
            repo.materialize(["report"])
    finally:
        get_registry().unregister("watcher")
    assert seen == [("orders", "base")]


def test_partitions_say_one_by_one_where_they_came_from(top, base):
    overlay = get_registry().handler("overlay")(top=top, base=base)

    @rs.Asset(io_handler=overlay, partitions_def=DAYS)
    def daily(context: rs.AssetExecutionContext) -> str:
        return context.partition_key

    def run(handler, *keys):
        repo = rs.CodeRepository([daily], config=False).override(io_handler=handler)
        for key in keys:
            repo.materialize(["daily"], partition_key=key)

    run(base, "2024-01-01", "2024-01-02")
    run(top, "2024-01-02")

    @rs.Asset(
        deps=[
            rs.AssetDef.input("daily", rs.PartitionMapping.specific_partitions(["2024-01-01", "2024-01-02"]))
        ]
    )
    def both(daily: dict[str, str]) -> int:
        return len(daily)

    repo = rs.CodeRepository([daily, both], config=False)
    repo.materialize(["both"])
    assert served(repo, "both") == {"daily": {"base": ["2024-01-01"], "top": ["2024-01-02"]}}


def test_asynchronous_layers_work_in_a_run():
    top, base = Waiting(place="home"), Waiting(place="production")
    overlay = get_registry().handler("overlay")(top=top, base=base)
    asyncio.run(base.handle_output(rs.OutputContext("orders"), ["bread"]))
    repo = rs.CodeRepository([orders, report], config=False).override(io_handler=overlay)
    repo.materialize(["report"])
    assert repo.load_node("report") == "bread"
    assert served(repo) == {"orders": "base"}


def test_a_run_without_layers_records_nothing_about_them():
    with rs.CodeRepository([orders, report], config=False) as repo:
        repo.materialize()
        assert "rivers/served_by" not in repo.storage.get_latest_materialization("report").typed_metadata

"""Overlay in runs: read the base, write the top, record which layer served."""

from __future__ import annotations

import asyncio

import polars as pl
import pytest

import rivers as rs
from rivers.exceptions import GraphValidationError
from rivers_cli.config_schema import json_schema
from rivers_core.hooks import hookimpl
from rivers_core.plugins import get_registry
from tests.test_overlay.conftest import DAYS, Shelf, Waiting

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


def test_run_reads_base_and_writes_top(project, monkeypatch):
    before = {path.name: path.read_bytes() for path in (project / "production").iterdir()}
    with branch(project, monkeypatch) as repo:
        repo.materialize(["report"])
        assert served(repo) == {"orders": "base"}
    assert [path.name for path in (project / "mine").iterdir()] == ["report.pkl"]
    assert {path.name: path.read_bytes() for path in (project / "production").iterdir()} == before


def test_run_reads_top_once_it_has_a_value(project, monkeypatch):
    @rs.Asset(name="orders")
    def changed_orders() -> list[str]:
        return ["cheese"]

    with branch(project, monkeypatch, [changed_orders, report]) as repo:
        repo.materialize()
        assert repo.load_node("report") == "cheese"
        assert served(repo) == {"orders": "top"}


def test_observers_receive_served_by(project, monkeypatch):
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


def test_run_records_served_by_per_partition(top, base):
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


def test_run_with_async_layers():
    top, base = Waiting(place="home"), Waiting(place="production")
    overlay = get_registry().handler("overlay")(top=top, base=base)
    asyncio.run(base.handle_output(rs.OutputContext("orders"), ["bread"]))
    repo = rs.CodeRepository([orders, report], config=False).override(io_handler=overlay)
    repo.materialize(["report"])
    assert repo.load_node("report") == "bread"
    assert served(repo) == {"orders": "base"}


def test_run_counts_many_partitions_by_layer(top, base):
    overlay = get_registry().handler("overlay")(top=top, base=base)
    days = [f"2024-01-{number:02}" for number in range(1, 13)]

    @rs.Asset(io_handler=overlay, partitions_def=DAYS)
    def daily() -> int:
        return 1

    @rs.Asset(deps=[rs.AssetDef.input("daily", rs.PartitionMapping.specific_partitions(days))])
    def total(daily: dict[str, int]) -> int:
        return sum(daily.values())

    repo = rs.CodeRepository([daily, total], config=False)
    for day in days:
        repo.override(io_handler=base).materialize(["daily"], partition_key=day)
    for day in days[:2]:
        repo.materialize(["daily"], partition_key=day)
    repo.materialize(["total"])
    assert repo.load_node("total") == 12
    assert served(repo, "total") == {"daily": {"base": 10, "top": days[:2]}}


def test_run_loads_one_table_across_layers(tmp_path):
    pytest.importorskip("deltalake")
    from rivers_delta import DeltaIOHandler

    production = DeltaIOHandler(table_uri=str(tmp_path / "production"))
    overlay = rs.OverlayIOHandler(top=DeltaIOHandler(table_uri=str(tmp_path / "mine")), base=production)
    rows = {"2024-01-01": 1, "2024-01-02": 2, "2024-01-03": 3}
    factor = 1

    @rs.Asset(partitions_def=DAYS, io_handler="tables", metadata={"delta/partition_expr": "day"})
    def daily(context: rs.AssetExecutionContext) -> pl.DataFrame:
        key = context.partition_key
        return pl.DataFrame({"day": [key], "n": [rows[key] * factor]})

    mapping = rs.PartitionMapping.specific_partitions(list(rows))

    @rs.Asset(io_handler="memory", deps=[rs.AssetDef.input("daily", mapping)])
    def total(daily: pl.DataFrame) -> int:
        return int(daily["n"].sum())

    def repo(handler):
        return rs.CodeRepository([daily, total], config=False, resources={"tables": handler})

    at_work = repo(production)
    for key in rows:
        at_work.materialize(["daily"], partition_key=key)
    at_home = repo(overlay)
    at_home.materialize(["total"])
    assert (at_home.load_node("total"), served(at_home, "total")) == (6, {"daily": "base"})
    factor = 10
    at_home.materialize(["daily"], partition_key="2024-01-02")
    at_home.materialize(["total"])
    assert (at_home.load_node("total"), served(at_home, "total")) == (24, {"daily": "top and base"})
    at_work.materialize(["total"])
    assert at_work.load_node("total") == 6


def test_event_log_does_not_fall_through(project, monkeypatch):
    with branch(project, monkeypatch) as repo:
        states = {status.asset: status.state for status in repo.status()}
        assert states == {"orders": "missing", "report": "missing"}
        assert repo.load_node("orders") == ["bread", "milk"]
        repo.materialize(["report"])
        states = {status.asset: status.state for status in repo.status()}
        assert states == {"orders": "missing", "report": "fresh"}
        event = repo.storage.get_latest_materialization("report")
        # the version that the base reported, which no event of this log records
        ((name, version),) = event.input_data_versions
        assert event.typed_metadata["rivers/unrecorded_inputs"].raw_value() == {name: version}


def test_resume_reruns_step_lost_with_memory_top(project):
    history = rs.Storage.embedded(project / "history")
    production = rs.PickleIOHandler(project / "production")

    def at_home():
        overlay = rs.OverlayIOHandler(top=rs.InMemoryIOHandler(), base=production)
        repo = rs.CodeRepository([orders, report], config=False).override(io_handler=overlay)
        repo.resolve(storage=history)
        return repo

    at_home().materialize(["orders"])
    (status, _) = at_home().status()
    assert (status.state, status.reason) == (
        "missing",
        "its value was in the memory of a process that has ended",
    )
    history.close()


def test_resolve_finds_colliding_assets_through_overlay(tmp_path):
    class Located(Shelf):
        def storage_location(self, asset_name, asset_metadata):
            return f"{self.place}/{asset_metadata.get('root', asset_name)}"

    mine = Located(place="home")
    overlay = rs.OverlayIOHandler(top=mine, base=Located(place="production"))

    @rs.Asset(io_handler=overlay, metadata={"root": "x"})
    def first() -> int:
        return 1

    @rs.Asset(io_handler=mine, metadata={"root": "x"})
    def second() -> int:
        return 2

    with pytest.raises(GraphValidationError, match="'first' and 'second' would both be stored at home/x"):
        rs.CodeRepository([first, second], config=False).resolve()


def test_config_and_variables_name_layers(project, monkeypatch):
    with branch(project, monkeypatch) as repo:
        handler = repo.io_handler_for_output("orders")
        assert (handler.top.store, handler.base.store) == (str(project / "mine"), str(project / "production"))
    monkeypatch.setenv("RIVERS_IO_HANDLERS__STORE__TOP", "memory")
    with branch(project, monkeypatch) as repo:
        repo.materialize(["report"])
        assert type(repo.io_handler_for_output("orders").top).__name__ == "InMemoryIOHandler"
        assert repo.load_node("report") == "bread, milk"
    assert not (project / "mine").exists()


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ('top = "mien"', r"top: IO handler 'mien' not found\. Did you mean 'mine'\?"),
        ('top = "store"', "circle: store -> store"),
        ("top = 3", "top: a layer must be an IO handler, or its name in a configuration"),
        ('top = "lake"', "also in the base, which must never be written to"),
        ('tpo = "mine"', r"OverlayIOHandler does not have this setting\. Did you mean 'top'\?"),
    ],
)
def test_resolve_reports_invalid_layer(project, monkeypatch, line, finding):
    (project / "rivers.toml").write_text(TOML.replace('top = "mine"', line))
    with pytest.raises(GraphValidationError, match=finding):
        branch(project, monkeypatch).resolve()


def test_schema_describes_layers_as_names():
    schema = json_schema()["$defs"]["overlay"]
    assert schema["required"] == ["use", "top", "base"]
    assert {schema["properties"][name]["$ref"].rpartition("/")[2] for name in ("top", "base")} == {
        "BaseIOHandler"
    }
    assert schema["$defs"]["BaseIOHandler"]["type"] == "string"


def test_run_without_overlay_records_no_served_by():
    with rs.CodeRepository([orders, report], config=False) as repo:
        repo.materialize()
        assert "rivers/served_by" not in repo.storage.get_latest_materialization("report").typed_metadata

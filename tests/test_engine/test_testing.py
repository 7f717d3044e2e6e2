"""`rs.testing`: contexts, storages and runs in memory, for tests of pipelines."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import BaseModel

import rivers as rs

DAYS = rs.PartitionsDefinition.daily("2024-01-01", end="2024-02-01")


def test_build_asset_context_for_a_partition():
    context = rs.testing.build_asset_context(
        "sales", partition_key="2024-01-02", partitions_def=DAYS, config={"limit": 3}, tags=["daily"]
    )
    assert isinstance(context, rs.AssetExecutionContext)
    assert (context.asset_name, context.partition_key, context.config, context.tags) == (
        "sales",
        "2024-01-02",
        {"limit": 3},
        ["daily"],
    )
    assert context.partition_time_window[0].isoformat() == "2024-01-02T00:00:00"
    several = rs.testing.build_asset_context("sales", partition_key=["a", "b"])
    assert several.partition.keys == ["a", "b"]


def test_build_asset_context_says_what_to_pass():
    with pytest.raises(TypeError, match="partition_key='2024-01-02'"):
        rs.testing.build_asset_context("sales", partition="2024-01-02")
    with pytest.raises(rs.exceptions.ConfigurationError, match="2025-01-01"):
        rs.testing.build_asset_context("sales", partition_key="2025-01-01", partitions_def=DAYS)


def test_materialize_to_memory_replaces_every_handler():
    @rs.Asset(io_handler="warehouse", partitions_def=DAYS)
    def sales(context: rs.AssetExecutionContext, rate: float) -> float:
        return int(context.partition_key[-2:]) * rate

    @rs.Asset(io_handler=rs.PickleIOHandler("s3://no-such-bucket"), partitions_def=DAYS)
    def doubled(sales: float) -> float:
        return 2 * sales

    result = rs.testing.materialize_to_memory([sales, doubled], "2024-01-03", {"rate": 0.5})
    assert (result.success, result.materialized_assets) == (True, ["sales", "doubled"])
    assert result.load_node(doubled, partition_key="2024-01-03") == 3.0


def test_materialize_to_memory_reports_failures():
    @rs.Asset
    def broken() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="broken"):
        rs.testing.materialize_to_memory([broken])
    result = rs.testing.materialize_to_memory([broken], raise_on_error=False)
    assert [name for name, _ in result.failed_assets] == ["broken"]
    with pytest.raises(rs.exceptions.NotMaterializedError):
        result.load_node("broken")


def test_storages_are_event_storages(tmp_path):
    for storage in (rs.testing.memory_storage(), rs.testing.embedded_storage(tmp_path)):
        rs.CodeRepository([rs.Asset(lambda: 1, name="a")], config=False).resolve(storage).materialize()
        assert storage.get_latest_materialization("a") is not None
        storage.close()


def test_first_parameter_named_context_is_the_context(repository):
    @rs.Asset
    def a(context):
        return context.asset_name

    @rs.Task
    def t(context):
        return context.task_name

    repo = repository(a, tasks=[t])
    repo.materialize()
    assert (repo.load_node("a"), repo.load_node("t")) == ("a", "t")
    named = repository(rs.Asset(lambda: 3, name="context"), rs.Asset(lambda context: context + 1, name="b"))
    named.materialize()
    assert named.load_node("b") == 4


def test_task_may_take_the_context_of_an_asset(repository):
    @rs.Task
    def t(context: rs.AssetExecutionContext) -> str:
        return context.asset_name

    repo = repository(rs.Asset.from_graph(lambda: t(), name="g"))
    repo.materialize()
    assert repo.load_node("g") == "g/t"


def test_everything_includes_standalone_tasks(repository):
    used, alone = rs.Task(lambda: 1, name="used"), rs.Task(lambda: 2, name="alone")
    repo = repository(rs.Asset.from_graph(lambda: used(), name="g"), tasks=[used, alone])
    assert repo.materialize().materialized_assets == ["g", "alone"]


def test_model_class_as_resource_is_instantiated(repository):
    class Settings(BaseModel):
        limit: int = 3

    class Required(BaseModel):
        dsn: str

    @rs.Asset
    def a(settings: Settings) -> int:
        return settings.limit

    repo = repository(a, resources={"settings": Settings})
    repo.materialize()
    assert repo.load_node("a") == 3
    with pytest.raises(rs.exceptions.ConfigurationError, match="dsn"):
        repository(a, resources={"settings": Required})


def test_description_defaults_to_the_docstring():
    @rs.Asset
    def a():
        """Orders of one day.

        From the shop.
        """

    assert a.description == "Orders of one day.\n\nFrom the shop."
    assert rs.Asset(lambda: 1, name="b").description is None
    assert rs.Asset(a.function, description="Own").description == "Own"


def test_module_runs_the_command():
    result = subprocess.run(
        [sys.executable, "-m", "rivers", "--help"], capture_output=True, text=True, check=True
    )
    assert "materialize" in result.stdout

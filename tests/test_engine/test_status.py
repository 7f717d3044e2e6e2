"""Status (missing, fresh, stale), and runs of stale assets only."""

from __future__ import annotations

import pytest

import rivers as rs


class Content(rs.BaseIOHandler):
    """Says that equal values have equal versions, as handlers do that digest what they store."""

    values: dict = {}

    def handle_output(self, context, obj):
        self.values[context.storage_key] = obj
        context.offer_content_version(f"content {obj}")

    def load_input(self, context):
        return self.values[context.storage_key]


@pytest.fixture
def pipeline(repository):
    """up -> middle -> down over one storage; `build` creates it again with other values or code."""
    storage = rs.Storage.memory()
    handler = Content(values={})

    def build(value=1, code=None, other=None):
        @rs.Asset(io_handler=handler)
        def up() -> int:
            return value

        @rs.Asset(io_handler=other or handler, code_version=code)
        def middle(up: int) -> int:
            return up % 10

        @rs.Asset(io_handler=handler)
        def down(middle: int) -> int:
            return middle + 1

        return repository(up, middle, down).resolve(storage)

    return build


def states(repo):
    return {status.asset: status.state for status in repo.status()}


def test_status_is_missing_before_first_run_and_fresh_after(pipeline):
    repo = pipeline()
    assert states(repo) == {"up": "missing", "middle": "missing", "down": "missing"}
    repo.materialize()
    assert states(repo) == {"up": "fresh", "middle": "fresh", "down": "fresh"}


def test_status_stale_after_new_code_version(pipeline):
    pipeline().materialize()
    repo = pipeline(code="2")
    assert [(s.asset, s.reason) for s in repo.status() if s.state == "stale"] == [
        ("middle", "code version changed from None to '2'")
    ]


def test_status_stale_after_new_upstream_data_version(pipeline):
    pipeline(value=1).materialize()
    repo = pipeline(value=2)
    repo.materialize(["up"])
    assert [(s.asset, s.reason) for s in repo.status() if s.state == "stale"] == [
        ("middle", "upstream 'up' has a new data version")
    ]


def test_status_fresh_after_upstream_rewrite_of_equal_content(pipeline):
    repo = pipeline()
    repo.materialize()
    repo.materialize(["up"])
    assert set(states(repo).values()) == {"fresh"}


def test_status_stale_after_change_of_handler(pipeline, diary):
    pipeline().materialize()
    repo = pipeline(other=diary)
    assert [(s.asset, s.reason) for s in repo.status() if s.state == "stale"] == [
        ("middle", "handler changed from 'Content' to 'DiaryIOHandler'")
    ]


def test_only_stale_skips_and_reports_fresh_assets(pipeline):
    pipeline(value=1).materialize()
    repo = pipeline(value=1, code="2")
    result = repo.materialize(only_stale=True)
    assert result.success
    assert result.materialized_assets == ["middle"]
    assert [name for name, _ in result.skipped_assets] == ["up", "down"]
    assert all("fresh" in why for _, why in result.skipped_assets)


def test_only_stale_stops_at_equal_content(pipeline):
    pipeline(value=1).materialize()
    repo = pipeline(value=11, code="2")
    repo.materialize(["up"])
    assert repo.materialize(only_stale=True).materialized_assets == ["middle"]


def test_status_per_partition(repository):
    days = rs.PartitionsDefinition.static_(["a", "b"])
    handler = Content(values={})

    @rs.Asset(partitions_def=days, io_handler=handler)
    def up(context: rs.AssetExecutionContext) -> str:
        return context.partition_key

    @rs.Asset(partitions_def=days, io_handler=handler)
    def down(up: str) -> str:
        return up

    repo = repository(up, down)
    repo.materialize(partition_key="a")
    assert [(s.asset, s.partition, s.state) for s in repo.status()] == [
        ("up", "a", "fresh"),
        ("up", "b", "missing"),
        ("down", "a", "fresh"),
        ("down", "b", "missing"),
    ]
    result = repo.materialize(["down"], partition_key=["a"], only_stale=True)
    assert result.materialized_assets == []


@pytest.mark.parametrize("batches", [False, True])
def test_only_stale_runs_stale_keys(repository, batches):
    letters = rs.PartitionsDefinition.static_(["a", "b", "c"])
    handler = Content(values={})
    now = {"a": 1, "b": 1, "c": 1}
    seen: list = []
    hint = dict[str, int] if batches else int

    @rs.Asset(partitions_def=letters, io_handler=handler)
    def up(context: rs.AssetExecutionContext):
        return rs.PartitionedOutput({key: now[str(key)] for key in context.partition.keys})

    @rs.Asset(partitions_def=letters, io_handler=handler, partition_batches=batches)
    def down(up: hint):
        seen.append(up)
        return rs.PartitionedOutput({key: value + 1 for key, value in up.items()}) if batches else up + 1

    repo = repository(up, down)
    repo.materialize(partition_key=["a", "b", "c"])
    seen.clear()
    now["b"] = 5
    repo.materialize(["up"], partition_key="b")
    result = repo.materialize(["down"], partition_key=["a", "b", "c"], only_stale=True)
    assert seen == [{"b": 5} if batches else 5]  # a batch stays one, whatever is left to do
    assert result.materialized_assets == ["down"]
    assert result.skipped_assets == [("down", "fresh for 2 of the 3 partition keys: a, c")]
    (skipped,) = [e for e in repo.storage.get_events_for_asset("down") if e.event_type == "StepSkipped"]
    assert skipped.message == "fresh for 2 of the 3 partition keys: a, c"
    assert skipped.typed_metadata["rivers/to_store"] == rs.MetadataValue.int(1)
    assert {status.state for status in repo.status()} == {"fresh"}


def test_only_stale_failed_step_skips_consumers(repository):
    letters = rs.PartitionsDefinition.static_(["a", "b"])

    @rs.Asset(partitions_def=letters)
    def up(context: rs.AssetExecutionContext):
        if context.partition_key == "b":
            raise ValueError("no b")
        return 1

    @rs.Asset(partitions_def=letters)
    def down(up: int):
        return up

    repo = repository(up, down)
    repo.materialize(["up"], partition_key="a")
    result = repo.materialize(partition_key=["a", "b"], only_stale=True, raise_on_error=False)
    assert [name for name, _ in result.failed_assets] == ["up"]
    assert (
        "down",
        "1 of the 2 partition keys (b): not run, since 'up' failed for b",
    ) in result.skipped_assets
    assert repo.storage.get_materialized_partitions("down") == ["a"]
    assert result.materialized_assets == []


def test_status_stale_after_ordering_dependency_changed(repository):
    version = ["1"]

    @rs.Asset
    def table() -> rs.Materialization:
        return rs.Materialization(data_version=version[0])

    @rs.Asset(deps=[rs.AssetDef.dep("table")], io_handler=Content(values={}))
    def report() -> str:
        return "read from the table itself"

    repo = repository(table, report)
    repo.materialize()
    assert repo.storage.get_latest_materialization("report").input_data_versions == [("table", "1")]
    repo.materialize(["table"])
    assert states(repo) == {"table": "fresh", "report": "fresh"}
    version[0] = "2"
    repo.materialize(["table"])
    reasons = {status.asset: status.reason for status in repo.status()}
    assert reasons == {"table": None, "report": "upstream 'table' has a new data version"}


def test_status_stale_by_partition_of_ordering_dependency(repository):
    days = rs.PartitionsDefinition.daily("2024-01-01", "2024-01-04")
    handler = Content(values={})
    versions = {"2024-01-01": "1", "2024-01-02": "1", "2024-01-03": "1"}

    @rs.Asset(partitions_def=days)
    def table(context: rs.AssetExecutionContext) -> rs.Materialization:
        return rs.Materialization(data_version=versions[context.partition_key])

    yesterday = rs.AssetDef.dep("table", partition_mapping=rs.PartitionMapping.time_window(-1))

    @rs.Asset(partitions_def=days, deps=[yesterday], io_handler=handler)
    def report(context: rs.AssetExecutionContext):
        return rs.PartitionedOutput({key: str(key) for key in context.partition.keys})

    repo = repository(table, report)
    for day in versions:
        repo.materialize(["table"], partition_key=day)
    repo.materialize(["report"], partition_key=list(versions))  # of the first day there is no yesterday
    assert {status.state for status in repo.status()} == {"fresh"}
    versions["2024-01-02"] = "2"
    repo.materialize(["table"], partition_key="2024-01-02")
    assert [s.partition for s in repo.status() if s.state == "stale"] == ["2024-01-03"]


def test_status_of_outputs_that_depend_on_each_other(repository):
    @rs.Asset.from_multi(
        output_defs=[rs.AssetDef("first"), rs.AssetDef("second", deps=[rs.AssetDef.dep("first")])]
    )
    def both():
        return {"first": 1, "second": 2}

    repo = repository(both)
    repo.materialize()
    assert states(repo) == {"first": "fresh", "second": "fresh"}


def test_status_of_asset_with_materialization(repository):
    @rs.Asset
    def report():
        return rs.Materialization(data_version="1")

    repo = repository(report)
    repo.materialize()
    assert states(repo) == {"report": "fresh"}


def test_status_of_graph_asset_follows_its_tasks(repository):
    storage = rs.Storage.memory()
    handler = Content(values={})

    def build(value):
        @rs.Asset(io_handler=handler)
        def up() -> int:
            return value

        @rs.Task
        def halved(x: int) -> int:
            return x // 2

        @rs.Asset.from_graph(io_handler=handler, node_io_handler=handler)
        def answer(up):
            return halved(halved(up))

        return repository(up, answer).resolve(storage)

    build(8).materialize()
    repo = build(9)
    assert states(repo) == {"up": "fresh", "answer": "fresh"}
    repo.materialize(["up"])
    reasons = {status.asset: status.reason for status in repo.status()}
    assert reasons == {"up": None, "answer": "node 'answer/halved': upstream 'up' has a new data version"}
    assert repo.materialize(only_stale=True).materialized_assets == []
    assert states(repo) == {"up": "fresh", "answer": "fresh"}


@pytest.fixture
def restarted(repository):
    """raw (stored) -> clean (memory) -> answer (stored), as seen by one new process after another."""
    storage = rs.Storage.memory()
    handler = Content(values={})
    ran: list[str] = []

    def build(code=None, leaf=True):
        @rs.Asset(io_handler=handler)
        def raw() -> int:
            ran.append("raw")
            return 1

        @rs.Asset
        def clean(raw: int) -> int:
            ran.append("clean")
            return raw

        @rs.Asset(io_handler=handler, code_version=code)
        def answer(clean: int) -> int:
            ran.append("answer")
            return clean

        ran.clear()
        return repository(raw, clean, *([answer] if leaf else [])).resolve(storage)

    build.ran = ran
    return build


def test_status_missing_after_value_of_process_is_lost(restarted):
    restarted().materialize()
    status = {s.asset: (s.state, s.reason) for s in restarted().status()}
    assert status["raw"] == ("fresh", None)
    assert status["clean"] == ("missing", "its value was in the memory of a process that has ended")


def test_only_stale_skips_lost_value_without_consumer(restarted):
    restarted().materialize()
    restarted().materialize(only_stale=True)
    assert restarted.ran == []


def test_only_stale_recreates_lost_value_for_stale_consumer(restarted):
    restarted().materialize()
    result = restarted(code="2").materialize(only_stale=True)
    assert result.success
    assert restarted.ran == ["clean", "answer"]


def test_only_stale_recreates_lost_final_value(restarted):
    restarted().materialize()
    restarted(leaf=False).materialize(only_stale=True)
    assert restarted.ran == ["clean"]


def test_status_ranges_join_equal_consecutive_keys(repository):
    days = rs.PartitionsDefinition.daily("2024-01-01", "2024-01-07")

    @rs.Asset(partitions_def=days)
    def daily() -> int:
        return 1

    @rs.Asset(partitions_def=days)
    def other() -> int:
        return 1

    @rs.Asset
    def plain() -> int:
        return 1

    repo = repository(daily, other, plain)
    repo.materialize([daily], partition_key=["2024-01-02", "2024-01-03"])
    status = repo.status()
    assert [(item.asset, item.first, item.last, item.count, item.state) for item in status.ranges()] == [
        ("daily", "2024-01-01", "2024-01-01", 1, "missing"),
        ("daily", "2024-01-02", "2024-01-03", 2, "fresh"),
        ("daily", "2024-01-04", "2024-01-06", 3, "missing"),
        ("other", "2024-01-01", "2024-01-06", 6, "missing"),
        ("plain", None, None, 1, "missing"),
    ]
    assert sum(item.count for item in status.ranges()) == len(status)
    assert all(text in status._repr_html_() for text in ("daily", "2024-01-04 to 2024-01-06 (3)", "missing"))

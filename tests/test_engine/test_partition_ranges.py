"""Runs over several partition keys: once per key, or in batches."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest
from pydantic import PrivateAttr

import rivers as rs

LETTERS = rs.PartitionsDefinition.static_(["a", "b", "c"])
DAYS = rs.PartitionsDefinition.daily("2024-01-01", end="2024-01-06")
GRID = rs.PartitionsDefinition.multi({"date": DAYS, "letter": LETTERS})
ABC = ["a", "b", "c"]
Context = rs.AssetExecutionContext


def failing(bad, diary, name="up", **options):
    """An asset that fails for some of its keys."""

    @rs.Asset(name=name, partitions_def=LETTERS, io_handler=diary, **options)
    def up(context: Context) -> str:
        if context.partition_key in bad:
            raise ValueError(f"no {context.partition_key}")
        return context.partition_key.upper()

    return up


class RowsHandler(rs.BaseIOHandler):
    """Stores the rows of several keys in one call, and reports the keys that have some."""

    partition_batches: ClassVar[bool] = True
    _rows: dict = PrivateAttr(default_factory=dict)

    def handle_output(self, context, obj):
        context.register_partitions(
            [key for key in context.partition.keys if any(row[0] == key for row in obj)]
        )
        self._rows.update({str(key): [row for row in obj if row[0] == key] for key in context.partition.keys})

    def load_input(self, context):
        return [row for key in context.partition.keys for row in self._rows[str(key)]]


def test_range_calls_the_function_once_per_key(repository, diary):
    @rs.Asset(partitions_def=DAYS, io_handler=diary)
    def day(context: Context) -> str:
        return f"{context.partition_key} {context.partition_time_window[0]:%d}"

    repo = repository(day)
    result = repo.materialize(partition_key=rs.PartitionKeyRange.single("2024-01-01", "2024-01-03"))
    assert diary.values == {f"day/2024-01-0{n}": f"2024-01-0{n} 0{n}" for n in (1, 2, 3)}
    assert result.materialized_assets == ["day"]
    events = repo.storage.get_events_for_run(result.run_id)
    stored = [event.partition_key for event in events if event.event_type == "Materialization"]
    assert stored == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert len(repo.storage.get_runs()) == 1


def test_multi_dimensional_range_calls_the_function_once_per_key(repository, diary):
    @rs.Asset(partitions_def=GRID, io_handler=diary)
    def cell(context: Context) -> str:
        return context.partition_key

    repository(cell).materialize(partition_key={"date": ["2024-01-01", "2024-01-02"], "letter": ["a", "b"]})
    assert list(diary.values.values()) == [
        f"date=2024-01-0{day}|letter={letter}" for day in (1, 2) for letter in "ab"
    ]


def test_consumer_receives_the_value_of_its_key(repository, diary):
    @rs.Asset(partitions_def=LETTERS, io_handler=diary)
    def down(up: str) -> str:
        return up * 2

    @rs.Asset(io_handler=diary)
    def all_of_them(down: dict[str, str]) -> str:
        return " ".join(down.values())

    repository(failing([], diary), down, all_of_them).materialize(partition_key=ABC)
    assert diary.values["all_of_them"] == "AA BB CC"


def test_async_steps_run_once_per_key(repository, diary):
    @rs.Asset(partitions_def=LETTERS, io_handler=diary)
    async def up(context: Context) -> str:
        await asyncio.sleep(0)
        return context.partition_key

    repository(up).materialize(partition_key=ABC)
    assert list(diary.values.values()) == ABC


def test_graph_nodes_run_once_per_key(repository, diary):
    @rs.Task
    def shout(context: rs.TaskExecutionContext) -> str:
        return context.partition_key.upper()

    @rs.Task
    def twice(text: str) -> str:
        return text * 2

    @rs.Asset.from_graph(partitions_def=LETTERS, io_handler=diary, node_io_handler=diary)
    def loud():
        return twice(shout())

    repository(loud).materialize(partition_key=["b", "a"])
    assert (diary.values["loud/a"], diary.values["loud/b"]) == ("AA", "BB")


def test_multi_asset_runs_once_per_key(repository, diary):
    defs = [rs.AssetDef("x", io_handler=diary), rs.AssetDef("y", io_handler=diary)]

    @rs.Asset.from_multi(output_defs=defs, partitions_def=LETTERS)
    def both(context: Context):
        return {name: f"{name}{context.partition_key}" for name in "xy"}

    repository(both).materialize(partition_key=["a", "b"])
    assert diary.values == {"x/a": "xa", "x/b": "xb", "y/a": "ya", "y/b": "yb"}


def test_key_sees_the_value_of_the_key_before(repository, diary):
    deps = [rs.AssetDef.input("total", partition_mapping=rs.PartitionMapping.time_window(-1))]

    @rs.Asset(partitions_def=DAYS, io_handler=diary, deps=deps)
    def total(self: rs.SelfDependency[int]) -> int:
        return (self.get_inner() or 0) + 1

    days = [f"2024-01-0{n}" for n in (1, 2, 3)]
    repository(total).materialize(partition_key=days[::-1])
    assert list(diary.values.values()) == [1, 2, 3]


def test_key_behind_a_failed_key_of_the_same_asset_is_skipped(repository, diary):
    deps = [rs.AssetDef.input("total", partition_mapping=rs.PartitionMapping.time_window(-1))]

    @rs.Asset(partitions_def=DAYS, io_handler=diary, deps=deps)
    def total(context: Context, self: rs.SelfDependency[int]) -> int:
        if context.partition_key == "2024-01-02":
            raise ValueError("no second day")
        return (self.get_inner() or 0) + 1

    repo = repository(total)
    days = [f"2024-01-0{n}" for n in (1, 2, 3, 4)]
    result = repo.materialize(partition_key=days, raise_on_error=False)
    assert repo.storage.get_materialized_partitions("total") == ["2024-01-01"]
    ((name, reason),) = result.skipped_assets
    assert name == "total"
    assert "2 of the 4 partition keys (2024-01-03, 2024-01-04)" in reason


def test_failed_keys_are_one_entry_and_other_keys_go_on(repository, diary):
    repo = repository(failing(["b"], diary))
    result = repo.materialize(partition_key=ABC, raise_on_error=False)
    assert not result.success
    assert result.materialized_assets == []
    ((name, message),) = result.failed_assets
    assert name == "up"
    assert "1 of 3 partition keys (b)" in message
    assert "no b" in message
    assert isinstance(result.errors["up"], ValueError)
    assert repo.storage.get_materialized_partitions("up") == ["a", "c"]
    failures = [e for e in repo.storage.get_events_for_asset("up") if e.event_type == "StepFailure"]
    assert [event.partition_key for event in failures] == ["b"]


def test_failed_keys_name_at_most_five(repository):
    keys = [f"k{number:02}" for number in range(45)]

    @rs.Asset(partitions_def=rs.PartitionsDefinition.static_(keys))
    def up(context: Context):
        raise ValueError("never")

    ((_, message),) = repository(up).materialize(partition_key=keys, raise_on_error=False).failed_assets
    assert "45 of 45 partition keys (k00, k01, k02, k03, k04 and 40 more)" in message
    assert "k05" not in message


def test_first_failed_key_ends_a_run_that_raises(repository, diary):
    repo = repository(failing(["b"], diary))
    with pytest.raises(rs.exceptions.ExecutionError, match=r"\(b\).*no b") as caught:
        repo.materialize(partition_key=ABC)
    assert isinstance(caught.value.__cause__, ValueError)
    assert repo.storage.get_materialized_partitions("up") == ["a"]


def test_consumer_runs_for_keys_with_complete_inputs(repository, diary):
    @rs.Asset(partitions_def=LETTERS, io_handler=diary)
    def down(up: str) -> str:
        return up * 2

    @rs.Asset(io_handler=diary)
    def report(down: dict[str, str]) -> str:
        return " ".join(down.values())

    repo = repository(failing(["b"], diary), down, report)
    result = repo.materialize(partition_key=ABC, raise_on_error=False)
    assert repo.storage.get_materialized_partitions("down") == ["a", "c"]
    assert result.materialized_assets == []
    assert [name for name, _ in result.failed_assets] == ["up"]
    skipped = dict(result.skipped_assets)
    assert "1 of the 3 partition keys (b)" in skipped["down"]
    assert "'up' failed for b" in skipped["report"]
    assert "report" not in diary.values


def test_retries_count_per_key(repository, diary):
    calls = []

    @rs.Asset(partitions_def=LETTERS, io_handler=diary, retry=rs.RetryPolicy(max_retries=1))
    def up(context: Context) -> int:
        calls.append(context.partition_key)
        if calls.count(context.partition_key) == 1:
            raise ValueError("once")
        return 1

    repo = repository(up)
    assert repo.materialize(partition_key=["a", "b"]).success
    assert calls == ["a", "a", "b", "b"]
    retries = [e for e in repo.storage.get_events_for_asset("up") if e.event_type == "StepRetry"]
    assert [event.partition_key for event in reversed(retries)] == ["a", "b"]


def test_hooks_are_called_per_key(repository, diary):
    outputs = []

    @rs.Hook.success
    def note(context):
        outputs.append(context.output)

    repository(failing([], diary, hooks=[note])).materialize(partition_key=ABC)
    assert outputs == ["A", "B", "C"]


def test_resume_runs_the_remaining_keys(repository, diary):
    bad, calls = ["b"], []

    @rs.Asset(partitions_def=LETTERS, io_handler=diary)
    def up(context: Context) -> str:
        calls.append(context.partition_key)
        if context.partition_key in bad:
            raise ValueError("no")
        return context.partition_key

    repo = repository(up)
    repo.materialize(partition_key=ABC, raise_on_error=False, run_id_override="r")
    bad.clear()
    calls.clear()
    result = repo.materialize(partition_key=ABC, run_id_override="r", resume=True)
    assert calls == ["b"]
    assert result.materialized_assets == ["up"]
    assert (
        dict(result.skipped_assets)["up"]
        == "already finished in this run for 2 of the 3 partition keys: a, c"
    )
    assert sorted(repo.storage.get_materialized_partitions("up")) == ABC


def test_interrupt_keeps_earlier_keys(repository, diary):
    @rs.Asset(partitions_def=LETTERS, io_handler=diary)
    def up(context: Context) -> str:
        if context.partition_key == "b":
            raise KeyboardInterrupt
        return "x"

    repo = repository(up)
    with pytest.raises(KeyboardInterrupt):
        repo.materialize(partition_key=ABC)
    assert repo.storage.get_materialized_partitions("up") == ["a"]


def test_partitioned_output_of_foreign_keys_is_refused(repository, diary):
    @rs.Asset(partitions_def=LETTERS, io_handler=diary)
    def up():
        return rs.PartitionedOutput({"a": 1, "b": 2})

    with pytest.raises(rs.exceptions.ExecutionError, match="partition_batches=True"):
        repository(up).materialize(partition_key=["a", "b"])
    assert diary.values == {}


# ------------------------------------------------------------------ batches


def test_batch_is_one_call_without_a_single_key(repository, diary):
    seen = []

    @rs.Asset(partitions_def=DAYS, io_handler=diary, partition_batches=True)
    def up(context: Context):
        seen.append(list(map(str, context.partition.keys)))
        for attribute in ("partition_key", "partition_time_window"):
            with pytest.raises(rs.exceptions.PartitionValidationError, match="2 partition keys"):
                getattr(context, attribute)
        return rs.PartitionedOutput(dict.fromkeys(context.partition.keys, 1))

    repository(up).materialize(partition_key=["2024-01-01", "2024-01-02"])
    assert seen == [["2024-01-01", "2024-01-02"]]


@pytest.mark.parametrize("batches", [True, "allow_empty"])
def test_batch_without_rows_of_a_key(repository, batches):
    @rs.Asset(partitions_def=LETTERS, io_handler=RowsHandler(), partition_batches=batches)
    def up():
        return [("a", 1), ("c", 2)]

    repo = repository(up)
    if batches == "allow_empty":
        assert repo.materialize(partition_key=ABC).success
        return
    with pytest.raises(rs.exceptions.ExecutionError, match=r"1 of the 3 partition keys .*\(b\).*allow_empty"):
        repo.materialize(partition_key=ABC)
    assert repo.storage.get_materialized_partitions("up") == []


def test_batch_may_state_an_empty_value(repository):
    @rs.Asset(partitions_def=LETTERS, io_handler=RowsHandler(), partition_batches=True)
    def up():
        return rs.PartitionedOutput({"a": [("a", 1)], "b": []})

    repo = repository(up)
    repo.materialize(partition_key=["a", "b"])
    assert repo.storage.get_materialized_partitions("up") == ["a", "b"]
    assert repo.load_node("up", partition_key="b") == []


def test_batch_resumes_with_the_remaining_keys(repository, diary):
    bad, seen = ["b"], []

    class Picky(rs.BaseIOHandler):
        def handle_output(self, context, obj):
            if str(context.partition.key) in bad:
                raise OSError("disk full")

        def load_input(self, context):
            raise AssertionError

    @rs.Asset(partitions_def=LETTERS, io_handler=Picky(), partition_batches=True)
    def up(context: Context):
        seen.append(list(map(str, context.partition.keys)))
        return rs.PartitionedOutput(dict.fromkeys(context.partition.keys, 1))

    @rs.Asset(partitions_def=LETTERS, deps=[rs.AssetDef.dep("up")])
    def after():
        return 1

    repo = repository(up, after)
    repo.materialize(partition_key=ABC, raise_on_error=False, run_id_override="r")
    assert repo.storage.get_materialized_partitions("after") == ["a"]
    bad.clear()
    repo.materialize(partition_key=ABC, run_id_override="r", resume=True)
    assert seen == [ABC, ["b", "c"]]
    assert sorted(repo.storage.get_materialized_partitions("after")) == ABC


@pytest.mark.parametrize("value", ["yes", 1.5, ["a"]])
def test_partition_batches_of_another_type_is_refused(value):
    with pytest.raises(rs.exceptions.AssetDefinitionError, match="partition_batches"):
        rs.Asset(lambda: 1, name="up", partitions_def=LETTERS, partition_batches=value)


def test_partition_batches_without_partitions_is_found(repository):
    up = rs.Asset(lambda: 1, name="up", partition_batches=True)
    with pytest.raises(rs.exceptions.GraphValidationError, match="'up'.*partitions_def"):
        repository(up).validate()

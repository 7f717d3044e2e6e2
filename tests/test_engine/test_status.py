"""What is missing, fresh or stale, and running only what is not fresh."""

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
    """up -> middle -> down over one storage; `build` makes it anew with other values or code."""
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


def test_at_first_all_is_missing_and_then_fresh(pipeline):
    repo = pipeline()
    assert states(repo) == {"up": "missing", "middle": "missing", "down": "missing"}
    repo.materialize()
    assert states(repo) == {"up": "fresh", "middle": "fresh", "down": "fresh"}


def test_a_new_code_version_makes_stale_with_the_reason(pipeline):
    pipeline().materialize()
    repo = pipeline(code="2")
    assert [(s.asset, s.reason) for s in repo.status() if s.state == "stale"] == [
        ("middle", "code version changed from None to '2'")
    ]


def test_a_new_data_version_upstream_makes_stale_with_the_reason(pipeline):
    pipeline(value=1).materialize()
    repo = pipeline(value=2)
    repo.materialize(["up"])
    assert [(s.asset, s.reason) for s in repo.status() if s.state == "stale"] == [
        ("middle", "upstream 'up' has a new data version")
    ]


def test_an_upstream_rewritten_with_equal_content_makes_nothing_stale(pipeline):
    repo = pipeline()
    repo.materialize()
    repo.materialize(["up"])
    assert set(states(repo).values()) == {"fresh"}


def test_another_handler_makes_stale_with_the_reason(pipeline, diary):
    pipeline().materialize()
    repo = pipeline(other=diary)
    assert [(s.asset, s.reason) for s in repo.status() if s.state == "stale"] == [
        ("middle", "handler changed from 'Content' to 'DiaryIOHandler'")
    ]


def test_only_stale_runs_what_is_not_fresh_and_says_what_was_skipped(pipeline):
    pipeline(value=1).materialize()
    repo = pipeline(value=1, code="2")
    result = repo.materialize(only_stale=True)
    assert result.success
    assert result.materialized_assets == ["middle"]
    assert [name for name, _ in result.skipped_assets] == ["up", "down"]
    assert all("fresh" in why for _, why in result.skipped_assets)


def test_only_stale_stops_where_the_new_content_equals_the_old(pipeline):
    pipeline(value=1).materialize()
    repo = pipeline(value=11, code="2")
    repo.materialize(["up"])
    assert repo.materialize(only_stale=True).materialized_assets == ["middle"]


def test_each_partition_has_its_own_status(repository):
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


def test_an_asset_that_returned_a_materialization_has_a_status_too(repository):
    @rs.Asset
    def report():
        return rs.Materialization(data_version="1")

    repo = repository(report)
    repo.materialize()
    assert states(repo) == {"report": "fresh"}


def test_a_graph_asset_is_stale_when_one_of_its_tasks_is(repository):
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


def test_a_value_lost_with_its_process_is_missing_and_says_why(restarted):
    restarted().materialize()
    status = {s.asset: (s.state, s.reason) for s in restarted().status()}
    assert status["raw"] == ("fresh", None)
    assert status["clean"] == ("missing", "its value was in the memory of a process that is gone")


def test_a_lost_value_that_nobody_needs_is_not_made_again(restarted):
    restarted().materialize()
    restarted().materialize(only_stale=True)
    assert restarted.ran == []


def test_a_lost_value_is_made_again_for_a_stale_consumer(restarted):
    restarted().materialize()
    result = restarted(code="2").materialize(only_stale=True)
    assert result.success
    assert restarted.ran == ["clean", "answer"]


def test_a_lost_value_at_the_end_is_made_again(restarted):
    restarted().materialize()
    restarted(leaf=False).materialize(only_stale=True)
    assert restarted.ran == ["clean"]

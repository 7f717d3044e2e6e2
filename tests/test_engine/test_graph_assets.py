"""Graph assets: tasks wired together, kept under `graph/task`, the result under the graph's own name."""

from __future__ import annotations

import pytest

import rivers as rs


@rs.Task
def double(x: int) -> int:
    return 2 * x


@rs.Task
def add(x: int, y: int) -> int:
    return x + y


@rs.Asset
def base() -> int:
    return 5


def test_graph_nodes_and_result_are_stored(repository, diary):
    @rs.Asset.from_graph(io_handler=diary, node_io_handler=diary)
    def answer(base):
        return add(double(base), y=double(base))

    repo = repository(base, answer)
    result = repo.materialize()
    assert result.materialized_assets == ["base", "answer"]
    assert diary.values == {"answer%2Fdouble": 10, "answer%2Fdouble_2": 10, "answer%2Fadd": 20, "answer": 20}
    assert repo.load_node("answer/double") == 10
    assert repo.load_node("answer") == 20


def test_graph_node_handler_stores_inner_nodes(repository, diary):
    inner, outer = diary, type(diary)()

    @rs.Asset.from_graph(io_handler=outer, node_io_handler=inner)
    def answer(base):
        return double(double(base))

    repository(base, answer).materialize()
    assert inner.values == {"answer%2Fdouble": 10, "answer%2Fdouble_2": 20}
    assert outer.values == {"answer": 20}


def test_task_handler_precedes_node_handler(repository, diary):
    own = type(diary)()

    @rs.Task(io_handler=own)
    def special(x: int) -> int:
        return x + 1

    @rs.Asset.from_graph(node_io_handler=diary)
    def answer(base):
        return double(special(base))

    repository(base, answer).materialize()
    assert own.values == {"answer%2Fspecial": 6}
    assert diary.values == {"answer%2Fdouble": 12}


def test_graph_task_takes_assets_and_constants(repository):
    @rs.Task
    def scaled(base: int, factor: int) -> int:
        return base * factor

    @rs.Asset.from_graph
    def answer():
        return scaled(factor=3)

    repo = repository(base, answer)
    repo.materialize()
    assert repo.load_node("answer") == 15


def test_task_is_used_by_several_graphs(repository):
    @rs.Asset.from_graph
    def first(base):
        return double(base)

    @rs.Asset.from_graph
    def second(first):
        return double(first)

    repo = repository(base, first, second)
    repo.materialize()
    assert (repo.load_node("first"), repo.load_node("second")) == (10, 20)


def test_asset_called_in_graph_stays_outside(repository):
    @rs.Asset.from_graph
    def answer():
        return double(base())

    repo = repository(base, answer)
    assert repo.materialize().materialized_assets == ["base", "answer"]
    assert repo.load_node("answer") == 10
    assert "answer/base" not in repo.graph.outputs


def test_selected_graph_runs_all_nodes(repository, diary):
    diary.values["base"] = 7

    @rs.Asset.from_graph
    def answer(base):
        return double(double(base))

    outside = rs.Asset.external(name="base", io_handler=diary)
    repo = repository(outside, answer)
    assert repo.materialize(["answer"]).materialized_assets == ["answer"]
    assert repo.load_node("answer") == 28


def test_graph_include_upstream(repository):
    @rs.Asset.from_graph
    def answer(base):
        return double(base)

    @rs.Asset
    def last(answer: int) -> int:
        return answer + 1

    repo = repository(base, answer, last)
    result = repo.materialize(["last"], include_upstream=True)
    assert result.materialized_assets == ["base", "answer", "last"]


def test_graph_nodes_are_partitioned(repository, diary):
    days = rs.PartitionsDefinition.static_(["a", "b"])

    @rs.Task
    def keyed(context: rs.TaskExecutionContext, x: str) -> str:
        return f"{x}{context.partition_key}"

    @rs.Asset(partitions_def=days)
    def letters(context: rs.AssetExecutionContext) -> str:
        return context.partition_key.upper()

    @rs.Asset.from_graph(partitions_def=days, io_handler=diary)
    def answer(letters):
        return keyed(letters)

    repo = repository(letters, answer)
    repo.materialize(partition_key="b")
    assert diary.values == {"answer/b": "Bb"}
    assert repo.load_node("answer/keyed", partition_key="b") == "Bb"


def test_failed_node_fails_graph_and_calls_hooks(repository):
    reported = []

    @rs.Hook.failure
    def page(context):
        reported.append((context.asset_name, str(context.exception)))

    @rs.Task
    def breaks(x: int) -> int:
        raise ValueError("no")

    @rs.Asset.from_graph(hooks=[page])
    def answer(base):
        return double(breaks(base))

    result = repository(base, answer).materialize(raise_on_error=False)
    assert [name for name, _ in result.failed_assets] == ["answer/breaks"]
    assert reported == [("answer/breaks", "no")]


def test_failed_last_node_is_reported_by_its_name(repository):
    @rs.Task
    def breaks(x: int) -> int:
        raise ValueError("no")

    @rs.Asset.from_graph
    def answer(base):
        return breaks(base)

    result = repository(base, answer).materialize(raise_on_error=False)
    assert [name for name, _ in result.failed_assets] == ["answer/breaks"]
    assert list(result.errors) == ["answer/breaks"]
    ((name, reason),) = result.skipped_assets
    assert name == "answer"
    assert "'answer/breaks'" in reason


def test_invalid_body_is_a_finding(repository):
    @rs.Asset.from_graph
    def answer(base):
        return double(base + 1)

    @rs.Asset
    def other(nothing): ...

    with pytest.raises(rs.exceptions.GraphValidationError) as caught:
        repository(base, answer, other).validate()
    assert len(caught.value.findings) == 2


def test_task_runs_standalone_if_named(repository):
    @rs.Task
    def report(base: int) -> str:
        return f"base is {base}"

    repo = repository(base, tasks=[report], jobs=[rs.Job("daily", [base, report])])
    assert repo.materialize().materialized_assets == ["base", "report"]
    assert repo.get_job("daily").execute().materialized_assets == ["base", "report"]
    assert repo.load_node("report") == "base is 5"


def test_task_of_graph_may_be_listed(repository):
    @rs.Asset.from_graph
    def answer(base):
        return double(base)

    repo = repository(base, answer, tasks=[double])
    assert repo.materialize().success


def test_bash_task_in_graph(repository, tmp_path):
    (tmp_path / "words.txt").write_text("one two")
    count = rs.BashTask("count", "wc -w < words.txt; echo $WHO", cwd=tmp_path, env={"WHO": "me"})
    listing = rs.BashTask("listing", ["ls"], cwd=tmp_path)

    @rs.Task
    def joined(first: str, second: str) -> list[str]:
        return [*first.split(), *second.split()]

    @rs.Asset.from_graph
    def answer(base):
        return joined(count(base), listing())

    repo = repository(base, answer)
    repo.materialize()
    assert repo.load_node("answer") == ["2", "me", "words.txt"]
    assert "base" in repo.graph.steps["answer/count"].waits_for

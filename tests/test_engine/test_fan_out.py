"""Fan-out in graph assets: map a task over the elements of a value, and collect what the instances stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator  # noqa: TC003 read at resolve

import pytest

import rivers as rs
from rivers.exceptions import GraphValidationError


@rs.Task
def numbers() -> list[int]:
    return [3, 1, 2]


@rs.Task
def double(x: int) -> int:
    return 2 * x


@rs.Task
def total(values: list[int]) -> int:
    return sum(values)


@rs.Task
def named() -> Iterator[rs.DynamicOutput[int]]:
    yield rs.DynamicOutput("q1", 1)
    yield rs.DynamicOutput("q2", 5)


def stored(diary):
    return {name.replace("%2F", "/"): value for name, value in diary.values.items()}


def graph(body, **options):
    return rs.Asset.from_graph(body, name="g", **options)


def test_map_runs_the_task_per_element(repository, diary):
    repo = repository(
        graph(lambda: total(numbers().map(double).collect()), node_io_handler=diary, io_handler=diary)
    )
    assert repo.materialize().materialized_assets == ["g"]
    assert repo.load_node("g") == 12
    assert stored(diary) == {
        "g/numbers": [3, 1, 2],
        "g/double__0": 6,
        "g/double__1": 2,
        "g/double__2": 4,
        "g/total": 12,
        "g": 12,
    }


def test_mapped_node_has_no_value_but_its_instances_have_events(repository):
    repo = repository(graph(lambda: total(numbers().map(double).collect())))
    repo.materialize()
    assert repo.storage.get_latest_materialization("g/double__1").handler == "memory"
    assert repo.load_node("g/double__1") == 2
    with pytest.raises(rs.exceptions.ExecutionError, match="g/double"):
        repo.load_node("g/double")


def test_dynamic_outputs_name_the_instances(repository, diary):
    repo = repository(graph(lambda: total(named().map(double).collect()), node_io_handler=diary))
    repo.materialize()
    assert stored(diary)["g/named"] == [1, 5]
    assert (stored(diary)["g/double__q1"], stored(diary)["g/double__q2"]) == (2, 10)


def test_later_run_maps_the_stored_source_with_its_keys(repository, diary):
    repo = repository(graph(lambda: total(named().map(double).collect()), node_io_handler=diary))
    repo.materialize()
    del diary.values["g%2Fdouble__q1"]
    assert repo.materialize(["g/double", "g/total"]).success
    assert stored(diary)["g/double__q1"] == 2


@pytest.mark.parametrize("stream", [False, True])
def test_empty_source_collects_nothing(repository, stream):
    @rs.Task
    def nothing() -> list[int]:
        return []

    def body():
        mapped = nothing().map(double)
        return total(mapped.collect_stream() if stream else mapped.collect())

    repo = repository(graph(body))
    assert repo.materialize().success
    assert repo.load_node("g") == 0


def test_stream_is_an_iterator_in_source_order(repository):
    @rs.Task
    def first(values: Iterator[int]) -> list[int]:
        return [next(values), *values]

    repo = repository(graph(lambda: first(numbers().map(double).collect_stream(ordered=True))))
    repo.materialize()
    assert repo.load_node("g") == [6, 2, 4]


@pytest.mark.parametrize(("ordered", "expected"), [(False, [1, 2, 3]), (True, [3, 1, 2])])
def test_stream_has_the_order_in_which_instances_ended(repository, ordered, expected):
    ended: list[int] = []

    @rs.Task
    async def in_turn(x: int) -> int:
        while len(ended) < x - 1:
            await asyncio.sleep(0)
        ended.append(x)
        return x

    @rs.Task
    def listed(values: Iterator[int]) -> list[int]:
        return [*values]

    repo = repository(graph(lambda: listed(numbers().map(in_turn).collect_stream(ordered=ordered))))
    repo.materialize()
    assert ended == [1, 2, 3]
    assert repo.load_node("g") == expected


@pytest.mark.parametrize("as_parameter", [True, False])
def test_asset_can_be_the_source(repository, as_parameter):
    source = rs.Asset(lambda: (n for n in (1, 2)), name="source")
    body = (
        (lambda source: total(source.map(double).collect()))
        if as_parameter
        else (lambda: total(source().map(double).collect()))
    )
    repo = repository(source, graph(body))
    repo.materialize()
    assert (repo.load_node("source"), repo.load_node("g")) == ([1, 2], 6)


def test_instances_load_other_inputs_and_config_and_retry(repository):
    attempts = []

    @rs.Task(retry=rs.RetryPolicy(1))
    def scaled(context: rs.TaskExecutionContext, x: int, factor: int) -> int:
        attempts.append(context.task_name)
        if len(attempts) == 1:
            raise ValueError("once")
        return x * factor

    factor = rs.Asset(lambda: 10, name="factor")
    repo = repository(factor, graph(lambda: total(numbers().map(scaled).collect())))
    repo.materialize()
    assert repo.load_node("g") == 60
    assert attempts == ["g/scaled__0", "g/scaled__0", "g/scaled__1", "g/scaled__2"]


def test_failing_instance_lets_the_others_run(repository, diary):
    @rs.Task
    def odd(x: int) -> int:
        if x == 1:
            raise ValueError("one")
        return x

    repo = repository(graph(lambda: total(numbers().map(odd).collect()), node_io_handler=diary))
    result = repo.materialize(raise_on_error=False)
    assert [name for name, _ in result.failed_assets] == ["g/odd__1", "g/odd"]
    assert [name for name, _ in result.skipped_assets] == ["g"]
    assert {"g/odd__0", "g/odd__2"} <= set(stored(diary))
    with pytest.raises(ValueError, match="'g/odd__1'"):
        repo.materialize()


def test_resume_runs_only_the_instances_that_failed(repository, diary):
    broken, ran = [1], []

    @rs.Task
    def odd(x: int) -> int:
        ran.append(x)
        if x in broken:
            raise ValueError("one")
        return x

    repo = repository(
        graph(lambda: total(numbers().map(odd).collect()), node_io_handler=diary, io_handler=diary)
    )
    repo.materialize(raise_on_error=False, run_id_override="r")
    broken.clear()
    ran.clear()
    assert repo.materialize(resume=True, run_id_override="r").success
    assert ran == [1]
    assert repo.load_node("g") == 6


def test_partitioned_graph_maps_per_key(repository):
    @rs.Task
    def letters(context: rs.TaskExecutionContext) -> list[str]:
        return [context.partition_key] * 2

    @rs.Task
    def upper(x: str) -> str:
        return x.upper()

    @rs.Task
    def joined(values: list[str]) -> str:
        return "".join(values)

    definition = rs.PartitionsDefinition.static_(["a", "b"])
    repo = repository(graph(lambda: joined(letters().map(upper).collect()), partitions_def=definition))
    repo.materialize(partition_key=["a", "b"])
    assert [repo.load_node("g", partition_key=key) for key in "ab"] == ["AA", "BB"]


def test_asynchronous_instances_respect_max_concurrency(repository):
    running, most = [0], [0]

    @rs.Task
    async def slow(x: int) -> int:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await asyncio.sleep(0)
        running[0] -= 1
        return x

    repo = repository(graph(lambda: total(numbers().map(slow, max_concurrency=2).collect())))
    repo.materialize()
    assert (repo.load_node("g"), most[0]) == (6, 2)


def test_only_stale_skips_unchanged_instances(repository, tmp_path):
    ran = []

    @rs.Task
    def counted(x: int) -> int:
        ran.append(x)
        return x

    handler = rs.PickleIOHandler(str(tmp_path))
    repo = repository(
        graph(lambda: total(numbers().map(counted).collect()), node_io_handler=handler, io_handler=handler)
    )
    repo.materialize()
    ran.clear()
    assert repo.materialize(only_stale=True).materialized_assets == []
    assert ran == []


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([rs.DynamicOutput("a", 1), 2], "only, or none"),
        ([rs.DynamicOutput("a", 1), rs.DynamicOutput("a", 2)], "'a'"),
        (3, "not iterable: int"),
    ],
)
def test_source_that_cannot_be_mapped_fails(repository, items, message):
    source = rs.Task(lambda: items, name="source")
    with pytest.raises(rs.exceptions.RiversError, match=message):
        repository(graph(lambda: total(source().map(double).collect()))).materialize()


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (lambda: numbers().map(len), TypeError, "only a Task can be mapped"),
        (lambda: total(numbers().map(double)), TypeError, "collect"),
        (lambda: numbers().map(double), GraphValidationError, "several"),
        (lambda: numbers().map(double).collect(), GraphValidationError, "no node stores"),
        (lambda: numbers().map(double).collect().map(double), GraphValidationError, "collected"),
        (lambda: numbers().map(double).map(double), GraphValidationError, r"'g/double'.*collect"),
        (
            lambda: total(numbers().map(double, max_concurrency=0).collect()),
            GraphValidationError,
            "max_concurrency",
        ),
        (
            lambda: total(numbers().map(rs.Task(lambda x, y: 1, name="two")).collect()),
            GraphValidationError,
            "'y'",
        ),
        (
            lambda: total(numbers().map(rs.Task(lambda: 1, name="none")).collect()),
            GraphValidationError,
            "no parameter",
        ),
    ],
)
def test_fan_out_mistakes_are_found_at_resolve(repository, body, error, message):
    with pytest.raises(error, match=message):
        repository(graph(body)).validate()


def test_body_without_a_result_runs_its_nodes(repository, diary):
    def body():
        double(total(numbers()))

    repo = repository(graph(body, node_io_handler=diary))
    assert repo.materialize().success
    assert list(stored(diary)) == ["g/numbers", "g/total", "g/double"]
    with pytest.raises(rs.exceptions.NotMaterializedError):
        repo.load_node("g")


def test_dynamic_output_is_a_value():
    assert repr(rs.DynamicOutput("k", 1)) == "DynamicOutput(key='k')"
    assert rs.DynamicOutput("k", 1) == rs.DynamicOutput("k", 1) != rs.DynamicOutput("k", 2)
    with pytest.raises(rs.exceptions.ResultDefinitionError):
        rs.DynamicOutput("", 1)
    with pytest.raises(TypeError):
        rs.DynamicOutput(1, 1)

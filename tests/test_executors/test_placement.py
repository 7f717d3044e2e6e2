"""Placement of the steps of a plan, and what is refused before the first one starts."""

from __future__ import annotations

import logging

import pytest

import rivers as rs
from rivers.exceptions import ConfigurationError, GraphValidationError
from rivers_core import load_config


class Store(rs.BaseIOHandler):
    reach: str = "shared"
    locality = property(lambda self: self.reach)

    def handle_output(self, context, obj):
        raise AssertionError("nothing runs")

    def load_input(self, context):
        raise AssertionError("nothing runs")


class Elsewhere(rs.Executor):
    """Runs nothing; `ran` says where each step would have run."""

    reach = "shared"

    def __init__(self):
        self.ran = {}

    def __hash__(self):
        return id(self)

    def __repr__(self):
        return "Elsewhere"

    def execute(self, run):
        self.ran.update({step.name: run.elsewhere.get(step.name) for step in run.plan.steps})


class Nearby(Elsewhere):
    reach = "host"
    keeps_process_local = True


def repository(*assets, executor):
    return rs.CodeRepository(list(assets), default_executor=executor, config=False)


def asset(name, reach, **options):
    return rs.Asset(lambda: 1, name=name, io_handler=Store(reach=reach), **options)


def test_steps_run_where_handlers_reach():
    executor = Nearby()
    repository(asset("a", "host"), asset("b", "shared"), executor=executor).materialize()
    assert executor.ran == {"a": executor, "b": executor}


def test_process_local_steps_stay_with_one_warning(caplog):
    executor = Nearby()
    with caplog.at_level(logging.WARNING, "rivers.run"):
        repository(
            asset("a", "process"), asset("b", "process"), asset("c", "host"), executor=executor
        ).materialize()
    assert executor.ran == {"a": None, "b": None, "c": executor}
    (record,) = caplog.records
    assert "'a' ('Store')" in record.getMessage()
    assert "'b' ('Store')" in record.getMessage()
    assert "'c'" not in record.getMessage()


def test_step_with_process_local_input_stays(caplog):
    executor = Nearby()
    source = asset("source", "process")
    consumer = rs.Asset(lambda source: 1, name="consumer", io_handler=Store())
    repository(source, consumer, executor=executor).materialize()
    assert executor.ran == {"source": None, "consumer": None}


@pytest.mark.parametrize("reach", ["process", "host"])
def test_narrow_handlers_are_refused_with_all_steps(reach):
    executor = Elsewhere()
    repo = repository(
        asset("a", reach), asset("b", reach), asset("c", "shared"), executor=rs.Executor.in_process()
    )
    with pytest.raises(GraphValidationError) as caught:
        repo.materialize(executor=executor)
    assert [finding.split(":")[0] for finding in caught.value.findings] == ["asset 'a'", "asset 'b'"]
    assert all("'Store'" in finding for finding in caught.value.findings)
    assert executor.ran == {}


def test_only_steps_of_the_plan_are_checked():
    executor = Elsewhere()
    repo = repository(asset("a", "process"), asset("b", "shared"), executor=rs.Executor.in_process())
    repo.materialize("b", executor=executor)
    assert executor.ran == {"b": executor}


def test_named_executor_takes_precedence():
    executor = Elsewhere()
    kept = asset("a", "process", metadata={"rivers/executor": "in_process"})
    repository(kept, asset("b", "shared"), executor=executor).materialize()
    assert executor.ran == {"a": None, "b": executor}


@pytest.mark.parametrize(
    ("metadata", "here"),
    [
        ({"rivers/node/executor": "in_process"}, ["both/first", "both/last"]),
        ({"rivers/executor": "in_process", "rivers/node/executor": "parallel"}, ["both/last"]),
        ({}, []),
    ],
)
def test_nodes_of_a_graph_run_where_its_metadata_says(metadata, here):
    first, last = rs.Task(lambda: 1, name="first"), rs.Task(lambda value: value, name="last")
    handler = Store()

    @rs.Asset.from_graph(io_handler=handler, node_io_handler=handler, metadata=metadata)
    def both():
        return last(value=first())

    executor = Elsewhere()
    repository(both, executor=executor).materialize()
    assert [name for name, place in executor.ran.items() if place is None] == here


def test_executor_of_the_run_is_used_for_its_name():
    executor = rs.Executor.parallel(max_workers=1)
    named = asset("a", "host", metadata={"rivers/executor": "parallel"})
    repo = repository(named, executor=executor)
    assert repo._runtime.executors.named("parallel", executor) is executor
    assert repo._runtime.executors.named("parallel") == rs.Executor.parallel()


def test_unknown_executor_is_refused_before_the_first_step():
    repo = repository(asset("a", "shared", metadata={"rivers/executor": "paralel"}), executor=Elsewhere())
    with pytest.raises(GraphValidationError, match="parallel"):
        repo.materialize()


def test_executors_of_the_configuration(tmp_path):
    config = tmp_path / "rivers.toml"
    config.write_text(
        'default_executor = "small"\n[executors.small]\nuse = "parallel"\nmax_workers = 1\n'
        "[environments.prod.executors.small]\nmax_workers = 4\n"
    )
    named = asset("a", "host", metadata={"rivers/executor": "small"})
    repo = rs.CodeRepository([named], config=config)
    assert repo._runtime.executor == rs.Executor.parallel(max_workers=1)
    assert repo.executor("small", max_workers=3) == rs.Executor.parallel(max_workers=3)
    prod = rs.CodeRepository([named], config=load_config(config, environment="prod"))
    assert prod._runtime.executor == rs.Executor.parallel(max_workers=4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[executors.big]\nmax_workers = 2\n", "executors.big"),
        ('[executors.big]\nuse = "parallel"\nworkers = 2\n', "Did you mean 'max_workers'"),
        ('[executors.big]\nuse = "paralel"\n', "Did you mean 'parallel'"),
        ('[executors.big]\nuse = "parallel"\nmax_workers = "${UNSET_WORKERS}"\n', "UNSET_WORKERS"),
    ],
)
def test_configured_executor_is_checked_at_resolve(tmp_path, text, message):
    config = tmp_path / "rivers.toml"
    config.write_text(text)
    repo = rs.CodeRepository([asset("a", "host", metadata={"rivers/executor": "big"})], config=config)
    with pytest.raises(GraphValidationError, match=message):
        repo.validate()


@pytest.mark.parametrize("argument", ["max_workers", "max_async_concurrent"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2"])
def test_parallel_refuses_limits_that_are_not_positive(argument, value):
    with pytest.raises(ConfigurationError, match=argument):
        rs.Executor.parallel(**{argument: value})


def test_parallel_is_a_value():
    assert repr(rs.Executor.parallel(max_workers=2)) == "Executor.Parallel(max_workers=2)"
    assert rs.Executor.parallel(2) == rs.Executor.parallel(max_workers=2)
    assert isinstance(rs.Executor.parallel(), rs.Executor.Parallel)
    assert rs.Executor.parallel(2, 8).max_async_concurrent == 8

"""`dry_run=True`: what a run would do, without running or writing anything."""

from __future__ import annotations

import pytest

import rivers as rs


def make(handler, version="1", ran=None):
    @rs.Asset(io_handler=handler, code_version=version)
    def orders():
        if ran is not None:
            ran.append("orders")
        return [1]

    @rs.Asset(io_handler=handler)
    def report(orders):
        return sum(orders)

    return [orders, report]


def test_dry_run_names_steps_reasons_and_addresses(repository, tmp_path):
    handler, ran = rs.PickleIOHandler(str(tmp_path)), []
    repo = repository(*make(handler, ran=ran))
    plan = repo.materialize(dry_run=True)
    assert [(step.name, step.why) for step in plan] == [("orders", "missing"), ("report", "missing")]
    assert plan.steps[0].address.endswith("orders.pkl")
    assert (ran, repo.storage.get_runs(), list(tmp_path.iterdir())) == ([], [], [])


def test_dry_run_distinguishes_stale_from_requested(repository, tmp_path):
    handler, storage = rs.PickleIOHandler(str(tmp_path)), rs.Storage.memory()
    repository(*make(handler)).resolve(storage).materialize()
    fresh = repository(*make(handler)).resolve(storage)
    assert [step.why for step in fresh.materialize("report", dry_run=True)] == ["requested"]
    assert len(fresh.materialize(only_stale=True, dry_run=True)) == 0
    changed = repository(*make(handler, version="2")).resolve(storage)
    plan = changed.materialize(only_stale=True, dry_run=True)
    assert plan.steps[0].why.startswith("stale: code version")
    assert plan.steps[1].why == "upstream 'orders' runs"


def test_dry_run_lists_partitions_and_jobs(repository):
    definition = rs.PartitionsDefinition.static_(["a", "b", "c"])
    asset = rs.Asset(lambda: 1, name="x", partitions_def=definition)
    repo = repository(asset, jobs=[rs.Job("j", ["x"])])
    repo.materialize(partition_key="a")
    plan = repo.get_job("j").execute(["a", "b"], dry_run=True)
    assert (plan.steps[0].partitions, plan.steps[0].why) == (("a", "b"), "requested; missing")
    stale = repo.materialize(partition_key=["a", "b"], only_stale=True, dry_run=True)
    assert stale.steps[0].partitions == ("b",)


def test_dry_run_checks_the_arguments_of_the_run(repository):
    repo = repository(rs.Asset(lambda: 1, name="x"), jobs=[rs.Job("j", ["x"])])
    for call in (repo.materialize, repo.get_job("j").execute):
        for wrong in (
            {"config": {"y": {}}},
            {"tags": ["a"]},
            {"timeout": 0},
            {"resume": True},
            {"executor": "x"},
        ):
            with pytest.raises(rs.exceptions.ConfigurationError):
                call(dry_run=True, **wrong)
    with pytest.raises(rs.exceptions.StorageError):
        repo.materialize(dry_run=True, resume=True, run_id_override="absent")


def test_dry_run_of_a_resumed_run_leaves_out_what_it_finished(repository):
    keys = rs.PartitionsDefinition.static_(["a", "b", "c"])

    @rs.Asset(partitions_def=keys)
    def part(context: rs.AssetExecutionContext) -> str:
        if context.partition_key == "b":
            raise ValueError("bad")
        return context.partition_key

    first = rs.Asset(lambda: 1, name="first")
    repo = repository(first, part)
    run = repo.materialize(partition_key=["a", "b", "c"], raise_on_error=False)
    plan = repo.materialize(
        partition_key=["a", "b", "c"], dry_run=True, resume=True, run_id_override=run.run_id
    )
    assert [(step.name, step.partitions) for step in plan] == [("part", ("b",))]
    assert [name for name, _ in plan.skipped] == ["first"]


def test_run_plan_is_a_table(repository):
    plan = repository(rs.Asset(lambda: 1, name="<x>")).materialize(dry_run=True)
    assert str(plan).splitlines()[0].split() == ["Step", "Partitions", "Why", "Handler", "Address"]
    assert "&lt;x&gt;" in plan._repr_html_()


def test_result_and_repository_are_tables_in_notebooks(repository):
    @rs.Asset(group="<g>")
    def broken():
        raise ValueError("<no>")

    repo = repository(broken, rs.Asset(lambda broken: 1, name="after"))
    shown = repo._repr_html_()
    assert "<td>after</td>" in shown
    assert "&lt;g&gt;" in shown
    assert "<td>broken</td>" in shown
    result = repo.materialize(raise_on_error=False)._repr_html_()
    assert "<td>failed</td><td>ValueError: &lt;no&gt;</td>" in result
    assert "<td>skipped</td>" in result

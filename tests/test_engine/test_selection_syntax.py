"""Selection syntax: names, globs, labels, upstream and downstream, exclusion."""

from __future__ import annotations

import pytest

import rivers as rs
from rivers.exceptions import AssetNotFoundError


def make(name, *upstream, **options):
    return rs.Asset(name=name, deps=[rs.AssetDef.dep(item) for item in upstream], **options)(lambda: 1)


@pytest.fixture
def repo(repository, diary):
    task = rs.Task(lambda: 1, name="clean")
    return repository(
        make("raw_orders", group="sales", tags=["daily"]),
        make("raw_items", kinds="table"),
        make("orders", "raw_orders", group="sales", io_handler=diary),
        make("report", "orders", "raw_items"),
        make("my asset", "report"),
        rs.Asset.from_multi(output_defs=[rs.AssetDef("a"), rs.AssetDef("b", tags=["daily"])], name="both")(
            lambda: {"a": 1, "b": 2}
        ),
        rs.Asset.from_graph(lambda report: rs.Task(lambda x: x, name="t")(report), name="graph"),
        rs.Asset.external(name="outside", io_handler="memory"),
        tasks=[task],
    )


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        ("orders", ["orders"]),
        ("report orders", ["report", "orders"]),
        ("raw_*", ["raw_orders", "raw_items"]),
        ("group:sales", ["raw_orders", "orders"]),
        ("group:s*", ["raw_orders", "orders"]),
        ("tag:daily", ["raw_orders", "b"]),
        ("kind:table", ["raw_items"]),
        ("handler:Diary*", ["orders"]),
        ("+orders", ["raw_orders", "orders"]),
        ("orders+", ["orders", "report", "my asset", "graph"]),
        ("1+report", ["raw_items", "orders", "report"]),
        ("orders+1", ["orders", "report"]),
        ("+graph", ["raw_orders", "raw_items", "orders", "report", "graph"]),
        ("raw_* -raw_items", ["raw_orders"]),
        ("group:sales -+orders raw_items", ["raw_items"]),
        ("my asset", ["my asset"]),
        ('"my asset" orders', ["my asset", "orders"]),
        ("+'my asset' -raw_*", ["orders", "report", "my asset"]),
        ("both -b", ["a"]),
        ("both", ["both"]),
        (["raw_*", "-raw_items"], ["raw_orders"]),
        (["my asset"], ["my asset"]),
        ("clean", ["clean"]),
    ],
)
def test_selection_stands_for_names(repo, selection, names):
    assert sorted(repo.select(selection)) == sorted(names)


def test_selection_of_exclusions_starts_from_everything(repo):
    assert set(repo.select(["-group:*", "-raw_*", "-both"])) == {"report", "my asset", "graph", "clean"}


@pytest.mark.parametrize(
    ("selection", "hint"),
    [
        ("ordres", "Did you mean 'orders'"),
        ("group:salse", "Did you mean 'sales'"),
        ("x*", "no asset matches"),
        ("orders -orders", "matches no asset"),
        (["orders", ""], "empty"),
        ("+", "'+'"),
    ],
)
def test_selection_that_matches_nothing_is_an_error(repo, selection, hint):
    with pytest.raises(AssetNotFoundError) as raised:
        repo.select(selection)
    assert hint in str(raised.value)


def test_exact_name_takes_precedence(repository):
    repo = repository(make("-x"), make("a+b"), make("group:y"), make("b"))
    for name in ("-x", "a+b", "group:y"):
        assert repo.select(name) == repo.select([name]) == (name,)


def test_runs_jobs_and_status_take_selections(repo, repository):
    result = repo.materialize("+orders -raw_items")
    assert result.materialized_assets == ["raw_orders", "orders"]
    assert repo.storage.get_run(result.run_id).selection == ("raw_orders", "orders")
    assert {status.asset for status in repo.status("group:sales")} == {"raw_orders", "orders"}
    assets = [make("x", group="g"), make("y", "x")]
    with_job = repository(*assets, jobs=[rs.Job("j", "group:g y"), rs.Job("k", ["x+"])])
    for name in ("j", "k"):
        assert with_job.get_job(name).execute().materialized_assets == ["x", "y"]

"""Selection of steps: upstreams, outputs of multi-assets, incomplete jobs."""

from __future__ import annotations

import pytest

import rivers as rs

DAYS = rs.PartitionsDefinition.daily("2024-01-01", end="2024-01-04")


@pytest.fixture
def calls():
    return []


@pytest.fixture
def split(diary, calls):
    """raw -> (left, right, rest) of one multi-asset -> pick takes left, all takes left and right."""

    @rs.Asset(io_handler=diary)
    def raw() -> int:
        calls.append("raw")
        return 1

    outputs = [rs.AssetDef(name, io_handler=diary) for name in ("left", "right", "rest")]

    @rs.Asset.from_multi(output_defs=outputs)
    def parts(context: rs.AssetExecutionContext, raw: int):
        calls.append(sorted(context.output_selection))
        for name in context.output_selection:
            yield rs.Output(name, output_name=name)

    @rs.Asset(io_handler=diary)
    def pick(left: str) -> str:
        return left

    @rs.Asset(io_handler=diary)
    def both(left: str, right: str) -> str:
        return left + right

    return raw, parts, pick, both


def test_selection_runs_needed_outputs_of_multi_asset(repository, split, calls):
    repo = repository(*split)
    result = repo.materialize(["pick"], include_upstream=True)
    assert result.materialized_assets == ["raw", "left", "pick"]
    assert calls == ["raw", ["left"]]
    assert repo.storage.get_latest_materialization("right") is None


def test_selection_runs_multi_asset_once_for_several_consumers(repository, split, calls):
    result = repository(*split).materialize(["pick", "both"], include_upstream=True)
    assert result.materialized_assets == ["raw", "left", "right", "pick", "both"]
    assert calls == ["raw", ["left", "right"]]


def test_selection_joins_selected_and_needed_outputs(repository, split, calls):
    repository(*split).materialize(["rest", "pick"], include_upstream=True)
    assert calls == ["raw", ["left", "rest"]]


def test_selection_of_multi_asset_by_name(repository, split, calls):
    repo = repository(*split)
    repo.materialize(["raw"])
    assert repo.materialize(["parts", "left"]).materialized_assets == ["left", "right", "rest"]
    assert calls == ["raw", ["left", "rest", "right"]]


def test_selection_ignores_unselected_outputs_unless_needed(repository, split):
    repo = repository(*split)
    repo.materialize(["raw", "left"])
    repo.materialize(["pick"])
    with pytest.raises(rs.exceptions.ExecutionError, match="'both' failed"):
        repo.materialize(["both"])


def test_selection_includes_upstreams_of_partitions(repository, diary):
    @rs.Asset(partitions_def=DAYS, io_handler=diary)
    def day(context: rs.AssetExecutionContext) -> str:
        return context.partition_key

    @rs.Asset(partitions_def=DAYS, io_handler=diary)
    def copy(day: str) -> str:
        return day

    repo = repository(day, copy)
    repo.materialize(["copy"], partition_key="2024-01-02", include_upstream=True)
    assert sorted(diary.values) == ["copy/2024-01-02", "day/2024-01-02"]


# ------------------------------------------------------------------ jobs


def test_incomplete_job_is_refused_at_resolve(repository, split):
    repo = repository(*split, jobs=[rs.Job("some", ["left", "both"])])
    with pytest.raises(rs.exceptions.GraphValidationError) as caught:
        repo.validate()
    assert len(caught.value.findings) == 2
    assert "'raw'" in caught.value.findings[0]
    assert "'both' needs 'right'" in caught.value.findings[1]


def test_incomplete_job_loads_omitted_assets(repository, split, calls):
    repo = repository(*split, jobs=[rs.Job("some", ["pick"], allow_incomplete_deps=True)])
    repo.materialize(["raw", "left"])
    calls.clear()
    assert repo.get_job("some").execute().materialized_assets == ["pick"]
    assert calls == []


def test_incomplete_job_names_missing_values(repository, split):
    repo = repository(*split, jobs=[rs.Job("some", ["pick"], allow_incomplete_deps=True)])
    with pytest.raises(rs.exceptions.ExecutionError) as caught:
        repo.get_job("some").execute()
    cause = caught.value.__cause__
    assert isinstance(cause, rs.exceptions.NotMaterializedError)
    assert cause.asset_name == "left"


def test_incomplete_job_requires_persistent_handler(repository, diary):
    @rs.Asset(io_handler=diary)
    def report() -> rs.Materialization:
        return rs.Materialization()

    @rs.Asset(deps=[rs.AssetDef.dep("report")])
    def after() -> int:
        return 1

    repo = repository(report, after, jobs=[rs.Job("j", ["after"], allow_incomplete_deps=True)])
    assert repo.get_job("j").execute().materialized_assets == ["after"]


def test_job_may_omit_external_asset(repository, diary):
    diary.values["orders"] = 3

    @rs.Asset(io_handler=diary)
    def total(orders: int) -> int:
        return orders

    orders = rs.Asset.external(name="orders", io_handler=diary)
    repo = repository(orders, total, jobs=[rs.Job("j", ["total"])])
    assert repo.get_job("j").execute().materialized_assets == ["total"]

"""What is run when only a part is asked for: upstreams, outputs of multi-assets, jobs that leave something out."""

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


def test_what_is_needed_of_a_multi_asset_is_all_that_is_run_of_it(repository, split, calls):
    repo = repository(*split)
    result = repo.materialize(["pick"], include_upstream=True)
    assert result.materialized_assets == ["raw", "left", "pick"]
    assert calls == ["raw", ["left"]]
    assert repo.storage.get_latest_materialization("right") is None


def test_what_several_need_of_a_multi_asset_is_run_in_one_call(repository, split, calls):
    result = repository(*split).materialize(["pick", "both"], include_upstream=True)
    assert result.materialized_assets == ["raw", "left", "right", "pick", "both"]
    assert calls == ["raw", ["left", "right"]]


def test_a_selected_output_and_needed_ones_come_together(repository, split, calls):
    repository(*split).materialize(["rest", "pick"], include_upstream=True)
    assert calls == ["raw", ["left", "rest"]]


def test_a_multi_asset_by_its_own_name_is_all_of_it(repository, split, calls):
    repo = repository(*split)
    repo.materialize(["raw"])
    assert repo.materialize(["parts", "left"]).materialized_assets == ["left", "right", "rest"]
    assert calls == ["raw", ["left", "rest", "right"]]


def test_an_output_that_was_not_selected_is_an_error_only_if_it_is_needed(repository, split):
    repo = repository(*split)
    repo.materialize(["raw", "left"])
    repo.materialize(["pick"])
    with pytest.raises(rs.exceptions.ExecutionError, match="'both' failed"):
        repo.materialize(["both"])


def test_upstreams_of_partitions_run_for_their_keys(repository, diary):
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


def test_a_job_without_what_it_needs_is_found_before_anything_runs(repository, split):
    repo = repository(*split, jobs=[rs.Job("some", ["left", "both"])])
    with pytest.raises(rs.exceptions.GraphValidationError) as caught:
        repo.validate()
    assert len(caught.value.findings) == 2
    assert "'raw'" in caught.value.findings[0]
    assert "'both' needs 'right'" in caught.value.findings[1]


def test_a_job_that_may_be_incomplete_loads_what_it_leaves_out(repository, split, calls):
    repo = repository(*split, jobs=[rs.Job("some", ["pick"], allow_incomplete_deps=True)])
    repo.materialize(["raw", "left"])
    calls.clear()
    assert repo.get_job("some").execute().materialized_assets == ["pick"]
    assert calls == []


def test_such_a_job_says_what_was_never_stored(repository, split):
    repo = repository(*split, jobs=[rs.Job("some", ["pick"], allow_incomplete_deps=True)])
    with pytest.raises(rs.exceptions.ExecutionError) as caught:
        repo.get_job("some").execute()
    cause = caught.value.__cause__
    assert isinstance(cause, rs.exceptions.NotMaterializedError)
    assert cause.asset_name == "left"


def test_a_job_that_may_be_incomplete_needs_something_to_load_from(repository, diary):
    @rs.Asset(io_handler=diary)
    def report() -> rs.Materialization:
        return rs.Materialization()

    @rs.Asset(deps=[rs.AssetDef.dep("report")])
    def after() -> int:
        return 1

    repo = repository(report, after, jobs=[rs.Job("j", ["after"], allow_incomplete_deps=True)])
    assert repo.get_job("j").execute().materialized_assets == ["after"]


def test_an_external_asset_is_no_missing_part_of_a_job(repository, diary):
    diary.values["orders"] = 3

    @rs.Asset(io_handler=diary)
    def total(orders: int) -> int:
        return orders

    orders = rs.Asset.external(name="orders", io_handler=diary)
    repo = repository(orders, total, jobs=[rs.Job("j", ["total"])])
    assert repo.get_job("j").execute().materialized_assets == ["total"]

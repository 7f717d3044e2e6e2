"""Selections, failures, skipping, resuming."""

from __future__ import annotations

import pytest

import rivers as rs


@pytest.fixture
def diamond(repository, diary):
    """top -> left, right -> bottom; what is in `broken` raises."""
    broken: set[str] = set()

    def step(name, *inputs):
        def run(**values):
            if name in broken:
                raise ValueError(f"{name} is broken")
            return [name, *values.values()]

        source = f"def {name}({', '.join(inputs)}): return run({', '.join(f'{i}={i}' for i in inputs)})"
        scope = {"run": run}
        exec(source, scope)
        return rs.Asset(scope[name], io_handler=diary)

    repo = repository(step("top"), step("left", "top"), step("right", "top"), step("bottom", "left", "right"))
    repo.broken = broken
    return repo


def test_everything_runs_without_a_selection(diamond):
    assert diamond.materialize().materialized_assets == ["top", "left", "right", "bottom"]


def test_only_what_is_selected_runs_and_its_inputs_come_from_the_store(diamond, diary):
    diary.values.update(left="l", right="r")
    assert diamond.materialize(["bottom"]).materialized_assets == ["bottom"]
    assert diary.values["bottom"] == ["bottom", "l", "r"]


def test_a_selection_may_be_one_name_or_the_asset_itself(diamond):
    assert diamond.materialize("top").materialized_assets == ["top"]
    assert diamond.materialize([diamond.assets["top"]]).materialized_assets == ["top"]


def test_include_upstream_runs_what_is_needed(diamond):
    assert diamond.materialize(["left"], include_upstream=True).materialized_assets == ["top", "left"]


def test_an_unknown_selection_names_the_nearest(diamond):
    with pytest.raises(rs.exceptions.AssetNotFoundError, match="Did you mean 'bottom'"):
        diamond.materialize(["botom"])


def test_a_missing_input_is_said_by_name(diamond):
    with pytest.raises(rs.exceptions.ExecutionError) as caught:
        diamond.materialize(["left"])
    assert isinstance(caught.value.__cause__, rs.exceptions.NotMaterializedError)


def test_the_first_failure_ends_the_run(diamond, diary):
    diamond.broken.add("left")
    with pytest.raises(rs.exceptions.ExecutionError, match="'left' failed in run .*left is broken"):
        diamond.materialize()
    assert sorted(diary.values) == ["top"]
    run = diamond.storage.get_runs()[0]
    assert (run.status, run.message) == ("failure", "ValueError: left is broken")


def test_without_raising_independent_branches_go_on_and_the_rest_is_skipped(diamond, diary):
    diamond.broken.add("left")
    result = diamond.materialize(raise_on_error=False)
    assert not result.success
    assert result.materialized_assets == ["top", "right"]
    assert result.failed_assets == [("left", "ValueError: left is broken")]
    assert result.skipped_assets == [("bottom", "not run, since 'left' failed")]
    types = [(e.event_type, e.asset_key) for e in diamond.storage.get_events_for_run(result.run_id)]
    assert ("StepSkipped", "bottom") in types


def test_resuming_skips_what_was_finished(diamond, diary):
    diamond.broken.add("right")
    with pytest.raises(rs.exceptions.ExecutionError):
        diamond.materialize(run_id_override="r1")
    diamond.broken.clear()
    stored = len(diary.stored)
    result = diamond.materialize(run_id_override="r1", resume=True)
    assert result.materialized_assets == ["right", "bottom"]
    assert result.skipped_assets[:2] == [
        ("top", "already finished in this run"),
        ("left", "already finished in this run"),
    ]
    assert [context.asset_name for context in diary.stored[stored:]] == ["right", "bottom"]
    assert diamond.storage.get_run("r1").status == "success"


def test_resuming_runs_again_only_what_went_with_its_process(tmp_path):
    calls = []

    @rs.Asset
    def kept():
        calls.append("kept")

    @rs.Asset
    def elsewhere():
        calls.append("elsewhere")
        return rs.Materialization()

    storage = rs.Storage.embedded(tmp_path)
    repo = rs.CodeRepository([kept, elsewhere], config=False).resolve(storage=storage)
    repo.materialize(run_id_override="r1")
    assert repo.materialize(run_id_override="r1", resume=True).materialized_assets == []
    later = rs.CodeRepository([kept, elsewhere], config=False).resolve(storage=storage)
    assert later.materialize(run_id_override="r1", resume=True).materialized_assets == ["kept"]
    assert calls == ["kept", "elsewhere", "kept"]


@pytest.mark.parametrize("fails", ["last", "second"])
def test_resuming_makes_a_lost_value_again_only_for_what_still_runs(diary, fails):
    storage = rs.Storage.memory()
    ran: list[str] = []

    def build(broken=None):
        def asset(name, handler=None, after=None):
            def function():
                ran.append(name)
                if name == broken:
                    raise RuntimeError("power")

            deps = None if after is None else [rs.AssetDef.dep(after)]
            return rs.Asset(function, name=name, io_handler=handler, deps=deps)

        assets = [asset("in_memory"), asset("second", diary, "in_memory"), asset("last", diary, "second")]
        return rs.CodeRepository(assets, config=False).resolve(storage=storage)

    build(broken=fails).materialize(run_id_override="r", raise_on_error=False)
    ran.clear()
    later = build()
    result = later.materialize(run_id_override="r", resume=True)
    assert result.success
    if fails == "second":
        assert ran == ["in_memory", "second", "last"]
    else:
        assert ran == ["last"]
        assert dict(result.skipped_assets) == {
            "in_memory": "already finished in this run, and no remaining step needs its value",
            "second": "already finished in this run",
        }
        assert {status.asset: status.state for status in later.status()} == {
            "in_memory": "missing",
            "second": "fresh",
            "last": "fresh",
        }


def test_a_run_identifier_is_not_used_twice_by_accident(diamond):
    diamond.materialize(run_id_override="r1")
    with pytest.raises(rs.exceptions.ConflictError, match="resume=True"):
        diamond.materialize(run_id_override="r1")


def test_resuming_a_run_that_never_was_is_an_error(diamond):
    with pytest.raises(rs.exceptions.StorageError, match="'nope'"):
        diamond.materialize(run_id_override="nope", resume=True)


def test_an_interrupted_run_is_recorded_as_canceled(repository):
    @rs.Asset
    def a():
        raise KeyboardInterrupt

    repo = repository(a)
    with pytest.raises(KeyboardInterrupt):
        repo.materialize(run_id_override="r")
    assert repo.storage.get_run("r").status == "canceled"


def test_a_job_runs_its_selection_with_its_name(diamond, repository, diary):
    assets = list(diamond.assets.values())
    repo = repository(*assets, jobs=[rs.Job("upper", ["top", "left"])])
    result = repo.get_job("upper").execute(tags=[("a", "b")])
    assert result.materialized_assets == ["top", "left"]
    assert repo.storage.get_run(result.run_id).job == "upper"
    with pytest.raises(rs.exceptions.AssetNotFoundError, match="Did you mean 'upper'"):
        repo.get_job("uper")


def test_a_job_of_no_repository_says_where_it_belongs():
    with pytest.raises(rs.exceptions.ExecutionError, match="does not belong to a repository"):
        rs.Job("j", ["a"]).execute()


def test_runs_and_events_survive_in_an_embedded_storage(diamond, tmp_path):
    with rs.Storage.embedded(tmp_path) as storage:
        run_id = diamond.resolve(storage).materialize().run_id
    with rs.Storage.embedded(tmp_path) as storage:
        assert storage.get_run(run_id).status == "success"
        assert storage.get_latest_materialization("bottom").run_id == run_id


def test_a_repository_is_a_context_manager_and_may_be_used_again(repository):
    @rs.Asset
    def a() -> int:
        return 1

    repo = repository(a)
    with repo:
        repo.materialize()
    assert repo.materialize().success

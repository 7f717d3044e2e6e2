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


def test_run_without_selection_runs_all(diamond):
    assert diamond.materialize().materialized_assets == ["top", "left", "right", "bottom"]


def test_run_loads_inputs_of_selection(diamond, diary):
    diary.values.update(left="l", right="r")
    assert diamond.materialize(["bottom"]).materialized_assets == ["bottom"]
    assert diary.values["bottom"] == ["bottom", "l", "r"]


def test_selection_accepts_name_or_asset(diamond):
    assert diamond.materialize("top").materialized_assets == ["top"]
    assert diamond.materialize([diamond.assets["top"]]).materialized_assets == ["top"]


def test_run_include_upstream(diamond):
    assert diamond.materialize(["left"], include_upstream=True).materialized_assets == ["top", "left"]


def test_unknown_selection_suggests_nearest(diamond):
    with pytest.raises(rs.exceptions.AssetNotFoundError, match="Did you mean 'bottom'"):
        diamond.materialize(["botom"])


def test_missing_input_is_named(diamond):
    with pytest.raises(rs.exceptions.ExecutionError) as caught:
        diamond.materialize(["left"])
    assert isinstance(caught.value.__cause__, rs.exceptions.NotMaterializedError)


def test_run_stops_at_first_failure(diamond, diary):
    diamond.broken.add("left")
    with pytest.raises(rs.exceptions.ExecutionError, match="'left' failed in run .*left is broken"):
        diamond.materialize()
    assert sorted(diary.values) == ["top"]
    run = diamond.storage.get_runs()[0]
    assert (run.status, run.message) == ("Failure", "ValueError: left is broken")


def test_run_without_raising_continues_other_branches(diamond, diary):
    diamond.broken.add("left")
    result = diamond.materialize(raise_on_error=False)
    assert not result.success
    assert result.materialized_assets == ["top", "right"]
    assert result.failed_assets == [("left", "ValueError: left is broken")]
    assert result.skipped_assets == [("bottom", "not run, since 'left' failed")]
    types = [(e.event_type, e.asset_key) for e in diamond.storage.get_events_for_run(result.run_id)]
    assert ("StepSkipped", "bottom") in types


def test_resume_skips_finished_steps(diamond, diary):
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
    assert diamond.storage.get_run("r1").status == "Success"


def test_resume_repeats_lost_values(tmp_path):
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
def test_resume_repeats_lost_value_only_if_needed(diary, fails):
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


def test_run_id_conflict_is_reported(diamond):
    diamond.materialize(run_id_override="r1")
    with pytest.raises(rs.exceptions.ConflictError, match="resume=True"):
        diamond.materialize(run_id_override="r1")


def test_resume_of_unknown_run_is_an_error(diamond):
    with pytest.raises(rs.exceptions.StorageError, match="'nope'"):
        diamond.materialize(run_id_override="nope", resume=True)


def test_interrupted_run_is_canceled(repository):
    @rs.Asset
    def a():
        raise KeyboardInterrupt

    repo = repository(a)
    with pytest.raises(KeyboardInterrupt):
        repo.materialize(run_id_override="r")
    assert repo.storage.get_run("r").status == "Canceled"


def test_job_runs_its_selection(diamond, repository, diary):
    assets = list(diamond.assets.values())
    repo = repository(*assets, jobs=[rs.Job("upper", ["top", "left"])])
    result = repo.get_job("upper").execute(tags=[("a", "b")])
    assert result.materialized_assets == ["top", "left"]
    assert repo.storage.get_run(result.run_id).job_name == "upper"
    with pytest.raises(rs.exceptions.NodeNotFoundError, match="Did you mean 'upper'"):
        repo.get_job("uper")


def test_job_without_repository_is_an_error():
    with pytest.raises(rs.exceptions.ExecutionError, match="does not belong to a repository"):
        rs.Job("j", ["a"]).execute()


def test_embedded_storage_keeps_runs_and_events(diamond, tmp_path):
    with rs.Storage.embedded(tmp_path) as storage:
        run_id = diamond.resolve(storage).materialize().run_id
    with rs.Storage.embedded(tmp_path) as storage:
        assert storage.get_run(run_id).status == "Success"
        assert storage.get_latest_materialization("bottom").run_id == run_id


def test_repository_is_a_reusable_context_manager(repository):
    @rs.Asset
    def a() -> int:
        return 1

    repo = repository(a)
    with repo:
        repo.materialize()
    assert repo.materialize().success

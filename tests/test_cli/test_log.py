"""`rivers log`: events of a run or an asset."""

from __future__ import annotations


def test_log_shows_latest_run_in_order(run):
    events = [item["event"] for item in run.ok("log", "--json").document]
    assert events == ["RunStart", "Materialization", "Materialization", "Materialization", "RunSuccess"]


def test_log_shows_metadata_of_asset(run):
    done = run.ok("log", "orders", "--metadata")
    assert "serializer: pickle" in done.out


def test_log_accepts_start_of_run_id(run):
    run_id = run.ok("runs", "--json").document[0]["run_id"]
    assert {item["run_id"] for item in run.ok("log", run_id[:6], "--json").document} == {run_id}


def test_log_suggests_closest_name(run):
    done = run.rivers("log", "ordes")
    assert done.code == 2
    assert "Did you mean 'orders'" in done.err

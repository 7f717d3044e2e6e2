"""`rivers log`: events of a run or an asset."""

from __future__ import annotations

import pytest


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


def test_log_shows_a_union_of_assets_without_excluded_ones(run):
    for arguments, names in (
        (["orders", "report"], {"orders", "report"}),
        (["c*", "group:raw"], {"counts", "orders"}),
        (["group:answers", "--exclude", "report"], {"counts"}),
        (["--exclude", "orders"], {"counts", "report"}),
    ):
        events = run.ok("log", *arguments, "--json").document
        assert {event["asset"] for event in events} == names
        count = run.ok("log", *arguments, "--export", "events.jsonl", "--json").document["events"]
        assert count == len(events)
    assert "Did you mean 'report'" in run.rivers("log", "orders", "reprot").err


def test_log_of_a_renamed_asset_needs_no_project(run):
    run.write("definitions.py", "raise AssertionError('imported')")
    events = run.ok("log", "orders", "counts", "--json").document
    assert {event["asset"] for event in events} == {"orders", "counts"}


@pytest.mark.parametrize(
    "options", [("--logs", "--export", "x.jsonl"), ("--logs", "-m"), ("orders", "counts", "--logs")]
)
def test_log_refuses_options_that_exclude_each_other(run, options):
    done = run.rivers("log", *options)
    assert (done.code, done.out) == (2, "")

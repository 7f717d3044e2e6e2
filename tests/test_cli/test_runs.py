"""`rivers runs`: order, status and selection."""

from __future__ import annotations

import pytest

from rivers.storage import LogRecord, Storage


def test_runs_lists_latest_first_and_by_status(run):
    run.edit("definitions.py", "return {name", "1 / 0\n    return {name")
    run.rivers("materialize", "counts")
    assert [item["status"] for item in run.ok("runs", "--json").document] == ["Failure", "Success"]
    (failed,) = run.ok("runs", "--status", "failure", "--json").document
    assert failed["selection"] == ["counts"]
    assert "division by zero" in failed["message"]
    misspelled = run.rivers("runs", "--status", "succes")
    assert misspelled.code == 2
    assert "Did you mean 'success'" in misspelled.err
    assert len(run.ok("runs", "--status", "SUCCESS", "--json").document) == 1


def test_runs_cancel_requests_the_cancellation(run):
    with Storage.embedded(run.path / ".rivers") as storage:
        storage.start_run("nightly-1")
        assert "nightly-1" in run.ok("runs", "cancel", "nightly").out
        assert storage.is_cancelled("nightly-1")
        storage.finish_run("nightly-1", "canceled")
    done = run.rivers("runs", "cancel", "nightly-1")
    assert done.code == 1
    assert "Canceled" in done.err


@pytest.mark.parametrize("command", [("runs", "cancel"), ("materialize", "--resume"), ("log",)])
def test_empty_id_matches_no_run(command, run):
    assert len(run.ok("runs", "--json").document) == 1
    done = run.rivers(*command, "")
    assert (done.code, done.out) == (2, "")


def test_runs_cancel_reports_unknown_and_ambiguous_ids(run):
    with Storage.embedded(run.path / ".rivers") as storage:
        storage.start_run("same-1")
        storage.start_run("same-2")
        for start in ("same", "nothing"):
            done = run.rivers("runs", "cancel", start)
            assert done.code == 2
            assert start in done.err
        assert not storage.is_cancelled("same-1")


def test_log_shows_log_records_of_a_run(run):
    with Storage.embedded(run.path / ".rivers") as storage:
        storage.start_run("r-1")
        for number in range(3):
            storage.record_log(LogRecord("r-1", "orders", 5, "INFO", f"text {number}", "orders", "2024"))
        storage.finish_run("r-1", "success")
    assert "orders [2024]" in run.ok("log", "r-1", "--logs").out
    records = run.ok("log", "--logs", "--limit", "2", "--json").document
    assert [(record["level"], record["message"]) for record in records] == [
        ("INFO", "text 1"),
        ("INFO", "text 2"),
    ]
    assert (records[0]["step"], records[0]["partition"], records[0]["run_id"]) == ("orders", "2024", "r-1")


def test_prune_plans_and_removes_runs(run):
    for _ in range(2):
        run.ok("materialize", "counts")
    plan = run.ok("runs", "prune", "--keep", "1", "--json").document
    assert (plan["dry_run"], len(plan["runs"])) == (True, 2)
    assert "--run" in run.ok("runs", "prune", "--keep", "1").out
    assert len(run.ok("runs", "--json").document) == 3
    removed = run.ok("runs", "prune", "--keep", "1", "--older-than", "0", "--run", "--json").document
    assert removed == {**plan, "dry_run": False}
    assert len(run.ok("runs", "--json").document) == 1
    assert run.ok("load", "counts", "--json").code == 0


def test_prune_of_runs_requires_a_limit(run):
    assert run.rivers("runs", "prune").code == 2

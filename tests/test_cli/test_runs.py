"""`rivers runs`: order, status and selection."""

from __future__ import annotations


def test_runs_lists_latest_first_and_by_status(run):
    run.edit("definitions.py", "return {name", "1 / 0\n    return {name")
    run.rivers("materialize", "counts")
    assert [item["status"] for item in run.ok("runs", "--json").document] == ["Failure", "Success"]
    (failed,) = run.ok("runs", "--status", "failure", "--json").document
    assert failed["selection"] == ["counts"]
    assert "division by zero" in failed["message"]
    assert run.rivers("runs", "--status", "lost").code == 1

"""`rivers delete` and `rivers handlers orphans`."""

from __future__ import annotations


def test_delete_removes_the_stored_value(project):
    project.ok("materialize")
    assert project.files("data") == ["counts.pkl", "orders.pkl", "report.pkl"]
    assert project.ok("delete", "report", "--json").document == [{"asset": "report", "partition": None}]
    assert project.files("data") == ["counts.pkl", "orders.pkl"]
    (summary,) = (item for item in project.ok("assets", "--json").document if item["asset"] == "report")
    assert [item["state"] for item in summary["ranges"]] == ["missing"]
    assert "Deletion" in project.ok("log", "report").out
    assert "counts" in project.ok("delete", "counts", "--yes").out


def test_delete_of_what_is_not_stored_records_nothing(project):
    done = project.ok("delete", "report")
    assert "nothing is stored" in done.out
    assert project.ok("delete", "report", "--json").document == []
    assert project.ok("runs", "--json").document == []


def test_delete_of_unknown_asset(project):
    done = project.rivers("delete", "reports")
    assert done.code == 2
    assert "'report'" in done.err


def test_orphans_are_listed_and_deleted_with_run(project):
    project.ok("materialize")
    project.edit("definitions.py", "def report(", "def summary(")
    project.edit("definitions.py", "counts, report]", "counts, summary]")
    expected = {"handler": "files", "dry_run": True, "values": [{"asset": "report", "partition": None}]}
    assert project.ok("handlers", "orphans", "files", "--json").document == expected
    assert "report" in project.ok("handlers", "orphans", "files").out
    assert "report.pkl" in project.files("data")
    project.ok("handlers", "orphans", "files", "--run")
    assert project.files("data") == ["counts.pkl", "orders.pkl"]
    assert project.ok("handlers", "orphans", "files", "--json").document["values"] == []
    assert project.rivers("handlers", "orphans", "lake").code == 2

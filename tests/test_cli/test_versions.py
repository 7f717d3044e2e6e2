"""`rivers versions`, `rivers restore`, `rivers load --version`, `rivers handlers prune`."""

from __future__ import annotations

import pytest


@pytest.fixture
def project(project_of):
    project = project_of("""
from pathlib import Path
import rivers as rs

@rs.Asset
def orders() -> int:
    return int(Path("number").read_text())

repo = rs.CodeRepository([orders])
""")
    project.edit("rivers.toml", 'store = "file:./data"', 'store = "file:./data"\nkeep_versions = 5')
    for number in "123":
        project.write("number", number)
        project.ok("materialize", "orders")
    return project


def test_versions_are_listed_loaded_and_restored(project):
    listed = project.ok("versions", "orders", "--json").document
    assert [version["current"] for version in listed] == [True, False, False]
    first = listed[-1]["version"]
    assert project.ok("load", "orders", "--version", first[:10], "--json").document["head"] == 1
    restored = project.ok("restore", "orders", "--version", first, "--json").document
    assert restored["data_version"] == first
    assert "restored" in project.ok("log", "orders").out
    assert project.ok("load", "orders", "--json").document["head"] == 1
    assert first in project.ok("versions", "orders").out


def test_restore_of_unknown_version_fails(project):
    done = project.rivers("restore", "orders", "--version", "0" * 64)
    assert done.code == 1
    assert "not stored" in done.err


def test_prune_plans_and_removes(project):
    plan = project.ok("handlers", "prune", "files", "--keep", "1", "--json").document
    assert plan["dry_run"]
    assert [version["asset"] for version in plan["versions"]] == ["orders"]
    assert len(project.ok("versions", "orders", "--json").document) == 3
    assert "--run" in project.ok("handlers", "prune", "files", "--keep", "1").out
    project.ok("handlers", "prune", "files", "--keep", "1", "--older-than", "0", "--run")
    assert len(project.ok("versions", "orders", "--json").document) == 2
    assert "nothing to remove" in project.ok("handlers", "prune", "files", "--older-than", "30").out


def test_prune_requires_a_limit(project):
    assert project.rivers("handlers", "prune", "files").code == 2


def test_partition_of_table_is_restored(project_of):
    project = project_of("""
from pathlib import Path
import pyarrow as pa
import rivers as rs

@rs.Asset(
    partitions_def=rs.PartitionsDefinition.static_(["eu", "us"]),
    io_handler=rs.DeltaIOHandler("./lake"),
    metadata={"delta/partition_expr": "r"},
)
def orders(context: rs.AssetExecutionContext) -> pa.Table:
    return pa.table({"r": [context.partition_key], "n": [int(Path("number").read_text())]})

repo = rs.CodeRepository([orders])
""")
    for number in "12":
        project.write("number", number)
        for key in ("eu", "us"):
            project.ok("materialize", "orders", "--partition", key)
    listed = project.ok("versions", "orders", "-p", "eu", "--json").document
    assert [version["current"] for version in listed] == [True, False]
    project.ok("restore", "orders", "-p", "eu", "--version", "0")
    assert '"n": 1' in project.ok("load", "orders", "-p", "eu", "--json").out
    assert '"n": 2' in project.ok("load", "orders", "-p", "us", "--json").out
    assert (
        '"n": 1' in project.ok("load", "orders", "-p", "eu", "--version", listed[1]["version"], "--json").out
    )


def test_handler_without_versions_cannot_be_pruned(project):
    done = project.rivers("handlers", "prune", "memory", "--keep", "1")
    assert done.code == 2
    assert "versions" in done.err


def test_resign_plans_and_signs(project):
    assert project.rivers("handlers", "resign", "files").code == 2
    project.edit(
        "rivers.toml", "keep_versions = 5", 'keep_versions = 5\nsigning_key = "a key of enough characters"'
    )
    plan = project.rivers("handlers", "resign", "files", "--json")
    assert (plan.code, plan.document["refused"]) == (1, 3)
    done = project.ok("handlers", "resign", "files", "--accept-unsigned", "--run", "--json").document
    assert (done["resigned"], done["refused"]) == (3, 0)
    assert project.ok("load", "orders", "--json").document["head"] == 3

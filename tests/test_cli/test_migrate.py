"""`rivers migrate`: values are copied, compared, and stay fresh."""

from __future__ import annotations

import pytest

from rivers.storage import Storage

PARTITIONED = """
days = rs.PartitionsDefinition.daily("2024-01-01", "2024-01-04")

@rs.Asset(partitions_def=days)
def daily(context: rs.AssetExecutionContext) -> rs.PartitionedOutput:
    return rs.PartitionedOutput({str(key): str(key) for key in context.partition.keys})

@rs.Asset
def total(daily: dict[str, str]) -> int:
    return len(daily)

repo = rs.CodeRepository([daily, total])
"""


def migrate(project, *arguments, source="files", target="other"):
    return project.rivers("migrate", "--from", source, "--to", target, *arguments, "--json")


def states(done):
    return {(item["asset"], item["partition"]): item["state"] for item in done.document["values"]}


def test_migrate_copies_all_values_and_keeps_source(run):
    done = migrate(run)
    assert done.code == 0
    assert set(states(done).values()) == {"copied"}
    assert run.files("other") == run.files("data") == ["counts.pkl", "orders.pkl", "report.pkl"]


def test_migrated_values_are_fresh_with_new_handler(run):
    migrate(run)
    run.edit("rivers.toml", 'default_io_handler = "files"', 'default_io_handler = "other"')
    assert [item["ranges"][0]["state"] for item in run.ok("assets", "--json").document] == ["fresh"] * 3
    assert run.ok("load", "orders", "--json").document["handler"] == "other"


def test_dry_run_shows_addresses_and_copies_nothing(run):
    done = migrate(run, "--dry-run")
    assert set(states(done).values()) == {"to copy"}
    assert done.document["values"][0]["target"].endswith("other/orders.pkl")
    assert run.files("other") == []
    assert len(run.ok("runs", "--json").document) == 1


def test_migrate_copies_named_assets_only(run):
    assert set(states(migrate(run, "orders"))) == {("orders", None)}


def test_repeated_migrate_copies_missing_values(run):
    migrate(run, "orders")
    assert states(migrate(run)) == {
        ("orders", None): "there already",
        ("counts", None): "copied",
        ("report", None): "copied",
    }


def test_migrate_restores_deleted_copy(run):
    migrate(run)
    (run.path / "other" / "orders.pkl").unlink()
    assert states(migrate(run))["orders", None] == "copied"


def test_migrate_copies_changed_value_again(run):
    migrate(run)
    run.edit("definitions.py", '["bread", "milk", "bread"]', '["cheese"]')
    run.ok("materialize", "orders")
    assert states(migrate(run, "orders")) == {("orders", None): "copied"}
    run.edit("rivers.toml", 'default_io_handler = "files"', 'default_io_handler = "other"')
    assert run.ok("load", "orders", "--json").document["head"] == ["cheese"]


def test_migrate_replaces_different_value_only_with_overwrite(run):
    run.edit("definitions.py", '["bread", "milk", "bread"]', '["cheese"]')
    run.edit("rivers.toml", 'default_io_handler = "files"', 'default_io_handler = "other"')
    run.ok("materialize", "orders")
    done = migrate(run, "orders")
    assert done.code == 1
    assert "--overwrite" in done.document["values"][0]["message"]
    assert migrate(run, "orders", "--overwrite").code == 0
    assert run.ok("load", "orders", "--json").document["head"] == ["bread", "milk", "bread"]


def test_migrate_copies_stored_partitions(project_of):
    project = project_of(PARTITIONED)
    project.ok("materialize", "daily", "-p", "2024-01-01", "-p", "2024-01-03")
    assert states(migrate(project)) == {("daily", "2024-01-01"): "copied", ("daily", "2024-01-03"): "copied"}
    assert project.files("other") == ["daily/2024-01-01/data.pkl", "daily/2024-01-03/data.pkl"]


def test_migrate_finds_values_without_event_log(run):
    for path in (run.path / ".rivers").rglob("*"):
        if path.is_file():
            path.unlink()
    assert set(states(migrate(run)).values()) == {"copied"}


def test_migrate_to_another_environment(run):
    assert set(states(migrate(run, target="files@prod")).values()) == {"copied"}
    listed = run.ok("assets", "--env", "prod", "--json").document
    assert [item["ranges"][0]["state"] for item in listed] == ["fresh"] * 3


def test_migrate_reports_damaged_value_and_copies_others(run):
    damaged = run.path / "data" / "counts.pkl"
    damaged.write_bytes(damaged.read_bytes()[:-10] + b"0123456789")
    done = migrate(run)
    assert done.code == 1
    assert states(done) == {
        ("orders", None): "copied",
        ("counts", None): "failed",
        ("report", None): "copied",
    }
    assert run.ok("runs", "--json").document[0]["status"] == "Failure"


def test_migrate_detects_different_reloaded_value(project_of):
    project = project_of(
        """
class Forgetful(rs.BaseIOHandler):
    def handle_output(self, context, obj):
        pass
    def load_input(self, context):
        return "something else"
    def exists(self, context):
        return False

@rs.Asset
def orders() -> str:
    return "bread"

@rs.Asset(io_handler=Forgetful())
def other() -> str:
    return "milk"

repo = rs.CodeRepository([orders, other])
"""
    )
    project.ok("materialize", "orders")
    done = migrate(project, "orders", target="Forgetful")
    assert done.code == 1
    assert "differs from the stored one" in done.document["values"][0]["message"]


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("files", "files", "must be different handlers"),
        ("files", "memory", "cannot be migrated"),
        ("flies", "other", "Did you mean 'files'"),
        ("files", "files@pord", "Did you mean 'prod'"),
        ("files", "other@", "NAME@ENVIRONMENT"),
        ("files", "@prod", "NAME@ENVIRONMENT"),
    ],
)
def test_migrate_rejects_invalid_call(run, source, target, message):
    done = migrate(run, source=source, target=target)
    assert done.code == 2
    assert message in done.err
    assert run.files("other") == []


def test_migrate_prints_summary_and_next_step(run):
    done = run.ok("migrate", "--from", "files", "--to", "other")
    assert "3 values from files to other: 3 copied." in done.out
    assert "handler 'other'" in done.out


DYNAMIC = """
shops = rs.PartitionsDefinition.dynamic("shops")
both = rs.PartitionsDefinition.multi({"shop": shops, "day": rs.PartitionsDefinition.daily("2024-01-01", "2024-01-03")})

@rs.Asset(partitions_def=shops)
def stock(context: rs.AssetExecutionContext) -> str:
    return context.partition_key

@rs.Asset(partitions_def=both)
def sales(context: rs.AssetExecutionContext) -> str:
    return context.partition_key

repo = rs.CodeRepository([stock, sales])
"""


@pytest.mark.parametrize(("asset", "key"), [("stock", "b"), ("sales", "day=2024-01-01|shop=b")])
def test_migrate_copies_dynamic_partition_keys(project_of, asset, key):
    project = project_of(DYNAMIC)
    with Storage.embedded(project.path / ".rivers") as storage:
        storage.add_dynamic_partitions("shops", ["a", "b"])
    project.ok("materialize", asset, "-p", key)
    assert states(migrate(project, "--dry-run", target="files@prod")) == {(asset, key): "to copy"}
    assert migrate(project, target="files@prod").code == 0
    assert project.ok("load", asset, "-p", key, "--env", "prod", "--json").document["head"] == key
    with Storage.embedded(project.path / ".rivers" / "prod") as storage:
        assert storage.get_dynamic_partitions("shops") == ["b"]
        storage.delete_dynamic_partition("shops", "b")
    migrate(project, target="files@prod")
    assert project.ok("load", asset, "-p", key, "--env", "prod", "--json").document["head"] == key
    assert states(migrate(project, target="files@prod")) == {(asset, key): "there already"}

"""`rivers migrate`: values move, are compared, and count as fresh where they are now."""

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
    return {(one["asset"], one["partition"]): one["state"] for one in done.document["values"]}


@pytest.fixture
def run(project):
    project.ok("materialize")
    return project


def test_every_value_is_copied_and_what_was_there_stays(run):
    done = migrate(run)
    assert done.code == 0
    assert set(states(done).values()) == {"copied"}
    assert run.files("other") == run.files("data") == ["counts.pkl", "orders.pkl", "report.pkl"]


def test_nothing_has_to_run_again_once_the_configuration_names_the_new_handler(run):
    migrate(run)
    run.edit("rivers.toml", 'default_io_handler = "files"', 'default_io_handler = "other"')
    assert [one["values"][0]["state"] for one in run.ok("assets", "--json").document] == ["fresh"] * 3
    assert run.ok("load", "orders", "--json").document["handler"] == "other"


def test_a_dry_run_copies_nothing_and_says_from_where_to_where(run):
    done = migrate(run, "--dry-run")
    assert set(states(done).values()) == {"to copy"}
    assert done.document["values"][0]["target"].endswith("other/orders.pkl")
    assert run.files("other") == []
    assert len(run.ok("runs", "--json").document) == 1


def test_only_the_named_assets_are_copied(run):
    assert set(states(migrate(run, "orders"))) == {("orders", None)}


def test_called_again_it_copies_what_is_missing_only(run):
    migrate(run, "orders")
    assert states(migrate(run)) == {
        ("orders", None): "there already",
        ("counts", None): "copied",
        ("report", None): "copied",
    }


def test_a_copy_that_is_gone_is_made_again(run):
    migrate(run)
    (run.path / "other" / "orders.pkl").unlink()
    assert states(migrate(run))["orders", None] == "copied"


def test_a_value_that_changed_since_is_copied_again(run):
    migrate(run)
    run.edit("definitions.py", '["bread", "milk", "bread"]', '["cheese"]')
    run.ok("materialize", "orders")
    assert states(migrate(run, "orders")) == {("orders", None): "copied"}
    run.edit("rivers.toml", 'default_io_handler = "files"', 'default_io_handler = "other"')
    assert run.ok("load", "orders", "--json").document["head"] == ["cheese"]


def test_what_somebody_else_stored_there_is_not_replaced_unless_told(run):
    run.edit("definitions.py", '["bread", "milk", "bread"]', '["cheese"]')
    run.edit("rivers.toml", 'default_io_handler = "files"', 'default_io_handler = "other"')
    run.ok("materialize", "orders")
    done = migrate(run, "orders")
    assert done.code == 1
    assert "--overwrite" in done.document["values"][0]["message"]
    assert migrate(run, "orders", "--overwrite").code == 0
    assert run.ok("load", "orders", "--json").document["head"] == ["bread", "milk", "bread"]


def test_all_partitions_that_were_stored_are_copied(project_of):
    project = project_of(PARTITIONED)
    project.ok("materialize", "daily", "-p", "2024-01-01", "-p", "2024-01-03")
    assert states(migrate(project)) == {("daily", "2024-01-01"): "copied", ("daily", "2024-01-03"): "copied"}
    assert project.files("other") == ["daily/2024-01-01/data.pkl", "daily/2024-01-03/data.pkl"]


def test_values_without_a_history_are_found_in_the_store(run):
    for path in (run.path / ".rivers").rglob("*"):
        if path.is_file():
            path.unlink()
    assert set(states(migrate(run)).values()) == {"copied"}


def test_another_environment_is_a_source_or_a_target(run):
    assert set(states(migrate(run, target="files@prod")).values()) == {"copied"}
    found = run.ok("assets", "--env", "prod", "--json").document
    assert [one["values"][0]["state"] for one in found] == ["fresh"] * 3


def test_a_damaged_value_fails_and_the_others_are_copied(run):
    damaged = run.path / "data" / "counts.pkl"
    damaged.write_bytes(damaged.read_bytes()[:-10] + b"0123456789")
    done = migrate(run)
    assert done.code == 1
    assert states(done) == {
        ("orders", None): "copied",
        ("counts", None): "failed",
        ("report", None): "copied",
    }
    assert run.ok("runs", "--json").document[0]["status"] == "failure"


def test_a_store_that_gives_back_something_else_is_noticed(project_of):
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
    assert "is not what was stored" in done.document["values"][0]["message"]


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("files", "files", "are the same handler"),
        ("files", "memory", "nothing that another process could copy"),
        ("flies", "other", "Did you mean 'files'"),
        ("files", "files@pord", "Did you mean 'prod'"),
        ("files", "other@", "NAME@ENVIRONMENT"),
        ("files", "@prod", "NAME@ENVIRONMENT"),
    ],
)
def test_a_mistake_in_the_call_is_said_before_anything_is_copied(run, source, target, said):
    done = migrate(run, source=source, target=target)
    assert done.code == 2
    assert said in done.err
    assert run.files("other") == []


def test_people_are_told_what_to_do_next(run):
    done = run.ok("migrate", "--from", "files", "--to", "other")
    assert "3 values from files to other: 3 copied." in done.out
    assert "name 'other'" in done.out


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
def test_values_of_dynamic_partitions_can_be_asked_for_where_they_are_now(project_of, asset, key):
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

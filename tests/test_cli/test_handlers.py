"""`rivers handlers`: list, settings with their origin, maintenance, verification."""

from __future__ import annotations

import pytest

ATTIC = """
class Attic(rs.BaseIOHandler):
    def handle_output(self, context, obj):
        pass
    def load_input(self, context):
        return None
    def maintain(self, contexts=(), *, dry_run=True, days=7):
        return [
            {"value": context.storage_key, "older_than_days": days, "bytes": 2048, "done": not dry_run}
            for context in contexts
        ]

attic = Attic()

@rs.Asset(io_handler=attic)
def hats() -> int:
    return 1

@rs.Asset(io_handler=attic)
def coats() -> int:
    return 1

repo = rs.CodeRepository([hats, coats])
"""


def test_handlers_lists_configured_and_installed(run):
    handlers = {item["name"]: item for item in run.ok("handlers", "--json").document}
    assert {"files", "other", "memory", "pickle"} <= set(handlers)
    assert handlers["files"]["source"] == "rivers.toml"
    assert handlers["files"]["assets"] == ["orders", "counts", "report"]
    assert handlers["other"]["assets"] == []
    assert handlers["pickle"]["source"].startswith("rivers-pickle ")


def test_handlers_are_listed_with_broken_code(project):
    project.write("definitions.py", "1 / 0")
    done = project.ok("handlers")
    assert "files" in done.out
    assert "unknown" in done.err


def test_handlers_show_has_origin_of_each_field(project, monkeypatch):
    monkeypatch.setenv("RIVERS_IO_HANDLERS__FILES__PREFIX", "run")
    fields = {
        item["field"]: (item["value"], item["origin"])
        for item in project.ok("handlers", "show", "files", "--env", "prod", "--json").document["fields"]
    }
    assert fields["prefix"] == ("run", "environment")
    assert fields["fsync"] == ("False", "default")
    value, origin = fields["store"]
    assert value.endswith("/prod")
    assert origin == "file (prod)"


def test_handlers_show_marks_required_fields(project):
    done = project.ok("handlers", "show", "pickle")
    assert "(required)" in done.out
    assert "No asset uses it." in done.out


def test_handlers_show_resource_of_code(project_of):
    project = project_of(
        """
@rs.Asset(io_handler="shelf")
def total() -> int:
    return 1

repo = rs.CodeRepository([total], resources={"shelf": rs.PickleIOHandler(store="file:./shelf", prefix="p")})
"""
    )
    document = project.ok("handlers", "show", "shelf", "--json").document
    assert {"field": "prefix", "value": "p", "origin": "code"} in document["fields"]
    assert document["assets"][0]["asset"] == "total"


def test_handlers_show_suggests_closest_name(project):
    done = project.rivers("handlers", "show", "flies")
    assert done.code == 2
    assert "Did you mean 'files'" in done.err


def actions(done):
    return done.document["actions"]


@pytest.fixture
def attic(project_of):
    return project_of(ATTIC)


def test_maintain_is_dry_run_by_default(attic):
    done = attic.ok("handlers", "maintain", "Attic", "--json")
    assert [(action["value"], action["done"]) for action in actions(done)] == [
        ("hats", False),
        ("coats", False),
    ]
    assert "Dry run, nothing was changed." in attic.ok("handlers", "maintain", "Attic").out


def test_maintain_run_applies_options(attic):
    done = attic.ok("handlers", "maintain", "Attic", "coats", "--run", "--set", "days=2", "--json")
    assert actions(done) == [{"value": "coats", "older_than_days": 2, "bytes": 2048, "done": True}]


def test_maintain_table_formats_sizes(attic):
    assert "2.0 kB" in attic.ok("handlers", "maintain", "Attic").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["memory"], "does not support maintenance"),
        (["Atic"], "Did you mean 'Attic'"),
        (["Attic", "shoes"], "Available: 'coats', 'hats'."),
        (["Attic", "--set", "weeks=2"], "weeks"),
        (["Attic", "--set", "days"], "--set must be option=value"),
    ],
)
def test_maintain_rejects_invalid_call(attic, arguments, message):
    done = attic.rivers("handlers", "maintain", *arguments)
    assert done.code == 2
    assert message in done.err


def test_maintain_compacts_delta_tables(project_of):
    project = project_of(
        """
import pyarrow as pa

@rs.Asset(metadata={"delta/mode": "append"})
def rows() -> pa.Table:
    return pa.table({"a": [1]})

repo = rs.CodeRepository([rows])
""",
        'repository = "definitions:repo"\ndefault_io_handler = "lake"\n'
        '[io_handlers.lake]\nuse = "delta"\ntable_uri = "file:./lake"\n',
    )
    for _ in range(3):
        project.ok("materialize")
    (planned, _) = actions(project.ok("handlers", "maintain", "lake", "--json"))
    assert (planned["action"], planned["files"], planned["done"]) == ("optimize", 3, False)
    (done, _) = actions(project.ok("handlers", "maintain", "lake", "--run", "--json"))
    assert done["done"] is True
    assert project.ok("load", "rows", "--json").document["extent"] == "3 rows, 1 column"


def verified(done):
    return {(value["asset"], value["partition"]): value for value in done.document["values"]}


def test_verify_reports_damaged_objects(project):
    project.ok("materialize")
    values = verified(project.ok("handlers", "verify", "files", "--json"))
    assert set(values) == {("orders", None), ("counts", None), ("report", None)}
    assert all(value["ok"] and value["digests"] == 1 for value in values.values())
    path = next((project.path / "data").rglob("counts*"))
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    done = project.rivers("handlers", "verify", "files", "--json")
    assert done.code == 1
    assert {name: value["ok"] for (name, _), value in verified(done).items()} == {
        "orders": True,
        "counts": False,
        "report": True,
    }
    assert "counts" in project.rivers("handlers", "verify", "files").out
    assert project.rivers("handlers", "verify", "files", "orders").code == 0


def test_verify_reports_partitions_that_the_event_log_lists(project_of):
    project = project_of(
        """
keys = rs.PartitionsDefinition.static_(["a", "b", "c"])

@rs.Asset(io_handler=rs.PickleIOHandler(store="file:./shelf"), partitions_def=keys)
def part(context: rs.AssetExecutionContext) -> str:
    return context.partition_key

repo = rs.CodeRepository([part])
"""
    )
    project.ok("materialize", "-p", "a", "-p", "b")
    (handler,) = [item["name"] for item in project.ok("handlers", "--json").document if item["assets"]]
    values = verified(project.ok("handlers", "verify", handler, "--json"))
    assert set(values) == {("part", "a"), ("part", "b")}
    for path in (project.path / "shelf" / "part").rglob("*.pkl"):
        path.unlink()
        break
    done = project.rivers("handlers", "verify", handler, "--json")
    assert sorted(value["ok"] for value in verified(done).values()) == [False, True]


def test_verify_takes_a_selection(project):
    project.ok("materialize")
    for selection, names in (
        (["group:answers"], {"counts", "report"}),
        (["c*", "orders"], {"counts", "orders"}),
        (["+report", "-orders"], {"counts", "report"}),
    ):
        done = project.ok("handlers", "verify", "files", "--json", "--", *selection)
        assert {name for name, _ in verified(done)} == names
    assert project.rivers("handlers", "verify", "other", "group:answers").code == 2
    misspelled = project.rivers("handlers", "verify", "files", "group:answer")
    assert misspelled.code == 2
    assert "Did you mean 'answers'" in misspelled.err


def test_verify_skips_what_was_never_stored(project):
    assert project.ok("handlers", "verify", "files", "--json").document["values"] == []
    assert "0 values verified" in project.ok("handlers", "verify", "files").out


@pytest.mark.parametrize("command", ["verify", "prune", "maintain", "orphans", "resign", "show"])
def test_handlers_commands_list_handlers_without_name(project, command):
    done = project.rivers("handlers", command)
    assert done.code == 2
    assert "NAME" in done.err
    assert "files, other" in done.err


def test_handlers_commands_list_handlers_of_code_without_configuration(project_of):
    done = project_of(ATTIC, toml='repository = "definitions:repo"').rivers("handlers", "verify")
    assert done.code == 2
    assert "Available: Attic." in done.err


@pytest.mark.parametrize(
    ("command", "names"), [("load", "orders, counts, report"), ("migrate", "files, other")]
)
def test_commands_list_values_of_missing_argument(project, command, names):
    done = project.rivers(command)
    assert done.code == 2
    assert names in done.err


def test_missing_argument_is_reported_with_broken_project(project):
    project.write("rivers.toml", "broken")
    done = project.rivers("handlers", "verify")
    assert done.code == 2
    assert "NAME" in done.err
    assert "Traceback" not in done.err

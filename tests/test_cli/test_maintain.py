"""`rivers handlers maintain`: first told, then done, by handlers that can."""

from __future__ import annotations

import pytest

DEFINITIONS = """
class Attic(rs.BaseIOHandler):
    def handle_output(self, context, obj):
        pass
    def load_input(self, context):
        return None
    def maintain(self, contexts=(), *, dry_run=True, days=7):
        return [
            {"value": one.storage_key, "older_than_days": days, "bytes": 2048, "done": not dry_run} for one in contexts
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


def actions(done):
    return done.document["actions"]


@pytest.fixture
def attic(project_of):
    return project_of(DEFINITIONS)


def test_it_is_only_told_at_first(attic):
    done = attic.ok("handlers", "maintain", "Attic", "--json")
    assert [(one["value"], one["done"]) for one in actions(done)] == [("hats", False), ("coats", False)]
    assert "Nothing was changed; --run does it." in attic.ok("handlers", "maintain", "Attic").out


def test_it_is_done_when_told(attic):
    done = attic.ok("handlers", "maintain", "Attic", "coats", "--run", "--set", "days=2", "--json")
    assert actions(done) == [{"value": "coats", "older_than_days": 2, "bytes": 2048, "done": True}]


def test_sizes_are_for_people_in_the_table(attic):
    assert "2.0 kB" in attic.ok("handlers", "maintain", "Attic").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["files"], "has nothing to maintain"),
        (["Atic"], "Did you mean 'Attic'"),
        (["Attic", "shoes"], "It keeps: hats, coats."),
        (["Attic", "--set", "weeks=2"], "weeks"),
        (["Attic", "--set", "days"], "write it as option=value"),
    ],
)
def test_what_cannot_be_maintained_says_why(attic, arguments, said):
    done = attic.rivers("handlers", "maintain", *arguments)
    assert done.code == 2
    assert said in done.err


def test_tables_of_delta_are_compacted(project_of):
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
    (told, _) = actions(project.ok("handlers", "maintain", "lake", "--json"))
    assert (told["action"], told["files"], told["done"]) == ("optimize", 3, False)
    (done, _) = actions(project.ok("handlers", "maintain", "lake", "--run", "--json"))
    assert done["done"] is True
    assert project.ok("load", "rows", "--json").document["extent"] == "3 rows, 1 columns"

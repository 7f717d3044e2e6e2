"""`rivers load`: previews, errors of handlers, text that a stream cannot encode."""

from __future__ import annotations

import io
import json
import sys

import pytest

import rivers as rs
from rivers_cli.output import escape_control
from rivers_core.exceptions import NotMaterializedError

HANDLERS = """
class Shelf(rs.BaseIOHandler):
    def handle_output(self, context, obj):
        pass
    def load_input(self, context):
        {body}
    def describe_address(self, context):
        return "shelf 3"

days = rs.PartitionsDefinition.static_(["mon", "tue"])

@rs.Asset(io_handler=Shelf())
def orders() -> int:
    return 1

@rs.Asset(io_handler=Shelf(), partitions_def=days)
def daily() -> int:
    return 1

repo = rs.CodeRepository([orders, daily])
"""


def project_with_handler(project_of, body):
    return project_of(HANDLERS.replace("{body}", body))


def test_load_error_names_asset_handler_and_address(project_of):
    done = project_with_handler(project_of, "raise ConnectionError('reset by peer')").rivers("load", "orders")
    assert done.code == 1
    last = done.err.splitlines()[-1]
    assert last == (
        "Error: Could not load asset 'orders' with handler 'Shelf': ConnectionError: reset by peer "
        "(loading asset 'orders' with 'Shelf' at shelf 3)"
    )
    assert "raise ConnectionError('reset by peer')" in done.err
    assert "load_stored" not in done.err


def test_load_error_outside_project_has_no_traceback(project_of):
    project = project_with_handler(project_of, "pass")
    project.edit("definitions.py", "@rs.Asset(io_handler=Shelf())", "@rs.Asset")
    project.ok("materialize", "orders")
    (project.path / "data" / "orders.pkl").unlink()
    (project.path / "data" / "orders.pkl").mkdir()
    done = project.rivers("load", "orders")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "orders" in done.err


def test_load_traceback_shows_whole_traceback(project_of):
    project = project_with_handler(project_of, "raise ConnectionError('reset by peer')")
    assert "load_stored" in project.rivers("load", "orders", "--traceback").err


@pytest.mark.parametrize(("asset", "key"), [("orders", []), ("daily", ["-p", "mon"])])
def test_load_reports_missing_file_as_not_stored(project_of, asset, key):
    done = project_with_handler(project_of, "return open('no such file')").rivers("load", asset, *key)
    assert done.code == 1
    assert "Nothing is stored for" in done.err
    assert f"asset {asset!r}" in done.err
    assert "(Shelf, 'shelf 3')" in done.err
    assert "Materialize it first." in done.err
    assert "Traceback" not in done.err


def test_load_node_keeps_cause_of_not_materialized():
    class Shelf(rs.BaseIOHandler):
        def handle_output(self, context, obj):
            raise AssertionError("not stored")

        def load_input(self, context):
            if context.asset_name == "broken":
                raise ConnectionError("reset by peer")
            raise FileNotFoundError(2, "No such file", "x")

        async def exists(self, context):
            return False

    shelf = Shelf()

    @rs.Asset(io_handler=shelf)
    def orders() -> int:
        return 1

    @rs.Asset(io_handler=shelf)
    def broken() -> int:
        return 1

    feed = rs.Asset.external(name="feed", io_handler=shelf)
    with rs.CodeRepository([orders, broken, feed], config=False) as repository:
        with pytest.raises(NotMaterializedError, match=r"'orders' \(Shelf\)") as caught:
            repository.load_node("orders")
        assert isinstance(caught.value.__cause__, FileNotFoundError)
        with pytest.raises(NotMaterializedError, match="It is an external asset"):
            repository.load_node("feed")
        with pytest.raises(ConnectionError) as other:
            repository.load_node("broken")
        assert other.value.__notes__ == ["loading asset 'broken' with 'Shelf'"]


def test_partition_errors_name_option(project_of):
    project = project_with_handler(project_of, "return 1")
    without, superfluous = project.rivers("load", "daily"), project.rivers("load", "orders", "-p", "mon")
    nothing = project.rivers("materialize", "daily")
    for done in (without, superfluous, nothing):
        assert done.code == 2
        assert " -p" in done.err
        assert "partition_key" not in done.err


ODD = """
@rs.Asset
def text() -> str:
    return "\\x1b]0;title\\x07 caf\\u00e9 \\ud800 \\U0001f600"

@rs.Asset
def table() -> dict:
    return {"caf\\u00e9": "\\ud800"}

repo = rs.CodeRepository([text, table])
"""


def printed(project, arguments, encoding, monkeypatch):
    """Return the bytes that a call writes to a stream of this encoding."""
    written = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding, write_through=True))
        project.ok(*arguments)
        return written.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_output_escapes_characters_missing_in_encoding(project_of, monkeypatch, encoding):
    project = project_of(ODD)
    project.ok("materialize")
    for command in (["assets"], ["load", "text"], ["load", "table"], ["runs"], ["--help"]):
        assert printed(project, command, encoding, monkeypatch)
    assert rb"\u2013" not in printed(project, ["assets"], encoding, monkeypatch)
    assert rb"\ud800" in printed(project, ["load", "text"], encoding, monkeypatch)
    for name, head in (
        ("text", "\x1b]0;title\x07 caf\u00e9 \ud800 \U0001f600"),
        ("table", {"caf\u00e9": "\ud800"}),
    ):
        document = json.loads(
            printed(project, ["load", name, "--json"], encoding, monkeypatch).decode(encoding)
        )
        assert document["head"] == head


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_escape_control_escapes_on_terminal_only():
    text = "\x1b]0;title\x07\tone\r\ntwo\x9b31m\x7f é"
    assert escape_control(text, Terminal()) == "\\x1b]0;title\\x07\tone\\x0d\ntwo\\x9b31m\\x7f é"
    assert escape_control(text, io.StringIO()) == text


def test_load_shows_beginning_of_value(run):
    done = run.ok("load", "orders", "--head", "2")
    assert "orders, list, 3 items (from files)" in done.out
    assert "'bread'\n'milk'\n" in done.out
    assert done.out.count("bread") == 1


def test_load_of_missing_value_suggests_materialize(project):
    done = project.rivers("load", "orders")
    assert done.code == 1
    assert "Materialize it first" in done.err


def test_load_error_of_project_handler_shows_its_lines_only(project_of):
    project = project_of(
        """
class Feed(rs.BaseIOHandler):
    def handle_output(self, context, obj):
        pass
    def load_input(self, context):
        raise ConnectionError("no route to the feed")

@rs.Asset(io_handler=Feed())
def feed() -> int:
    return 1

repo = rs.CodeRepository([feed])
"""
    )
    done = project.rivers("load", "feed")
    assert done.code == 1
    assert 'raise ConnectionError("no route to the feed")' in done.err
    assert "rivers_cli" not in done.err
    assert "partition_key=" in project.rivers("load", "feed", "--traceback").err

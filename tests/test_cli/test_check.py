"""`rivers check`: reports all problems, tests each store without touching its values."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import threading

import pytest

import rivers as rs
from rivers.inspection.check import PROBE, probe_value, run_store_tests, stores_to_test
from rivers_core.handler import BaseIOHandler

DEAD = (
    'endpoint = "http://127.0.0.1:9", allow_http = "true", max_retries = "0", aws_access_key_id = "not-to-be-shown-1", '
    'aws_secret_access_key = "not-to-be-shown-2"'
)


def test_check_passes_and_times_stores(project):
    document = project.ok("check", "--json").document
    assert document["ok"] is True
    (store,) = document["stores"]
    assert (store["name"], store["state"]) == ("files", "ok")
    assert store["assets"] == ["orders", "counts", "report"]
    assert set(store["seconds"]) == {"put", "get", "delete"}


def test_check_leaves_no_probe_and_no_event_log(project):
    project.ok("check")
    assert project.files("data") == []
    assert not (project.path / ".rivers").exists()


def damage(event_log):
    (event_log / "rivers.db").write_bytes(b"no history at all" * 100)


def write_newer_version(event_log):
    with contextlib.closing(sqlite3.connect(event_log / "rivers.db")) as database:
        database.execute("PRAGMA user_version = 99")


def replace_by_file(event_log):
    shutil.rmtree(event_log)
    event_log.write_text("a file where a folder should be")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (damage, "not a SQLite file"),
        (write_newer_version, "written by a newer rivers"),
        (replace_by_file, ".rivers"),
    ],
)
def test_check_reports_unreadable_event_log(project, spoil, message):
    project.ok("materialize")
    assert "Event log: 3 assets" in project.ok("check").out
    spoil(project.path / ".rivers")
    done = project.rivers("check", "--json")
    assert done.code == 1
    assert len(done.document["findings"]) == 1
    assert message in done.document["findings"][0]


def test_check_warns_of_rule_without_assets(project):
    project.edit(
        "rivers.toml",
        "[io_handlers.other]",
        '[assets]\nordes = "other"\n"co*" = "files"\n[io_handlers.other]',
    )
    done = project.ok("check", "--json")
    (warning,) = done.document["warnings"]
    assert '"ordes"' in warning
    assert "Did you mean 'orders'?" in warning


def test_check_keeps_stored_values(project):
    project.ok("materialize")
    before = {name: (project.path / "data" / name).read_bytes() for name in project.files("data")}
    project.ok("check")
    assert {name: (project.path / "data" / name).read_bytes() for name in project.files("data")} == before


def test_check_reports_store_that_cannot_be_written(project):
    project.write("data", "a file where a folder should be")
    done = project.rivers("check")
    assert done.code == 1
    assert "1 of 1 stores failed" in done.out
    assert "data" in done.out
    assert "Traceback" not in done.out + done.err


@pytest.mark.parametrize("option", [[], ["--traceback"]])
def test_check_reports_unreachable_store_without_secrets(project, option):
    project.edit(
        "rivers.toml", 'store = "file:./data"', 'store = "s3://bucket/x"\nstorage_options = { ' + DEAD + " }"
    )
    done = project.rivers("check", *option)
    assert done.code == 1
    assert "http://127.0.0.1:9/bucket/x" in done.out
    assert "The server does not answer" in done.out
    assert "not-to-be-shown" not in done.out + done.err


def test_misspelled_repository_is_reported_with_other_problems(project):
    project.edit("rivers.toml", "repository =", "repositry =")
    project.edit("rivers.toml", 'default_io_handler = "files"', 'default_io_handler = "flies"')
    done = project.rivers("materialize")
    assert done.code == 2
    for message in ("Did you mean 'repository'", "'flies'", "does not set `repository`"):
        assert message in done.err


def test_unknown_environment_names_its_origin(project, monkeypatch):
    assert (
        "'prd' (given as an argument). Did you mean 'prod'?" in project.rivers("assets", "--env", "prd").err
    )
    monkeypatch.setenv("RIVERS_ENV", "prd")
    assert "'prd' (RIVERS_ENV in the environment)" in project.rivers("assets").err


def test_check_without_probe_tests_no_store(project):
    project.write("data", "a file where a folder should be")
    assert project.ok("check", "--no-probe", "--json").document["stores"] == []


def test_check_reports_all_problems_at_once(project):
    project.edit("rivers.toml", 'store = "file:./other"', 'stoer = "file:./other"')
    project.edit("rivers.toml", 'default_io_handler = "files"', 'default_io_handler = "flies"')
    project.edit("definitions.py", "def counts(orders:", "def counts(ordres:")
    done = project.rivers("check", "--json")
    assert done.code == 1
    text = "\n".join(done.document["findings"])
    for message in ("stoer", "Did you mean 'store'", "'flies'", "ordres"):
        assert message in text


def test_check_reports_configuration_problem_once(project):
    project.edit(
        "rivers.toml", 'use = "pickle"\nstore = "file:./data"', 'use = "pickel"\nstore = "file:./data"'
    )
    findings = project.rivers("check", "--json").document["findings"]
    assert len(findings) == 1
    assert "rivers.toml [io_handlers.files] use" in findings[0]


def test_check_shows_project_lines_of_import_error(project):
    project.edit("definitions.py", "import rivers as rs", "import rivers as rs\n\nbroken = 1 / 0")
    done = project.rivers("check")
    assert done.code == 1
    assert "broken = 1 / 0" in done.err
    assert "import_module" not in done.err


def test_check_does_not_write_to_read_only_handler(project_of):
    project = project_of(
        """
class Feed(rs.BaseIOHandler):
    def handle_output(self, context, obj):
        raise AssertionError("must not be written to")
    def load_input(self, context):
        return [1]
    def exists(self, context):
        return False

feed = rs.Asset.external(name="feed", io_handler=Feed())

@rs.Asset
def total(feed: list[int]) -> int:
    return sum(feed)

repo = rs.CodeRepository([feed, total])
"""
    )
    stores = {store["name"]: store for store in project.ok("check", "--json").document["stores"]}
    assert stores["Feed"]["state"] == "ok"
    assert "only read from" in stores["Feed"]["remark"]
    assert stores["files"]["seconds"].keys() == {"put", "get", "delete"}


def test_check_skips_handler_without_delete(project_of):
    project = project_of(
        """
class Once(rs.BaseIOHandler):
    def handle_output(self, context, obj):
        raise AssertionError("the probe could not be deleted")
    def load_input(self, context):
        raise AssertionError("must not be loaded")

@rs.Asset(io_handler=Once())
def total() -> int:
    return 1

repo = rs.CodeRepository([total])
"""
    )
    (store,) = project.ok("check", "--json").document["stores"]
    assert store["state"] == "not tried"
    assert "cannot delete" in store["remark"]


STORED: dict[str, object] = {}


class Shelf(BaseIOHandler):
    """A store with a fault; STORED holds what it stores."""

    fault: str = ""

    def handle_output(self, context, obj):
        STORED[context.asset_name] = obj

    def load_input(self, context):
        if self.fault == "get":
            raise ConnectionError("reset by peer")
        return "something else" if self.fault == "different" else STORED[context.asset_name]

    def exists(self, context):
        return context.asset_name in STORED

    def delete(self, context):
        if self.fault != "delete":
            del STORED[context.asset_name]


def run_test(handler, timeout=60.0):
    @rs.Asset(io_handler=handler)
    def asset() -> int:
        return 1

    graph = rs.CodeRepository([asset], config=False).graph
    (store,) = run_store_tests(stores_to_test(graph), timeout)
    return store


@pytest.mark.parametrize(
    ("fault", "message", "left"),
    [
        ("get", "reset by peer", 0),
        ("different", "differs from the stored", 0),
        ("delete", "still exists", 1),
    ],
)
def test_store_test_reports_fault_and_removes_probe(fault, message, left):
    STORED.clear()
    store = run_test(Shelf(fault=fault))
    assert store.state == "failed"
    assert message in store.remark
    assert len(STORED) == left


def test_store_test_accepts_failing_delete():
    class Kept(Shelf):
        def delete(self, context):
            raise PermissionError("no permission to delete")

    STORED.clear()
    store = run_test(Kept())
    assert store.state == "ok"
    assert "no permission to delete" in store.remark
    again = run_test(Kept())
    assert again.state == "ok"
    assert "cannot delete" in again.remark
    assert set(again.timings) == {"put", "get"}
    assert len(STORED) == 1


def test_store_test_tolerates_concurrent_test():
    class Contested(Shelf):
        def load_input(self, context):
            if context.asset_name == PROBE:
                raise FileNotFoundError
            return Shelf.load_input(self, context)

    STORED.clear()
    assert run_test(Contested()).state == "ok"
    assert not STORED


def test_store_test_times_out():
    answer = threading.Event()

    class Silent(Shelf):
        def handle_output(self, context, obj):
            answer.wait(60)

    store = run_test(Silent(), timeout=0.05)
    answer.set()
    assert store.state == "failed"
    assert "No answer within 0.05 s" in store.remark


def test_store_test_awaits_handler():
    class AsyncShelf(Shelf):
        async def handle_output(self, context, obj):
            Shelf.handle_output(self, context, obj)

        async def load_input(self, context):
            return Shelf.load_input(self, context)

    assert run_test(AsyncShelf()).state == "ok"


def test_probe_value_has_type_that_handler_stores():
    class Texts(Shelf):
        def accepts_type(self, hint):
            return hint is bytes

    assert probe_value(Texts()) == b"rivers probe"
    assert probe_value(Shelf()) == {"rivers": "probe"}


def test_check_reports_executors_of_the_configuration(project):
    project.edit(
        "rivers.toml",
        "[environments.prod",
        '[executors.big]\nuse = "paralell"\n'
        '[executors.few]\nuse = "parallel"\nmax_worker = 2\n'
        '[executors.good]\nuse = "parallel"\nmax_workers = 2\n'
        '[executors.none]\nuse = "parallel"\nmax_workers = 0\n'
        "[environments.prod",
    )
    result = project.rivers("check", "--no-probe", "--json")
    assert result.code == 1
    unknown, argument, value = result.document["findings"]
    assert "[executors.big]" in unknown
    assert "Did you mean 'parallel'" in unknown
    assert "[executors.few]" in argument
    assert "Did you mean 'max_workers'" in argument
    assert "[executors.none]" in value

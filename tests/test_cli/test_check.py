"""`rivers check`: everything that is wrong, and each store tried without touching what is in it."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import threading

import pytest

import rivers as rs
from rivers_cli.probing import probe_value, stores_of, try_all
from rivers_core.handler import BaseIOHandler

DEAD = (
    'endpoint = "http://127.0.0.1:9", allow_http = "true", max_retries = "0", aws_access_key_id = "not-to-be-shown-1", '
    'aws_secret_access_key = "not-to-be-shown-2"'
)


def test_a_sound_project_passes_and_its_stores_are_timed(project):
    document = project.ok("check", "--json").document
    assert document["ok"] is True
    (store,) = document["stores"]
    assert (store["name"], store["state"]) == ("files", "ok")
    assert store["assets"] == ["orders", "counts", "report"]
    assert set(store["seconds"]) == {"put", "get", "delete"}


def test_a_probe_leaves_nothing_behind_and_begins_no_history(project):
    project.ok("check")
    assert project.files("data") == []
    assert not (project.path / ".rivers").exists()


def damaged(history):
    (history / "rivers.db").write_bytes(b"no history at all" * 100)


def of_a_newer_rivers(history):
    with contextlib.closing(sqlite3.connect(history / "rivers.db")) as database:
        database.execute("PRAGMA user_version = 99")


def replaced_by_a_file(history):
    shutil.rmtree(history)
    history.write_text("a file where a folder should be")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (damaged, "not a SQLite file"),
        (of_a_newer_rivers, "written by a newer rivers"),
        (replaced_by_a_file, ".rivers"),
    ],
)
def test_a_history_that_cannot_be_opened_is_found(project, spoil, said):
    project.ok("materialize")
    assert "History: 3 assets" in project.ok("check").out
    spoil(project.path / ".rivers")
    done = project.rivers("check", "--json")
    assert done.code == 1
    assert len(done.document["findings"]) == 1
    assert said in done.document["findings"][0]


def test_a_rule_that_fits_no_asset_is_told_with_the_nearest_name(project):
    project.edit(
        "rivers.toml",
        "[io_handlers.other]",
        '[assets]\nordes = "other"\n"co*" = "files"\n[io_handlers.other]',
    )
    done = project.ok("check", "--json")
    (warning,) = done.document["warnings"]
    assert '"ordes"' in warning
    assert "Did you mean 'orders'?" in warning


def test_values_that_are_stored_stay_as_they_are(project):
    project.ok("materialize")
    before = {name: (project.path / "data" / name).read_bytes() for name in project.files("data")}
    project.ok("check")
    assert {name: (project.path / "data" / name).read_bytes() for name in project.files("data")} == before


def test_a_store_that_cannot_be_written_fails_with_the_reason(project):
    project.write("data", "a file where a folder should be")
    done = project.rivers("check")
    assert done.code == 1
    assert "1 of 1 stores failed" in done.out
    assert "data" in done.out
    assert "Traceback" not in done.out + done.err


@pytest.mark.parametrize("option", [[], ["--traceback"]])
def test_a_store_that_does_not_answer_is_named_with_its_address_and_no_credential(project, option):
    project.edit(
        "rivers.toml", 'store = "file:./data"', 'store = "s3://bucket/x"\nstorage_options = { ' + DEAD + " }"
    )
    done = project.rivers("check", *option)
    assert done.code == 1
    assert "http://127.0.0.1:9/bucket/x" in done.out
    assert "The server does not answer" in done.out
    assert "not-to-be-shown" not in done.out + done.err


def test_a_misspelt_repository_is_told_with_all_the_rest(project):
    project.edit("rivers.toml", "repository =", "repositry =")
    project.edit("rivers.toml", 'default_io_handler = "files"', 'default_io_handler = "flies"')
    done = project.rivers("materialize")
    assert done.code == 2
    for said in ("Did you mean 'repository'", "'flies'", "does not say where the repository is"):
        assert said in done.err


def test_an_environment_is_refused_by_who_asked_for_it(project, monkeypatch):
    assert "'prd' (asked for). Did you mean 'prod'?" in project.rivers("assets", "--env", "prd").err
    monkeypatch.setenv("RIVERS_ENV", "prd")
    assert "'prd' (RIVERS_ENV in the environment)" in project.rivers("assets").err


def test_stores_are_left_alone_without_probe(project):
    project.write("data", "a file where a folder should be")
    assert project.ok("check", "--no-probe", "--json").document["stores"] == []


def test_everything_that_is_wrong_comes_at_once(project):
    project.edit("rivers.toml", 'store = "file:./other"', 'stoer = "file:./other"')
    project.edit("rivers.toml", 'default_io_handler = "files"', 'default_io_handler = "flies"')
    project.edit("definitions.py", "def counts(orders:", "def counts(ordres:")
    done = project.rivers("check", "--json")
    assert done.code == 1
    text = "\n".join(done.document["findings"])
    for said in ("stoer", "Did you mean 'store'", "'flies'", "ordres"):
        assert said in text


def test_one_mistake_of_the_configuration_is_told_once_however_many_assets_have_it(project):
    project.edit(
        "rivers.toml", 'use = "pickle"\nstore = "file:./data"', 'use = "pickel"\nstore = "file:./data"'
    )
    findings = project.rivers("check", "--json").document["findings"]
    assert len(findings) == 1
    assert "rivers.toml [io_handlers.files] use" in findings[0]


def test_code_that_cannot_be_imported_is_shown_by_its_own_lines(project):
    project.edit("definitions.py", "import rivers as rs", "import rivers as rs\n\nbroken = 1 / 0")
    done = project.rivers("check")
    assert done.code == 1
    assert "broken = 1 / 0" in done.err
    assert "import_module" not in done.err


def test_a_handler_that_only_reads_is_not_written_to(project_of):
    project = project_of(
        """
class Feed(rs.BaseIOHandler):
    def handle_output(self, context, obj):
        raise AssertionError("nobody may write here")
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


def test_a_handler_that_cannot_delete_gets_no_probe(project_of):
    project = project_of(
        """
class Once(rs.BaseIOHandler):
    def handle_output(self, context, obj):
        raise AssertionError("a probe would stay for ever")
    def load_input(self, context):
        raise AssertionError("not asked")

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
    """A store with faults; what was left behind shows in STORED."""

    fault: str = ""

    def handle_output(self, context, obj):
        STORED[context.asset_name] = obj

    def load_input(self, context):
        if self.fault == "get":
            raise ConnectionError("reset by peer")
        return "something else" if self.fault == "other" else STORED[context.asset_name]

    def exists(self, context):
        return context.asset_name in STORED

    def delete(self, context):
        if self.fault != "delete":
            del STORED[context.asset_name]


def tried(handler, seconds=10.0):
    @rs.Asset(io_handler=handler)
    def asset() -> int:
        return 1

    graph = rs.CodeRepository([asset], config=False).graph
    (store,) = try_all(stores_of(graph), seconds)
    return store


@pytest.mark.parametrize(
    ("fault", "said", "left"),
    [
        ("get", "reset by peer", 0),
        ("other", "is not what was stored", 0),
        ("delete", "is still there", 1),
    ],
)
def test_each_fault_of_a_store_is_named_and_the_probe_removed_if_it_can_be(fault, said, left):
    STORED.clear()
    store = tried(Shelf(fault=fault))
    assert store.state == "failed"
    assert said in store.remark
    assert len(STORED) == left


def test_a_store_that_never_answers_does_not_keep_the_command_waiting():
    answer = threading.Event()

    class Silent(Shelf):
        def handle_output(self, context, obj):
            answer.wait(10)

    store = tried(Silent(), seconds=0.05)
    answer.set()
    assert store.state == "failed"
    assert "No answer within 0.05 s" in store.remark


def test_asynchronous_handlers_are_tried_too():
    class Waiting(Shelf):
        async def handle_output(self, context, obj):
            Shelf.handle_output(self, context, obj)

        async def load_input(self, context):
            return Shelf.load_input(self, context)

    assert tried(Waiting()).state == "ok"


def test_a_probe_is_of_a_type_that_the_handler_takes():
    class Texts(Shelf):
        def accepts_type(self, hint):
            return hint is bytes

    assert probe_value(Texts()) == b"rivers probe"
    assert probe_value(Shelf()) == {"rivers": "probe"}

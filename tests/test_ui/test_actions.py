"""With --actions the page starts and cancels runs; without it the routes do not exist."""

from __future__ import annotations

import time

import pytest

from rivers.storage import Storage
from rivers_ui import actions
from rivers_ui.actions import Actions
from rivers_ui.app import Page, PageProject, create_routes
from rivers_ui.client import WorkerClient
from tests.test_ui.conftest import serve

POSTS = ("runs", "runs/r1/cancel")


@pytest.fixture
def acting_server(ui_folder):
    with serve(ui_folder, has_actions=True) as server:
        yield server


def finished(server, number):
    """Return an action after its command has ended."""
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        action = next(item for item in server.get("actions") if item["id"] == number)
        if action["code"] is not None:
            return action
        time.sleep(0.05)
    pytest.fail("the command did not end")


@pytest.mark.parametrize("has_actions", [False, True])
def test_routes_of_actions_exist_only_with_actions(tmp_path, has_actions):
    worker = WorkerClient(tmp_path, (None, None, None))
    actions = Actions((None, None, None)) if has_actions else None
    routes = create_routes(Page(PageProject("p", None, tmp_path, str), worker, worker, actions))
    posts = {route.path for route in routes if "POST" in route.methods}
    assert posts == (
        {f"/api/v1/{path.replace('r1', '{run_id}')}" for path in POSTS} if has_actions else set()
    )


def test_server_without_actions_refuses_post(server):
    for path in POSTS:
        assert server.post(path, {}).status == 405
    assert not server.get("project")["actions"]


REFUSED = {
    "no origin": (403, {"Origin": None}),
    "foreign origin": (403, {"Origin": "http://attacker.example"}),
    "origin with another port": (403, {"Origin": "http://127.0.0.1:1"}),
    "null origin": (403, {"Origin": "null"}),
    "other site": (403, {"Sec_Fetch_Site": "cross-site"}),
    "address bar": (403, {"Sec_Fetch_Site": "none"}),
    "form": (415, {"Content_Type": "application/x-www-form-urlencoded"}),
    "text": (415, {"Content_Type": "text/plain"}),
    "no type": (415, {"Content_Type": None}),
    "no token": (401, {"Authorization": "Bearer wrong"}),
}


def test_guard_refuses_actions_that_are_not_of_the_page(acting_server):
    for name, (status, changed) in REFUSED.items():
        for path in POSTS:
            assert acting_server.post(path, {"select": "orders"}, **changed).status == status, name
    assert acting_server.get("actions") == []


def test_guard_refuses_large_bodies_and_other_methods(acting_server):
    assert acting_server.post("runs", {"select": "x" * 70_000}).status == 413
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
        assert acting_server.request("/api/v1/runs", method).status == 405
    assert acting_server.post("assets", {}).status == 405


INVALID = [
    ({"select": "unknown"}, 404),
    ({"select": "--help"}, 404),
    ({"select": ""}, 400),
    ({}, 400),
    ({"select": "regions", "partition": "west"}, 400),
    ({"select": "regions"}, 400),
    ({"select": ["orders"]}, 400),
    ([], 400),
]


def test_materialize_validates_selection_and_key(acting_server):
    for document, status in INVALID:
        answer = acting_server.post("runs", document)
        assert answer.status == status, document
        assert answer.document["message"]
    assert acting_server.get("actions") == []


def test_materialize_runs_the_command(acting_server):
    started = acting_server.post("runs", {"select": "+counts"}).document
    assert started["command"] == "rivers materialize -- orders counts"
    assert finished(acting_server, started["id"])["code"] == 0
    [run] = acting_server.get("runs")["runs"]
    assert (run["selection"], run["status"]) == (["orders", "counts"], "Success")
    started = acting_server.post("runs", {"select": "regions", "partition": "north"}).document
    assert finished(acting_server, started["id"])["code"] == 0
    assert acting_server.assets()["regions"]["counts"] == [1, 0, 1]


def test_page_starts_no_more_commands_than_its_limit(acting_server, monkeypatch):
    monkeypatch.setattr(actions, "MAX_RUNNING", 0)
    assert acting_server.post("runs", {"select": "orders"}).status == 409
    assert acting_server.get("actions") == []


def test_cancel_requests_cancellation_of_a_running_run(acting_server, ui_folder):
    assert acting_server.post("runs/r1/cancel", {}).status == 404
    with Storage.embedded(ui_folder / ".rivers") as storage:
        storage.start_run("r1", steps=["orders"])
        started = acting_server.post("runs/r1/cancel", {}).document
        assert finished(acting_server, started["id"])["code"] == 0
        assert storage.is_cancelled("r1")
        storage.finish_run("r1", "canceled")
    assert acting_server.post("runs/r1/cancel", {}).status == 409

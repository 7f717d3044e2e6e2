"""The page gives the answers of the command, about the same project and event log."""

from __future__ import annotations

import json
import sqlite3

import pytest

from rivers.exceptions import StorageError
from rivers.storage import Storage
from rivers_cli.main import main
from rivers_ui.client import WorkerClient, WorkerError


def without_state(documents):
    return [{key: value for key, value in item.items() if key != "state"} for item in documents]


def test_page_follows_a_run_of_another_process(server):
    before = server.get("changes")
    assert {item["state"] for item in server.get("assets")} == {"missing"}
    assert server.get("runs")["runs"] == []
    assert not (server.folder / ".rivers").exists()

    server.command("materialize", "orders", "counts")

    assert server.get("changes", after=before["token"])["token"] != before["token"]
    assert without_state(server.get("assets")) == json.loads(server.command("assets", "--json"))
    [run] = server.get("runs")["runs"]
    assert [run] == json.loads(server.command("runs", "--json"))
    events = server.get(f"runs/{run['run_id']}")["events"]
    assert [event["event"] for event in events] == [
        "RunStart",
        "Materialization",
        "Materialization",
        "RunSuccess",
    ]
    [stored] = server.get("assets/orders/events")["events"]
    assert stored["asset"] == "orders"
    assert stored["run_id"] == run["run_id"]
    after = server.get("changes")["token"]
    assert server.get("changes", after=after) == {"token": after, "running": None}


def test_server_redacts_every_text_of_an_answer(server, ui_folder):
    with Storage.embedded(ui_folder / ".rivers") as storage:
        storage.start_run("r1", tags=[("note", "token-hunter2")], steps=["orders"])
        storage.finish_run("r1", "failure", "failed with hunter2")
    for path in ("runs", "runs/r1", "changes"):
        assert "hunter2" not in json.dumps(server.get(path))
    assert "****" in json.dumps(server.get("runs"))


def test_server_serves_the_built_page(server, built_page):
    page = server.request("/", token=None).body.decode()
    assert "/static/app.js" in page
    assert server.request("/static/app.js", token=None).body


def test_lineage_is_that_of_the_command_with_positions(server):
    lineage = server.get("lineage")
    document = json.loads(server.command("graph", "--json"))
    assert {key: lineage[key] for key in document} == document
    assert set(lineage["boxes"]) == {"orders", "counts", "regions"}
    assert (
        lineage["boxes"]["orders"]["x"] < lineage["boxes"]["counts"]["x"] < lineage["boxes"]["regions"]["x"]
    )
    assert len(lineage["paths"]) == len(lineage["edges"]) == 2


def test_asset_shows_definition_and_neighbors(server):
    asset = server.get("assets/counts")
    assert (asset["upstream"], asset["downstream"]) == (["orders"], ["regions"])
    assert asset["description"] == "How often each was sold."
    assert server.get("assets/orders")["description"] == "Orders of the bakery."
    assert [value["partition"] for value in server.get("assets/regions")["values"]] == ["north", "south"]
    assert [item["asset"] for item in server.get("assets", select="group:answers")] == ["counts", "regions"]


def test_handlers_show_settings_with_origin(server):
    handlers = {item["name"]: item for item in server.get("handlers")}
    assert handlers["files"]["assets"] == ["orders", "counts", "regions"]
    origins = {field["field"]: field["origin"] for field in handlers["files"]["fields"]}
    assert origins["store"] == "file"
    assert any(item["distribution"] == "rivers-ui" for item in server.get("plugins"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("assets/unknown", 404),
        ("assets/unknown/events", 404),
        ("assets?select=unknown", 404),
        ("runs/unknown", 404),
        ("runs?limit=0", 400),
        ("runs?limit=1001", 400),
        ("unknown", 404),
    ],
)
def test_server_refuses_unknown_names(server, path, status):
    answer = server.request(f"/api/v1/{path}")
    assert answer.status == status
    assert answer.document["message"]


def test_broken_project_still_shows_runs_and_the_error(server):
    server.command("materialize", "orders")
    (server.folder / "definitions.py").write_text("raise LookupError('no such bakery')")
    answer = server.request("/api/v1/assets")
    assert answer.status == 500
    assert "no such bakery" in answer.document["detail"]
    assert len(server.get("runs")["runs"]) == 1


def test_worker_reports_a_project_that_ends_the_process(ui_folder):
    (ui_folder / "definitions.py").write_text("import os\nos._exit(3)")
    worker = WorkerClient(ui_folder, (None, None, None))
    with pytest.raises(WorkerError, match="3"):
        worker.call("assets")
    worker.close()


def test_worker_is_killed_when_the_project_hangs(ui_folder):
    (ui_folder / "definitions.py").write_text("import threading\nthreading.Event().wait()")
    worker = WorkerClient(ui_folder, (None, None, None), timeout=0.1)
    with pytest.raises(WorkerError) as caught:
        worker.call("assets")
    assert caught.value.error == "TimeoutError"
    worker.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "example.com", "127.0.0.1.example"])
def test_command_refuses_other_hosts(ui_folder, host, capfd):
    with pytest.raises(SystemExit) as caught:
        main(["ui", "--host", host, "--no-open"])
    assert caught.value.code == 2
    assert "ssh -L" in capfd.readouterr().err


def test_read_only_storage_changes_nothing(tmp_path):
    with Storage.embedded(tmp_path) as storage:
        storage.start_run("r1", steps=["orders"])
        with Storage.embedded(tmp_path, read_only=True) as reader:
            assert [run.run_id for run in reader.get_runs()] == ["r1"]
            with pytest.raises(StorageError):
                reader.add_dynamic_partitions("cities", ["Rome"])
    with pytest.raises(StorageError), Storage.embedded(tmp_path / "absent", read_only=True):
        pass
    assert not (tmp_path / "absent").exists()


def test_read_only_storage_refuses_newer_schema(tmp_path):
    with Storage.embedded(tmp_path):
        pass
    connection = sqlite3.connect(tmp_path / "rivers.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StorageError, match="99"), Storage.embedded(tmp_path, read_only=True):
        pass

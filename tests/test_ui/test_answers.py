"""The page gives the answers of the command, about the same project and event log."""

from __future__ import annotations

import json
import sqlite3

import pytest

from rivers.exceptions import StorageError
from rivers.storage import Event, Storage
from rivers.storage.records import LogRecord, RunningStep
from rivers_cli.main import main
from rivers_ui.client import WorkerClient, WorkerError
from tests.test_ui.conftest import ENVIRONMENTS, TOML, serve


def test_page_follows_a_run_of_another_process(server):
    before = server.get("changes")
    assert {item["state"] for item in server.assets().values()} == {"missing"}
    assert server.get("runs")["runs"] == []
    assert not (server.folder / ".rivers").exists()

    server.command("materialize", "orders", "counts")

    assert server.get("changes", after=before["token"])["token"] != before["token"]
    [run] = server.get("runs")["runs"]
    assert [run] == json.loads(server.command("runs", "--json"))
    answer = server.get(f"runs/{run['run_id']}")
    stored = [event["asset"] for event in answer["events"] if event["event"] == "Materialization"]
    assert stored == ["orders", "counts"]
    assert {step["step"]: step["state"] for step in answer["progress"]} == {
        "orders": "done",
        "counts": "done",
    }
    events = server.get("assets/orders/events")["events"]
    assert {(event["asset"], event["run_id"]) for event in events} == {("orders", run["run_id"])}
    after = server.get("changes")["token"]
    unchanged = {"token": after, "running": None, "steps": [], "problem": None}
    assert server.get("changes", after=after) == unchanged


def test_assets_are_those_of_the_command(server):
    server.command("materialize", "orders", "regions", "counts", "-p", "north")
    page, command = server.assets(), json.loads(server.command("assets", "--json"))
    assert list(page) == [item["asset"] for item in command]
    for item in command:
        row = page[item["asset"]]
        assert (row["group"], row["handler"], row["kinds"]) == (item["group"], item["handler"], item["kinds"])
        assert (row["run_id"], row["size"]) == (item["last"]["run_id"], item["last"]["size_bytes"])
        assert all(row[fact] == item[fact] for fact in ("state", "detail", "partitions"))
        states = [part["state"] for part in item["ranges"] for _ in range(part["count"])]
        assert row["counts"] == [states.count(state) for state in ("fresh", "stale", "missing")]
        if item["partitions"]:
            assert server.get(f"assets/{item['asset']}/partitions")["ranges"] == item["ranges"]
    assert [page[name]["state"] for name in ("orders", "counts", "regions")] == ["fresh", "fresh", "partial"]


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
    lefts = {asset["name"]: box[0] for asset, box in zip(lineage["assets"], lineage["boxes"], strict=True)}
    assert lefts["orders"] < lefts["counts"] < lefts["regions"]
    assert len(lineage["lanes"]) == len(lineage["edges"]) == 2


def test_lineage_shows_neighbors_of_an_asset_or_groups(server):
    near = server.get("lineage", focus="orders", depth="1")
    assert [asset["name"] for asset in near["assets"]] == ["orders", "counts"]
    groups = server.get("lineage", collapse="group")
    assert [asset["name"] for asset in groups["assets"]] == ["raw", "answers"]
    assert groups["edges"] == [{"from": "raw", "to": "answers", "loaded": True}]
    assert groups["boxes"][1][2] > near["boxes"][0][2]  # room for the number of assets


def test_asset_shows_definition_and_neighbors(server):
    asset = server.get("assets/counts")
    assert (asset["upstream"], asset["downstream"]) == (["orders"], ["regions"])
    assert asset["description"] == [["p", {}, ["How often each was sold."]]]
    assert server.get("assets/orders")["description"] == [["p", {}, ["Orders of the bakery."]]]
    assert asset["source"]["file"].endswith("definitions.py")
    assert server.get("select", select="group:answers") == ["counts", "regions"]


def test_partitions_are_ranges_of_equal_state(server):
    server.command("materialize", "orders", "counts", "regions", "-p", "south")
    partitions = server.get("assets/regions/partitions")
    assert partitions["keys"] == ["north", "south"]
    assert partitions["ranges"] == [
        {"first": "north", "last": "north", "count": 1, "state": "missing", "reason": None},
        {"first": "south", "last": "south", "count": 1, "state": "fresh", "reason": None},
    ]
    assert partitions["kind"] == "grid"
    assert server.get("assets/orders/partitions")["kind"] is None


def test_partitions_that_run_or_failed_have_that_state(server, ui_folder):
    server.command("materialize", "orders", "counts", "regions", "-p", "south")
    with Storage.embedded(ui_folder / ".rivers") as storage:
        storage.start_run("r1", steps=["regions"])
        storage.record(
            Event("StepFailure", run_id="r1", asset_key="regions", partition_key="south", message="cold")
        )
        storage.replace_running_steps(
            "r1", [RunningStep("r1", "regions", "regions", "north", 1, 10**18, "here")]
        )
        partitions = server.get("assets/regions/partitions")
        assert server.get("changes")["steps"] == ["regions"]
        storage.finish_run("r1", "failure")
    assert partitions["attempts"] == [[0, "running", None], [1, "failed", "cold"]]


def test_preview_shows_a_value_only_after_confirmation(server):
    server.command("materialize", "orders")
    assert server.request("/api/v1/assets/orders/preview").status == 400
    value = server.get("assets/orders/preview", confirm="1")
    assert (value["type"], value["extent"]) == ("list", "3 items")
    assert "bread" in value["text"]


def test_compare_pairs_facts_and_metadata_of_two_events(server):
    server.command("materialize", "orders")
    server.command("materialize", "orders")
    events = [
        event for event in server.get("assets/orders/events")["events"] if event["event"] == "Materialization"
    ]
    answer = server.get("assets/orders/compare", a=str(events[1]["id"]), b=str(events[0]["id"]))
    assert [answer["a"]["id"], answer["b"]["id"]] == [events[1]["id"], events[0]["id"]]
    facts = {name: (a, b) for name, a, b in answer["facts"]}
    assert facts["run"] == (events[1]["run_id"], events[0]["run_id"])
    series = server.get("assets/orders/series")
    assert len(series["points"]) == 2
    assert {"duration", "size"} <= {item["name"] for item in series["series"]}
    assert server.request("/api/v1/assets/orders/compare?a=0&b=0").status == 404


def test_check_config_and_plugins_are_those_of_the_command(server):
    assert (
        server.get("check")["findings"]
        == json.loads(server.command("check", "--json", "--no-probe"))["findings"]
    )
    config = server.get("config")
    assert (config.pop("environments"), config.pop("findings")) == ([], [])
    assert config.pop("event_log") == server.get("project")["event_log"]
    assert config == json.loads(server.command("config", "show", "--json"))
    plugins = [item for item in server.get("plugins") if item["state"] != "not installed"]
    assert plugins == json.loads(server.command("plugins", "--load", "--json"))
    assert not (server.folder / "data").exists()
    [store] = server.get("check", probe="1")["stores"]
    assert store["state"] == "ok"


def test_log_has_the_events_of_the_newest_runs(server):
    server.command("materialize", "orders")
    lines = server.get("logs")["lines"]
    assert lines[0]["event"] == "RunStart"
    assert {line["asset"] for line in lines} == {None, "orders"}
    assert server.get("logs", asset="orders")["lines"][-1]["asset"] == "orders"


def test_log_has_the_records_of_the_steps_of_a_run(server):
    with Storage.embedded(server.folder / ".rivers") as storage:
        storage.start_run("r1", steps=["orders"])
        storage.record_log(LogRecord("r1", "orders", 10**18, "WARNING", "low on bread", "orders"))
        storage.finish_run("r1", "success")
    lines = server.get("logs", run="r1")["lines"]
    assert ("WARNING", "low on bread") in [(line["event"], line["message"]) for line in lines]
    assert [line["event"] for line in server.get("logs", run="r1", step="orders")["lines"]] == ["WARNING"]
    assert server.get("logs", run="r1", step="counts")["lines"] == []


def test_handlers_show_settings_with_origin(server):
    handlers = {item["name"]: item for item in server.get("handlers")}
    assert handlers["files"]["assets"] == ["orders", "counts", "regions"]
    origins = {field["field"]: field["origin"] for field in handlers["files"]["fields"]}
    assert origins["store"] == "file"
    assert any(item["distribution"] == "rivers-ui" for item in server.get("plugins"))


def test_config_shows_each_environment_as_the_command_does(ui_folder, program_server):
    (ui_folder / "rivers.toml").write_text(TOML + ENVIRONMENTS)
    with serve(ui_folder, programs=program_server) as server:
        prod = server.get("config", environment="prod")
        assert (prod.pop("environments"), prod.pop("findings")) == (["prod", "wrong"], [])
        assert prod.pop("event_log") == str(ui_folder / ".rivers" / "prod")
        assert prod == json.loads(server.command("config", "show", "--env", "prod", "--json"))
        fields = {item["field"]: item for item in prod["io_handlers"]["files"]}
        assert fields["store"]["value"].endswith("/prod")
        assert fields["store"]["origin"] == "file (prod)"
        assert "correct-horse" not in json.dumps(prod)
        assert "no such handler" in server.get("config", environment="wrong")["findings"][0]
        assert server.get("config")["environment"] is None
        assert server.request("/api/v1/config?environment=other").status == 404


VERSIONED = ["assets", "select", "lineage", "runs", "logs", "handlers", "plugins", "config", "check"]
VERSIONED += ["assets/orders" + part for part in ("", "/events", "/series", "/partitions")]


def test_answer_that_has_not_changed_is_not_sent_again(server):
    server.command("materialize", "orders")
    [run] = server.get("runs")["runs"]
    for path in (*VERSIONED, f"runs/{run['run_id']}"):
        version = server.request(f"/api/v1/{path}").headers["etag"]
        again = server.request(f"/api/v1/{path}", headers=[("If-None-Match", version)])
        assert (again.status, again.body) == (304, b""), path
    server.command("materialize", "orders")
    assert len(server.get("runs")["runs"]) == 2
    assert server.request("/api/v1/runs", headers=[("If-None-Match", version)]).status == 200


UNKNOWN = {
    "assets/unknown": 404,
    "assets/unknown/events": 404,
    "select?select=unknown": 404,
    "runs/unknown": 404,
    "runs?limit=0": 400,
    "runs?limit=1001": 400,
    "lineage?focus=unknown": 404,
    "lineage?depth=x": 400,
    "unknown": 404,
}


def test_server_refuses_unknown_names(server):
    for path, status in UNKNOWN.items():
        answer = server.request(f"/api/v1/{path}")
        assert answer.status == status, path
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


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "example.com", "127.0.0.1.example", "127.0.0.2"])
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

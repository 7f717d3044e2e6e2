"""Event log in PostgreSQL, beyond the tests of all storages: sharing, lost connections, dead processes, migrations."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress

import psycopg
import pytest
from starlette.requests import Request

import rivers as rs
from rivers.exceptions import StorageError
from rivers.inspection import Project
from rivers.storage import Event, Storage
from rivers.storage.sql.schema import VERSION
from rivers_core import PluginRegistry
from rivers_postgres import PostgresStorage, database, owners
from rivers_postgres.address import Address
from rivers_ui.app import Page, PageProject
from rivers_ui.client import WorkerClient

pytestmark = pytest.mark.server


def materialization(version, run_id="r", asset="orders"):
    return Event("Materialization", run_id=run_id, asset_key=asset, data_version=str(version))


def administer(url, statement, *values):
    address = Address.parse(url)
    with psycopg.connect(address.url, autocommit=True) as connection:
        connection.execute(f"SET search_path TO {address.schema}")
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def end_connections(url):
    """End all other sessions of the server, as a failover does."""
    administer(
        url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND "
        "backend_type = 'client backend'"
    )  # fmt: skip


def versions(storage, asset="orders"):
    return [event.data_version for event in storage.get_events_for_asset(asset, limit=None)][::-1]


def python(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], stdout=subprocess.PIPE, text=True
    )


def test_connect_resolves_url_through_plugin(postgres_url):
    with Storage.connect(postgres_url) as storage:
        assert type(storage) is PostgresStorage
        assert {item.spec.name for item in PluginRegistry().storages()} >= {"postgresql", "postgres"}


def test_schemas_of_one_database_are_separate(postgres_url):
    with Storage.connect(postgres_url) as first, Storage.connect(f"{postgres_url}_second") as second:
        first.record(materialization(1))
        first.flush()
        assert second.get_events_for_asset("orders") == []


def test_two_coordinators_lose_and_double_nothing(postgres_url):
    code = """
    import sys
    from rivers.storage import Event, Storage

    url, name = sys.argv[1:]
    with Storage.connect(url) as storage:
        for number in range(20):
            run_id = f"{name}-{number}"
            storage.start_run(run_id)
            for version in range(20):
                storage.record(
                    Event("Materialization", run_id=run_id, asset_key="orders", data_version=f"{run_id}-{version}")
                )
            storage.finish_run(run_id, "success")
    """
    processes = [python(code, postgres_url, name) for name in ("a", "b")]
    assert [process.wait() for process in processes] == [0, 0]
    for process in processes:
        process.stdout.close()
    with Storage.connect(postgres_url) as storage:
        events = storage.get_events_after(0, None)
        assert [event.id for event in events] == list(range(1, 2 * 20 * 22 + 1))
        assert len(set(versions(storage))) == len(versions(storage)) == 800
        assert {run.status for run in storage.get_runs(limit=None)} == {"Success"}
        assert storage.get_asset_record("orders").materialization_count == 800


def test_reader_by_cursor_misses_no_event_of_concurrent_writers(postgres_url):
    def write(name):
        with Storage.connect(postgres_url) as storage:
            for number in range(30):
                storage.record(materialization(f"{name}{number}"))
                storage.flush()

    writers = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    seen, cursor = [], 0
    with Storage.connect(postgres_url) as reader:
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers) or reader.get_events_after(cursor, 1):
            events = reader.get_events_after(cursor)
            seen += [event.id for event in events]
            cursor = seen[-1] if seen else 0
    assert seen == list(range(1, 61))


def test_lost_connections_within_a_run_lose_and_double_nothing(postgres_url):
    with Storage.connect(postgres_url) as storage:
        storage.start_run("r")
        for number in range(30):
            storage.record(materialization(number))
            if number % 5 == 0:
                end_connections(postgres_url)
            storage.flush()
        storage.finish_run("r", "success")
        assert versions(storage) == [str(number) for number in range(30)]
        assert [event.event_type for event in storage.get_events_for_run("r", with_steps=False)][::31] == [
            "RunStart",
            "RunSuccess",
        ]


def test_query_is_repeated_when_another_thread_closed_the_storage(postgres_url, monkeypatch):
    with Storage.connect(postgres_url) as storage:
        storage.start_run("r")
        storage.request_cancellation("r")
        end_connections(postgres_url)
        monkeypatch.setattr(database, "sleep", lambda seconds: storage.close())
        assert storage.is_cancelled("r")


def test_run_of_repository_survives_lost_connections(postgres_url):
    @rs.Asset
    def orders() -> int:
        end_connections(postgres_url)
        return 1

    @rs.Asset
    def total(orders: int) -> int:
        end_connections(postgres_url)
        return orders

    with Storage.connect(postgres_url) as storage:
        repo = rs.CodeRepository([orders, total], config=False)
        result = repo.resolve(storage).materialize()
        assert result.success
        types = [event.event_type for event in storage.get_events_for_run(result.run_id, with_steps=False)]
        assert types == ["RunStart", "Materialization", "Materialization", "RunSuccess"]


@pytest.mark.parametrize("applied", [True, False], ids=["committed", "aborted"])
def test_commit_without_answer_is_applied_once(postgres_url, applied, monkeypatch):
    with Storage.connect(postgres_url) as storage:
        storage.start_run("r")
        execute, losses = psycopg.Connection.execute, []

        def lose_answer(connection, statement, *arguments, **options):
            if statement != "COMMIT" or losses:
                return execute(connection, statement, *arguments, **options)
            losses.append(statement)
            if applied:
                execute(connection, statement)
            connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(psycopg.Connection, "execute", lose_answer)
        storage.record(materialization(1))
        storage.finish_run("r", "success")
        assert losses
        types = [event.event_type for event in storage.get_events_for_run("r", with_steps=False)]
        assert types == ["RunStart", "Materialization", "RunSuccess"]


def test_server_that_stays_away_is_reported_and_events_are_kept(postgres_url, monkeypatch):
    with Storage.connect(postgres_url) as storage:
        storage.flush()
        with monkeypatch.context() as context:
            context.setattr(database, "RETRY_SECONDS", 0.3)
            context.setattr(database._Transaction, "run", lose_connection)
            with pytest.raises(StorageError, match="Materialization of 'orders'"):
                storage.record(materialization(1))
        assert versions(storage) == ["1"]


def lose_connection(transaction, raw):
    raise psycopg.OperationalError("server closed the connection unexpectedly")


def test_run_of_killed_process_is_interrupted(postgres_url, monkeypatch):
    code = """
    import sys, time
    from rivers.storage import Storage

    storage = Storage.connect(sys.argv[1])
    storage.start_run("r")
    print("started", flush=True)
    time.sleep(3600)
    """
    process = python(code, postgres_url)
    assert process.stdout.readline() == "started\n"
    monkeypatch.setattr(owners, "GRACE_SECONDS", 0)
    with Storage.connect(postgres_url) as storage:
        assert storage.get_run("r").status == "Started"
    process.kill()
    process.communicate()
    end = time.monotonic() + 60
    while True:
        with Storage.connect(postgres_url) as storage:
            if storage.get_run("r").status == "Interrupted":
                break
        assert time.monotonic() < end
        time.sleep(0.05)  # the server notices the end of the session


def test_run_of_process_that_lost_its_connection_keeps_running(postgres_url):
    with Storage.connect(postgres_url) as storage:
        storage.start_run("r")
        end_connections(postgres_url)
        with Storage.connect(postgres_url) as other:
            assert other.get_run("r").status == "Started"


def test_closed_storage_leaves_no_owner(postgres_url):
    with Storage.connect(postgres_url) as storage:
        storage.start_run("r")
    assert administer(postgres_url, "SELECT * FROM owners") == []
    with Storage.connect(postgres_url) as other:
        assert other.get_run("r").status == "Interrupted"


def test_cancellation_reaches_another_coordinator(postgres_url):
    with Storage.connect(postgres_url) as storage, Storage.connect(postgres_url) as other:
        storage.start_run("r")
        assert other.request_cancellation("r")
        assert storage.is_cancelled("r")


def test_wait_for_change_returns_when_another_process_writes(postgres_url):
    with Storage.connect(postgres_url) as storage, Storage.connect(postgres_url) as other:
        token = storage.change_token()
        assert storage.wait_for_change(token, 0) == token
        writer = threading.Timer(0.2, lambda: (other.record(materialization(1)), other.flush()))
        writer.start()
        assert storage.wait_for_change(token, 60) != token
        writer.join()


def test_older_tables_are_migrated(postgres_url):
    Storage.connect(postgres_url).open()
    for table in ("running_steps", "logs", "cancellations"):
        administer(postgres_url, f"DROP TABLE {table}")
    administer(postgres_url, "UPDATE schema_history SET version = 1")
    with pytest.raises(StorageError, match="older rivers"):
        Storage.connect(postgres_url, read_only=True).open()
    with Storage.connect(postgres_url) as storage:
        assert storage.get_run_logs("r") == []
    assert administer(postgres_url, "SELECT version FROM schema_history ORDER BY 1") == [(1,), (VERSION,)]


def test_newer_and_foreign_schemas_are_refused(postgres_url):
    with Storage.connect(postgres_url) as storage:
        storage.flush()
    administer(postgres_url, "UPDATE schema_history SET version = 99")
    with pytest.raises(StorageError, match=r"99.*Upgrade"):
        Storage.connect(postgres_url).open()
    administer(postgres_url, "DROP TABLE schema_history")
    with pytest.raises(StorageError, match="another program"):
        Storage.connect(postgres_url).open()


def test_read_only_storage_changes_nothing(postgres_url):
    with pytest.raises(StorageError, match="is empty"):
        Storage.connect(postgres_url, read_only=True).open()
    with Storage.connect(postgres_url) as storage:
        storage.start_run("r")
        with Storage.connect(postgres_url, read_only=True) as reader:
            assert reader.get_run("r").status == "Started"
            with pytest.raises(StorageError, match="read-only"):
                reader.start_run("r2")


def test_commands_that_show_and_the_page_create_no_tables(postgres_url, tmp_path, monkeypatch):
    (tmp_path / "rivers.toml").write_text(f'[storage]\nurl = "{postgres_url}"\n')
    monkeypatch.chdir(tmp_path)
    project, worker = Project(None, None, None), WorkerClient(tmp_path, (None, None, None))
    page = Page(PageProject("shop", None, None, str, open_shared=project.storage_to_read), worker, worker)
    request = Request({"type": "http", "query_string": b"", "headers": []})
    empty = page.token()
    assert (page.list_runs(request)["runs"], project.storage(reading=True).get_runs()) == ([], [])
    namespace = Address.parse(postgres_url).schema
    assert not administer(postgres_url, f"SELECT 1 FROM pg_namespace WHERE nspname = '{namespace}'")
    with Storage.connect(postgres_url) as storage:
        storage.start_run("r")
        first = page.token()
        storage.finish_run("r", "success")
        assert len({empty, first, page.token()}) == 3
        assert [run["run_id"] for run in page.list_runs(request)["runs"]] == ["r"]
    page.close()
    project.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://rivers:hunter2-secret@127.0.0.1:1/rivers",
        "postgresql://127.0.0.1:1/rivers?user=rivers&password=hunter2-secret",
        "postgresql://rivers:hunter2-secret@127.0.0.1:x/rivers",
        "postgresql://rivers:hunter2-secret@127.0.0.1:1/rivers?schema=Bad-Name",
    ],
)
def test_errors_and_repr_show_no_password(url):
    texts = []
    try:
        storage = Storage.connect(url)
        texts += [repr(storage), str(storage)]
        storage.open()
    except StorageError as error:
        texts += [str(error), repr(error), str(error.__cause__)]
    assert not [text for text in texts if "hunter2" in text]
    assert "127.0.0.1" in texts[-2]


def test_wrong_password_and_database_are_reported_at_once(postgres_server):
    with pytest.raises(StorageError, match=r"does not exist.*Check user"):
        Storage.connect(postgres_server.replace("/postgres?", "/nothing?")).open()


def test_storage_pickles_as_its_url(postgres_url):
    with Storage.connect(postgres_url) as storage, pickle.loads(pickle.dumps(storage)) as copy:
        storage.record(materialization(1))
        storage.flush()
        assert versions(copy) == ["1"]


def test_unstorable_text_is_stored_escaped(postgres_url):
    with Storage.connect(postgres_url) as storage:
        storage.record(materialization("a\0b", asset="n\0"))
        storage.record(Event("StepFailure", run_id="r", asset_key="orders", message="\udc80"))
        assert versions(storage, "n\0") == ["a\\x00b"]
        assert storage.get_events_for_asset("orders")[0].message == "\\udc80"


def test_unknown_scheme_names_installed_storages():
    with pytest.raises(rs.exceptions.HandlerNotFoundError, match="postgresql"), suppress(ZeroDivisionError):
        Storage.connect("postgresq://db/rivers")

"""A file with the tables of schema version 1 is migrated, and everything in it is found."""

from __future__ import annotations

import sqlite3

import pytest

from rivers.storage import LogRecord, Storage

TABLES = (
    """
    CREATE TABLE schema_history (
        version INTEGER PRIMARY KEY,
        applied_at INTEGER NOT NULL,
        writer TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        event_type TEXT NOT NULL,
        asset_key TEXT,
        run_id TEXT NOT NULL,
        partition_key TEXT,
        timestamp INTEGER NOT NULL,
        data_version TEXT,
        code_version TEXT,
        handler TEXT,
        step TEXT,
        attempt INTEGER NOT NULL,
        message TEXT,
        duration_ns INTEGER,
        tags TEXT,
        input_data_versions TEXT,
        metadata TEXT
    )
    """,
    "CREATE INDEX events_of_asset ON events (asset_key) WHERE asset_key IS NOT NULL",
    "CREATE INDEX events_of_run ON events (run_id)",
    """
    CREATE TABLE materialized (
        asset_key TEXT NOT NULL,
        partition_key TEXT NOT NULL,
        first_id INTEGER NOT NULL,
        last_id INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (asset_key, partition_key)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE runs (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id TEXT NOT NULL UNIQUE,
        status TEXT NOT NULL,
        start_time INTEGER NOT NULL,
        end_time INTEGER,
        job TEXT,
        partition_key TEXT,
        message TEXT,
        tags TEXT NOT NULL,
        steps TEXT NOT NULL,
        selection TEXT,
        owner TEXT
    )
    """,
    "CREATE INDEX running ON runs (status) WHERE status = 'running'",
    """
    CREATE TABLE dynamic_partitions (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        partition_key TEXT NOT NULL,
        UNIQUE (name, partition_key)
    )
    """,
    "PRAGMA application_id = 1380537938",
    "PRAGMA user_version = 1",
)
ROWS = """
INSERT INTO schema_history VALUES (1, 1700000000000000000, '0.1.0');
INSERT INTO events (id, event_type, run_id, partition_key, timestamp, attempt) VALUES
    (1, 'RunStart', 'r1', 'b', 10, 1), (4, 'RunFailure', 'r1', 'b', 40, 1), (5, 'RunStart', 'r2', NULL, 50, 1);
INSERT INTO events VALUES
    (2, 'Materialization', 'orders', 'r1', 'b', 20, 'v1', '7', 'lake', 'orders', 1, NULL, 5, '[["team", "a"]]',
     '[["raw", "v0"]]', '{"rows": {"type": "int", "value": 3}}'),
    (3, 'StepFailure', 'total', 'r1', NULL, 30, NULL, NULL, NULL, 'total', 2, 'no data', NULL, NULL, NULL, NULL);
INSERT INTO materialized VALUES ('orders', 'b', 2, 2, 1);
INSERT INTO runs VALUES
    (1, 'r1', 'failure', 10, 40, 'nightly', 'b', 'no data', '[["why", "test"]]', '["orders", "total"]', '["orders"]',
     NULL),
    (2, 'r2', 'running', 50, NULL, NULL, NULL, NULL, '[]', '[]', NULL, 'gone');
INSERT INTO dynamic_partitions (name, partition_key) VALUES ('regions', 'eu');
"""


@pytest.fixture
def first_file(tmp_path):
    connection = sqlite3.connect(tmp_path / "rivers.db")
    for statement in TABLES:
        connection.execute(statement)
    connection.executescript(ROWS)
    connection.close()
    return tmp_path


def test_first_schema_keeps_events_and_runs(first_file):
    with Storage.embedded(first_file) as storage:
        run = storage.get_run("r1")
        assert (run.status, run.job_name, run.partition_key, run.message) == (
            "Failure",
            "nightly",
            "b",
            "no data",
        )
        assert (run.tags, run.selection) == ([("why", "test")], ("orders",))
        types = [event.event_type for event in storage.get_events_for_run("r1", with_steps=False)]
        assert types == ["RunStart", "Materialization", "StepFailure", "RunFailure"]
        event = storage.get_latest_materialization("orders", "b")
        assert (event.data_version, event.code_version, event.handler) == ("v1", "7", "lake")
        assert event.metadata == [("rows", "3")]
        assert event.input_data_versions == [("raw", "v0")]
        assert storage.get_materialized_partitions("orders") == ["b"]
        assert storage.get_dynamic_partitions("regions") == ["eu"]
        assert storage.get_run("r2").status == "Interrupted"


def test_first_schema_derives_steps_whose_start_is_known(first_file):
    with Storage.embedded(first_file) as storage:
        events = storage.get_events_for_run("r1")
    assert [(event.event_type, event.id, event.timestamp) for event in events] == [
        ("RunStart", 1, 10),
        ("StepStart", 2, 15),
        ("Materialization", 2, 20),
        ("StepSuccess", 2, 20),
        ("StepFailure", 3, 30),
        ("RunFailure", 4, 40),
    ]


def test_first_schema_accepts_new_records(first_file):
    with Storage.embedded(first_file) as storage:
        assert storage.get_running_steps() == []
        assert storage.get_run_logs("r1") == []
        assert not storage.is_cancelled("r1")
        storage.record_log(LogRecord("r1", "orders", 60, "INFO", "hello"))
        assert [log.message for log in storage.get_run_logs("r1")] == ["hello"]

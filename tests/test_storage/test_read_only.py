"""A log that cannot be written: on a read-only mount, or in a folder of another user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rivers.exceptions import StorageError
from rivers.storage import Event, Storage
from rivers.storage.sqlite import connection

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no users of this kind")

READ = """
import os, sys
import rivers.storage.sqlite.storage
from rivers.storage import Storage
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    with Storage.embedded(sys.argv[1], read_only=True) as storage:
        print([event.data_version for event in storage.get_events_for_asset("orders")])
except Exception as error:
    print(type(error).__name__, error)
"""


def event(version):
    return Event("Materialization", run_id="r", asset_key="orders", data_version=version)


@pytest.fixture
def folder():
    # other users cannot reach the folders of pytest
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    folder = root / "history"
    with Storage.embedded(folder) as storage:
        storage.record(event("1"))
    yield folder
    shutil.rmtree(root)


def read(folder):
    """Read a log as a user who can write neither the file nor its folder."""
    (folder / "rivers.db").chmod(0o444)
    folder.chmod(0o555)
    try:
        return subprocess.run(
            [sys.executable, "-c", READ, str(folder)], capture_output=True, text=True, check=True
        ).stdout
    finally:
        folder.chmod(0o755)
        (folder / "rivers.db").chmod(0o644)


def test_log_in_read_only_folder_can_be_read(folder):
    before = sorted(path.name for path in folder.rglob("*"))
    assert read(folder) == "['1']\n"
    assert sorted(path.name for path in folder.rglob("*")) == before


def test_log_with_open_writer_can_be_read_from_read_only_folder(folder):
    with Storage.embedded(folder) as storage:
        storage.record(event("2"))
        storage.flush()
        for path in folder.glob("rivers.db-*"):
            path.chmod(0o444)
        assert read(folder) == "['2', '1']\n"


def test_unfinished_write_ahead_log_without_index_is_reported(folder):
    with Storage.embedded(folder) as storage:
        storage.record(event("2"))
        storage.flush()
        copy = folder.with_name("copy")
        copy.mkdir()
        for name in ("rivers.db", "rivers.db-wal"):
            shutil.copy(folder / name, copy / name)
    output = read(copy)
    assert output.startswith("StorageError")
    assert "Copy the directory" in output


def test_immutable_log_is_opened_again_after_a_change(folder, monkeypatch):
    monkeypatch.setattr(connection, "is_read_only", lambda path: True)
    with Storage.embedded(folder, read_only=True) as reader:
        assert [item.data_version for item in reader.get_events_for_asset("orders")] == ["1"]
        assert not list(folder.glob("rivers.db-*"))
        with Storage.embedded(folder) as writer:
            writer.record(event("2"))
        assert [item.data_version for item in reader.get_events_for_asset("orders")] == ["2", "1"]
        with pytest.raises(StorageError):
            reader.start_run("r2")


def test_read_only_storage_creates_nothing(tmp_path):
    with pytest.raises(StorageError), Storage.embedded(tmp_path / "missing", read_only=True) as storage:
        storage.get_runs()
    assert not (tmp_path / "missing").exists()

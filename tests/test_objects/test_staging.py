"""Staging files of libraries that do not lock them: removed if the writer was killed, and nobody else writes there."""

from __future__ import annotations

import os
import signal
import socket
import time
import zlib

import pytest

from rivers_objects import staging
from rivers_objects.staging import leftovers, writing_below
from rivers_testkit.processes import call_in_fork

pytestmark = pytest.mark.skipif(
    not staging.HAS_LOCKS or not hasattr(os, "fork"), reason="needs locks and forks"
)
SECONDS_AGO = 5.0


@pytest.fixture
def table(tmp_path):
    """A folder whose writer was killed five seconds ago."""
    folder = tmp_path / "table"
    (folder / "day=1").mkdir(parents=True)
    pid = os.fork()
    if pid == 0:
        with writing_below(str(folder), str(tmp_path)):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    (mark,) = folder.glob(".staging#*")
    change(mark, SECONDS_AGO)
    return folder


def change(path, age_s):
    moment = time.time() - age_s
    os.utime(path, (moment, moment))


def leave(path, age_s):
    path.write_bytes(b"rows")
    change(path, age_s)
    return path


def swept(folder):
    """Remove leftovers, and return the names of those of the library."""
    removed = [os.path.basename(leftover.path) for leftover in leftovers(str(folder)) if leftover.remove()]
    return {name for name in removed if "part" in name}


def test_files_of_a_killed_writer_are_removed(table):
    leave(table / "part-1.parquet#1", 4)
    leave(table / "day=1" / "part-2.parquet#7", 3)
    kept = leave(table / "part-3.parquet", 3)
    assert swept(table.parent) == {"part-1.parquet#1", "part-2.parquet#7"}
    assert kept.exists()
    assert not list(table.rglob("*#*"))


@pytest.mark.parametrize("age_s", [SECONDS_AGO + 1, -1], ids=["older", "newer than the sweep"])
def test_files_of_other_times_are_kept(table, age_s):
    leave(table / "part-1.parquet#1", age_s)
    assert swept(table) == set()


@pytest.mark.parametrize("place", [".", ".."])
def test_files_are_kept_while_another_process_writes(table, place):
    leave(table / "part-1.parquet#1", 4)
    folder = str((table / place).resolve())
    with writing_below(folder, folder):
        assert call_in_fork(lambda: swept(table.parent), 30) == set()


def test_files_are_kept_while_another_host_writes(table):
    other = f"{zlib.crc32(socket.gethostname().encode()) ^ 1:010d}"
    leave(table / f".staging#{other}{0:018d}", 4)
    leave(table / "part-1.parquet#1", 4)
    assert swept(table) == set()


def test_files_of_other_folders_are_kept(table):
    other = table.parent / "another"
    other.mkdir()
    leave(other / "part-1.parquet#1", 4)
    assert swept(table.parent) == set()


def test_writer_leaves_no_mark(tmp_path):
    with writing_below(str(tmp_path / "table"), str(tmp_path / "root")):
        assert len(list((tmp_path / "root").iterdir())) == 1
    assert list((tmp_path / "root").iterdir()) == []

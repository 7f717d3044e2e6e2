"""Logger `rivers.run`."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

import rivers as rs


def logged(caplog):
    return [
        (record.levelname, record.getMessage()) for record in caplog.records if record.name == "rivers.run"
    ]


@rs.Asset
def plain() -> int:
    return 1


def test_run_logs_each_stored_value(repository, caplog, tmp_path):
    @rs.Asset(
        partitions_def=rs.PartitionsDefinition.static_(["a", "b"]), io_handler=rs.PickleIOHandler(tmp_path)
    )
    def daily() -> int:
        return 1

    repo = repository(daily)
    with caplog.at_level(logging.INFO, "rivers.run"):
        repo.materialize(partitions="all")
    (level, first), (_, second) = logged(caplog)
    assert level == "INFO"
    assert first.startswith("daily [a]: stored with ")
    assert second.startswith("daily [b]: ")
    assert " bytes" in first
    assert first.endswith(" s")


def test_run_logs_no_values_at_a_higher_level(repository, caplog):
    with caplog.at_level(logging.WARNING, "rivers.run"):
        repository(plain).materialize()
    assert logged(caplog) == []


def test_run_logs_retries_and_failures(repository, caplog):
    @rs.Asset(retry=rs.RetryPolicy(max_retries=1))
    def broken() -> int:
        raise ConnectionError("no route to https://user:planted@host/")

    with pytest.raises(ConnectionError):
        repository(broken).materialize()
    (first, retry), (second, failure) = logged(caplog)
    assert (first, second) == ("WARNING", "ERROR")
    assert retry.startswith("broken: attempt 1: ")
    assert failure.startswith("broken: attempt 2: ConnectionError: no route")
    assert "planted" not in caplog.text


SILENT = """
import rivers as rs
@rs.Asset
def broken():
    raise ValueError("boom")
rs.CodeRepository([broken], config=False).materialize(raise_on_error=False)
"""


def test_run_logs_nothing_unless_logging_is_configured():
    done = subprocess.run([sys.executable, "-c", SILENT], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""

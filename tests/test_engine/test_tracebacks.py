"""Tracebacks of failed steps, and the tables that notebooks show."""

from __future__ import annotations

import traceback

import pytest

import rivers as rs
from rivers.repository.tracebacks import FULL_TRACEBACKS


def helper() -> int:
    return 1 // 0


def sync_step() -> int:
    return helper()


async def async_step() -> int:
    return helper()


def frames(error):
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


@pytest.mark.parametrize("function", [sync_step, async_step])
def test_traceback_has_the_frames_of_the_project(monkeypatch, function):
    monkeypatch.delenv(FULL_TRACEBACKS, raising=False)
    repo = rs.CodeRepository([rs.Asset(function)], config=False)
    with pytest.raises(ZeroDivisionError) as caught:
        repo.materialize()
    assert frames(caught.value.__cause__) == [function.__name__, "helper"]
    assert frames(caught.value)[1:] == ["materialize", "_run"]
    (error,) = repo.materialize(raise_on_error=False).errors.values()
    assert frames(error) == [function.__name__, "helper"]


def test_traceback_has_all_frames_with_variable(monkeypatch):
    monkeypatch.setenv(FULL_TRACEBACKS, "1")
    repo = rs.CodeRepository([rs.Asset(sync_step)], config=False)
    with pytest.raises(ZeroDivisionError) as caught:
        repo.materialize()
    assert len(frames(caught.value.__cause__)) > 2
    assert "run_plan" in frames(caught.value)


def test_traceback_within_the_engine_is_kept():
    @rs.Asset
    def wrong() -> int:
        return "text"  # type: ignore[return-value]

    repo = rs.CodeRepository([wrong], config=False)
    with pytest.raises(rs.exceptions.AssetOutputValidationError) as caught:
        repo.materialize()
    assert frames(caught.value.__cause__)


def test_tables_of_events_status_and_assets():
    @rs.Asset(group="<raw>", kinds="table")
    def numbers() -> rs.Output:
        """Return <all> numbers."""
        return rs.Output([1], metadata={"note": "<b>"})

    repo = rs.CodeRepository([numbers], config=False)
    repo.materialize()
    event = repo.storage.get_latest_materialization("numbers")
    (status,) = repo.status()
    assert all(text in event._repr_html_() for text in ("Materialization", "numbers", "&lt;b&gt;", "memory"))
    assert all(text in status._repr_html_() for text in ("numbers", "fresh"))
    assert all(
        text in numbers._repr_html_() for text in ("&lt;raw&gt;", "table", "Return &lt;all&gt; numbers.")
    )

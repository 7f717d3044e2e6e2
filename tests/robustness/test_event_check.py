"""The check of recorded materializations reports events that do not tell the truth."""

from __future__ import annotations

import pytest

import rivers as rs
from tests.event_check import EventCheck

pytestmark = pytest.mark.untrue_events("the handlers of this module lie")


class Forgetful(rs.PickleIOHandler):
    """Deletes each value directly after it was stored."""

    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        self.objects.delete(self.object_path(context))


class Renaming(rs.PickleIOHandler):
    """Reports another version than that of the stored value."""

    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        context.register_data_version("another")


def check_of(handler, monkeypatch):
    @rs.Asset(io_handler=handler)
    def orders() -> list:
        return [1, 2]

    check = EventCheck()
    check.install(monkeypatch)
    with rs.CodeRepository([orders], config=False) as repo:
        repo.materialize()
    return check


def test_event_check_accepts_stored_value(tmp_path, monkeypatch):
    check = check_of(rs.PickleIOHandler(tmp_path), monkeypatch)
    assert (check.count, check.findings) == (1, [])


def test_event_check_reports_missing_value(tmp_path, monkeypatch):
    (finding,) = check_of(Forgetful(tmp_path), monkeypatch).findings
    assert "NotMaterializedError" in finding


def test_event_check_reports_other_version(tmp_path, monkeypatch):
    (finding,) = check_of(Renaming(tmp_path), monkeypatch).findings
    assert "another" in finding

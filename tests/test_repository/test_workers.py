"""The processes that run the tests."""

from __future__ import annotations

import socket

import pytest


def test_worker_sends_small_messages_at_once(request: pytest.FixtureRequest) -> None:
    if not hasattr(request.config, "workerinput"):
        pytest.skip("not a worker of pytest-xdist")
    reruns = request.config.failures_db.sock
    assert reruns.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

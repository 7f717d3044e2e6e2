"""A server that accepts connections and never answers."""

from __future__ import annotations

import signal
import socket
import threading
from contextlib import contextmanager

import pytest

from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import RiversError
from rivers_pickle import PickleIOHandler


@pytest.fixture
def options():
    """Options of a store on a server that accepts what comes in, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []

        def accept():
            try:
                while True:
                    connections.append(server.accept()[0])
            except OSError:
                pass

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield {
            "endpoint": f"http://127.0.0.1:{server.getsockname()[1]}",
            "allow_http": True,
            "access_key_id": "a",
            "secret_access_key": "b",
            "region": "us-east-1",
        }
        server.shutdown(socket.SHUT_RDWR)
        for connection in connections:
            connection.close()


@contextmanager
def interrupted_after(seconds):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_request_ends_with_the_timeout_of_the_client(options):
    handler = PickleIOHandler("s3://bucket", storage_options={**options, "timeout": "0.2s", "max_retries": 0})
    with pytest.raises(RiversError, match="orders") as caught:
        handler.load_input(InputContext("orders", "report"))
    assert isinstance(caught.value.__cause__, (TimeoutError, ConnectionError))


@pytest.mark.parametrize("size", [10, 20 << 20])
def test_interrupt_ends_a_write(options, size):
    handler = PickleIOHandler("s3://bucket", storage_options={**options, "timeout": "60s", "max_retries": 0})
    with pytest.raises(KeyboardInterrupt), interrupted_after(0.5):
        handler.handle_output(OutputContext("orders"), b"x" * size)


@pytest.mark.parametrize("call", ["load_input", "exists", "delete"])
def test_interrupt_ends_a_request(options, call):
    handler = PickleIOHandler("s3://bucket", storage_options={**options, "timeout": "60s", "max_retries": 0})
    with pytest.raises(KeyboardInterrupt), interrupted_after(0.5):
        getattr(handler, call)(InputContext("orders", "report"))

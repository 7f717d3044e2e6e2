"""Fixtures for all tests: servers, an environment without settings, and the profile of hypothesis."""

from __future__ import annotations

import gc
import os
import signal
import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

import rivers_core
from tests.event_check import EventCheck
from tests.executors import dask, dask_cluster, parallel, shared_cluster
from tests.postgres_server import postgres_server, postgres_url
from tests.program_server import ProgramServer
from tests.s3_server import s3_server, s3_url

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "dask",
    "dask_cluster",
    "parallel",
    "postgres_server",
    "postgres_url",
    "s3_server",
    "s3_url",
    "shared_cluster",
]

# No deadline: on a loaded machine, the time of one example says nothing. A change is tested with the same examples as
# the last one; `make torture` and FULL=1 look for new ones.
settings.register_profile(
    "rivers",
    deadline=None,
    derandomize=not os.environ.keys() & {"TORTURE", "FULL"},
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("rivers")


def pytest_configure() -> None:
    if rivers_core.__file__ is None:
        raise pytest.UsageError(
            "the folder rivers_core/ was imported instead of the package inside it, because the checkout is "
            "not installed: run `make test`, or `pip install -e rivers_core` and the other folders"
        )
    # obstore and deltalake parse all certificates of the system for each client: 60 ms of processor time, five sixths
    # of a test against a server on this machine, which has no use for them
    os.environ["SSL_CERT_FILE"] = str(Path(__file__).with_name("certificate.pem"))
    os.environ.pop("SSL_CERT_DIR", None)
    # a shell starts background commands with SIGINT ignored, and the programs of the tests would inherit that
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionstart(session: pytest.Session) -> None:
    # for each test, a worker sends two small messages to pytest-rerunfailures (up to 16.7) in its controller; the
    # system holds the second one back until the first is acknowledged, up to 40 ms later, longer than most tests take
    database = getattr(session.config, "failures_db", None)
    if hasattr(session.config, "workerinput") and hasattr(database, "sock"):
        database.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def pytest_collection_finish() -> None:
    # thousands of tests and the modules that they import live until the end: no later collection has to visit them,
    # which took 0.3 s for each `gc.collect()`
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def program_server() -> Iterator[ProgramServer]:
    """Start the process that forks programs; one for each process of the tests."""
    with TemporaryDirectory(prefix="rivers-") as folder:  # the path of a socket is short
        server = ProgramServer(Path(folder))
        yield server
        server.close()


@pytest.fixture(scope="module", autouse=True)
def restore_rivers_variables() -> Iterator[None]:
    """Restore what commands and `Project` set in this process; fixtures of the next module would see it."""
    before = _rivers_variables()
    yield
    for name in _rivers_variables().keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(autouse=True)
def clear_rivers_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Remove variables such as RIVERS_ENV, which a developer may have exported."""
    for name in _rivers_variables():
        monkeypatch.delenv(name)
    yield
    # set by commands that ran in this process; module fixtures of the same file would see them
    for name in ("RIVERS_ENV", "RIVERS_CONFIG"):
        os.environ.pop(name, None)


def _rivers_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.upper().startswith("RIVERS_")}


@pytest.fixture(autouse=True)
def events_tell_the_truth(request: pytest.FixtureRequest) -> Iterator[None]:
    """Verify that each value in a local folder is readable under the version that its event records.

    Tests that damage or replace values while a run goes on opt out with `@pytest.mark.untrue_events(reason)`.
    """
    if request.node.get_closest_marker("untrue_events") is not None:
        yield
        return
    check = EventCheck()
    with pytest.MonkeyPatch.context() as monkeypatch:
        check.install(monkeypatch)
        yield
    assert not check.findings, "\n".join(check.findings)

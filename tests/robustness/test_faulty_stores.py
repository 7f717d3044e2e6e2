"""Object stores that misbehave: the error is ours, it says whether another attempt may help, and no value is lost."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pytest

import rivers as rs
from rivers.definitions.retry import classify
from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_delta import remote_calls
from rivers_json import JsonIOHandler
from rivers_parquet import ParquetIOHandler
from tests.robustness.faulty_store import FAULTS, FaultyStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.server

TORTURE: Final = "TORTURE" in os.environ
TRANSIENT: Final = {"silent", "closed", "answer lost", "cut", "429", "500", "503"}
HARMLESS: Final = {"slow", "wrong ETag"}
HEAD_ONLY: Final = {"404", "portal 404"}
"""Faults that a response without a body does not show: `exists` reports that nothing is stored."""


@dataclass(frozen=True)
class Target:
    """A handler on S3 with values to write.

    Args:
        cls: Class of the handler.
        settings: Its settings.
        is_table: Whether the values are tables.
        appends: Whether a write adds to what is stored.
        large: Whether the values need a multipart upload.
    """

    cls: Callable[..., rs.BaseIOHandler]
    settings: tuple[tuple[str, Any], ...] = ()
    is_table: bool = False
    appends: bool = False
    large: bool = False

    def handler(self, url: str, options: dict[str, Any]) -> rs.BaseIOHandler:
        return self.cls(url, storage_options=options, **dict(self.settings))

    def value(self, number: int) -> Any:
        if self.is_table:
            return pa.table({"id": [1, 2], "n": [number, number]})
        return {"n": number, "rest": "x" * ((34 << 20) * self.large)}

    def content(self, number: int, first: int) -> Any:
        """Return what is read after the writes of some numbers."""
        numbers = range(first if self.appends else number, number + 1)
        if not self.is_table:
            return self.value(number)
        return [row for each in numbers for row in self.value(each).to_pylist()]

    def read(self, handler: rs.BaseIOHandler) -> Any:
        value = handler.load_input(self.asked())
        return sorted(value.to_pylist(), key=lambda row: (row["n"], row["id"])) if self.is_table else value

    def asked(self) -> rs.InputContext:
        return rs.InputContext("orders", "report", type_hint=pa.Table if self.is_table else None)

    def store(self, handler: rs.BaseIOHandler, number: int) -> None:
        handler.handle_output(rs.OutputContext("orders"), self.value(number))


MERGE: Final = {"merge_type": "upsert", "predicate": "s.id = t.id"}
TARGETS: Final = {
    "pickle": Target(rs.PickleIOHandler),
    "parquet": Target(ParquetIOHandler, is_table=True),
    "delta": Target(rs.DeltaIOHandler, is_table=True),
}
MORE_TARGETS: Final = {
    "json": Target(JsonIOHandler),
    "pickle-signed": Target(rs.PickleIOHandler, (("signing_key", "a key of enough characters"),)),
    "pickle-versions": Target(rs.PickleIOHandler, (("keep_versions", 2),)),
    "pickle-large": Target(rs.PickleIOHandler, large=True),
    "delta-append": Target(rs.DeltaIOHandler, (("mode", "append"),), is_table=True, appends=True),
    "delta-merge": Target(rs.DeltaIOHandler, (("mode", "merge"), ("merge_config", MERGE)), is_table=True),
}


@pytest.fixture(scope="module")
def proxy(s3_server: Any) -> Iterator[FaultyStore]:
    store = FaultyStore(s3_server.endpoint)
    yield store
    store.close()


class Case:
    """One action of a handler, behind the proxy, and the same store without it."""

    def __init__(self, target: Target, action: str, proxy: FaultyStore, server: Any, url: str) -> None:
        self.target, self.action, self.proxy, self.url = target, action, proxy, url
        self._options = server.options(aws_endpoint_url=proxy.url) | {"max_retries": "0", "timeout": "60s"}
        self.direct = target.handler(url, server.options())
        self.number = self.first = 0
        self.renew()

    def renew(self) -> None:
        """Store a value that is the old one from now on."""
        if not self.target.appends or not self.direct.exists(self.target.asked()):
            self.first = self.number + 1
        self.number += 1
        self.target.store(self.direct, self.number)

    def run(self, **options: str) -> Any:
        target, handler = self.target, self.target.handler(self.url, self._options | options)
        if self.action == "store":
            return target.store(handler, self.number + 1)
        if self.action == "load":
            return target.read(handler)
        return getattr(handler, self.action)(target.asked())

    def requests(self) -> int:
        """Return the number of requests of the action, and store the value again."""
        self.proxy.heal()
        self.run()
        count = self.proxy.requests
        self.number += self.action == "store"
        self.renew()
        return count

    def content(self) -> str:
        """Return which value is stored without the proxy."""
        try:
            value = self.target.read(self.direct)
        except NotMaterializedError:
            return "no"
        except RiversError:
            return "damaged"  # a Delta table whose deletion was interrupted
        names = {"old": self.number, "new": self.number + 1}
        return next(
            name for name, number in names.items() if value == self.target.content(number, self.first)
        )


@pytest.mark.parametrize("action", ["store", "load", "exists", "delete"])
@pytest.mark.parametrize("name", [*TARGETS, *(MORE_TARGETS if TORTURE else ())])
def test_fault_of_store_is_reported(name, action, proxy, s3_server, s3_url, positions, outcomes):
    target = (TARGETS | MORE_TARGETS)[name]
    case = Case(target, action, proxy, s3_server, s3_url)
    count = case.requests()
    for index, fault in enumerate(FAULTS):
        # without torture each fault begins at another request
        for at in positions(count) if TORTURE else [1 + index % count]:
            outcome = check(case, fault, at)
            content = case.content()
            outcomes[outcome] += 1
            where = f"{fault} at request {at} of {count}, {outcome}"
            assert content in allowed_contents(action, outcome), where
            if action == "store" and content == "new":
                case.number += 1
            if content in ("no", "damaged"):
                case.direct.delete(target.asked())
                case.renew()


def allowed_contents(action: str, outcome: str) -> tuple[str, ...]:
    if action in ("load", "exists"):
        return ("old",)
    if outcome == "success":
        return ("new",) if action == "store" else ("no",)
    return ("old", "new") if action == "store" else ("old", "no", "damaged")


def check_error(error: RiversError, fault: str, where: str) -> None:
    """Verify class, classification and text of an error."""
    text = str(error)
    is_transient = classify(error) in (rs.FailureReason.TIMEOUT, rs.FailureReason.INFRASTRUCTURE)
    assert not isinstance(error, NotMaterializedError), where
    assert fault not in HARMLESS, f"{where}: {text}"
    assert is_transient == (fault in TRANSIENT or "OperationAborted" in text), f"{where}: {text}"
    assert "'orders'" in text
    assert "s3://" in text
    assert "<Code>" not in text
    assert "<html>" not in text


def check(case: Case, fault: str, at: int) -> str:
    """Run the action with a fault, and return how it ended."""
    where = f"{fault} at request {at}"
    case.proxy.break_at(at, fault)
    try:
        result = case.run(**({"timeout": "0.3s"} if fault == "silent" else {}))
    except RiversError as error:
        check_error(error, fault, where)
        return "failed"
    finally:
        case.proxy.heal()
    if case.action == "load":
        assert result == case.target.content(case.number, case.first), where
    if case.action == "exists":
        assert result or fault in HEAD_ONLY, where
    return "success"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Workers of pytest-xdist ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("action", ["store", "load", "exists", "delete"])
@pytest.mark.parametrize("name", TARGETS)
def test_interrupt_ends_wait_for_silent_store(name, action, proxy, s3_server, s3_url, interruptible):
    case = Case(TARGETS[name], action, proxy, s3_server, s3_url)
    proxy.break_at(1, "silent")
    proxy.on_request = partial(os.kill, os.getpid(), signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            case.run()
    finally:
        proxy.on_request = lambda: None
        proxy.heal()
        remote_calls._interrupted.clear()
    assert case.content() == "old"

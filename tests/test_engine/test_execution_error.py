"""The error of a failed run is also an instance of the class of its cause."""

from __future__ import annotations

import asyncio
import errno
import pickle

import pytest
from pydantic import BaseModel, ValidationError

import rivers as rs
from rivers.exceptions import ExecutionError, step_error


class HTTPError(Exception):
    def __init__(self, status, *, url):
        super().__init__(f"{status} of {url}")
        self.status = status
        self.url = url

    def __str__(self):
        return f"HTTP {self.status}"


class Slotted(Exception):
    __slots__ = ("code",)


class Unextendable(ValueError):
    def __init_subclass__(cls):
        raise TypeError("final")


class WithNew(KeyError):
    def __new__(cls, key, default):
        return super().__new__(cls, key, default)


def validation_error():
    class Model(BaseModel):
        x: int

    try:
        Model(x="a")
    except ValidationError as error:
        return error


CAUSES = {
    "ValueError": (lambda: ValueError("boom"), ValueError),
    "KeyError": (lambda: KeyError("id"), KeyError),
    "own": (lambda: HTTPError(404, url="/x"), HTTPError),
    "slots": (Slotted, Slotted),
    "OSError": (lambda: FileNotFoundError(errno.ENOENT, "gone", "a.txt"), FileNotFoundError),
    "UnicodeDecodeError": (
        lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "start byte"),
        UnicodeDecodeError,
    ),
    "group": (lambda: ExceptionGroup("several", [ValueError("a")]), ExceptionGroup),
    "pydantic": (validation_error, ValueError),
    "refuses subclasses": (lambda: Unextendable("x"), ValueError),
    "own __new__": (lambda: WithNew("a", 1), WithNew),
    "not materialized": (lambda: rs.exceptions.NotMaterializedError("a"), rs.exceptions.NotMaterializedError),
    "configuration": (lambda: rs.exceptions.ConfigurationError("x", ["y"]), rs.exceptions.ConfigurationError),
    "execution": (lambda: ExecutionError("x"), ExecutionError),
    "nested run": (lambda: step_error("inner", KeyError("id")), KeyError),
}


@pytest.mark.parametrize("name", CAUSES)
def test_execution_error_is_also_its_cause(name):
    make, kind = CAUSES[name]
    cause = make()
    error = step_error("asset 'a' failed", cause)
    assert isinstance(error, ExecutionError)
    assert isinstance(error, kind)
    assert str(error) == "asset 'a' failed"
    assert error.__cause__ is cause
    assert type(step_error("again", make())) is type(error)


@pytest.mark.parametrize(
    "cause", [StopIteration(3), StopAsyncIteration(), asyncio.CancelledError(), KeyboardInterrupt()]
)
def test_execution_error_never_controls_the_interpreter(cause):
    assert type(step_error("failed", cause)) is ExecutionError


def test_execution_error_has_the_attributes_of_its_cause():
    error = step_error("failed", HTTPError(404, url="/x"))
    assert (error.status, error.url, error.args) == (404, "/x", ("404 of /x",))
    slotted = Slotted()
    slotted.code = 7
    assert step_error("failed", slotted).code == 7
    missing = step_error("failed", FileNotFoundError(errno.ENOENT, "gone", "a.txt"))
    assert (missing.errno, missing.strerror, missing.filename) == (errno.ENOENT, "gone", "a.txt")
    assert step_error("failed", KeyError("id")).args == ("id",)
    assert step_error("failed", UnicodeDecodeError("utf-8", b"\xff", 0, 1, "start")).object == b"\xff"
    group = step_error("failed", ExceptionGroup("several", [ValueError("a")]))
    assert [str(member) for member in group.exceptions] == ["a"]


@pytest.mark.parametrize("cause", [ValueError("boom"), FileNotFoundError(2, "gone", "a.txt"), KeyError("id")])
def test_execution_error_is_pickled_with_its_cause(cause):
    error = pickle.loads(pickle.dumps(step_error("failed", cause)))
    assert type(error) is type(step_error("failed", cause))
    assert str(error) == "failed"
    assert (type(error.__cause__), error.__cause__.args) == (type(cause), cause.args)


def test_failed_run_can_be_caught_by_the_error_of_its_step(repository):
    @rs.Asset
    def broken():
        raise HTTPError(503, url="/orders")

    with pytest.raises(HTTPError) as raised:
        repository(broken).materialize()
    assert (raised.value.status, type(raised.value.__cause__)) == (503, HTTPError)
    assert "'broken'" in str(raised.value)


def test_execution_error_within_a_handler_is_not_absence(repository):
    @rs.Asset
    def inner():
        raise FileNotFoundError("no such table")

    class Recomputing(rs.BaseIOHandler):
        def handle_output(self, context, obj): ...

        def load_input(self, context):
            repository(inner).materialize()

    @rs.Asset(io_handler=Recomputing())
    def total(self: rs.SelfDependency[int]) -> int:
        return 1

    repo = repository(total)
    with pytest.raises(ExecutionError, match="no such table"):
        repo.materialize()
    with pytest.raises(ExecutionError, match="no such table"):
        repo.load_node("total")


def test_failed_observation_can_be_caught_by_its_error(repository):
    @rs.Asset.external(io_handler="memory")
    def source():
        raise HTTPError(500, url="/")

    with pytest.raises(HTTPError, match="'source'"):
        repository(source).observe()

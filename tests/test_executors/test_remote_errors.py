"""Errors that are packed in one process and rebuilt in another."""

from __future__ import annotations

import traceback

import pytest
from pydantic import BaseModel, ValidationError

from rivers.definitions.retry import FailureReason, classify
from rivers.exceptions import ExecutionError, NotMaterializedError
from rivers.executors.remote.errors import pack_error, unpack_error


class ChattyError(Exception):
    def __init__(self, code, *, unit):
        super().__init__(f"code {code} {unit}")
        self.code = code
        self.unit = unit


class SlottedError(Exception):
    __slots__ = ("place",)


class DeviceError(OSError):
    def __init__(self, device):
        super().__init__(5, "input failed", device)


class BatchError(ExceptionGroup):
    def derive(self, members):
        return BatchError(self.message, members)


def raised(error, cause=None):
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def rebuilt(error, cause=None):
    return unpack_error(pack_error(raised(error, cause)))


def decode_error():
    try:
        b"\xff".decode()
    except UnicodeDecodeError as error:
        return error


def validation_error():
    class Row(BaseModel):
        price: int

    with pytest.raises(ValidationError) as caught:
        Row(price="x")
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no rows"),
        KeyError("key"),
        ChattyError(7, unit="m"),
        DeviceError("/dev/null"),
        FileNotFoundError(2, "No such file", "a.csv"),
        decode_error(),
        validation_error(),
        NotMaterializedError("orders", nearest=lambda: "orders_2"),
        SystemExit(3),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_keeps_type_and_text(error):
    result = rebuilt(error)
    assert type(result) is type(error)
    assert str(result) == str(error)
    assert classify(result) == classify(error)


def test_error_is_rebuilt_without_its_constructor():
    result = rebuilt(ChattyError(7, unit="m"))
    assert (result.code, result.unit) == (7, "m")


def test_error_keeps_attributes_of_c_types_and_slots():
    error = SlottedError("lost")
    error.place = "shelf"
    assert rebuilt(error).place == "shelf"
    assert (rebuilt(DeviceError("tape")).errno, rebuilt(DeviceError("tape")).filename) == (5, "tape")


def test_error_keeps_notes_causes_and_context():
    error = ValueError("outer")
    error.add_note("while testing")
    result = rebuilt(error, KeyError("inner"))
    assert result.__notes__ == ["while testing"]
    assert isinstance(result.__cause__, KeyError)
    assert result.__suppress_context__


def test_error_group_keeps_members():
    group = BatchError("two failed", [ValueError("a"), ChattyError(1, unit="s")])
    result = rebuilt(group)
    assert type(result) is BatchError
    assert [str(member) for member in result.exceptions] == ["a", "code 1 s"]


def test_error_keeps_traceback():
    lines = "".join(traceback.format_exception(rebuilt(ValueError("no rows"))))
    assert "in raised" in lines
    assert "test_remote_errors.py" in lines


def test_error_drops_attributes_that_cannot_be_pickled():
    error = ChattyError(7, unit="m")
    error.socket = (item for item in ())
    result = rebuilt(error)
    assert type(result) is ChattyError
    assert not hasattr(result, "socket")


def test_unknown_error_type_becomes_execution_error():
    packed = pack_error(raised(MemoryError("too big")))
    packed.content = b"cnowhere\nLostError\n."  # a pickle of a class that this process does not have
    result = unpack_error(packed)
    assert type(result) is ExecutionError
    assert "MemoryError: too big" in str(result)
    assert "in raised" in str(result)
    assert classify(result) is FailureReason.OUT_OF_MEMORY


def test_error_with_arguments_that_cannot_be_pickled():
    result = rebuilt(ValueError("no rows", (item for item in ())))
    assert type(result) is ExecutionError
    assert "ValueError" in str(result)


def test_errors_in_a_cycle_are_packed_once():
    error = raised(ValueError("a"), raised(KeyError("b")))
    error.__cause__.__context__ = error
    result = unpack_error(pack_error(error))
    assert result.__cause__.__context__ is result

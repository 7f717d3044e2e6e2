"""Send exceptions to another process, with their tracebacks, notes, causes and the members of groups.

Exceptions are rebuilt without calling `__init__`, which may take other arguments than `args`.
"""

from __future__ import annotations

import pickle
import traceback
from contextlib import suppress
from dataclasses import dataclass
from types import MemberDescriptorType
from typing import Any

from tblib import Traceback

from rivers.definitions.retry import FailureReason, classify
from rivers.exceptions import ExecutionError
from rivers.executors.remote.bundle import dumps


@dataclass(slots=True)
class PackedError:
    """An exception as plain data.

    Attributes:
        kind: Name of the type.
        message: Its text.
        content: The pickled exception without its links to others, if it can be pickled.
        notes: Its notes (PEP 678).
        frames: Its traceback, as plain data.
        text: Its traceback, as text.
        cause: The packed `__cause__`.
        context: The packed `__context__`.
        suppresses: Its `__suppress_context__`.
        members: The packed members of a group.
        reason: Category of the failure.
    """

    kind: str
    message: str
    content: bytes | None
    notes: tuple[str, ...]
    frames: dict[str, Any] | None
    text: str
    cause: PackedError | None
    context: PackedError | None
    suppresses: bool
    members: tuple[PackedError, ...]
    reason: FailureReason


def pack_error(error: BaseException) -> PackedError:
    """Return an exception, and those that it refers to, as plain data."""
    return _packed(error, {})


def _packed(error: BaseException, seen: dict[int, PackedError]) -> PackedError:
    if id(error) in seen:
        return seen[id(error)]
    trace = error.__traceback__
    lines = traceback.format_exception(type(error), error, trace, chain=False)
    packed = seen[id(error)] = PackedError(
        type(error).__qualname__,
        _text(error),
        None,
        tuple(note for note in getattr(error, "__notes__", ()) if isinstance(note, str)),
        None if trace is None else Traceback(trace).to_dict(),
        "".join(lines),
        None,
        None,
        error.__suppress_context__,
        (),
        classify(error),
    )
    if isinstance(error, BaseExceptionGroup):
        packed.members = tuple(_packed(member, seen) for member in error.exceptions)
    packed.content = _content(error)
    if error.__cause__ is not None:
        packed.cause = _packed(error.__cause__, seen)
    if error.__context__ is not None:
        packed.context = _packed(error.__context__, seen)
    return packed


def unpack_error(packed: PackedError) -> BaseException:
    """Return the exception; an `ExecutionError` with type, message and traceback if its type cannot be rebuilt."""
    return _unpacked(packed, {})


def _unpacked(packed: PackedError, seen: dict[int, BaseException]) -> BaseException:
    if id(packed) in seen:
        return seen[id(packed)]
    members = [_unpacked(member, seen) for member in packed.members]
    error = seen[id(packed)] = _rebuilt(packed, members)
    if packed.frames is not None:
        error.__traceback__ = Traceback.from_dict(packed.frames).as_traceback()
    if packed.cause is not None:
        error.__cause__ = _unpacked(packed.cause, seen)
    if packed.context is not None:
        error.__context__ = _unpacked(packed.context, seen)
    error.__suppress_context__ = packed.suppresses
    return error


def _rebuilt(packed: PackedError, members: list[BaseException]) -> BaseException:
    error: Any = None
    if packed.content is not None:
        with suppress(Exception):  # the type may be missing in this process, or its own methods fail
            rebuild, arguments = pickle.loads(packed.content)
            error = rebuild(*arguments, members)
    if not isinstance(error, BaseException) or _text(error) != packed.message:
        error = ExecutionError(f"{packed.kind}: {packed.message}\n\n{packed.text.rstrip()}")
        error.failure_reason = packed.reason
    if packed.notes:
        error.__notes__ = list(packed.notes)
    result: BaseException = error
    return result


def _content(error: BaseException) -> bytes | None:
    """Return how to rebuild an exception, pickled; None if that cannot be pickled."""
    kind = type(error)
    reducer = next(
        base for base in kind.__mro__ if "__reduce__" in vars(base) or "__reduce_ex__" in vars(base)
    )
    if not _is_native(reducer):  # its author defined how to pickle it
        with suppress(Exception):
            data = dumps(error)
            if type(pickle.loads(data)) is kind:
                return dumps((_from_pickle, (data,)))
    args = (error.message,) if isinstance(error, BaseExceptionGroup) else error.args
    state = {name: value for name, value in error.__dict__.items() if name != "__notes__"}
    with suppress(Exception):
        return dumps((_new, (kind, args, _picklable(state), _picklable(_members(error)))))
    return None


def _is_native(kind: type) -> bool:
    return not kind.__flags__ & 1 << 9  # Py_TPFLAGS_HEAPTYPE


def _from_pickle(data: bytes, _: list[BaseException]) -> BaseException:
    error: BaseException = pickle.loads(data)
    return error


def _new(
    kind: type[BaseException],
    args: tuple[Any, ...],
    state: dict[str, Any],
    attributes: dict[str, Any],
    members: list[BaseException],
) -> BaseException:
    native: Any = next(base for base in kind.__mro__ if _is_native(base))
    error: BaseException = native.__new__(kind, *args, members) if members else native.__new__(kind, *args)
    error.__dict__.update(state)
    for name, value in attributes.items():
        with suppress(AttributeError, TypeError):  # some are read-only, and set by __new__
            setattr(error, name, value)
    return error


def _members(error: BaseException) -> dict[str, Any]:
    """Return attributes outside `__dict__`: those of C types, such as `errno`, and slots."""
    members: dict[str, Any] = {}
    for kind in type(error).__mro__:
        for name, descriptor in vars(kind).items():
            if isinstance(descriptor, MemberDescriptorType) and not name.startswith("__"):
                with suppress(AttributeError):
                    members[name] = getattr(error, name)
    members.pop("exceptions", None)  # those of a group are packed
    # a member that was never set reads as None; setting that would change the text of an OSError
    return {name: value for name, value in members.items() if value is not None}


def _picklable(values: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in values.items():
        with suppress(Exception):
            dumps(value)
            kept[name] = value
    return kept


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # an author's __str__ may raise anything
        return f"its __str__ raised {type(failure).__name__}"

"""Errors that say which asset, which table, why and what to do; never a credential, never a debug dump."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rivers_core.authoring import redact
from rivers_core.exceptions import RiversError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rivers_core import InputContext, OutputContext

_BACKTRACE: Final = re.compile(r"\n\s*\d+: .*", re.DOTALL)
_DEBUG: Final = re.compile(
    r"\s*(Debug source|Help|stack backtrace|Resolved plan until failure|Preview of invalid data):.*",
    re.DOTALL,
)
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_STEP: Final = re.compile(r"\s*\n\s*↳\s*")
_LABELS: Final = re.compile(r"^(?:(?:Generic )?(?:DeltaTable error|delta kernel error|error)|Kernel error"
                            r"|External error|Kernel|Arrow error|C Data interface error): ")  # fmt: skip
_STATUS: Final = re.compile(
    r"^(?:[A-Z][\w ]*?(?:error|Error)|Invalid|NotImplemented|Out of memory|Cancelled): "
)
_IN_PYTHON: Final = re.compile(r"\.? Detail: Python exception: (?P<trace>.*)", re.DOTALL)
_ANSWER: Final = re.compile(r"status code: (?P<status>\d{3})\b")
_PASSING: Final = re.compile(r"429|5(?!01)")  # 501: it will never do that
_TOO_LATE: Final = re.compile(r"operation timed out|status code: 408\b", re.IGNORECASE)
_NO_ANSWER: Final = re.compile(r"HTTP error: (?!builder error)|error sending request")
_PANIC: Final = ("pyo3_runtime", "PanicException")
_ADVICE: Final = (
    (r"\b40[13]\b|Forbidden|SignatureDoesNotMatch|InvalidAccessKeyId|AuthenticationFailed|AccessDenied|Unauthorized",
     "The credentials are wrong or may not do this; check them, and what they are allowed to do."),
    (r"NoSuchBucket|ContainerNotFound|The specified container does not exist",
     "The bucket or container does not exist; create it first."),
    (r"Permission denied|os error 13", "This process may not read or write there."),
    (r"No space left|os error 28", "The disk is full."),
    (r"failed validation check",
     "They hold null where the table allows none, perhaps inside of a column, or break one of its constraints."),
)  # fmt: skip


def named(context: OutputContext | InputContext) -> str:
    """The asset, and its partitions if there are any, for a sentence.

    Args:
        context: What is being stored or loaded.
    """
    asset = f"asset {context.asset_name!r}"
    if context.partition is None:
        return asset
    keys = [str(key) for key in context.partition.keys]
    shown = ", ".join(repr(key) for key in keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
    return f"partition{'s' if len(keys) > 1 else ''} {shown} of {asset}"


def redact_library_text(text: str, secrets: Iterable[str] = ()) -> str:
    """A library's message without credentials, backtraces and labels.

    Args:
        text: What the library said.
        secrets: Credentials that must not be shown.
    """
    text = _without_labels(_STEP.sub(": ", _COLOUR.sub("", text)))
    text = _DEBUG.sub("", _BACKTRACE.sub("", _raised_in_python(text)))
    return redact(text, secrets).strip()


def sentence_of(error: BaseException, secrets: Iterable[str] = ()) -> str:
    """What a library's error says; of a panic its first line, for the rest is where in the library it was.

    Args:
        error: What the library raised.
        secrets: Credentials that must not be shown.
    """
    said = redact_library_text(str(error), secrets)
    return f"a native library panicked: {said.splitlines()[0]}" if said and is_panic(error) else said


def is_panic(error: BaseException) -> bool:
    """Whether Rust code broke down: each library has a class of its own for it, which is no `Exception`.

    Args:
        error: What was raised.
    """
    return (type(error).__module__, type(error).__name__) == _PANIC


def table_failure(
    doing: str,
    context: OutputContext | InputContext,
    address: str,
    error: BaseException,
    secrets: Iterable[str],
) -> RiversError:
    """The error for a table that could not be read or written.

    Args:
        doing: What was tried, as in "write" or "read".
        context: For which asset.
        address: The table.
        error: What the library raised; its text becomes part of the message.
        secrets: Credentials that must not be shown.

    Returns:
        The error to raise, with a scrubbed cause.
    """
    said = sentence_of(error, secrets)
    advice = next((text for pattern, text in _ADVICE if re.search(pattern, str(error))), "")
    told = " ".join(part for part in (said.rstrip(".") + ".", advice) if part)
    failure = RiversError(f"Could not {doing} {named(context)}, table {address!r}: {told}")
    failure.__cause__ = _clean_cause(error, said)
    return failure


@contextmanager
def told(
    doing: str, context: OutputContext | InputContext, address: str, secrets: Callable[[], list[str]]
) -> Iterator[None]:
    """Make errors of libraries into errors that say what they mean; those of rivers pass.

    Args:
        doing: What is tried, as in "write" or "read".
        context: For which asset.
        address: The table.
        secrets: Gives the credentials that must not be shown.
    """
    try:
        yield
    except RiversError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        failure = table_failure(doing, context, address, error, secrets())
        raise failure from failure.__cause__


def _without_labels(text: str) -> str:
    while _LABELS.match(text):
        text = _LABELS.sub("", text)
    return text


def _raised_in_python(text: str) -> str:
    """Of an exception that passed through Arrow, its name and its own sentence instead of Arrow's and its traceback."""
    found = _IN_PYTHON.search(text)
    if found is None:
        return text
    said = _STATUS.sub("", text[: found.start()])
    after = f": {re.escape(said)}" if said else r"\.?\s*\Z"
    name = re.search(rf"^(?:\w+\.)*(\w+)(?={after})", found["trace"], re.MULTILINE)
    return ": ".join(part for part in (name[1] if name else "", said) if part)


def _clean_cause(error: BaseException, said: str) -> BaseException:
    """The library's own error if its text needed no scrubbing, else one of its type that shows nothing.

    Whether a failure may pass by itself is told by the type: a library has one for whatever a server answers.
    """
    if not isinstance(error, Exception):
        return RuntimeError(said)
    kind = _kind_of(error, said)
    if str(error) == said and kind is type(error):
        return error
    try:
        return kind(said)
    except Exception:
        return RuntimeError(said)


def _kind_of(error: Exception, said: str) -> type[Exception]:
    answer = _ANSWER.search(said)
    if _TOO_LATE.search(said):
        return TimeoutError
    if _PASSING.match(answer["status"]) if answer else _NO_ANSWER.search(said):
        return ConnectionError
    if answer and type(error) is OSError:
        return PermissionError if answer["status"] in ("401", "403") else RuntimeError
    return type(error)

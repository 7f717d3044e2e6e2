"""Errors of Delta libraries, translated to errors that name asset and table and show no credential."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rivers_core.authoring import option_secrets, redact, shown_keys
from rivers_core.exceptions import IntegrityError, RiversError
from rivers_objects.errors import FOREIGN_ADVICE, is_busy, plain_response
from rivers_objects.store_options import missing_credentials

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rivers_core import InputContext, OutputContext
    from rivers_delta.config.table_settings import TableSettings

_BACKTRACE: Final = re.compile(r"\n\s*\d+: .*", re.DOTALL)
_DEBUG: Final = re.compile(
    r"\s*(Debug source|Help|stack backtrace|Resolved plan until failure|Preview of invalid data"
    r"|This error occurred with the following context stack):.*",
    re.DOTALL,
)
_COLOR: Final = re.compile(r"\x1b\[[0-9;]*m")
_CHAIN: Final = re.compile(r"\s*\n\s*↳\s*")
_LABELS: Final = re.compile(r"^(?:(?:Generic )?(?:DeltaTable error|delta kernel error|error)|Kernel error"
                            r"|External(?: error)?|Kernel|Arrow error|C Data interface error)(?::| ->) ")  # fmt: skip
_STATUS: Final = re.compile(
    r"^(?:[A-Z][\w ]*?(?:error|Error)|Invalid|NotImplemented|Out of memory|Cancelled): "
)
_PYTHON_TRACEBACK: Final = re.compile(r"\.? Detail: Python exception: (?P<trace>.*)", re.DOTALL)
_RESPONSE: Final = re.compile(r"status code: (?P<status>\d{3})\b")
_TRANSIENT: Final = re.compile(r"429|5(?!01)")  # 501 Not Implemented is permanent
_TIMEOUT: Final = re.compile(r"operation timed out|status code: 408\b", re.IGNORECASE)
_NO_RESPONSE: Final = re.compile(
    r"HTTP error: (?!builder error|error following redirect)|error sending request"
)
_REDIRECT: Final = re.compile(r"error following redirect|status code: 30\d\b|redirect without LOCATION")
_PANIC: Final = ("pyo3_runtime", "PanicException")
_ABSENT: Final = r"(?:No such file|not found|os error 2\b)"
_MISSING_FILE: Final = rf"\.parquet\b.*{_ABSENT}|{_ABSENT}.*\.parquet\b"
_ADVICE: Final = (
    (r"\b40[13]\b|Forbidden|SignatureDoesNotMatch|InvalidAccessKeyId|AuthenticationFailed|AccessDenied|Unauthorized",
     "The credentials are invalid or lack a permission. Check both."),
    (r"NoSuchBucket|ContainerNotFound|The specified container does not exist",
     "The bucket or container does not exist. Create it first."),
    (r"(?i)<(?:!doctype )?html|ETag Header missing", FOREIGN_ADVICE),
    (_REDIRECT.pattern,
     "An object store does not redirect: check endpoint, region, and that no sign-in page is in between."),
    (r"error sending request|Connection refused|dns error|operation timed out",
     "The server does not answer: check that it is running, and that this machine can reach its address."),
    (r"Permission denied|os error 13", "This process lacks a file permission."),
    (r"No space left|os error 28", "The disk is full."),
    (_MISSING_FILE,
     "A data file was removed after the table was opened, perhaps by a vacuum. Load the table again."),
    (r"matched a target row with multiple source rows",
     "Several rows of the value match one row of the table; keep one of them."),
    (r"append-only", "Use 'delta/mode': 'append', or unset the table property 'delta.appendOnly'."),
    (r"catalog-managed", "The feature 'catalogManaged' is not supported; use the engine of the table's catalog."),
    (r"Unsupported CAST from .*\bnon-null\b",
     "deltalake cannot compute a column with nested fields that must not be null: set it to a column of the value."),
    (r"failed validation check",
     "The rows have nulls that the table does not allow, perhaps in a nested field, or violate a constraint."),
)  # fmt: skip


def subject_of(context: OutputContext | InputContext) -> str:
    """Return asset and partitions for the middle of a sentence.

    Args:
        context: The context of the call.
    """
    asset = f"asset {context.asset_name!r}"
    if context.partition is None:
        return asset
    keys = [repr(str(key)) for key in context.partition.keys]
    return f"partition{'s' if len(keys) > 1 else ''} {shown_keys(keys)} of {asset}"


@contextmanager
def library_errors(
    verb: str, context: OutputContext | InputContext, settings: TableSettings
) -> Iterator[None]:
    """Translate errors of libraries; errors of rivers and exceptions that end a process pass.

    Args:
        verb: What is attempted, such as "write" or "read".
        context: The context of the call.
        settings: The table.
    """
    try:
        yield
    except RiversError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        failure = table_error(verb, context, settings.shown_address, error, settings.storage_options)
        raise failure from failure.__cause__


def table_error(
    verb: str,
    context: OutputContext | InputContext,
    address: str,
    error: BaseException,
    storage_options: Mapping[str, str] | None,
) -> RiversError:
    """Return the error for a table that could not be read or written.

    Args:
        verb: What was attempted, such as "write" or "read".
        context: The context of the call.
        address: The table, without credentials.
        error: The error of the library, whose message becomes part of the new one.
        storage_options: Options whose values must not be shown.

    Returns:
        The error to raise, with a redacted cause.
    """
    message = message_of(error, storage_options)
    advice = next((text for pattern, text in _ADVICE if re.search(pattern, _one_line(error))), "")
    reason = missing_credentials(address, str(error)) or " ".join(
        part for part in (message.rstrip(".") + ".", advice) if part
    )
    kind = IntegrityError if re.search(_MISSING_FILE, str(error)) else RiversError
    failure = kind(f"Could not {verb} {subject_of(context)}, table {address!r}: {reason}")
    failure.__cause__ = _redacted_cause(error, message)
    return failure


def message_of(error: BaseException, storage_options: Mapping[str, str] | None) -> str:
    """Return the message of a library's error; of a panic only the first line, before the place in its source.

    Args:
        error: The error of the library.
        storage_options: Options whose values must not be shown.
    """
    message = redact_library_text(str(error), storage_options)
    if message and is_panic(error):
        return f"a native library panicked: {message.splitlines()[0]}"
    return message


def is_panic(error: BaseException) -> bool:
    """Return whether Rust code panicked: every library has a separate class for it, which is not an `Exception`.

    Args:
        error: The error.
    """
    return (type(error).__module__, type(error).__name__) == _PANIC


def redact_library_text(text: str, storage_options: Mapping[str, str] | None = None) -> str:
    """Return a library's message without credentials, backtraces and labels.

    Args:
        text: The message.
        storage_options: Options whose values must not be shown.
    """
    text = _without_labels(_one_line(text))
    text = plain_response(_DEBUG.sub("", _BACKTRACE.sub("", _without_traceback(text))))
    return redact(text, option_secrets(storage_options or {})).strip()


def _one_line(error: object) -> str:
    """Return the text of an error without colors, its chain of causes joined with colons."""
    return _CHAIN.sub(": ", _COLOR.sub("", str(error)))


def _without_labels(text: str) -> str:
    while _LABELS.match(text):
        text = _LABELS.sub("", text)
    return text


def _without_traceback(text: str) -> str:
    """Return name and message of an exception that passed through Arrow, without Arrow's message and traceback."""
    match = _PYTHON_TRACEBACK.search(text)
    if match is None:
        return text
    message = _STATUS.sub("", text[: match.start()])
    rest = f": {re.escape(message)}" if message else r"\.?\s*\Z"
    name = re.search(rf"^(?:\w+\.)*(\w+)(?={rest})", match["trace"], re.MULTILINE)
    return ": ".join(part for part in (name[1] if name else "", message) if part)


def _redacted_cause(error: BaseException, message: str) -> BaseException:
    """Return the library's error if its text needed no redaction, else one of its type with the redacted text.

    The type shows whether a failure is transient: libraries have one type for every response of a server.
    """
    if not isinstance(error, Exception):
        return RuntimeError(message)
    kind = _cause_type(error)
    if str(error) == message and kind is type(error):
        return error
    try:
        return kind(message)
    except Exception:
        return RuntimeError(message)


def _cause_type(error: Exception) -> type[Exception]:
    text = _one_line(error)
    response = _RESPONSE.search(text)
    if _TIMEOUT.search(text):
        return TimeoutError
    if is_busy(text) or (_TRANSIENT.match(response["status"]) if response else _NO_RESPONSE.search(text)):
        return ConnectionError
    if type(error) is OSError and (response or _REDIRECT.search(text)):
        return PermissionError if response and response["status"] in ("401", "403") else RuntimeError
    return type(error)

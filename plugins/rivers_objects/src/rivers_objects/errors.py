"""Errors of object stores: they name asset, address, cause and fix, and never show a credential."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rivers_core.authoring import missing_credentials, redact
from rivers_core.exceptions import ConflictError, RiversError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers_core import InputContext, OutputContext

# obstore 0.8 puts the response of a store into the text of its errors, and has one type for most of them
_DEBUG_DUMP: Final = re.compile(r"\s*Debug source:.*", re.DOTALL)
_XML_ERROR: Final = re.compile(
    r"<\?xml.*?<Code>(?P<code>.*?)</Code>.*?<Message>(?P<message>.*?)</Message>.*", re.DOTALL
)
_BOILERPLATE: Final = re.compile(
    r"^Generic \w+ error: | in [\d.]+[µmn]?s(?=[ ,])|Server returned non-2xx status code: "
)
_NO_ANSWER: Final = re.compile(
    r"error sending request|dns error|Connection refused|operation timed out", re.IGNORECASE
)
_STATUS: Final = re.compile(r"status code: (?P<status>\d{3})\b")
_TRANSIENT_STATUS: Final = re.compile(r"429|5(?!01)")  # 501 Not Implemented is permanent
_TIMEOUT: Final = re.compile(r"\bTimedOut\b|operation timed out", re.IGNORECASE)
_CUT_OFF: Final = re.compile(r"HTTP error: (?!builder error)")
_ADVICE: Final = {
    "PermissionDeniedError": (
        "The credentials are wrong or lack a permission; check both (S3 also answers like this for a missing object "
        "if they may not list the bucket)."
    ),
    "UnauthenticatedError": "No valid credentials were given; pass them as `storage_options` or by environment "
    "variables.",
}


def named(context: OutputContext | InputContext) -> str:
    """Return asset and partition of a context, for a message."""
    asset = f"asset {context.asset_name!r}"
    return asset if context.partition is None else f"partition {str(context.partition.key)!r} of {asset}"


def store_failed(
    action: str, context: OutputContext | InputContext, address: str, error: BaseException
) -> RiversError:
    """Return the error for a failure of the store.

    Args:
        action: `store`, `load`, `look for` or `delete`.
        context: Context of the asset.
        address: Address of the object.
        error: Error of the store, see `readable`.
    """
    text = str(error)
    no_credentials = missing_credentials(address, text)
    if no_credentials:
        return RiversError(f"Could not {action} {named(context)} at {address!r}. {no_credentials}")
    advice = _ADVICE.get(type(error).__name__, "")
    if "builder error" in text:
        advice = "An endpoint with http:// instead of https:// needs the storage option `allow_http`."
    elif not advice and _NO_ANSWER.search(text):
        advice = "The server does not answer: check that it is running, and that this machine can reach its address."
    return RiversError(
        f"Could not {action} {named(context)} at {address!r}: {text.rstrip('.')}. {advice}".rstrip()
    )


def replaced(context: OutputContext, address: str, version: str) -> ConflictError:
    """Return the error for a conditional write that found another version.

    Args:
        context: Context of the asset.
        address: Address of the object.
        version: The stored version, empty text if there is no object.
    """
    return ConflictError(
        f"Could not store {named(context)} at {address!r}: another process stored version {version or 'none'!r} after "
        f"version {context.expected_version or 'none'!r} was loaded. Nothing was stored. Load the current value and "
        "try again."
    )


def is_missing_bucket(error: FileNotFoundError) -> bool:
    """Return whether the bucket is missing, so that it is unknown what was stored.

    Args:
        error: Error of the store.
    """
    return re.search(r"<Code>(NoSuchBucket|ContainerNotFound)</Code>", str(error)) is not None


def readable(error: BaseException, secrets: Iterable[str]) -> BaseException:
    """Return an error of the store without debug output, XML and credentials, with the same traceback.

    Its type is that of the error, or `TimeoutError` or `ConnectionError` if the failure may be transient.

    Args:
        error: Error of the store.
        secrets: Secrets that must not be shown.
    """
    text = _XML_ERROR.sub(r"\g<code>, \g<message>", _DEBUG_DUMP.sub("", str(error)))
    text = redact(_BOILERPLATE.sub("", text).strip().rstrip(":"), secrets)
    cls = _class_of(error)
    if text == str(error) and cls is type(error):
        return error
    try:
        clean = cls(text)
    except Exception:
        clean = RiversError(f"{type(error).__name__}: {text}")
    return clean.with_traceback(error.__traceback__)


def _class_of(error: BaseException) -> type[BaseException]:
    text = str(error)
    match = _STATUS.search(text)
    status = "" if match is None else match["status"]
    if status == "408" or _TIMEOUT.search(text):
        return TimeoutError
    if _TRANSIENT_STATUS.match(status) if status else _CUT_OFF.search(text) or _NO_ANSWER.search(text):
        return ConnectionError
    if status and type(error) is OSError:  # the answer to a part of an upload
        from obstore import exceptions

        refusals = {"401": exceptions.UnauthenticatedError, "403": exceptions.PermissionDeniedError}
        return refusals.get(status, exceptions.GenericError)
    return type(error)

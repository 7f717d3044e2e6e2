"""Errors of object stores: they name asset, address, cause and fix, and never show a credential."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rivers_core.authoring import redact
from rivers_core.exceptions import ConflictError, RiversError
from rivers_objects.store_options import missing_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable

    from obstore import ObjectMeta

    from rivers_core import InputContext, OutputContext

# obstore 0.8 puts the response of a store into the text of its errors, and has one type for most of them
_DEBUG_DUMP: Final = re.compile(r"\s*Debug source:.*", re.DOTALL)
_XML_ERROR: Final = re.compile(
    r"<\?xml.*?<Code>(?P<code>.*?)</Code>.*?<Message>(?P<message>.*?)</Message>.*", re.DOTALL
)
_BOILERPLATE: Final = re.compile(
    r"^Generic \w+ error: | in [\d.]+[µmn]?s(?=[ ,])|Server returned non-2xx status code: "
    r"|(?:Object at location|The operation lacked|Request precondition failure) .*?: (?=Error performing )"
    r"|Error performing list request: (?=Error performing )"
)
_NO_ANSWER: Final = re.compile(
    r"error sending request|dns error|Connection refused|operation timed out", re.IGNORECASE
)
_STATUS: Final = re.compile(r"status code: (?P<status>\d{3})\b")
_TRANSIENT_STATUS: Final = re.compile(r"429|5(?!01)")  # 501 Not Implemented is permanent
_TIMEOUT: Final = re.compile(r"\bTimedOut\b|operation timed out", re.IGNORECASE)
_CUT_OFF: Final = re.compile(r"HTTP error: (?!builder error|error following redirect)")
_REDIRECT: Final = re.compile(
    r"error following redirect| - (?:status code: )?30\d |redirect without LOCATION"
)
# S3 reports a concurrent operation on the same object, and asks to try again
_BUSY: Final = re.compile(r"<Code>(?:OperationAborted|ConditionalRequestConflict)</Code>")
_NO_BUCKET: Final = re.compile(r"<Code>(?P<code>NoSuchBucket|ContainerNotFound)</Code>")
_WEB_PAGE: Final = re.compile(r"<(?:!doctype )?html", re.IGNORECASE)
_WEB_PAGE_SHOWN: Final = ": a web page"
_NOT_A_STORE: Final = re.compile(r"ETag Header missing|Got invalid \w+ response: ")
FOREIGN_ADVICE: Final = "Check the endpoint, and that no proxy or sign-in page answers in place of the store."
_ADVICE: Final = {
    "PermissionDeniedError": (
        "The credentials are wrong or lack a permission; check both (S3 also answers like this for a missing object "
        "if they may not list the bucket)."
    ),
    "IsADirectoryError": "A folder has the name of this object: move or rename it.",
    "UnknownConfigurationKeyError": "Correct this name in `storage_options`, or remove it.",
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
    elif text.endswith(_WEB_PAGE_SHOWN) or _NOT_A_STORE.search(text):
        advice = FOREIGN_ADVICE
    elif _REDIRECT.search(text):
        advice = "An object store does not redirect: check endpoint, region, and that no sign-in page is in between."
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


class AbsentStoreError(Exception):
    """The bucket does not exist, or something else answers in its place: it is unknown what was stored."""


def refuse_absent_store(error: FileNotFoundError) -> None:
    """Raise unless an object store reported that an object does not exist.

    Args:
        error: Error of the store.

    Raises:
        AbsentStoreError: The bucket does not exist, or the response is a web page.
    """
    text = str(error)
    match = _NO_BUCKET.search(text)
    if match is not None:
        raise AbsentStoreError(
            f"{match['code']}: the bucket or container does not exist. Create it, or correct the address of the store"
        ) from error
    if _WEB_PAGE.search(text):
        raise AbsentStoreError(f"the response is a web page. {FOREIGN_ADVICE}") from error


def refuse_foreign_object(meta: ObjectMeta) -> None:
    """Raise unless a response describes an object: every object store sends an ETag.

    Args:
        meta: The response as obstore read it.

    Raises:
        AbsentStoreError: It has no ETag.
    """
    if meta["e_tag"] is None:
        raise AbsentStoreError(f"the response has no ETag. {FOREIGN_ADVICE}")


def readable(error: BaseException, secrets: Iterable[str]) -> BaseException:
    """Return an error of the store without debug output, XML and credentials, with the same traceback.

    Its type is that of the error, or `TimeoutError` or `ConnectionError` if the failure may be transient.

    Args:
        error: Error of the store.
        secrets: Secrets that must not be shown.
    """
    text = redact(plain_response(_DEBUG_DUMP.sub("", str(error))), secrets)
    cls = _class_of(error)
    if text == str(error) and cls is type(error):
        return error
    try:
        clean = cls(text)
    except Exception:
        clean = RiversError(f"{type(error).__name__}: {text}")
    return clean.with_traceback(error.__traceback__)


def is_busy(text: str) -> bool:
    """Return whether a store refused a request because of a concurrent one for the same object.

    Args:
        text: The response, as obstore and deltalake show it.
    """
    return _BUSY.search(text) is not None


def plain_response(text: str) -> str:
    """Return the text of an error of `object_store` with the code and message of a response instead of its XML.

    Args:
        text: The text, as obstore and deltalake show it.
    """
    text = _XML_ERROR.sub(r"\g<code>, \g<message>", text)
    web_page = _WEB_PAGE.search(text)
    if web_page is not None:
        text = f"{text[: web_page.start()].rstrip(' :')}{_WEB_PAGE_SHOWN}"
    return _BOILERPLATE.sub("", text).strip().rstrip(":")


def _class_of(error: BaseException) -> type[BaseException]:
    text = str(error)
    match = _STATUS.search(text)
    status = "" if match is None else match["status"]
    if status == "408" or _TIMEOUT.search(text):
        return TimeoutError
    if is_busy(text):
        return ConnectionError
    if _TRANSIENT_STATUS.match(status) if status else _CUT_OFF.search(text) or _NO_ANSWER.search(text):
        return ConnectionError
    is_part = type(error) is OSError  # the answer to a part of an upload
    is_foreign = is_part and (_NOT_A_STORE.search(text) or _REDIRECT.search(text))
    if is_foreign or (status and (is_part or type(error).__name__ == "GenericError")):  # or to a listing
        from obstore import exceptions

        refusals = {"401": exceptions.UnauthenticatedError, "403": exceptions.PermissionDeniedError}
        return refusals.get(status, exceptions.GenericError)
    return type(error)

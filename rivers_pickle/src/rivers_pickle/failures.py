"""Errors that say which asset, where, why and what to do; never a credential, never a debug dump."""

from __future__ import annotations

import difflib
import pickle
import re
from heapq import nlargest
from os.path import commonprefix
from typing import TYPE_CHECKING, Final

from rivers_core.authoring import redact
from rivers_core.exceptions import IntegrityError, NotMaterializedError, RiversError
from rivers_pickle.layout import asset_folder
from rivers_pickle.stores import is_local
from rivers_pickle.unpicklable import find_unpicklable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from obstore.store import ObjectStore

    from rivers_core import InputContext, OutputContext
    from rivers_pickle.format import Header

_DEBUG_DUMP: Final = re.compile(r"\s*Debug source:.*", re.DOTALL)
_XML_ERROR: Final = re.compile(
    r"<\?xml.*?<Code>(?P<code>.*?)</Code>.*?<Message>(?P<message>.*?)</Message>.*", re.DOTALL
)
_BOILERPLATE: Final = re.compile(
    r"^Generic \w+ error: | in [\d.]+[µmn]?s(?=[ ,])|Server returned non-2xx status code: "
)
_PAGE: Final = 1000
_ADVICE: Final = {
    "PermissionDeniedError": (
        "The credentials are wrong or may not do this; check them, and what they are allowed to do "
        "(S3 also answers like this for an absent object if they may not list the bucket)."
    ),
    "UnauthenticatedError": "No valid credentials were given; pass them as `storage_options` or by the "
    "environment.",
}
_NO_ANSWER: Final = re.compile(
    r"error sending request|dns error|Connection refused|operation timed out", re.IGNORECASE
)
_STATUS: Final = re.compile(r"status code: (?P<status>\d{3})\b")
_PASSING_STATUS: Final = re.compile(r"429|5(?!01)")  # 501: it will never do that
_TOO_LATE: Final = re.compile(r"\bTimedOut\b|operation timed out", re.IGNORECASE)
_CUT_OFF: Final = re.compile(r"HTTP error: (?!builder error)")
_UNREACHABLE: Final = (
    "Nothing answers there: is the server running, is the address right, and can it be reached from here?"
)
_PLAIN_HTTP: Final = "An endpoint with http:// instead of https:// needs the storage option `allow_http`."


def named(context: OutputContext | InputContext) -> str:
    """The asset, and the partition if there is one, for a sentence."""
    asset = f"asset {context.asset_name!r}"
    return asset if context.partition is None else f"partition {str(context.partition.key)!r} of {asset}"


def store_failure(
    doing: str, context: OutputContext | InputContext, address: str, error: BaseException
) -> RiversError:
    """The error for a store that did not do what it was asked.

    Args:
        doing: What was tried, as in "store" or "load".
        context: For which asset.
        address: Where.
        error: What the store raised, made showable.
    """
    advice = _ADVICE.get(type(error).__name__) or _advice(str(error))
    told = " ".join(part for part in (str(error).rstrip(".") + ".", advice) if part)
    return RiversError(f"Could not {doing} {named(context)} at {address!r}: {told}")


def _advice(said: str) -> str:
    if "builder error" in said:
        return _PLAIN_HTTP
    return _UNREACHABLE if _NO_ANSWER.search(said) else ""


def lacks_bucket(error: FileNotFoundError) -> bool:
    """Whether it is the bucket that is not there; then nobody knows what was ever stored.

    Args:
        error: What the store raised.
    """
    return re.search(r"<Code>(NoSuchBucket|ContainerNotFound)</Code>", str(error)) is not None


def showable(error: BaseException, secrets: Iterable[str]) -> BaseException:
    """A store's error without debug dump, XML and credentials, with the same traceback.

    It is of the same type, or of one that says whether the failure may pass by itself.

    Args:
        error: What the store raised.
        secrets: Credentials that must not be shown, whatever the store says.
    """
    text = _XML_ERROR.sub(r"\g<code>, \g<message>", _DEBUG_DUMP.sub("", str(error)))
    text = redact(_BOILERPLATE.sub("", text).strip().rstrip(":"), secrets)
    kind = _kind_of(error)
    if text == str(error) and kind is type(error):
        return error
    try:
        clean = kind(text)
    except Exception:
        clean = RiversError(f"{type(error).__name__}: {text}")
    return clean.with_traceback(error.__traceback__)


def _kind_of(error: BaseException) -> type[BaseException]:
    """What a failure is: a `TimeoutError` or `ConnectionError` if it may pass by itself.

    obstore has one type for most of what a server answers, and another for the same answers to a part of an upload.
    """
    said = str(error)
    answer = _STATUS.search(said)
    status = "" if answer is None else answer["status"]
    if status == "408" or _TOO_LATE.search(said):
        return TimeoutError
    if _PASSING_STATUS.match(status) if status else _CUT_OFF.search(said) or _NO_ANSWER.search(said):
        return ConnectionError
    if status and type(error) is OSError:
        from obstore import exceptions

        refusals = {"401": exceptions.UnauthenticatedError, "403": exceptions.PermissionDeniedError}
        return refusals.get(status, exceptions.GenericError)
    return type(error)


def damaged(context: InputContext, address: str, why: str) -> IntegrityError:
    """The error for an object that must not be unpickled.

    Args:
        context: Which asset was to be loaded.
        address: Where it lies.
        why: The end of a sentence about the object.
    """
    return IntegrityError(
        f"The object of {named(context)} at {address!r} {why}. Nothing of it was unpickled. "
        "Restore it from a copy, or materialize the asset again."
    )


def not_rebuilt(context: InputContext, address: str, header: Header | None, error: Exception) -> RiversError:
    """The error for an object that unpickling fails on.

    Args:
        context: Which asset was to be loaded.
        address: Where it lies.
        header: What its footer says; None for an object without one, which nothing vouches for.
        error: What unpickling raised.

    Returns:
        An `IntegrityError` if the object is not whole, otherwise an error about what is missing here.
    """
    said = f"{type(error).__name__}: {error}"
    if header is None and isinstance(error, (pickle.UnpicklingError, EOFError)):
        return IntegrityError(
            f"The object of {named(context)} at {address!r} is no pickle, or only a part of one ({said}). It "
            "has no footer, so rivers did not write it. Restore it, or materialize the asset again."
        )
    stored = "" if header is None else f" It holds a {header.type}, written by {header.writer}."
    return RiversError(
        f"The object of {named(context)} at {address!r} is whole, but its value cannot be rebuilt here "
        f"({said}).{stored} Install what it needs, or materialize the asset again."
    )


def not_materialized(
    store: ObjectStore | None, prefix: str, context: InputContext, *, handler: str, path: str, address: str
) -> NotMaterializedError:
    """The error for an object that is not there, with the nearest that is.

    Args:
        store: Where to look; None if there is no store yet.
        prefix: The handler's prefix.
        context: Which asset was to be loaded.
        handler: The handler's class name.
        path: The object's path in the store.
        address: Where that is, as a reader would name it.
    """
    return NotMaterializedError(
        context.asset_name,
        partition=None if context.partition is None else context.partition.key,
        handler=handler,
        address=address,
        nearest=None if store is None else lambda: _nearest(store, prefix, context, path),
    )


def unpicklable(context: OutputContext, obj: object, error: Exception) -> RiversError:
    """The error for a value that pickle refuses.

    Args:
        context: Which asset returned it.
        obj: The value.
        error: What pickle raised.
    """
    if isinstance(error, RecursionError):
        return RiversError(
            f"The value of {named(context)} ({type(obj).__name__}) is nested too deeply to be pickled. "
            "Nothing was stored. Return a flatter value, for instance a list of records instead of linked "
            "objects."
        )
    where, part = find_unpicklable(obj)
    kind = f"{type(part).__module__}.{type(part).__qualname__}".removeprefix("builtins.")
    return RiversError(
        f"The value of {named(context)} ({type(obj).__name__}) cannot be pickled: `{where}` is a {kind} "
        f"({error}). Nothing was stored. Return plain data, give the type a __getstate__ that leaves this "
        "part out, "
        'or keep the asset in memory (io_handler="memory").'
    )


def _nearest(store: ObjectStore, prefix: str, context: InputContext, wanted: str) -> str | None:
    folder = asset_folder(prefix, context)
    paths = _some_paths(store, folder)
    if len(paths) == _PAGE:
        # the first page of many is far from here; a store also lists from a place on
        paths += _some_paths(store, folder, after=wanted.removesuffix("/data.pkl")[:-1])
    if paths:
        return _most_alike(wanted, paths, folder, cutoff=0.0)
    return _most_alike(wanted, _some_paths(store, prefix), prefix, cutoff=0.6)


def _most_alike(wanted: str, paths: list[str], folder: str, cutoff: float) -> str | None:
    """The nearest of some paths, compared without what they all have in common."""

    def name(path: str) -> str:
        return path[len(folder) :].removesuffix("/data.pkl").removesuffix(".pkl")

    names = {name(path): path for path in paths}
    likely = nlargest(_PAGE, names, key=lambda other: len(commonprefix((name(wanted), other))))  # noqa: RUF071
    close = difflib.get_close_matches(name(wanted), likely, n=1, cutoff=cutoff)
    return repr(names[close[0]]) if close else None


def _some_paths(store: ObjectStore, folder: str, after: str | None = None) -> list[str]:
    import obstore

    # a folder is listed in no order, and at once
    size = _PAGE * 10 if is_local(store) else _PAGE
    first = next(iter(obstore.list(store, folder or None, offset=after, chunk_size=size)), [])
    return [entry["path"] for entry in first]

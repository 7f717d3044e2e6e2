"""Redaction of what a run records and shows: metadata, tags, data versions, errors with their causes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import RiversError
from rivers_core.metadata import MetadataValue
from rivers_core.redaction import redact, redact_patterns, redact_secrets, secret_spellings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


def redact_recorded(value: Any, secrets: Iterable[str]) -> Any:
    """Return a JSON-like value without the given secrets and without credentials in URLs.

    A text that contains neither is not changed: `token=3` may be a data version.

    Args:
        value: A text, or dictionaries and lists of texts.
        secrets: Known secrets, see `collect_secrets`.
    """
    spellings = secret_spellings(secrets)
    if isinstance(value, str):
        clean = redact_secrets(value, spellings)
        return redact_patterns(clean, in_urls=clean == value)
    if isinstance(value, dict):
        return {key: redact_recorded(item, spellings) for key, item in value.items()}
    if isinstance(value, list):
        return [redact_recorded(item, spellings) for item in value]
    return value


def redact_metadata(
    metadata: Mapping[str, MetadataValue], secrets: Iterable[str]
) -> dict[str, MetadataValue]:
    """Return metadata without the given secrets and credentials in URLs; values keep their kind if asterisks fit it.

    Args:
        metadata: Metadata of a value.
        secrets: Known secrets, see `collect_secrets`.
    """
    spellings = secret_spellings(secrets)
    clean = {}
    for name, value in metadata.items():
        single = getattr(value, "value", None)
        if not spellings and (type(single) is int or (type(single) is str and "://" not in single)):
            clean[name] = value
            continue
        plain = value.to_plain()
        shown = redact_recorded(plain, spellings)
        try:
            clean[name] = value if shown == plain else MetadataValue.from_plain(shown)
        except (RiversError, TypeError, ValueError):
            clean[name] = MetadataValue.text(redact(value.to_text(), spellings))
    return clean


def redact_error(error: BaseException, clean: Callable[[str], str]) -> BaseException:
    """Return an error whose texts, and those of its causes, show no credential.

    Tracebacks are kept. The local variables of their frames are not redacted.

    Args:
        error: Any error.
        clean: Function that returns a text without credentials.

    Returns:
        The error itself if it shows none; else a copy of the same type with the same traceback, or a `RiversError`
        with the name of the type if that cannot be copied.
    """
    chain = _chain_of(error)
    if all(clean(text) == text for item in chain for text in _texts_of(item)):
        return error
    copies: dict[int, BaseException] = {}
    for item in reversed(chain):
        copies[id(item)] = _redacted_copy(item, clean, copies)
    for item in chain:
        copy = copies[id(item)]
        copy.__cause__ = copies.get(id(item.__cause__))
        copy.__context__ = copies.get(id(item.__context__))
        copy.__suppress_context__ = item.__suppress_context__
    return copies[id(error)]


def _chain_of(error: BaseException) -> list[BaseException]:
    chain: dict[int, BaseException] = {}
    waiting: list[BaseException | None] = [error]
    while waiting:
        item = waiting.pop()
        if item is None or id(item) in chain:
            continue
        chain[id(item)] = item
        waiting += item.__cause__, item.__context__
        if isinstance(item, BaseExceptionGroup):
            waiting += item.exceptions
    return list(chain.values())


def _texts_of(error: BaseException) -> list[str]:
    texts = [note for note in getattr(error, "__notes__", ()) if isinstance(note, str)]
    for show in (str, repr):
        try:
            texts.append(show(error))
        except Exception:  # an author's __str__ may raise anything
            continue
    return texts


def _redacted_copy(
    error: BaseException, clean: Callable[[str], str], copies: Mapping[int, BaseException]
) -> BaseException:
    def cleaned(value: Any) -> Any:
        if isinstance(value, str):
            return clean(value)
        if type(value) in (list, tuple):
            return type(value)(map(cleaned, value))
        return {key: cleaned(item) for key, item in value.items()} if type(value) is dict else value

    kind = type(error)
    try:
        args = tuple(map(cleaned, error.args))
        if isinstance(error, BaseExceptionGroup):
            args = (clean(error.message), [copies.get(id(item), item) for item in error.exceptions])
        copy: BaseException = kind.__new__(kind, *args)
        copy.__dict__.update(cleaned(error.__dict__))
        is_clean = all(clean(text) == text for text in (str(copy), repr(copy)))
    except Exception:  # the type wants other arguments, or its texts fail
        is_clean = False
    if not is_clean:
        message = next(iter(_texts_of(error)[len(getattr(error, "__notes__", ())) :]), "")
        copy = RiversError(f"{kind.__name__}: {clean(message)}")
        for note in getattr(error, "__notes__", ()):
            copy.add_note(clean(str(note)))
    return copy.with_traceback(error.__traceback__)

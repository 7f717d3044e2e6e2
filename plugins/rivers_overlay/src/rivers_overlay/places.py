"""Where handlers keep their values, as far as they tell: whether two of them write to one place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from pydantic import SecretStr

from rivers_core import BaseIOHandler, OutputContext

if TYPE_CHECKING:
    from collections.abc import Callable

_PROBE: Final = "rivers-overlay-probe"
_URL: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):(?://)?(?P<host>[^/]*)(?P<path>.*)", re.IGNORECASE)
_SCHEMES: Final = {
    **dict.fromkeys(("s3a", "s3n"), "s3"),
    "gcs": "gs",
    **dict.fromkeys(("abfs", "abfss", "adl", "azure", "wasb", "wasbs"), "az"),
}
_SERVICE: Final = re.compile(r"(account)_name|(endpoint)(?:_url)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a handler keeps what it stores.

    Args:
        address: As the handler says it, for messages.
        store: Scheme and host of a URL; empty for the file system.
        folder: The folders from the root down.
        service: Which of several services with such stores it is, if that is said: `account` and `endpoint`.
    """

    address: str
    store: str
    folder: tuple[str, ...]
    service: Mapping[str, str] = field(default_factory=dict)

    def is_elsewhere(self, other: Place) -> bool:
        """Whether two places have nothing in common, since both say that they are in different stores."""
        said = self.service.keys() & other.service.keys()
        return self.store != other.store or any(self.service[kind] != other.service[kind] for kind in said)

    def below(self, other: Place) -> tuple[str, ...] | None:
        """The folders that lead from another place to this one: none if they are the same, None if it is not inside."""
        if self.is_elsewhere(other):
            return None
        for length in range(len(self.folder), -1, -1):
            if self._is_folder(length, other):
                return self.folder[length:]
        return None

    def _is_folder(self, length: int, other: Place) -> bool:
        folder = self.folder[:length]
        if folder == other.folder:
            return True
        if self.store or not folder or not other.folder:
            return False
        try:  # the names of one folder may differ: in case, by a link that is no symbolic one
            return os.path.samefile(Path(*folder), Path(*other.folder))
        except OSError:
            return False


def handlers_in(handler: BaseIOHandler) -> Iterator[BaseIOHandler]:
    """A handler and all that it may hand on to.

    Args:
        handler: A handler.

    Yields:
        It, and what is in its fields, however deep.
    """
    yield handler
    stored = handler.storing_handler()
    if stored is not handler:
        yield from handlers_in(stored)
    yield from _handlers_among(handler.configuration()[1])


def _handlers_among(value: Any) -> Iterator[BaseIOHandler]:
    if isinstance(value, BaseIOHandler):
        yield from handlers_in(value)
    elif isinstance(value, Mapping):
        yield from _handlers_among(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _handlers_among(item)


def stores_of(handler: BaseIOHandler) -> Iterator[BaseIOHandler]:
    """The handlers that write when a handler is written to.

    Args:
        handler: A handler.

    Yields:
        The one that it says it stores with; all that it may hand on to if it says nothing.
    """
    stored = handler.storing_handler()
    return handlers_in(handler) if stored is handler else stores_of(stored)


def is_same(one: BaseIOHandler, other: BaseIOHandler) -> bool:
    """Whether two handlers write to one store.

    Args:
        one: A handler that stores.
        other: Another.

    Returns:
        True if they are equal, or if all of their values lie at one place.
    """
    if one is other or one == other:
        return True
    here, there = place_of(one), place_of(other)
    if not _can_meet(one, other):
        return False
    if here is None or there is None:
        return type(one) is type(other) and _has_same_locations(one, other)
    return here.below(there) == ()


def same_store(written: BaseIOHandler) -> str:
    """Say that a top would write into its base.

    Args:
        written: The handler that it stores with.

    Returns:
        What is wrong and what to do.
    """
    place = place_of(written)
    at, hint = "", ""
    if place is not None:
        at = f" at {place.address!r}"
        hint = "; should the two be in different accounts or at different endpoints, say so for both" * bool(
            place.store
        )
    return (
        f"the top layer writes to a {type(written).__name__}{at} that is also in the base, which is never to be "
        f"written to; give the top another place, for instance a prefix of its own{hint}"
    )


def between(one: BaseIOHandler, other: BaseIOHandler) -> str | None:
    """The folder by which the store of one of two handlers lies inside the other's.

    Args:
        one: A handler that stores.
        other: Another.

    Returns:
        Its name, directly below the outer one; None if neither lies inside the other.
    """
    here, there = place_of(one), place_of(other)
    if here is None or there is None or not _can_meet(one, other):
        return None
    inside = here.below(there) or there.below(here)
    return inside[0] if inside else None


def place_of(handler: BaseIOHandler) -> Place | None:
    """Where a handler keeps its values, found by asking for the address of one.

    Args:
        handler: A handler that stores.

    Returns:
        The place; None if the handler does not tell it by a path or a URL.
    """
    address = _told(lambda: handler.describe_address(OutputContext(_PROBE))) or _told(
        lambda: handler.storage_location(_PROBE, None)
    )
    if address is None or not re.search(r"[/\\]", address):
        return None
    root = address[: address.rindex(_PROBE)] if _PROBE in address else address
    return _place(root, dict(_services(handler)))


def _has_same_locations(one: BaseIOHandler, other: BaseIOHandler) -> bool:
    """Whether the fields of two handlers of one class that may say where values lie are the same."""
    kept = [handler.configuration()[1] for handler in (one, other)]
    located = {
        name
        for name, value in kept[0].items()
        if isinstance(value, PurePath) or (name in one.location_fields and isinstance(value, str))
    }
    texts = {name for name, value in kept[0].items() if isinstance(value, str)} - located
    return (
        bool(located)
        and all(kept[0][name] == kept[1].get(name) for name in texts)
        and all(
            _place(str(kept[0][name]), {}).below(_place(str(kept[1].get(name)), {})) == () for name in located
        )
    )


def _told(ask: Callable[[], str | None]) -> str | None:
    try:
        return ask()
    except Exception:  # a handler that cannot say so without a connection, or at all
        return None


def _place(root: str, service: dict[str, str]) -> Place:
    shown = root.rstrip("/\\") or root
    url = _URL.fullmatch(root)
    if url is None:
        return Place(shown, "", Path(os.path.realpath(os.path.expanduser(root))).parts)
    scheme = url["scheme"].lower()
    if scheme == "file":
        return Place(shown, "", Path(os.path.realpath(unquote(url["path"]))).parts)
    user, at, host = url["host"].lower().rpartition("@")
    scheme = _SCHEMES.get(scheme, scheme)
    if at and scheme == "az":  # container@account.dfs.core.windows.net
        service, host = {"account": host.partition(".")[0], **service}, user
    return Place(shown, f"{scheme}://{host}", tuple(filter(None, url["path"].split("/"))), service)


def _services(handler: BaseIOHandler) -> Iterator[tuple[str, str]]:
    """Account and endpoint that the settings of a handler name, or those of a store that it holds."""
    for value in handler.configuration()[1].values():
        options = value if isinstance(value, Mapping) else getattr(value, "config", None)
        for key, option in options.items() if isinstance(options, Mapping) else ():
            named = _SERVICE.search(str(key))
            text = option.get_secret_value() if isinstance(option, SecretStr) else option
            if named is not None and isinstance(text, str):
                yield named[1] or named[2], _service(text)


def _service(text: str) -> str:
    name = re.sub(r"^[a-z]+://", "", text.lower()).rstrip("/")
    return "amazonaws.com" if name.endswith("amazonaws.com") else name


def _can_meet(one: BaseIOHandler, other: BaseIOHandler) -> bool:
    """Whether an address means the same to both: in memory only for those that hold one and the same store."""
    if one.locality != "process" and other.locality != "process":
        return True
    held = [_stores_held_by(handler) for handler in (one, other)]
    return any(mine is theirs for mine in held[0] for theirs in held[1])


def _stores_held_by(handler: BaseIOHandler) -> list[Any]:
    values = handler.configuration()[1].values()
    return [
        value for value in values if type(value).__module__.partition(".")[0] not in ("builtins", "pydantic")
    ]

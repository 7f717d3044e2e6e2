"""Identity of stores: compare two handlers by their roots and their configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from rivers_core import BaseIOHandler


def handlers_in(handler: BaseIOHandler) -> Iterator[BaseIOHandler]:
    """Yield a handler and every handler that it may hand values on to.

    Args:
        handler: A handler; those in its fields are found at any depth.
    """
    yield handler
    stored = handler.storing_handler()
    if stored is not handler:
        yield from handlers_in(stored)
    yield from _handlers_among(handler.configuration()[1])


def stores_of(handler: BaseIOHandler) -> Iterator[BaseIOHandler]:
    """Yield the handlers that write when a handler is written to.

    Args:
        handler: A handler; without a `storing_handler` it may write with every handler in its fields.
    """
    stored = handler.storing_handler()
    return handlers_in(handler) if stored is handler else stores_of(stored)


def is_same_store(written: BaseIOHandler, other: BaseIOHandler) -> bool:
    """Return whether two handlers write to one store.

    Args:
        written: A handler that stores.
        other: Another handler.
    """
    if written is other or written == other:
        return True
    root, other_root = written.store_root(), other.store_root()
    if root is None or other_root is None:
        locations = _locations(written)
        return bool(locations) and locations == _locations(other)
    return root.path_to(other_root) == ()


def folder_between(written: BaseIOHandler, other: BaseIOHandler) -> str | None:
    """Return the folder by which the store of one handler lies inside the store of the other.

    Args:
        written: A handler that stores.
        other: Another handler.

    Returns:
        Name of the folder directly below the outer store; None if neither store lies inside the other.
    """
    root, other_root = written.store_root(), other.store_root()
    if root is None or other_root is None:
        return None
    path = root.path_to(other_root) or other_root.path_to(root)
    return path[0] if path else None


def _handlers_among(value: Any) -> Iterator[BaseIOHandler]:
    if isinstance(value, BaseIOHandler):
        yield from handlers_in(value)
    elif isinstance(value, Mapping):
        yield from _handlers_among(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _handlers_among(item)


def _locations(handler: BaseIOHandler) -> tuple[type[BaseIOHandler], dict[str, str]] | None:
    """Return the fields that may say where a handler without a root stores; None if none is a location."""
    cls, values = handler.configuration()
    texts = {name: value for name, value in values.items() if isinstance(value, (str, PurePath))}
    located = {
        name for name, value in texts.items() if isinstance(value, PurePath) or name in cls.location_fields
    }
    if not located:
        return None
    return cls, {
        name: os.path.realpath(os.path.expanduser(value)) if name in located else str(value)
        for name, value in texts.items()
    }

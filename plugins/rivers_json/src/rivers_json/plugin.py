"""Plugin of this package. Light to import: the handler class is imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.hooks import HandlerSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def rivers_io_handlers() -> Iterator[HandlerSpec]:
    """Register `json`."""
    yield HandlerSpec(
        name="json",
        target="rivers_json.handler:JsonIOHandler",
        summary="Keeps values as JSON documents in a folder or any object store.",
    )

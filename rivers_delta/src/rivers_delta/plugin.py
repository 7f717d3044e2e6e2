"""Entry point of the plugin. Light to import: the handler is imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.hooks import HandlerSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def rivers_io_handlers() -> Iterator[HandlerSpec]:
    """Announce the handler `delta`."""
    yield HandlerSpec(
        name="delta",
        target="rivers_delta.handler:DeltaIOHandler",
        summary="Keeps tables in Delta Lake: transactions, partitions, merges, time travel.",
        requires=("deltalake", "pyarrow"),
    )

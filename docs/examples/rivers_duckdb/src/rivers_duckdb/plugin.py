"""Plugin of this package. Light to import: the handler class is imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.hooks import HandlerSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def rivers_io_handlers() -> Iterator[HandlerSpec]:
    """Register `duckdb`."""
    yield HandlerSpec(
        name="duckdb",
        target="rivers_duckdb.handler:DuckdbIOHandler",
        summary="Keeps data frames as tables of a DuckDB file.",
    )

"""Plugin of this package. Light to import: the storage class is imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.hooks import StorageSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def rivers_event_storages() -> Iterator[StorageSpec]:
    """Register `postgresql`, and `postgres`, which libpq accepts as well."""
    for scheme in ("postgresql", "postgres"):
        yield StorageSpec(
            name=scheme,
            target="rivers_postgres.storage:PostgresStorage",
            summary="Keeps the event log in PostgreSQL, shared by several machines.",
        )

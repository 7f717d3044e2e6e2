"""Event log in PostgreSQL."""

from __future__ import annotations

from rivers_core.authoring import lazy_exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_postgres.storage import PostgresStorage as PostgresStorage
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, {"rivers_postgres.storage": ["PostgresStorage"]})

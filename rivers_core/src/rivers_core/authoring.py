"""Building blocks for handler packages beyond the contract itself.

`rivers_core` holds what every handler needs; this module holds what most handlers need sooner or later: credentials
kept out of messages, suggestions for misspelled names, results that may be awaitable, locations that do not follow
the working folder. First-party handlers use these names, and so may any other package: they are documented, tested
and covered by the same compatibility promise as the contract. Everything else in `rivers_core` is private.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.lazy import lazy_exports

if TYPE_CHECKING:
    from rivers_core._locations import resolve_location
    from rivers_core._suggestions import did_you_mean
    from rivers_core.awaitables import resolve_awaitable, run_sync
    from rivers_core.handler.base import Locality
    from rivers_core.handler.masking import (
        REDACTED,
        collect_secrets,
        is_secret_name,
        redact,
        redact_value,
        secret_spellings,
        secrets_of,
    )
    from rivers_core.handler.settings import build_handler

__all__ = [
    "REDACTED",
    "Locality",
    "build_handler",
    "collect_secrets",
    "did_you_mean",
    "is_secret_name",
    "lazy_exports",
    "redact",
    "redact_value",
    "resolve_awaitable",
    "resolve_location",
    "run_sync",
    "secret_spellings",
    "secrets_of",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "REDACTED": "rivers_core.handler.masking",
        "Locality": "rivers_core.handler.base",
        "resolve_location": "rivers_core._locations",
        "build_handler": "rivers_core.handler.settings",
        "collect_secrets": "rivers_core.handler.masking",
        "did_you_mean": "rivers_core._suggestions",
        "is_secret_name": "rivers_core.handler.masking",
        "redact": "rivers_core.handler.masking",
        "redact_value": "rivers_core.handler.masking",
        "resolve_awaitable": "rivers_core.awaitables",
        "run_sync": "rivers_core.awaitables",
        "secret_spellings": "rivers_core.handler.masking",
        "secrets_of": "rivers_core.handler.masking",
    },
)

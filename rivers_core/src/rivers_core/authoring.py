"""Building blocks for handler packages beyond the contract itself.

`rivers_core` exports the handler contract. This module exports what handler packages, first-party or not, need in
addition: redaction of credentials, suggestions for misspelled names, the parts of annotations, awaiting a result,
absolute locations, native libraries in forked processes, lazy exports. These names have the same compatibility promise
as the contract; a handler package imports nothing else of `rivers_core` than these, `rivers_core` itself,
`rivers_core.hooks` and `rivers_core.exceptions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core._lazy import lazy_exports, register_former_module

if TYPE_CHECKING:
    from rivers_core._annotations import hint_classes, hint_members, mapping_hint
    from rivers_core._forks import ForkGuard
    from rivers_core._listing import shown_keys
    from rivers_core._locations import StoreRoot, locate_store, resolve_location
    from rivers_core._store_variables import missing_credentials, store_variables
    from rivers_core._suggestions import did_you_mean
    from rivers_core._values import plain_text
    from rivers_core.awaitables import resolve_awaitable, run_sync
    from rivers_core.handler.base import Locality
    from rivers_core.handler.settings import build_handler
    from rivers_core.redaction import (
        REDACTED,
        collect_secrets,
        is_secret_name,
        option_secrets,
        redact,
        redact_secrets,
        redact_value,
        secret_spellings,
        secrets_of,
    )

__all__ = [
    "REDACTED",
    "ForkGuard",
    "Locality",
    "StoreRoot",
    "build_handler",
    "collect_secrets",
    "did_you_mean",
    "hint_classes",
    "hint_members",
    "is_secret_name",
    "lazy_exports",
    "locate_store",
    "mapping_hint",
    "missing_credentials",
    "option_secrets",
    "plain_text",
    "redact",
    "redact_secrets",
    "redact_value",
    "register_former_module",
    "resolve_awaitable",
    "resolve_location",
    "run_sync",
    "secret_spellings",
    "secrets_of",
    "shown_keys",
    "store_variables",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "REDACTED": "rivers_core.redaction",
        "ForkGuard": "rivers_core._forks",
        "Locality": "rivers_core.handler.base",
        "StoreRoot": "rivers_core._locations",
        "locate_store": "rivers_core._locations",
        "resolve_location": "rivers_core._locations",
        "plain_text": "rivers_core._values",
        "build_handler": "rivers_core.handler.settings",
        "collect_secrets": "rivers_core.redaction",
        "did_you_mean": "rivers_core._suggestions",
        "hint_classes": "rivers_core._annotations",
        "hint_members": "rivers_core._annotations",
        "mapping_hint": "rivers_core._annotations",
        "is_secret_name": "rivers_core.redaction",
        "missing_credentials": "rivers_core._store_variables",
        "option_secrets": "rivers_core.redaction",
        "redact": "rivers_core.redaction",
        "redact_secrets": "rivers_core.redaction",
        "redact_value": "rivers_core.redaction",
        "resolve_awaitable": "rivers_core.awaitables",
        "run_sync": "rivers_core.awaitables",
        "secret_spellings": "rivers_core.redaction",
        "secrets_of": "rivers_core.redaction",
        "shown_keys": "rivers_core._listing",
        "store_variables": "rivers_core._store_variables",
    },
)

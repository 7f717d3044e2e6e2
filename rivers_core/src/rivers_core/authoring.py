"""Building blocks for handler packages beyond the contract itself.

`rivers_core` exports the handler contract. This module exports what handler packages, first-party or not, need in
addition: redaction of credentials, suggestions for misspelled names, the parts of annotations, awaiting a result,
absolute locations, native libraries in forked processes, lazy exports. These names have the same compatibility promise
as the contract; a handler package imports nothing else of `rivers_core` than these, `rivers_core` itself,
`rivers_core.hooks` and `rivers_core.exceptions`.
"""

from __future__ import annotations

from rivers_core._lazy import lazy_exports as lazy_exports
from rivers_core._lazy import register_former_module as register_former_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_core._forks import ForkGuard as ForkGuard
    from rivers_core._hints import hint_classes as hint_classes
    from rivers_core._hints import hint_members as hint_members
    from rivers_core._hints import mapping_hint as mapping_hint
    from rivers_core._locations import StoreRoot as StoreRoot
    from rivers_core._locations import locate_store as locate_store
    from rivers_core._locations import resolve_location as resolve_location
    from rivers_core._messages import counted as counted
    from rivers_core._messages import did_you_mean as did_you_mean
    from rivers_core._messages import shown_keys as shown_keys
    from rivers_core._values import plain_text as plain_text
    from rivers_core.awaitables import resolve_awaitable as resolve_awaitable
    from rivers_core.awaitables import run_sync as run_sync
    from rivers_core.handler.base import Locality as Locality
    from rivers_core.handler.settings import build_handler as build_handler
    from rivers_core.redaction import REDACTED as REDACTED
    from rivers_core.redaction import collect_secrets as collect_secrets
    from rivers_core.redaction import is_secret_name as is_secret_name
    from rivers_core.redaction import option_secrets as option_secrets
    from rivers_core.redaction import redact as redact
    from rivers_core.redaction import redact_secrets as redact_secrets
    from rivers_core.redaction import redact_value as redact_value
    from rivers_core.redaction import secret_spellings as secret_spellings
    from rivers_core.redaction import secrets_of as secrets_of
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "rivers_core._hints": ["hint_classes", "hint_members", "mapping_hint"],
            "rivers_core._forks": ["ForkGuard"],
            "rivers_core._locations": [
                "StoreRoot",
                "locate_store",
                "resolve_location",
            ],
            "rivers_core._messages": ["counted", "did_you_mean", "shown_keys"],
            "rivers_core._values": ["plain_text"],
            "rivers_core.awaitables": ["resolve_awaitable", "run_sync"],
            "rivers_core.handler.base": ["Locality"],
            "rivers_core.handler.settings": ["build_handler"],
            "rivers_core.redaction": [
                "REDACTED",
                "collect_secrets",
                "is_secret_name",
                "option_secrets",
                "redact",
                "redact_secrets",
                "redact_value",
                "secret_spellings",
                "secrets_of",
            ],
            "rivers_core._lazy": ["lazy_exports", "register_former_module"],
        },
    )

"""Handlers named in `rivers.toml`: found, merged for an environment, validated, built once.

Each name is imported when it is first used: finding the file needs none of what building handlers needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.lazy import lazy_exports

if TYPE_CHECKING:
    from rivers_core.config.building import FieldValue
    from rivers_core.config.config import Config
    from rivers_core.config.find import find_config
    from rivers_core.config.load import load_config

__all__ = ["Config", "FieldValue", "find_config", "load_config"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Config": "rivers_core.config.config",
        "FieldValue": "rivers_core.config.building",
        "find_config": "rivers_core.config.find",
        "load_config": "rivers_core.config.load",
    },
)

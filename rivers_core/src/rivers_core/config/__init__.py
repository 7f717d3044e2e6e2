"""Configuration file `rivers.toml`: handlers by name, environments, variables, plugin policy.

Names are imported on first use: the command reads the plugin policy, and must not import pydantic for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core._lazy import lazy_exports

if TYPE_CHECKING:
    from rivers_core.config.config import Config, load_config
    from rivers_core.config.parser import find_config, list_environments, load_plugin_policy
    from rivers_core.config.resolve import FieldValue

__all__ = [
    "Config",
    "FieldValue",
    "find_config",
    "list_environments",
    "load_config",
    "load_plugin_policy",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Config": "rivers_core.config.config",
        "FieldValue": "rivers_core.config.resolve",
        "find_config": "rivers_core.config.parser",
        "list_environments": "rivers_core.config.parser",
        "load_config": "rivers_core.config.config",
        "load_plugin_policy": "rivers_core.config.parser",
    },
)

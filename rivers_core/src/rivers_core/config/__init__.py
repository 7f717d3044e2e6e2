"""Handlers named in `rivers.toml`: found, merged for an environment, validated, built once.

Each name is imported when it is first used: finding the file needs none of what building handlers needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rivers_core.config.building import FieldValue
    from rivers_core.config.config import Config
    from rivers_core.config.find import find_config
    from rivers_core.config.load import load_config
    from rivers_core.config.schema import json_schema

__all__ = ["Config", "FieldValue", "find_config", "json_schema", "load_config"]

_HOMES = {
    "Config": "config",
    "FieldValue": "building",
    "find_config": "find",
    "json_schema": "schema",
    "load_config": "load",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value

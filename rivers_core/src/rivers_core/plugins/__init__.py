"""Plugins: discovery of installed packages, and the registry of what they provide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core._lazy import lazy_exports

if TYPE_CHECKING:
    from rivers_core.plugins._lookup_errors import conflict_message, not_provided_message
    from rivers_core.plugins.discovery import ENTRY_POINT_GROUP, foreign_distribution, normalize_distribution
    from rivers_core.plugins.loading import Registration, import_target
    from rivers_core.plugins.registry import PluginRegistry, PluginStatus, get_registry

__all__ = [
    "ENTRY_POINT_GROUP",
    "PluginRegistry",
    "PluginStatus",
    "Registration",
    "conflict_message",
    "foreign_distribution",
    "get_registry",
    "import_target",
    "normalize_distribution",
    "not_provided_message",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "ENTRY_POINT_GROUP": "rivers_core.plugins.discovery",
        "PluginRegistry": "rivers_core.plugins.registry",
        "PluginStatus": "rivers_core.plugins.registry",
        "Registration": "rivers_core.plugins.loading",
        "conflict_message": "rivers_core.plugins._lookup_errors",
        "foreign_distribution": "rivers_core.plugins.discovery",
        "get_registry": "rivers_core.plugins.registry",
        "import_target": "rivers_core.plugins.loading",
        "normalize_distribution": "rivers_core.plugins.discovery",
        "not_provided_message": "rivers_core.plugins._lookup_errors",
    },
)

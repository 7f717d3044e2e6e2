"""Plugins: discovery of installed packages, and the registry of what they provide."""

from __future__ import annotations

from rivers_core._lazy import lazy_exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_core.plugins.discovery import ENTRY_POINT_GROUP as ENTRY_POINT_GROUP
    from rivers_core.plugins.discovery import OBSERVERS as OBSERVERS
    from rivers_core.plugins.discovery import RESOLVE as RESOLVE
    from rivers_core.plugins.discovery import normalize_distribution as normalize_distribution
    from rivers_core.plugins.discovery import packages_not_installed as packages_not_installed
    from rivers_core.plugins.loading import Registration as Registration
    from rivers_core.plugins.loading import import_target as import_target
    from rivers_core.plugins.lookup_errors import conflict_message as conflict_message
    from rivers_core.plugins.lookup_errors import not_provided_message as not_provided_message
    from rivers_core.plugins.registry import PluginRegistry as PluginRegistry
    from rivers_core.plugins.registry import PluginStatus as PluginStatus
    from rivers_core.plugins.registry import get_registry as get_registry
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "rivers_core.plugins.lookup_errors": ["conflict_message", "not_provided_message"],
            "rivers_core.plugins.discovery": [
                "ENTRY_POINT_GROUP",
                "OBSERVERS",
                "RESOLVE",
                "normalize_distribution",
                "packages_not_installed",
            ],
            "rivers_core.plugins.loading": ["Registration", "import_target"],
            "rivers_core.plugins.registry": ["PluginRegistry", "PluginStatus", "get_registry"],
        },
    )

"""Configuration file `rivers.toml`: handlers by name, environments, variables, plugin policy.

Names are imported on first use: the command reads the plugin policy, and must not import pydantic for that.
"""

from __future__ import annotations

from rivers_core._lazy import lazy_exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_core.config.config import Config as Config
    from rivers_core.config.config import load_config as load_config
    from rivers_core.config.parser import find_config as find_config
    from rivers_core.config.parser import list_environments as list_environments
    from rivers_core.config.parser import load_plugin_policy as load_plugin_policy
    from rivers_core.config.resolve import FieldValue as FieldValue
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "rivers_core.config.config": ["Config", "load_config"],
            "rivers_core.config.parser": ["find_config", "list_environments", "load_plugin_policy"],
            "rivers_core.config.resolve": ["FieldValue"],
        },
    )

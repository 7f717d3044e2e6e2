"""Commands that installed packages add, asked for without loading the project."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rivers_core.exceptions import RiversError
from rivers_core.plugins import get_registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rivers_core.plugins import CommandSpec, Provided


def plugin_commands() -> list[Provided[CommandSpec]]:
    """Every command that a plugin offers, as far as the project in this folder lets it.

    Help has to work where the configuration does not, so that mistakes in it are not reported here; what
    it forbids, or cannot be read to allow, is not imported all the same.
    """
    try:
        rules = _rules()
        if rules is None:
            return []
        get_registry().configure(**rules)
        return get_registry().commands()
    except RiversError:
        return []


def _rules() -> dict[str, Any] | None:
    from rivers_core.config.find import find_config, read

    path = find_config()
    if path is None:
        return {}
    rules: dict[str, Any] = {}
    for table in _plugin_tables(read(path)):
        if not isinstance(table, dict):
            return None
        rules |= {key: table[key] for key in ("allow", "deny") if key in table}
    is_sound = all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in rules.values()
    )
    return rules if is_sound else None


def _plugin_tables(tables: Mapping[str, Any]) -> Iterator[Any]:
    yield tables.get("plugins", {})
    environments = tables.get("environments", {})
    chosen = environments.get(os.environ.get("RIVERS_ENV")) if isinstance(environments, dict) else None
    if isinstance(chosen, dict):
        yield chosen.get("plugins", {})

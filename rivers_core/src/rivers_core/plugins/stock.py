"""The plugins there are in this process, whatever any rule says about them."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from rivers_core.plugins.entries import PluginEntry, given_entries, installed_entries

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers_core.plugins.rules import PluginRules


class Stock:
    """What registries under different rules have in common: plugins, and the rules that hold for all of them.

    Args:
        entry_points: Use these instead of the installed ones.
        rules: The rules given in code.

    Attributes:
        in_process: Module of each plugin that was registered in this process, the earliest first.
        code: The rules given in code.
        configured: The rules of `PluginRegistry.configure`.
    """

    def __init__(self, entry_points: Iterable[Any] | None, rules: PluginRules) -> None:
        self.in_process: dict[PluginEntry, object] = {}
        self.code = rules
        self.configured: PluginRules | None = None
        self._given = None if entry_points is None else given_entries(entry_points)
        self._installed: list[PluginEntry] | None = None
        self._path: tuple[str, ...] = ()

    def known(self) -> list[PluginEntry]:
        """The entry points of installed plugins, read again when the path has changed."""
        if self._given is not None:
            return self._given
        if self._installed is None or self._path != tuple(sys.path):
            self._path = tuple(sys.path)
            self._installed = installed_entries()
        return self._installed

    def rescan(self) -> bool:
        """Look again, for what was installed while this process runs; tells whether anything is new."""
        before = self._installed
        if self._given is not None:
            return False
        importlib.invalidate_caches()
        self._installed = installed_entries()
        return self._installed != before

    def registered(self, name: str) -> PluginEntry | None:
        """The plugin of this process with that name.

        Args:
            name: The name it was registered under.
        """
        return next((entry for entry in self.in_process if entry.distribution == name), None)

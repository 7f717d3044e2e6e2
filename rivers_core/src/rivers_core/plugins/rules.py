"""Which plugins may be imported, and who provides a name that two claim."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from rivers_core.plugins.entries import normalize_distribution

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ALLOW: Final = "RIVERS_PLUGINS_ALLOW"
DENY: Final = "RIVERS_PLUGINS_DENY"
STRICT: Final = "RIVERS_STRICT_PLUGINS"


@dataclass(frozen=True, slots=True)
class PluginRules:
    """One set of rules.

    Args:
        source: Where they stand, for messages.
        allow: Patterns of distributions; None allows all.
        deny: Patterns of distributions.
        pin: Name to the distribution that provides it.
    """

    source: str
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    pin: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        source: str,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] | None = None,
        pin: Mapping[str, str] | None = None,
    ) -> PluginRules:
        """Build rules from any iterables.

        Args:
            source: Where they stand, for messages.
            allow: Patterns of distributions; None allows all.
            deny: Patterns of distributions.
            pin: Name to the distribution that provides it.

        Returns:
            The rules.
        """
        return cls(source, None if allow is None else tuple(allow), tuple(deny or ()), dict(pin or {}))

    @classmethod
    def from_environment(cls) -> PluginRules:
        """Read `RIVERS_PLUGINS_ALLOW` and `RIVERS_PLUGINS_DENY`: lists with commas.

        Returns:
            The rules; an empty variable is no rule.
        """
        return _environment(os.environ.get(ALLOW, ""), os.environ.get(DENY, ""))

    @property
    def restricts(self) -> bool:
        """Whether anything may be kept out."""
        return self.allow is not None or bool(self.deny)

    def objection(self, distribution: str) -> str | None:
        """Why a distribution may not be imported.

        Args:
            distribution: Its name.

        Returns:
            A clause that names the rule; None if nothing is against it.
        """
        denied = next((pattern for pattern in self.deny if _matches(distribution, pattern)), None)
        if denied is not None:
            return f"it is denied by {denied!r} ({self._place('deny', DENY)})"
        if self.allow is not None and not any(_matches(distribution, pattern) for pattern in self.allow):
            allowed = ", ".join(self.allow) or "nothing"
            return f"only {allowed} is allowed ({self._place('allow', ALLOW)})"
        return None

    def _place(self, option: str, variable: str) -> str:
        return variable if self.source == "environment" else f"`{option}` in {self.source}"


def strict_from_environment() -> bool:
    """Whether `RIVERS_STRICT_PLUGINS` makes a broken plugin an error at once.

    Returns:
        True for anything but an empty value, `0`, `false`, `no` and `off`.
    """
    return os.environ.get(STRICT, "").strip().lower() not in {"", "0", "false", "no", "off"}


@lru_cache(maxsize=1)
def _environment(allow: str, deny: str) -> PluginRules:
    return PluginRules("environment", _listed(allow) or None, _listed(deny))


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _matches(distribution: str, pattern: str) -> bool:
    return fnmatchcase(normalize_distribution(distribution), normalize_distribution(pattern))

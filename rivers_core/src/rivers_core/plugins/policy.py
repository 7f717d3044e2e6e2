"""Policy: which plugins may be imported, and which distribution provides a name that several claim."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from rivers_core.plugins.discovery import normalize_distribution

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ALLOW: Final = "RIVERS_PLUGINS_ALLOW"
DENY: Final = "RIVERS_PLUGINS_DENY"
STRICT: Final = "RIVERS_STRICT_PLUGINS"


@dataclass(frozen=True, slots=True)
class PluginPolicy:
    """Allow list, deny list and pins from one source.

    Args:
        source: Where the policy was set, for messages.
        allow: Patterns of distributions that may be imported; None allows all.
        deny: Patterns of distributions that must not be imported.
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
    ) -> PluginPolicy:
        """Build a policy from any iterables; the arguments are those of the class."""
        return cls(source, None if allow is None else tuple(allow), tuple(deny or ()), dict(pin or {}))

    @property
    def is_empty(self) -> bool:
        """Whether the policy neither restricts nor pins anything."""
        return self.allow is None and not self.deny and not self.pin

    def refusal(self, distribution: str) -> str | None:
        """Return why a distribution must not be imported.

        Args:
            distribution: Name of the distribution.

        Returns:
            A clause that names the pattern and its source, or None if the distribution may be imported.
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


def environment_policy() -> PluginPolicy:
    """Return the policy of `RIVERS_PLUGINS_ALLOW` and `RIVERS_PLUGINS_DENY`, comma-separated lists."""
    return _parsed(os.environ.get(ALLOW, ""), os.environ.get(DENY, ""))


def strict_environment() -> bool:
    """Return whether `RIVERS_STRICT_PLUGINS` turns every broken plugin into an error."""
    return os.environ.get(STRICT, "").strip().lower() not in {"", "0", "false", "no", "off"}


@lru_cache(maxsize=1)  # the same object for the same variables, so that comparing policies is cheap
def _parsed(allow: str, deny: str) -> PluginPolicy:
    return PluginPolicy("environment", _split(allow) or None, _split(deny))


def _split(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _matches(distribution: str, pattern: str) -> bool:
    return fnmatchcase(normalize_distribution(distribution), normalize_distribution(pattern))

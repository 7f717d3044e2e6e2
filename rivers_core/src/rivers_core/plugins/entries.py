"""Where plugins are announced: entry points of installed distributions, read without importing any."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import importlib_metadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ENTRY_POINT_GROUP: Final = "rivers"

_LOG: Final = logging.getLogger("rivers.plugins")
_MODULE: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def normalize_distribution(distribution: str) -> str:
    """The name of a distribution as package indexes compare it.

    Args:
        distribution: As somebody wrote it.

    Returns:
        Lower case, with single dashes.
    """
    return re.sub(r"[-_.]+", "-", distribution).lower()


@dataclass(frozen=True, slots=True, order=True)
class PluginEntry:
    """One entry point.

    Args:
        distribution: Who announces it.
        name: Its name; the convention is the name of the handler.
        value: The plugin module.
        version: The version of the distribution.
        fault: What is wrong with the announcement itself.
    """

    distribution: str
    name: str
    value: str
    version: str = ""
    fault: str | None = None

    @property
    def key(self) -> str:
        """The name under which the plugin is registered."""
        return f"{self.distribution}:{self.name}"

    @property
    def owner(self) -> str:
        """Distribution and version, for messages."""
        return f"{self.distribution} {self.version}".strip()

    def __str__(self) -> str:
        return f"plugin {self.name!r} of {self.owner}"


def installed_entries() -> list[PluginEntry]:
    """Read the plugins of all installed distributions.

    A distribution that is found twice on the path counts once, the first time, as for imports.

    Returns:
        The entries of the group `rivers`, sorted, so that no order of installation shows.
    """
    seen: set[str] = set()
    found: set[PluginEntry] = set()
    for distribution in importlib_metadata.distributions():
        try:
            identity = _identity(distribution)
            if identity not in seen:
                found.update(_entries(distribution))
            seen.add(identity)
        except Exception:
            _LOG.debug("The metadata of %r cannot be read.", distribution, exc_info=True)
    return sorted(found, key=_order)


def given_entries(points: Iterable[Any]) -> list[PluginEntry]:
    """Take entry points that somebody hands over, instead of those installed.

    Args:
        points: Entry points of `importlib_metadata` or `importlib.metadata`, or `PluginEntry` objects.

    Returns:
        The entries, sorted, each once.
    """
    found = {point if isinstance(point, PluginEntry) else _entry(point, point.dist) for point in points}
    return sorted(found, key=_order)


def _order(entry: PluginEntry) -> tuple[str, str, str]:
    return normalize_distribution(entry.distribution), entry.name, entry.value


def _identity(distribution: Any) -> str:
    # known from the folder's name; `.name` would read and parse the metadata of every distribution
    known = getattr(distribution, "_normalized_name", None)
    return known if isinstance(known, str) else normalize_distribution(distribution.name)


def _entries(distribution: Any) -> Iterator[PluginEntry]:
    text = distribution.read_text("entry_points.txt")
    if not text or f"[{ENTRY_POINT_GROUP}]" not in text:
        return
    try:
        points = [point for point in distribution.entry_points if point.group == ENTRY_POINT_GROUP]
    except Exception as error:
        name, version = _name_and_version(distribution)
        fault = f"its entry_points.txt cannot be read ({type(error).__name__}: {error})"
        yield PluginEntry(name, "?", "", version, fault)
        return
    for point in points:
        yield _entry(point, distribution)


def _entry(point: Any, distribution: Any) -> PluginEntry:
    name, version = _name_and_version(distribution)
    fault = None
    if not _MODULE.fullmatch(point.value):
        fault = (
            f"its value {point.value!r} is not a module; a plugin is announced as "
            f"`{point.name} = some_package.plugin`"
        )
    return PluginEntry(name, point.name, point.value, version, fault)


def _name_and_version(distribution: Any) -> tuple[str, str]:
    try:
        # `.name` and `.version` would import the email package and parse the whole description
        head = (distribution.read_text("METADATA") or "").partition("\n\n")[0]
        fields = dict(
            line.split(": ", 1) for line in head.splitlines() if line.startswith(("Name: ", "Version: "))
        )
        if len(fields) == 2:
            return fields["Name"].strip(), fields["Version"].strip()
        return distribution.name, distribution.version
    except Exception:
        return getattr(distribution, "_normalized_name", None) or "unknown distribution", ""

"""Discovery: which plugins installed distributions announce, and which of them the policy allows; imports none."""

from __future__ import annotations

import importlib
import logging
import os
import re
import shlex
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib.machinery import PathFinder
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ENTRY_POINT_GROUP: Final = "rivers"
OBSERVERS: Final = "rivers.observers"
RESOLVE: Final = "rivers.resolve"
COMMANDS: Final = "rivers.commands"
GROUPS: Final = frozenset({ENTRY_POINT_GROUP, OBSERVERS, RESOLVE, COMMANDS})

ALLOW: Final = "RIVERS_PLUGINS_ALLOW"
DENY: Final = "RIVERS_PLUGINS_DENY"
STRICT: Final = "RIVERS_STRICT_PLUGINS"

# Words in the names of hooks and groups, singular, to recognize a misspelled group.
_WORDS: Final = {
    ENTRY_POINT_GROUP: ("event", "executor", "handler", "hook", "io", "plugin", "storage", "store"),
    OBSERVERS: ("end", "failed", "input", "loaded", "observer", "output", "run", "start", "stored"),
    RESOLVE: ("default", "resolve", "resolver", "wrap", "wrapper"),
    COMMANDS: ("cli", "command"),
}
_GROUP_OF_WORD: Final = {word: group for group, words in _WORDS.items() for word in words}
_SECTION: Final = re.compile(r"^\s*\[([^\]\n]+)\]", re.MULTILINE)

_LOG: Final = logging.getLogger("rivers.plugins")
_MODULE: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


@dataclass(frozen=True, slots=True)
class PluginEntry:
    """Plugin that was discovered: an entry point, or a module that was registered in this process.

    Args:
        distribution: Distribution that announces the plugin.
        name: Name of the entry point, by convention the name of the handler.
        value: Name of the plugin module.
        version: Version of the distribution.
        problem: Reason why the announcement itself is invalid.
        groups: Groups in which the distribution announces the module.
        module: The plugin module, if it was registered in this process.
        serial: Number of that registration, so that a later one of the same name is a different plugin.
    """

    distribution: str
    name: str
    value: str
    version: str = ""
    problem: str | None = None
    groups: frozenset[str] = frozenset({ENTRY_POINT_GROUP})
    module: object = field(default=None, compare=False, repr=False)
    serial: int = 0

    @property
    def key(self) -> str:
        """Name under which the plugin is registered in pluggy."""
        key = f"{self.distribution}:{self.name}"
        # a separate module, for observers only, may have the same name in another group
        return key if ENTRY_POINT_GROUP in self.groups else f"{key} ({self.value})"

    @property
    def owner(self) -> str:
        """Distribution and version, for messages."""
        return f"{self.distribution} {self.version}".strip()

    def __str__(self) -> str:
        return f"plugin {self.name!r} of {self.owner}"

    def belongs_to(self, distribution: str | None) -> bool:
        """Return whether the plugin comes from a distribution; every plugin does if it is None."""
        return distribution is None or same_distribution(self.distribution, distribution)


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
        """True if the policy neither restricts nor pins anything."""
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


class Discovery:
    """Plugins that exist for this process, before policies apply.

    Args:
        entry_points: Entry points to use instead of those of installed distributions.

    Attributes:
        in_process: Plugins that were registered in this process, the earliest first.
        policy: Policy of `PluginRegistry.configure`, which all registries of these plugins share.
    """

    def __init__(self, entry_points: Iterable[Any] | None = None) -> None:
        self.in_process: tuple[PluginEntry, ...] = ()
        self.policy: PluginPolicy | None = None
        self._fixed = None if entry_points is None else _entries_of(entry_points)
        self._installed: list[PluginEntry] = []
        self._path: tuple[str, ...] | None = None
        self._serials = count(1)

    def installed(self) -> list[PluginEntry]:
        """Return the plugins of installed distributions, read again if `sys.path` has changed."""
        if self._fixed is not None:
            return self._fixed
        path = tuple(sys.path)
        if path != self._path:
            self._path = path
            self._installed = installed_entries()
        return self._installed

    def rescan(self) -> bool:
        """Read entry points again, for packages installed while this process runs; return whether any changed."""
        if self._fixed is not None:
            return False
        importlib.invalidate_caches()
        installed = installed_entries()
        if installed == self._installed:
            return False
        self._installed = installed
        return True

    def in_process_entry(self, module: object, name: str) -> PluginEntry:
        """Return a new entry for a module of this process; it is not added yet."""
        value = getattr(module, "__name__", name)
        serial = next(self._serials)
        return PluginEntry(name, name, value, "(in process)", groups=GROUPS, module=module, serial=serial)

    def remove(self, name: str) -> None:
        """Remove the plugin that was registered in this process under a name."""
        self.in_process = tuple(entry for entry in self.in_process if entry.name != name)


def environment_policy() -> PluginPolicy:
    """Return the policy of `RIVERS_PLUGINS_ALLOW` and `RIVERS_PLUGINS_DENY`, comma-separated lists."""
    return _parsed(os.environ.get(ALLOW, ""), os.environ.get(DENY, ""))


def strict_environment() -> bool:
    """Return whether `RIVERS_STRICT_PLUGINS` turns every broken plugin into an error."""
    return os.environ.get(STRICT, "").strip().lower() not in {"", "0", "false", "no", "off"}


@lru_cache(maxsize=1)  # the same object for the same variables, so that comparing policies is cheap
def _parsed(allow: str, deny: str) -> PluginPolicy:
    return PluginPolicy("environment", _items(allow) or None, _items(deny))


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _matches(distribution: str, pattern: str) -> bool:
    return fnmatchcase(normalize_distribution(distribution), normalize_distribution(pattern))


def installed_entries() -> list[PluginEntry]:
    """Read the plugins of all installed distributions.

    Returns:
        Plugins in an order that does not depend on the order of installation. Of several copies of a distribution
        on `sys.path` only the first counts, as for imports.
    """
    entries: set[PluginEntry] = set()
    for distribution in _distributions():
        try:
            entries.update(_read_entries(distribution))
        except Exception:
            _LOG.debug("Could not read the metadata of %r.", distribution, exc_info=True)
    return _sorted(entries)


def normalize_distribution(name: str) -> str:
    """Normalize the name of a distribution as package indexes do.

    Args:
        name: Name in any spelling.

    Returns:
        The name in lower case with single dashes.
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def same_distribution(first: str, second: str) -> bool:
    """Return whether two names denote the same distribution."""
    return normalize_distribution(first) == normalize_distribution(second)


def is_installed(requirement: str) -> bool:
    """Return whether a distribution is installed, in any version.

    Args:
        requirement: Name, possibly followed by a version or extras.
    """
    import importlib_metadata

    try:
        importlib_metadata.distribution(_project_name(requirement))
    except (importlib_metadata.PackageNotFoundError, ValueError):
        return False
    return True


def package_to_install(names: Iterable[str]) -> str | None:
    """Return the missing package that probably provides a handler or executor.

    No list of packages is kept: a package `rivers-<name>` is offered by every installed distribution that requires
    it, outright or by an extra, as `rivers-io[delta]` does.

    Args:
        names: Names of the handler or executor, the most likely first.

    Returns:
        The name of the distribution, or None if no installed distribution offers one.
    """
    candidates = [
        normalize_distribution(f"rivers-{name}") for name in names if re.fullmatch(r"[\w.-]+", name)
    ]
    offered = _offered()
    return next((name for name in candidates if name in offered and not is_installed(name)), None)


def packages_not_installed() -> list[str]:
    """Return the packages `rivers-<name>` that an installed distribution offers and that are not installed, sorted."""
    return sorted(name for name in _offered() if name.startswith("rivers-") and not is_installed(name))


def _offered() -> set[str]:
    """Return the distributions that installed ones require, outright or by an extra."""
    import importlib_metadata

    offered: set[str] = set()
    for distribution in importlib_metadata.distributions():
        try:
            offered.update(_required_projects(distribution))
        except Exception:
            _LOG.debug("Could not read the requirements of %r.", distribution, exc_info=True)
    return offered


def pip_command(module: str, distribution: str) -> str | None:
    """Return the command that installs a module that a distribution could not import.

    Names of modules and distributions differ (`yaml`, PyYAML), and a guessed name may install something else.
    Therefore the command contains only requirements that the distribution declares.

    Args:
        module: Name of the module that was not found.
        distribution: Distribution that imports it.

    Returns:
        A command with the requirement that is named like the module, or the extra that contains it; otherwise with
        all requirements that are not installed. Empty if there are none; None if the distribution is not installed.
    """
    import importlib_metadata

    try:
        lines = importlib_metadata.distribution(distribution).requires or ()
    except (importlib_metadata.PackageNotFoundError, ValueError):
        return None
    parts = normalize_distribution(module).split("-")
    names = {"-".join(parts[: end + 1]) for end in range(len(parts))}
    missing = []
    for line in lines:
        requirement, _, marker = line.partition(";")
        requirement = re.sub(r"[\s()]", "", requirement)
        if normalize_distribution(_project_name(requirement)) in names:
            extra = re.search(r"""\bextra\s*==\s*['"]([^'"]+)""", marker)
            argument = shlex.quote(f"{distribution}[{extra[1]}]" if extra else requirement)
            return f"pip install {'-U ' if is_installed(requirement) else ''}{argument}"
        if not marker and not is_installed(requirement):
            missing.append(requirement)
    return f"pip install {shlex.join(missing)}" if missing else ""


def intended_group(group: str) -> str | None:
    """Return the group of rivers that the name of an entry point group is, or resembles.

    Args:
        group: Such as `rivers`, `rivers.handlers` or `Rivers_IO_Handlers`.

    Returns:
        One of `GROUPS`; None for a group of another project.
    """
    if group in GROUPS:
        return group
    head, *words = [word.removesuffix("s") for word in re.split(r"[\W_]+", group.strip().lower())]
    if head != "river":
        return None
    groups = [_group_of_word(word) for word in words]
    return None if None in groups else next(filter(ENTRY_POINT_GROUP.__ne__, groups), ENTRY_POINT_GROUP)


def _group_of_word(word: str) -> str | None:
    from difflib import get_close_matches  # only unusual groups need it

    matches = get_close_matches(word, _GROUP_OF_WORD, n=1, cutoff=0.8)
    return _GROUP_OF_WORD[matches[0]] if matches else None


class _Announcement(NamedTuple):
    """Line of an entry_points.txt, with the attributes of an entry point."""

    name: str
    value: str
    group: str


class _MetadataFolder:
    """Metadata folder of an installed distribution, such as `site-packages/acme_yaml-1.0.dist-info`.

    Args:
        path: Path of the folder.
    """

    __slots__ = ("_path", "name", "version")

    def __init__(self, path: str) -> None:
        self._path = path
        self.name, _, self.version = os.path.splitext(os.path.basename(path))[0].partition("-")

    def __repr__(self) -> str:
        return f"<{self._path}>"

    def contains(self, filename: str) -> bool:
        """Return whether the folder contains a file."""
        return os.path.exists(f"{self._path}/{filename}")

    def read_text(self, filename: str) -> str | None:
        """Return the text of a file in the folder; None if it cannot be opened."""
        try:
            with open(f"{self._path}/{filename}", encoding="utf-8") as file:
                return file.read()
        except OSError:
            return None


def _distributions() -> Iterator[Any]:
    """Yield all installed distributions, of several copies on `sys.path` the first.

    Listing the folders of `sys.path` takes 10 ms where importing importlib_metadata (8 to 10) and listing with it take
    50 ms, for which every command would wait.
    """
    names: set[str] = set()
    for name, distribution in _metadata_folders() if _only_folders_on_path() else _library_distributions():
        normalized = normalize_distribution(name)
        if normalized not in names:
            names.add(normalized)
            yield distribution


def _only_folders_on_path() -> bool:
    """Return whether every distribution is in a folder: not in an archive, nor where another finder looks for it."""
    return not any(path.endswith(".egg") or os.path.isfile(path) for path in sys.path) and all(
        finder is PathFinder or type(finder).__module__ == "importlib_metadata"
        for finder in sys.meta_path
        if hasattr(finder, "find_distributions")
    )


def _metadata_folders() -> Iterator[tuple[str, _MetadataFolder]]:
    for path in (path or os.curdir for path in sys.path):
        try:
            files = sorted(os.listdir(path))
        except OSError:
            continue
        for file in files:
            if file.endswith((".dist-info", ".egg-info")):
                folder = _MetadataFolder(f"{path}/{file}")
                # an interrupted update may leave an empty folder behind, which hides no later copy
                if any(map(folder.contains, ("METADATA", "PKG-INFO", "entry_points.txt"))):
                    yield folder.name, folder


def _library_distributions() -> Iterator[tuple[str, Any]]:
    import importlib_metadata

    for distribution in importlib_metadata.distributions():
        yield _name_and_version(distribution)[0], distribution


def _read_entries(distribution: Any) -> Iterable[PluginEntry]:
    text = distribution.read_text("entry_points.txt") or ""
    if "river" not in text.lower() or not any(map(intended_group, _SECTION.findall(text))):
        return []
    name, version = _name_and_version(distribution)
    try:
        return _entries(list(_announcements(text)), name, version)
    except Exception as error:
        problem = f"its entry_points.txt cannot be read ({type(error).__name__}: {error})"
        return [PluginEntry(name, "?", "", version, problem)]


def _announcements(text: str) -> Iterator[_Announcement]:
    """Parse an entry_points.txt (PyPA specification "Entry points")."""
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif line and not line.startswith(("#", ";")):
            name, separator, value = line.partition("=")
            if not separator:
                raise ValueError(f"{line!r} must be `name = module`")
            yield _Announcement(name.strip(), value.strip(), group)


def _entries_of(points: Iterable[Any]) -> list[PluginEntry]:
    by_distribution: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for point in points:
        by_distribution[_name_and_version(point.dist)].append(point)
    return _sorted(
        {
            entry
            for (name, version), announced in by_distribution.items()
            for entry in _entries(announced, name, version)
        }
    )


def _entries(points: Iterable[Any], distribution: str, version: str) -> list[PluginEntry]:
    """Return the plugins of one distribution: its entry points, those of the same module merged into the named one."""
    groups: dict[str, set[str]] = defaultdict(set)
    for point in points:
        if point.group in GROUPS:
            groups[point.value].add(point.group)
    entries = []
    for point in points:
        group, announced = intended_group(point.group), groups.get(point.value, set())
        is_merged = group != ENTRY_POINT_GROUP and ENTRY_POINT_GROUP in announced
        is_repeated = point.group != group and group in announced
        if group is None or is_repeated or (point.group == group and is_merged):
            continue
        problem = _announcement_problem(point, group)
        entries.append(
            PluginEntry(
                distribution, point.name, point.value, version, problem, frozenset(announced or {group})
            )
        )
    return entries


def _announcement_problem(point: Any, group: str) -> str | None:
    if point.group != group:
        return f"rivers does not read its entry point group {point.group!r}. Use the group {group!r}"
    if not _MODULE.fullmatch(point.value):
        return (
            f"its value {point.value!r} is not a module. Announce a plugin as "
            f"`{point.name} = some_package.plugin`"
        )
    return None


def _name_and_version(distribution: Any) -> tuple[str, str]:
    # importlib_metadata (8 to 10) parses METADATA with the email package, whose import alone takes 30 ms.
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    head = text.partition("\n\n")[0]
    lines = (line.partition(": ") for line in head.splitlines() if line.startswith(("Name: ", "Version: ")))
    fields = {name: value for name, _, value in lines}
    if len(fields) == 2:
        return fields["Name"].strip(), fields["Version"].strip()
    try:
        return distribution.name, distribution.version
    except Exception:  # there is no METADATA at all
        return "unknown distribution", ""


def _required_projects(distribution: Any) -> set[str]:
    return {normalize_distribution(_project_name(line)) for line in distribution.requires or ()}


def _project_name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]


def _sorted(entries: Iterable[PluginEntry]) -> list[PluginEntry]:
    return sorted(
        entries, key=lambda entry: (normalize_distribution(entry.distribution), entry.name, entry.value)
    )

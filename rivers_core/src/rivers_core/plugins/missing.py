"""What to say when something is not there: unknown or not installed, and never one for the other."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

import importlib_metadata

from rivers_core._suggestions import did_you_mean
from rivers_core.plugins.entries import normalize_distribution

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers_core.exceptions import PluginLoadError
    from rivers_core.plugins.entries import PluginEntry
    from rivers_core.plugins.states import Registration

_LOG: Final = logging.getLogger("rivers.plugins")


def absent_requirements(requires: Iterable[str]) -> list[str]:
    """Which of the distributions that a record requires are not installed.

    Args:
        requires: Names of distributions, possibly with versions.

    Returns:
        The absent ones, as they were written.
    """
    return [requirement for requirement in requires if not is_installed(requirement)]


def is_installed(requirement: str) -> bool:
    """Whether a distribution is installed, in whatever version.

    Args:
        requirement: Its name, possibly with a version or extras.

    Returns:
        True if it is.
    """
    try:
        importlib_metadata.distribution(_project(requirement))
    except (importlib_metadata.PackageNotFoundError, ValueError):
        return False
    return True


def not_installed(names: Iterable[str]) -> str | None:
    """Find the package that would provide one of the names, without a list of packages.

    Any installed distribution that can depend on `rivers-<name>`, as an extra or outright, offers it.

    Args:
        names: Names of a handler or executor to look for, the likeliest first.

    Returns:
        The name of the distribution to install, or None if nobody offers any of them.
    """
    wanted = [normalize_distribution(f"rivers-{name}") for name in names if re.fullmatch(r"[\w.-]+", name)]
    offered: set[str] = set()
    for distribution in importlib_metadata.distributions():
        try:
            offered.update(normalize_distribution(_project(line)) for line in distribution.requires or ())
        except Exception:
            _LOG.debug("The requirements of %r cannot be read.", distribution, exc_info=True)
    return next((name for name in wanted if name in offered and not is_installed(name)), None)


def unknown(
    kind: str,
    name: str,
    known: Iterable[str],
    errors: dict[PluginEntry, PluginLoadError],
) -> str:
    """The message for a name that nobody provides.

    Args:
        kind: `"IO handler"`, `"executor"`.
        name: What was asked for.
        known: What there is.
        errors: The plugins that could not be loaded, for they may have provided it.

    Returns:
        What there is, the nearest of it, and what is broken.
    """
    names = sorted(set(known))
    there_is = f"Installed: {', '.join(names)}." if names else "None is installed."
    broken = "; ".join(f"{entry} ({entry.fault or reason_of(error)})" for entry, error in errors.items())
    left_out = f" Broken and left out: {broken}." if broken else ""
    return f"There is no {kind} {name!r}. {there_is}{did_you_mean(name, names)}{left_out}"


def reason_of(error: BaseException) -> str:
    """The reason of a load error, without whose it is.

    Args:
        error: The load error.

    Returns:
        Type and text of its cause, in one line.
    """
    cause = error.__cause__ or error
    return " ".join(f"{type(cause).__name__}: {cause}".split()).rstrip(":")


def absent_from(owner: str, kind: str, name: str, offered: Iterable[Registration[Any]]) -> str:
    """The message for a distribution that does not provide what it was asked for.

    Args:
        owner: The distribution, from `distribution:name` or a pin.
        kind: `"IO handler"`, `"executor"`.
        name: What was asked for.
        offered: What it does provide.

    Returns:
        How to install it, or what it provides instead.
    """
    if not is_installed(owner) and not offered:
        return f"The {kind} '{owner}:{name}' is not installed. Install it: pip install {owner}"
    names = ", ".join(sorted(item.qualified_name for item in offered)) or "no plugin"
    return f"The distribution {owner!r} provides no {kind} {name!r}, but {names}."


def claimed_twice(kind: str, name: str, claims: Iterable[Registration[Any]]) -> str:
    """The message for a name that several packages claim.

    Args:
        kind: `"IO handler"`, `"executor"`.
        name: The name.
        claims: Everybody who claims it.

    Returns:
        Who they are and how to settle it.
    """
    owners = sorted(
        {(claim.distribution, f"{claim.distribution} {claim.version}".strip()) for claim in claims}
    )
    first = owners[0][0]
    return (
        f"The {kind} {name!r} is claimed by {' and '.join(shown for _, shown in owners)}. Say which one: "
        f'"{first}:{name}" instead of "{name}", or [plugins] pin = {{ {name} = "{first}" }} in rivers.toml.'
    )


def class_words(class_name: str) -> list[str]:
    """Names under which a handler of this class may be offered.

    Args:
        class_name: Such as `InMemoryIOHandler`.

    Returns:
        Such as `["in-memory", "memory", "inmemory"]`.
    """
    stem = re.sub(r"(IOHandler|Handler|Executor)$", "", class_name)
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+", stem)]
    return ["-".join(words[index:]) for index in range(len(words))] + ["".join(words)]


def _project(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]

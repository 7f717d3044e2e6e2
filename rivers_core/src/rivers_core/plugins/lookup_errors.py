"""Errors of lookups: unknown, not installed, not allowed, claimed twice, broken, each with its own message."""

from __future__ import annotations

import re
import shlex
import traceback
from typing import TYPE_CHECKING, Any, Final

from rivers_core._messages import did_you_mean
from rivers_core.exceptions import HandlerNotFoundError, PluginLoadError
from rivers_core.hooks import API_VERSION
from rivers_core.plugins.discovery import is_installed, pip_command

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rivers_core.plugins.discovery import PluginEntry
    from rivers_core.plugins.loading import Registration

_LONGEST_LINE: Final = 2_000


def unknown_message(
    kind: str, name: str, known: Iterable[str], failures: Mapping[PluginEntry, BaseException | None]
) -> str:
    """Return the message for a name that no plugin provides.

    Args:
        kind: Noun for the record, such as `"IO handler"`.
        name: Name that was looked up.
        known: Names that exist.
        failures: Plugins that could not be loaded and may have provided the name.
    """
    names = sorted(set(known))
    broken = "; ".join(f"{entry} ({reason_of(entry, error)})" for entry, error in failures.items())
    skipped = f" Skipped because they are broken: {broken}." if broken else ""
    return f"Unknown {kind} {name!r}.{did_you_mean(name, names)} Installed: {', '.join(names) or 'none'}.{skipped}"


def not_installed_message(kind: str, name: str, package: str) -> str:
    """Return the message for a name whose package is not installed."""
    return f"The {kind} {name!r} is not installed. Install it: pip install {package}"


def not_provided_message(owner: str, kind: str, name: str, provided: Iterable[Registration[Any]]) -> str:
    """Return the message for a distribution that does not provide a name.

    Args:
        owner: Distribution, from `distribution:name` or a pin.
        kind: Noun for the record, such as `"IO handler"`.
        name: Name that was looked up.
        provided: Records that the distribution provides.

    Returns:
        A message with the command that installs the distribution, or with the names it provides instead.
    """
    names = ", ".join(sorted(item.qualified_name for item in provided))
    if not names and not is_installed(owner):
        return not_installed_message(kind, f"{owner}:{name}", owner)
    return f"The distribution {owner!r} does not provide the {kind} {name!r}. It provides: {names or 'no plugin'}."


def conflict_message(kind: str, name: str, claims: Iterable[Registration[Any]]) -> str:
    """Return the message for a name that several distributions claim.

    Args:
        kind: Noun for the record, such as `"IO handler"`.
        name: Name that was looked up.
        claims: All records of that name.

    Returns:
        A message that names all of them and both ways to choose one.
    """
    owners = sorted({(claim.distribution, claim.owner) for claim in claims})
    first = owners[0][0]
    return (
        f"The {kind} {name!r} is claimed by {' and '.join(owner for _, owner in owners)}. Choose one: use "
        f'"{first}:{name}" instead of "{name}", or set [plugins] pin = {{ {name} = "{first}" }} in rivers.toml.'
    )


def missing_requirement_error(registration: Registration[Any], missing: list[str]) -> HandlerNotFoundError:
    """Return the error for a record whose required distributions are not installed."""
    return HandlerNotFoundError(
        f"{registration.spec.name!r} of {registration.owner} requires {', '.join(missing)}, which is not "
        f"installed. Install it: pip install {shlex.join(missing)}"
    )


def broken_plugin_error(entry: PluginEntry, cause: BaseException | None) -> PluginLoadError:
    """Return a new error for a plugin that could not be loaded.

    The error is built for each lookup instead of kept, because a kept one would collect a traceback per raise and
    keep the caller's frames alive.

    Args:
        entry: The plugin.
        cause: Exception that its module raised; None if its announcement is invalid.
    """
    fix = _fix(cause, entry.value, entry.distribution) or (
        f"Upgrade or uninstall {entry.distribution}, or exclude it: RIVERS_PLUGINS_DENY={entry.distribution}"
    )
    error = PluginLoadError(
        f"The {entry} (module {entry.value!r}) is broken: {_sentence(reason_of(entry, cause))} {fix}",
        name=entry.value,
    )
    error.__cause__ = cause
    return error


def broken_target_error(
    registration: Registration[Any], reason: str, cause: BaseException | None = None
) -> PluginLoadError:
    """Return the error for a record whose target cannot be used.

    Args:
        registration: The record.
        reason: Why it cannot be used.
        cause: Exception that importing the target raised.
    """
    distribution = registration.distribution
    fix = _fix(cause, registration.spec.module, distribution) or f"Upgrade or uninstall {distribution}."
    return PluginLoadError(
        f"Could not load {registration.spec.name!r} of {registration.owner} (plugin {registration.entry_point!r}, "
        f"target {registration.spec.target!r}): {_sentence(reason)} {fix}",
        name=registration.spec.module,
    )


def newer_record_error(registration: Registration[Any]) -> PluginLoadError:
    """Return the error for a record that was written for a newer version of this core."""
    return PluginLoadError(
        f"Could not load {registration.spec.name!r} of {registration.owner} (plugin {registration.entry_point!r}): "
        f"it uses version {registration.spec.api_version} of the plugin records, but this rivers-core supports "
        f"{API_VERSION}. Upgrade: pip install -U rivers-core",
        name=registration.spec.module,
    )


def _fix(cause: BaseException | None, module: str, distribution: str) -> str | None:
    """Return the advice to install a package after a failed import; None if that would not help.

    Args:
        cause: Exception that was raised.
        module: Module that was imported.
        distribution: Distribution that it belongs to.
    """
    if not isinstance(cause, ImportError) or cause.name is None:
        return None
    package = cause.name.partition(".")[0]
    if package == module.partition(".")[0]:
        return None
    if package == "rivers_core":
        return (
            f"{distribution} needs another version of rivers-core. Upgrade both: "
            f"pip install -U {shlex.join(['rivers-core', distribution])}"
        )
    command = pip_command(cause.name, distribution) if isinstance(cause, ModuleNotFoundError) else None
    if command == "":
        return f"{distribution} does not declare what provides {package!r}; report that to its authors."
    return command and f"Install what is missing: {command}"


def reason_of(entry: PluginEntry, cause: BaseException | None) -> str:
    """Return in one line why a plugin is broken."""
    return entry.problem or "" if cause is None else one_line(cause)


def one_line(error: BaseException) -> str:
    """Return type and text of an exception in one line, which is shortened; its `__str__` may fail."""
    try:
        text = str(error)
    except Exception as failure:
        text = f"its __str__ raised {type(failure).__name__}"
    line = " ".join(f"{type(error).__name__}: {text[: 2 * _LONGEST_LINE]}".split()).rstrip(":")
    line = line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}..."
    # codes that a terminal would obey
    return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def exception_chain(error: BaseException | None) -> tuple[str, ...]:
    """Return an exception and those that caused it, the cause last: type, text, file and line of each."""
    lines: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        lines.append(one_line(error) + _place_of(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return tuple(lines)


def _place_of(error: BaseException) -> str:
    """Return file and line that raised an exception; empty for a syntax error, whose text has them."""
    frames = [] if isinstance(error, SyntaxError) else traceback.extract_tb(error.__traceback__)
    place = next((frame for frame in reversed(frames) if not frame.filename.startswith("<")), None)
    return "" if place is None else f" ({place.filename}, line {place.lineno})"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def names_of_class(class_name: str) -> list[str]:
    """Return the names under which a handler class may be registered.

    Args:
        class_name: Such as `InMemoryIOHandler`.

    Returns:
        Such as `["in-memory", "memory", "inmemory"]`.
    """
    stem = re.sub(r"(IOHandler|Handler|Executor)$", "", class_name)
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+", stem)]
    return ["-".join(words[index:]) for index in range(len(words))] + ["".join(words)]

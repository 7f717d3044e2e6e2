"""Commands of plugins, discovered under the project's plugin policy without loading the project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rivers_cli.errors import UsageError
from rivers_cli.lazy_group import COMMANDS
from rivers_core.config import load_plugin_policy
from rivers_core.exceptions import ConfigurationError, PluginLoadError, RiversError
from rivers_core.plugins import conflict_message, get_registry, normalize_distribution, not_provided_message

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rivers_core.hooks import CommandSpec
    from rivers_core.plugins import PluginStatus, Registration


@dataclass(frozen=True, slots=True)
class PluginCommands:
    """Commands of plugins, as far as the project's policy allows them.

    Attributes:
        claims: Every command of every plugin; names may repeat.
        pins: Distribution that provides a name, by name.
        unavailable: Plugins that are denied or broken, whose commands are unknown.
        problem: Why no plugin was loaded, if so; help has to work nevertheless.
    """

    claims: Sequence[Registration[CommandSpec]] = ()
    pins: Mapping[str, str] | None = None
    unavailable: Sequence[PluginStatus] = ()
    problem: RiversError | None = None

    def by_name(self) -> dict[str, Registration[CommandSpec]]:
        """Return the commands by the name to type: `name`, or `distribution:name` if several claim it."""
        commands = {}
        for claim in self.claims:
            name = claim.spec.name
            if name not in COMMANDS:
                rivals = self._claims(name, self._pinned(name))
                if claim in rivals:
                    commands[claim.qualified_name if _conflict(rivals) else name] = claim
        return commands

    def find(self, name: str) -> Registration[CommandSpec] | None:
        """Return the command `name` or `distribution:name`, or None if it is unknown.

        Raises:
            ConfigurationError: Several packages claim the name.
            PluginLoadError: The plugin of that name is broken.
            UsageError: The plugin of that name is denied, or that distribution does not provide the command.
        """
        distribution, _, bare_name = name.rpartition(":")
        owner = distribution or self._pinned(bare_name)
        claims = self._claims(bare_name, owner)
        if _conflict(claims):
            raise ConfigurationError(conflict_message("command", bare_name, claims))
        if claims:
            return claims[0]
        for status in self.unavailable:
            if _belongs_to(status, owner) and (owner or status.entry_point == bare_name):
                raise _unavailable_error(bare_name, status)
        if owner is None or self.problem is not None:
            return None
        provided = [claim for claim in self.claims if _belongs_to(claim, owner)]
        raise UsageError(not_provided_message(owner, "command", bare_name, provided))

    def explain_missing(self) -> Iterator[str]:
        """Yield reasons why a plugin command may be missing."""
        if self.problem is not None:
            yield f"Plugins were not loaded: {self.problem}"
        for status in self.unavailable:
            if status.state == "broken":
                yield f"It may come from a broken plugin: {status.error}"
            else:
                yield f"It may come from a plugin that is not allowed: {_owner(status)}; {status.error}."

    def conflicts(self) -> Iterator[tuple[Registration[CommandSpec], str]]:
        """Yield the commands that do not run under their own name, each with the reason and the name that works."""
        for claim in self.claims:
            name = claim.spec.name
            rivals = self._claims(name, self._pinned(name))
            if name in COMMANDS:
                message = f"Command {name!r} of {_owner(claim)} is hidden by the command of rivers."
                yield claim, f"{message} Use `rivers {claim.qualified_name}`."
            elif _conflict(rivals) and claim == rivals[0]:
                yield claim, conflict_message("command", name, rivals)

    def _claims(self, name: str, owner: str | None) -> list[Registration[CommandSpec]]:
        return [claim for claim in self.claims if claim.spec.name == name and _belongs_to(claim, owner)]

    def _pinned(self, name: str) -> str | None:
        return (self.pins or {}).get(name)


def discover_commands(arguments: Sequence[str]) -> PluginCommands:
    """Load the commands of plugins under the policy of the project that a call is about.

    Help has to work with an invalid configuration, so its error is kept in the result. A plugin that the configuration
    denies, or whose rules cannot be read, is not imported.

    Args:
        arguments: Arguments of the command. They are not parsed yet, because parsing needs the command; `--env` and
            `--config` are found wherever they are.
    """
    registry = get_registry()
    try:
        policy, source = load_plugin_policy(
            _option_value("--config", arguments), _option_value("--env", arguments)
        )
        registry.configure(**policy, source=source)
        claims = registry.commands()
    except RiversError as error:
        return PluginCommands(problem=error)
    unavailable = [
        status
        for status in registry.plugins()
        if status.state in ("denied", "broken") and "rivers.commands" in status.groups
    ]
    return PluginCommands(claims, policy.get("pin", {}), unavailable)


def _option_value(option: str, arguments: Sequence[str]) -> str | None:
    """Return the last value of an option, the one that takes effect."""
    value = None
    words = iter(arguments)
    for word in words:
        if word == "--":
            break
        if word == option:
            value = next(words, None)
        elif word.startswith(f"{option}="):
            value = word.partition("=")[2]
    return value


def _conflict(claims: Sequence[Registration[CommandSpec]]) -> bool:
    return len({claim.spec.target for claim in claims}) > 1


def _belongs_to(item: Registration[CommandSpec] | PluginStatus, owner: str | None) -> bool:
    return owner is None or normalize_distribution(item.distribution) == normalize_distribution(owner)


def _unavailable_error(name: str, status: PluginStatus) -> RiversError:
    if status.state == "broken":
        return PluginLoadError(str(status.error))
    return UsageError(f"Command {name!r} of {_owner(status)} is not available: {status.error}.")


def _owner(item: Registration[CommandSpec] | PluginStatus) -> str:
    return f"{item.distribution} {item.version}".strip()

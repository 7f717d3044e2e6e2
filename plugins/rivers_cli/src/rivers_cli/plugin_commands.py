"""Commands that installed packages add, asked for without loading the project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rivers_cli.builtin import COMMANDS
from rivers_cli.problems import UsageProblemError
from rivers_core.config import load_plugin_policy
from rivers_core.exceptions import ConfigurationError, PluginLoadError, RiversError
from rivers_core.plugins import conflict_message, get_registry, normalize_distribution, not_provided_message

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rivers_core.hooks import CommandSpec
    from rivers_core.plugins import PluginStatus, Registration


@dataclass(frozen=True, slots=True)
class PluginCommands:
    """What plugins add to `rivers`, as far as the project in this folder lets them.

    Attributes:
        claims: Every command that a plugin offers; a name that several claim is there several times.
        pins: Name to the distribution that provides it.
        left_out: The plugins that are denied or broken, so that nobody knows their commands.
        problem: Why no plugin was asked at all; help has to work then too.
    """

    claims: Sequence[Registration[CommandSpec]] = ()
    pins: Mapping[str, str] | None = None
    left_out: Sequence[PluginStatus] = ()
    problem: RiversError | None = None

    def offered(self) -> dict[str, Registration[CommandSpec]]:
        """The commands by what one types: the name, or `distribution:name` where several claim it."""
        found = {}
        for claim in self.claims:
            name = claim.spec.name
            if name not in COMMANDS:
                rivals = self._claims(name, self._pinned(name))
                if claim in rivals:
                    found[claim.qualified_name if _differ(rivals) else name] = claim
        return found

    def find(self, name: str) -> Registration[CommandSpec] | None:
        """The command with this name, `name` or `distribution:name`; None if it is unknown.

        Raises:
            ConfigurationError: Several packages claim it.
            PluginLoadError: What is called like it is broken.
            UsageProblemError: What is called like it is denied, or that distribution has no such command.
        """
        distribution, _, bare = name.rpartition(":")
        owner = distribution or self._pinned(bare)
        found = self._claims(bare, owner)
        if _differ(found):
            raise ConfigurationError(conflict_message("command", bare, found))
        if found:
            return found[0]
        for state in self.left_out:
            if _is_of(state, owner) and (owner or state.entry_point == bare):
                _refuse(bare, state)
        if owner is None or self.problem is not None:
            return None
        of_owner = [claim for claim in self.claims if _is_of(claim, owner)]
        raise UsageProblemError(not_provided_message(owner, "command", bare, of_owner))

    def unknown(self) -> Iterator[str]:
        """Why a command that is not there may be missing, in sentences."""
        if self.problem is not None:
            yield f"Plugins could not be asked for it: {self.problem}"
        for state in self.left_out:
            if state.state == "broken":
                yield f"A broken plugin may have it: {state.error}"
            else:
                yield f"A plugin that is not allowed may have it: {_owner(state)}; {state.error}."

    def disputes(self) -> Iterator[tuple[Registration[CommandSpec], str]]:
        """The commands that do not run under the name they have, each with why not and how they do."""
        for claim in self.claims:
            name = claim.spec.name
            rivals = self._claims(name, self._pinned(name))
            if name in COMMANDS:
                what = f"The command {name!r} of {_owner(claim)} does not run under that name"
                yield claim, f"{what}, for rivers has one of its own; write `rivers {claim.qualified_name}`."
            elif _differ(rivals) and claim == rivals[0]:
                yield claim, conflict_message("command", name, rivals)

    def _claims(self, name: str, owner: str | None) -> list[Registration[CommandSpec]]:
        return [claim for claim in self.claims if claim.spec.name == name and _is_of(claim, owner)]

    def _pinned(self, name: str) -> str | None:
        return (self.pins or {}).get(name)


def plugin_commands(arguments: Sequence[str]) -> PluginCommands:
    """Ask plugins for their commands, under the rules of the project that a call is about.

    Help has to work where the configuration does not, so that a mistake in it is kept for later; what it forbids, or
    cannot be read to allow, is not imported all the same.

    Args:
        arguments: What was typed after `rivers`. No command is known yet, so that `--env` and `--config` are looked
            for wherever they stand.
    """
    registry = get_registry()
    try:
        policy, source = load_plugin_policy(_typed("--config", arguments), _typed("--env", arguments))
        registry.configure(**policy, source=source)
        claims = registry.commands()
    except RiversError as error:
        return PluginCommands(problem=error)
    left_out = [state for state in registry.plugins() if state.state in ("denied", "broken")]
    return PluginCommands(claims, policy.get("pin", {}), left_out)


def _typed(option: str, arguments: Sequence[str]) -> str | None:
    """What stands after an option; the last one counts, as it does when the call is carried out."""
    found = None
    words = iter(arguments)
    for word in words:
        if word == "--":
            break
        if word == option:
            found = next(words, None)
        elif word.startswith(f"{option}="):
            found = word.partition("=")[2]
    return found


def _differ(claims: Sequence[Registration[CommandSpec]]) -> bool:
    return len({claim.spec.target for claim in claims}) > 1


def _is_of(item: Registration[CommandSpec] | PluginStatus, owner: str | None) -> bool:
    return owner is None or normalize_distribution(item.distribution) == normalize_distribution(owner)


def _refuse(name: str, state: PluginStatus) -> None:
    if state.state == "broken":
        raise PluginLoadError(str(state.error))
    raise UsageProblemError(f"The command {name!r} comes with {_owner(state)}, and {state.error}.")


def _owner(item: Registration[CommandSpec] | PluginStatus) -> str:
    return f"{item.distribution} {item.version}".strip()

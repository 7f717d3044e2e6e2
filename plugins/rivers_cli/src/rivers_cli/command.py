"""Commands that are imported when they are used, so that help and completion are quick."""

from __future__ import annotations

from importlib import import_module
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import typer
from typer.core import TyperCommand, TyperGroup

from rivers_cli.builtin import COMMANDS, SECTIONS
from rivers_cli.options import complete_environments
from rivers_core.exceptions import PluginLoadError, RiversError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rivers_cli.plugin_commands import PluginCommands
    from rivers_cli.session import Session
    from rivers_core.hooks import CommandSpec
    from rivers_core.plugins import Registration

FROM_PLUGINS = "From plugins"


class Offered(NamedTuple):
    """A command that has not been imported yet."""

    target: str
    summary: str
    section: str
    provided: Registration[CommandSpec] | None = None


class _EndsWithExamples:
    """Help that ends with the examples of the docstring, line for line."""

    help: str | None

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what the docstring says before its examples."""
        _write_help(self.help, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples of the docstring."""
        _write_examples(self.help, formatter)


class Command(_EndsWithExamples, TyperCommand):
    """A command."""


class Group(_EndsWithExamples, TyperGroup):
    """A command with commands below it."""


class CommandGroup(Group):
    """`rivers` itself: knows every command by name and summary, and imports the one that runs."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands, those of plugins last."""
        return list(offered_commands(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A stand-in for the command, which is imported when its arguments are parsed."""
        try:
            offered = _find(ctx, cmd_name)
        except RiversError:
            if ctx.resilient_parsing:  # somebody pressed TAB
                return None
            raise
        return None if offered is None else Pending(cmd_name, offered)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, or say which name comes nearest."""
        is_name = args and not args[0].startswith("-") and not ctx.resilient_parsing
        if is_name and _find(ctx, args[0]) is None:
            ctx.fail(_no_such_command(ctx, args[0]))
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The commands, which is what somebody looks for, and then the options."""
        self.format_commands(ctx, formatter)
        TyperCommand.format_options(cast("Any", self), ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands by what they are for."""
        for section in (*SECTIONS, FROM_PLUGINS):
            rows = [
                (name, one.summary) for name, one in offered_commands(ctx).items() if one.section == section
            ]
            if rows:
                with formatter.section(section):
                    formatter.write_dl(rows)


class Pending(Command):
    """Has the name and the summary of a command; the rest comes with the first use."""

    def __init__(self, name: str, offered: Offered) -> None:
        super().__init__(name, help=offered.summary, short_help=offered.summary)
        self._offered = offered

    def make_context(self, info_name: Any, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Import the command and let it parse its arguments."""
        command = _imported(self.name or "", self._offered)
        return command.make_context(info_name, args, parent=parent, **extra)


def _find(ctx: Any, name: str) -> Offered | None:
    """A command by name; plugins are only asked for what this package does not have.

    Raises:
        RiversError: A plugin has it, and it cannot be used.
    """
    if name in COMMANDS:
        return Offered(*COMMANDS[name])
    provided = _plugin_commands(ctx).find(name)
    return None if provided is None else _from_plugin(provided)


def offered_commands(ctx: Any) -> dict[str, Offered]:
    """Every command by name, those of plugins last."""
    found = {name: Offered(*entry) for name, entry in COMMANDS.items()}
    of_plugins = _plugin_commands(ctx).offered()
    return found | {name: _from_plugin(provided) for name, provided in of_plugins.items()}


def _plugin_commands(ctx: Any) -> PluginCommands:
    session: Session = ctx.find_root().obj
    return session.plugin_commands


def _from_plugin(provided: Registration[CommandSpec]) -> Offered:
    summary = provided.spec.summary or f"Comes with {provided.distribution}."
    return Offered(provided.spec.target, summary, FROM_PLUGINS, provided)


def _imported(name: str, offered: Offered) -> Any:
    if offered.provided is not None:
        command = _imported_from_plugin(name, offered.provided)
    else:
        module, _, attribute = offered.target.partition(":")
        command = _command_of(name, getattr(import_module(module), attribute))
    add_common_options(command)
    return command


def _imported_from_plugin(name: str, provided: Registration[CommandSpec]) -> Any:
    from rivers_core.plugins import import_target

    found = import_target(provided)
    try:
        return _command_of(name, found)
    except Exception as error:  # what typer makes of a function that it cannot turn into a command
        raise PluginLoadError(
            f"The command {provided.spec.name!r} of {provided.distribution} {provided.version} (plugin "
            f"{provided.entry_point!r}, target {provided.spec.target!r}) cannot be used: {error}"
        ) from error


def _command_of(name: str, found: Any) -> Any:
    if isinstance(found, (TyperCommand, TyperGroup)):
        return found
    if isinstance(found, typer.Typer):
        command = typer.main.get_command(found)
        command.name = name
        return command
    if not callable(found):
        raise TypeError(f"a {type(found).__name__} is neither a function nor a typer.Typer.")
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name, cls=Command)(found)
    return typer.main.get_command(single)


def add_common_options(command: Any) -> None:
    """Give a command, and those below it, the options that every command takes."""
    for below in getattr(command, "commands", {}).values():
        add_common_options(below)
    taken = {option for param in command.params for option in param.opts}
    command.params.extend(param for param in _common_params() if not taken & set(param.opts))


def _session_option(attribute: str) -> Callable[[typer.Context, Any], Any]:
    def remember(ctx: typer.Context, value: Any) -> Any:
        session: Session = ctx.find_root().obj
        if value is not None and value is not False and session is not None:
            setattr(session, attribute, value)
        return value

    return remember


def _remember_environment(ctx: typer.Context, value: str | None) -> str | None:
    if value == "":
        raise typer.BadParameter("it is empty; write the name of an environment, or leave --env out.")
    remembered: str | None = _session_option("environment")(ctx, value)
    return remembered


def _common(
    env: Annotated[
        str | None,
        typer.Option(
            "--env",
            metavar="NAME",
            callback=_remember_environment,
            expose_value=False,
            help="Environment of rivers.toml; without it RIVERS_ENV decides.",
            autocompletion=complete_environments,
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            metavar="FILE",
            callback=_session_option("config"),
            expose_value=False,
            help="The configuration file; without it rivers.toml from here upwards.",
        ),
    ] = None,
    repository: Annotated[
        str | None,
        typer.Option(
            "--repository",
            metavar="MODULE:NAME",
            callback=_session_option("repository"),
            expose_value=False,
            help="The CodeRepository; without it what the configuration names.",
        ),
    ] = None,
    traceback: Annotated[
        bool,
        typer.Option(
            "--traceback",
            callback=_session_option("traceback"),
            expose_value=False,
            help="Show where an error comes from, in full.",
        ),
    ] = False,
) -> None:
    """Options that every command takes; their values go to the `Session`."""


def _common_params() -> Sequence[Any]:
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command("common")(_common)
    return [param for param in typer.main.get_command(single).params if param.name != "help"]


def _no_such_command(ctx: Any, name: str) -> str:
    from difflib import get_close_matches

    known, plugins = list(offered_commands(ctx)), _plugin_commands(ctx)
    close = get_close_matches(name, [*known, *(claim.spec.name for claim in plugins.claims)], n=1)
    meant = f"Did you mean '{close[0]}'?" if close else f"There are {', '.join(known)}."
    absent = (
        f"There is no command '{name}'"
        if plugins.problem is None
        else f"rivers itself has no command '{name}'"
    )
    return "\n".join([f"{absent}. {meant}", *plugins.unknown()])


def _write_help(text: str | None, formatter: Any) -> None:
    description = cleandoc(text or "").partition("\nExamples:\n")[0].strip()
    if description:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(description)


def _write_examples(text: str | None, formatter: Any) -> None:
    examples = cleandoc(text or "").partition("\nExamples:\n")[2].splitlines()
    if examples:
        with formatter.section("Examples"):
            for line in examples:
                formatter.write(f"{line}\n")

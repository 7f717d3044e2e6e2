"""Commands that are imported when they are used, so that help and completion are quick."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import typer
from typer.core import TyperCommand, TyperGroup

from rivers_cli.builtin import COMMANDS, SECTIONS
from rivers_cli.options import complete_environments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rivers_cli.session import Session
    from rivers_core.plugins import CommandSpec, Provided

FROM_PLUGINS = "From plugins"


class Offered(NamedTuple):
    """A command that has not been imported yet."""

    target: str
    summary: str
    section: str
    provided: Provided[CommandSpec] | None = None


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
        return list(offered_commands())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A stand-in for the command, which is imported when its arguments are parsed."""
        offered = _find(cmd_name)
        return None if offered is None else Pending(cmd_name, offered)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, or say which name comes nearest."""
        if args and not args[0].startswith("-") and _find(args[0]) is None:
            ctx.fail(_no_such_command(args[0]))
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The commands, which is what somebody looks for, and then the options."""
        self.format_commands(ctx, formatter)
        TyperCommand.format_options(cast("Any", self), ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands by what they are for."""
        for section in (*SECTIONS, FROM_PLUGINS):
            rows = [(name, one.summary) for name, one in offered_commands().items() if one.section == section]
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


def _find(name: str) -> Offered | None:
    """A command by name; plugins are only asked for what this package does not have."""
    return Offered(*COMMANDS[name]) if name in COMMANDS else offered_commands().get(name)


@cache
def offered_commands() -> dict[str, Offered]:
    """Every command by name, those of plugins last."""
    found = {name: Offered(*entry) for name, entry in COMMANDS.items()}
    for offered in _from_plugins():
        assert offered.provided is not None
        found.setdefault(offered.provided.spec.name, offered)
    return found


def _from_plugins() -> Iterator[Offered]:
    from rivers_cli.plugin_commands import plugin_commands

    for provided in plugin_commands():
        summary = provided.spec.summary or f"Comes with {provided.distribution}."
        yield Offered(provided.spec.target, summary, FROM_PLUGINS, provided)


def _imported(name: str, offered: Offered) -> Any:
    if offered.provided is not None:
        from rivers_core.plugins.targets import target_of

        found = target_of(offered.provided)
    else:
        module, _, attribute = offered.target.partition(":")
        found = getattr(import_module(module), attribute)
    command = found if isinstance(found, (TyperCommand, TyperGroup)) else _command_of(name, found)
    add_common_options(command)
    return command


def _command_of(name: str, found: typer.Typer | Callable[..., Any]) -> Any:
    if isinstance(found, typer.Typer):
        command = typer.main.get_command(found)
        command.name = name
        return command
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


def _common(
    env: Annotated[
        str | None,
        typer.Option(
            "--env",
            metavar="NAME",
            callback=_session_option("environment"),
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


def _no_such_command(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, offered_commands(), n=1)
    meant = f"Did you mean '{close[0]}'?" if close else f"There are {', '.join(offered_commands())}."
    return f"There is no command '{name}'. {meant}"


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

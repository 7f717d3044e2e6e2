"""Commands that are imported when they are used, so that help and completion are fast."""

from __future__ import annotations

from importlib import import_module
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import typer
from typer.core import TyperCommand, TyperGroup

from rivers_cli.options import common_options
from rivers_core.exceptions import PluginLoadError, RiversError

if TYPE_CHECKING:
    from rivers_cli.plugin_commands import PluginCommands
    from rivers_cli.session import Session
    from rivers_core.hooks import CommandSpec
    from rivers_core.plugins import Registration

SECTIONS: Final = ("Run", "Inspect", "Set up", "From plugins")


class LazyCommand(NamedTuple):
    """A command that is not imported yet.

    Attributes:
        target: Where it is: `module:name`.
        summary: One line for the list of commands.
        section: Section of that list.
        registration: The plugin that provides it, if any.
    """

    target: str
    summary: str
    section: str
    registration: Registration[CommandSpec] | None = None


COMMANDS: Final = {
    name: LazyCommand(f"rivers_cli.commands.{name}:{attribute}", summary, section)
    for name, attribute, summary, section in (
        ("materialize", "materialize", "Run assets and store their results.", "Run"),
        ("migrate", "migrate", "Copy stored values to another handler.", "Run"),
        ("restore", "restore", "Make an earlier version of a value current.", "Run"),
        ("delete", "delete", "Delete the stored values of an asset.", "Run"),
        ("assets", "assets", "List assets with handler, last run and status.", "Inspect"),
        ("load", "load", "Show the stored value of an asset.", "Inspect"),
        ("versions", "versions", "List the stored versions of a value.", "Inspect"),
        ("graph", "graph", "Draw the lineage as SVG, HTML or Mermaid.", "Inspect"),
        ("runs", "app", "List runs, the latest first; cancel one.", "Inspect"),
        ("log", "log", "Show the events of an asset or a run.", "Inspect"),
        ("check", "check", "Report all problems and test every store.", "Set up"),
        ("handlers", "app", "List handlers; show the settings of one.", "Set up"),
        ("plugins", "plugins", "List installed plugins and their state.", "Set up"),
        ("config", "app", "Show the configuration; print its JSON Schema.", "Set up"),
        ("new", "new", "Create a working project.", "Set up"),
    )
}


class _EndsWithExamples:
    """Help that ends with the examples of the docstring, line for line."""

    help: str | None

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write the docstring up to its examples."""
        description = cleandoc(self.help or "").partition("\nExamples:\n")[0].strip()
        if description:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(description)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples of the docstring."""
        examples = cleandoc(self.help or "").partition("\nExamples:\n")[2].splitlines()
        if examples:
            with formatter.section("Examples"):
                for line in examples:
                    formatter.write(f"{line}\n")


class Command(_EndsWithExamples, TyperCommand):
    """Command whose help ends with examples; a missing argument is reported with the names that it can have."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if (
                error.param is not None and not error.message
            ):  # a missing one; that class is not public in typer
                error.message = _list_values(error.param, ctx)
            raise


def _list_values(param: Any, ctx: Any) -> str:
    """Return a sentence with the values that a shell would complete for a parameter; empty if there are none."""
    from rivers_core.authoring import shown_keys

    values = [item.value for item in param.shell_complete(ctx, "") if item.value]
    return f"Available: {shown_keys(values)}." if values else ""


class Group(_EndsWithExamples, TyperGroup):
    """Group of commands whose help ends with examples."""


class LazyGroup(Group):
    """The `rivers` command: knows all commands by name and summary, and imports the one that runs."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, those of plugins last."""
        return list(_all_commands(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a placeholder, which imports the command when it parses arguments."""
        try:
            lazy = _find(ctx, cmd_name)
        except RiversError:
            if ctx.resilient_parsing:  # shell completion
                return None
            raise
        return None if lazy is None else _Placeholder(cmd_name, lazy)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, or fail with the closest name."""
        is_name = args and not args[0].startswith("-") and not ctx.resilient_parsing
        if is_name and _find(ctx, args[0]) is None:
            ctx.fail(_not_found_message(ctx, args[0]))
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands before the options."""
        self.format_commands(ctx, formatter)
        TyperCommand.format_options(cast("Any", self), ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands by section."""
        commands = _all_commands(ctx)
        for section in SECTIONS:
            rows = [(name, lazy.summary) for name, lazy in commands.items() if lazy.section == section]
            if rows:
                with formatter.section(section):
                    formatter.write_dl(rows)


class _Placeholder(Command):
    """Name and summary of a command that is imported on first use."""

    def __init__(self, name: str, lazy: LazyCommand) -> None:
        super().__init__(name, help=lazy.summary, short_help=lazy.summary)
        self._lazy = lazy

    def make_context(self, info_name: Any, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Import the command and let it parse its arguments."""
        command = _import(self.name or "", self._lazy)
        return command.make_context(info_name, args, parent=parent, **extra)


def add_common_options(command: Any) -> None:
    """Add the options that every command takes to a command and its subcommands, and refuse empty texts for all."""
    for subcommand in getattr(command, "commands", {}).values():
        add_common_options(subcommand)
    names = {option for param in command.params for option in param.opts}
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command("common")(common_options)
    for param in typer.main.get_command(single).params:
        if param.name != "help" and not names & set(param.opts):
            command.params.append(param)
    for param in command.params:
        _refuse_empty(param)


def _refuse_empty(param: Any) -> None:
    """Refuse an empty text, such as that of a shell variable that is not set, before it is converted."""
    process = param.process_value

    def process_value(ctx: Any, value: Any) -> Any:
        if "" in (value if isinstance(value, (list, tuple)) else (value,)) and not ctx.resilient_parsing:
            raise typer.BadParameter("must not be empty.", ctx=ctx, param=param)
        return process(ctx, value)

    param.process_value = process_value


def _find(ctx: Any, name: str) -> LazyCommand | None:
    """Return a command by name; plugins are loaded only for a name that is not built in.

    Raises:
        RiversError: The plugin that provides it cannot be used.
    """
    if name in COMMANDS:
        return COMMANDS[name]
    registration = _plugin_commands(ctx).find(name)
    return None if registration is None else _from_plugin(registration)


def _all_commands(ctx: Any) -> dict[str, LazyCommand]:
    plugin_commands = _plugin_commands(ctx).by_name()
    return COMMANDS | {name: _from_plugin(item) for name, item in plugin_commands.items()}


def _plugin_commands(ctx: Any) -> PluginCommands:
    session: Session = ctx.find_root().obj
    return session.plugin_commands


def _from_plugin(registration: Registration[CommandSpec]) -> LazyCommand:
    summary = registration.spec.summary or f"Provided by {registration.distribution}."
    return LazyCommand(registration.spec.target, summary, "From plugins", registration)


def _import(name: str, lazy: LazyCommand) -> Any:
    if lazy.registration is not None:
        command = _import_from_plugin(name, lazy.registration)
    else:
        module, _, attribute = lazy.target.partition(":")
        command = _create_command(name, getattr(import_module(module), attribute))
    add_common_options(command)
    return command


def _import_from_plugin(name: str, registration: Registration[CommandSpec]) -> Any:
    from rivers_core.plugins import import_target

    target = import_target(registration)
    try:
        return _create_command(name, target)
    except (
        Exception
    ) as error:  # typer raises various errors for a function that it cannot turn into a command
        raise PluginLoadError(
            f"Cannot use command {registration.spec.name!r} of {registration.distribution} {registration.version} "
            f"(plugin {registration.entry_point!r}, target {registration.spec.target!r}): {error}"
        ) from error


def _create_command(name: str, target: Any) -> Any:
    if isinstance(target, (TyperCommand, TyperGroup)):
        return target
    if isinstance(target, typer.Typer):
        command = typer.main.get_command(target)
        command.name = name
        return command
    if not callable(target):
        raise TypeError(f"must be a function or a typer.Typer, got {type(target).__name__}.")
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name, cls=Command)(target)
    return typer.main.get_command(single)


# Names of the same commands in other tools.
_SYNONYMS = {
    "build": "materialize",
    "history": "log",
    "list": "assets",
    "ls": "assets",
    "run": "materialize",
    "viz": "graph",
}


def _not_found_message(ctx: Any, name: str) -> str:
    from rivers_core.authoring import did_you_mean

    names, plugins = list(_all_commands(ctx)), _plugin_commands(ctx)
    synonym = _SYNONYMS.get(name)
    suggestion = did_you_mean(synonym or name, [*names, *(claim.spec.name for claim in plugins.claims)])
    suggestion = suggestion or f" Available: {', '.join(names)}."
    return "\n".join([f"Command {name!r} not found.{suggestion}", *plugins.explain_missing()])

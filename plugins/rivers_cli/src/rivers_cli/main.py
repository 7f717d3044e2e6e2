"""Where the command starts: options that every command takes, and what becomes of errors."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated

import typer

from rivers_cli.command import CommandGroup, add_common_options
from rivers_cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"rivers {version('rivers-io')}", file=sys.stdout)
        raise typer.Exit


@app.callback()
def rivers(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run data pipelines, and look at what they keep and where.

    Commands find the project by its rivers.toml, in this folder or above it.

    Examples:
      $ rivers new shop                       a project that works
      $ rivers materialize                    run everything
      $ rivers materialize report --env prod  one asset, in another environment
      $ rivers check                          is everything in place?
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and end the process.

    Args:
        arguments: What follows `rivers`; None takes those of the process.

    Raises:
        SystemExit: Always. 0 all is well, 1 a run or a check failed, 2 a mistake in the call, the
            configuration or the definitions, 130 interrupted.
    """
    _show_whatever_there_is()
    session = Session(_typed(sys.argv[1:] if arguments is None else arguments))
    command = typer.main.get_command(app)
    add_common_options(command)
    try:
        command.main(args=arguments, prog_name="rivers", obj=session)
    except Exception as error:
        from rivers_cli.failures import report

        sys.exit(report(error, session))
    finally:
        session.close()
    sys.exit(0)


def _typed(arguments: Sequence[str]) -> Sequence[str]:
    """What follows `rivers`: the arguments, or what is there so far where a shell wants to complete it."""
    from shlex import shlex

    if "_RIVERS_COMPLETE" not in os.environ:
        return arguments
    words = shlex(os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", ""), posix=True)
    words.whitespace_split, words.commenters = True, ""
    typed: list[str] = []
    with suppress(ValueError):  # a quotation that has not ended yet
        typed.extend(words)
    return typed[1:]


def _show_whatever_there_is() -> None:
    """What the encoding of a stream does not have is written as an escape; no text can end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

"""Entry point of the `rivers` command."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated

import typer

from rivers_cli.lazy_group import LazyGroup, add_common_options
from rivers_cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        print(f"rivers {version('rivers-io')}", file=sys.stdout)
        raise typer.Exit


@app.callback()
def rivers(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run data pipelines, and inspect what they store and where.

    The project is that of rivers.toml in this folder or a parent folder.

    Examples:
      $ rivers new shop                       create a project
      $ rivers materialize                    run all assets
      $ rivers materialize report --env prod  run one asset in another environment
      $ rivers check                          report problems, test every store
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and end the process.

    Args:
        arguments: Arguments after `rivers`; None uses those of the process.

    Raises:
        SystemExit: Always. The exit code is 0 on success, 1 if a run or a check failed, 2 for an error in the call,
            the configuration or the definitions, and 130 if interrupted.
    """
    _escape_unencodable()
    session = Session(_typed_words(sys.argv[1:] if arguments is None else arguments))
    command = typer.main.get_command(app)
    add_common_options(command)
    try:
        command.main(args=arguments, prog_name="rivers", obj=session)
    except Exception as error:
        from rivers_cli.errors import report_error

        sys.exit(report_error(error, session))
    finally:
        session.close()
    sys.exit(0)


def _typed_words(arguments: Sequence[str]) -> Sequence[str]:
    """Return the arguments, or the words typed so far if a shell asks for completions."""
    from shlex import shlex

    if "_RIVERS_COMPLETE" not in os.environ:
        return arguments
    words = shlex(os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", ""), posix=True)
    words.whitespace_split, words.commenters = True, ""
    typed: list[str] = []
    with suppress(ValueError):  # an open quotation mark
        typed.extend(words)
    return typed[1:]


def _escape_unencodable() -> None:
    """Print characters that the encoding of a stream lacks as escapes, so that no text ends the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rivers_cli.session import Session


def _complete_assets(ctx: typer.Context, incomplete: str) -> list[str]:
    return _names(ctx, incomplete, lambda session: session.project.looked_at().graph.outputs)


def _complete_jobs(ctx: typer.Context, incomplete: str) -> list[str]:
    return _names(ctx, incomplete, lambda session: session.project.repository.jobs)


def _complete_handlers(ctx: typer.Context, incomplete: str) -> list[str]:
    return _names(ctx, incomplete, lambda session: getattr(session.project.config, "handler_names", ()))


def complete_environments(ctx: typer.Context, incomplete: str) -> list[str]:
    """Environments of the configuration that begin like this, for a shell."""
    return _names(ctx, incomplete, _environments)


def complete_stored(ctx: typer.Context, incomplete: str) -> list[str]:
    """Handlers of the configuration that begin like this, after an `@` their environments, for a shell."""
    handler, at, environment = incomplete.partition("@")
    if not at:
        return _complete_handlers(ctx, incomplete)
    return [f"{handler}@{name}" for name in _names(ctx, environment, _environments)]


def complete_executors(ctx: typer.Context, incomplete: str) -> list[str]:
    """Executors that begin like this, for a shell."""
    return _names(ctx, incomplete, _executors)


def _environments(session: Session) -> list[str]:
    from rivers_core.config import list_environments

    return list_environments(session.config)


def _executors(session: Session) -> list[str]:
    from rivers_core.plugins import get_registry

    _ = session.project.config  # its rules are in force from here on
    return ["in_process", *(provided.spec.name for provided in get_registry().executors())]


def _names(ctx: typer.Context, incomplete: str, find: Any) -> list[str]:
    from contextlib import redirect_stdout
    from sys import stderr

    from rivers_cli.session import Session

    session: Session = ctx.find_root().obj or Session()
    try:
        with redirect_stdout(stderr):
            return [name for name in find(session) if name.startswith(incomplete)]
    except (Exception, SystemExit):
        return []  # somebody pressed TAB; this is no moment for errors


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")]

Assets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ASSETS", help="Names of assets; all without any.", autocompletion=_complete_assets
    ),
]

Asset = Annotated[
    str, typer.Argument(metavar="ASSET", help="Name of an asset.", autocompletion=_complete_assets)
]

Job = Annotated[
    str | None,
    typer.Option("--job", "-j", metavar="NAME", help="Run this job.", autocompletion=_complete_jobs),
]

HandlerName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of a handler.", autocompletion=_complete_handlers)
]

Partitions = Annotated[
    list[str] | None,
    typer.Option(
        "--partition",
        "-p",
        metavar="KEY",
        help="A partition key; date=a|region=b with dimensions; FIRST..LAST for a range. May be repeated.",
    ),
]

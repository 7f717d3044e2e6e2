"""Options that several commands share, and their shell completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rivers.inspection.project import Project
    from rivers.repository import CodeRepository
    from rivers_cli.session import Session


def _complete(ctx: typer.Context, incomplete: str, names: Callable[[Session], Iterable[str]]) -> list[str]:
    """Return the names that start with what was typed."""
    from contextlib import redirect_stdout
    from sys import stderr

    from rivers_cli.session import Session

    session: Session = ctx.find_root().obj or Session()
    try:
        with redirect_stdout(stderr):
            return [name for name in names(session) if name.startswith(incomplete)]
    except (Exception, SystemExit):
        return []  # a shell asks while the user types; an error would disturb the command line


def _complete_assets(ctx: typer.Context, incomplete: str) -> list[str]:
    return _complete(ctx, incomplete, lambda session: session.project.inspect().graph.outputs)


def _complete_jobs(ctx: typer.Context, incomplete: str) -> list[str]:
    return _complete(ctx, incomplete, lambda session: session.project.repository.jobs)


def _complete_handlers(ctx: typer.Context, incomplete: str) -> list[str]:
    return _complete(ctx, incomplete, lambda session: _handler_names(session.project))


def _handler_names(project: Project) -> Iterable[str]:
    """Return the names of the configured handlers; without any, of those in the code, which is then imported."""
    if project.config is not None and project.config.handler_names:
        return project.config.handler_names
    from rivers.inspection.handlers import HandlerUsage

    bindings = [output.binding for output in HandlerUsage.of_project(project).outputs]
    return dict.fromkeys(binding.label for binding in bindings if binding is not None)


def _complete_environments(ctx: typer.Context, incomplete: str) -> list[str]:
    from rivers_core.config import list_environments

    return _complete(ctx, incomplete, lambda session: list_environments(session.config))


def complete_endpoint(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete `HANDLER`, or `HANDLER@ENV` after an `@`."""
    handler, at, environment = incomplete.partition("@")
    if not at:
        return _complete_handlers(ctx, incomplete)
    return [f"{handler}@{name}" for name in _complete_environments(ctx, environment)]


def complete_executors(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of an executor."""
    return _complete(ctx, incomplete, _executor_names)


def _executor_names(session: Session) -> list[str]:
    from rivers_core.plugins import get_registry

    config = session.project.config  # reading it puts its plugin policy in force
    configured = [] if config is None else config.executor_names
    names = (registration.spec.name for registration in get_registry().executors())
    return ["in_process", *names, *configured]


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")]

Assets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ASSETS",
        help="Names, globs, group:x, tag:x, kind:x, handler:x, +upstream, downstream+; all by default.",
        autocompletion=_complete_assets,
    ),
]

Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="ASSETS", help="Leave these out, same syntax. Repeatable."),
]


def select_assets(
    repository: CodeRepository, assets: Iterable[str] | None, exclude: Iterable[str] | None
) -> tuple[str, ...] | None:
    """Return the names of the assets that a call selects; None for all."""
    terms = [*(assets or ()), *(f"-{term}" for term in exclude or ())]
    return repository.select(terms) if terms else None


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
        help="Partition key; date=a|region=b with dimensions, FIRST..LAST for a range. Repeatable.",
    ),
]

Partition = Annotated[
    str | None,
    typer.Option("--partition", "-p", metavar="KEY", help="Partition key; date=a|region=b with dimensions."),
]

PartitionMode = Annotated[
    str | None,
    typer.Option(
        "--partitions",
        metavar="WHICH",
        help="Partition keys: all, missing, stale (missing ones included), or latest, the last complete window.",
        autocompletion=lambda incomplete: [m for m in _MODES if m.startswith(incomplete)],
    ),
]
_MODES = ("all", "missing", "stale", "latest")


def _store_in_session(attribute: str) -> Callable[[typer.Context, Any], Any]:
    def store(ctx: typer.Context, value: Any) -> Any:
        session: Session = ctx.find_root().obj
        if value is not None and value is not False and session is not None:
            setattr(session, attribute, value)
        return value

    return store


def common_options(
    env: Annotated[
        str | None,
        typer.Option(
            "--env",
            metavar="NAME",
            callback=_store_in_session("environment"),
            expose_value=False,
            help="Environment of rivers.toml; default: RIVERS_ENV.",
            autocompletion=_complete_environments,
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            metavar="FILE",
            callback=_store_in_session("config"),
            expose_value=False,
            help="Configuration file; default: rivers.toml here or in a parent folder.",
        ),
    ] = None,
    repository: Annotated[
        str | None,
        typer.Option(
            "--repository",
            metavar="MODULE:NAME",
            callback=_store_in_session("repository"),
            expose_value=False,
            help="The CodeRepository; default: that of the configuration.",
        ),
    ] = None,
    traceback: Annotated[
        bool,
        typer.Option(
            "--traceback",
            callback=_store_in_session("traceback"),
            expose_value=False,
            help="Print whole tracebacks.",
        ),
    ] = False,
) -> None:
    """Declare the options that every command takes; their values go to the `Session`."""

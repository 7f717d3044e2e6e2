"""`rivers migrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rivers_cli.options import AsJson, Assets, complete_stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers_cli.migration import Migration, Value


def migrate(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="HANDLER[@ENV]", help="Where the values are.", autocompletion=complete_stored
        ),
    ],
    target: Annotated[
        str,
        typer.Option(
            "--to", metavar="HANDLER[@ENV]", help="Where they are to be.", autocompletion=complete_stored
        ),
    ],
    assets: Assets = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be copied.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace other values that are at the target.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy stored values from one handler to another.

    Every value and every partition is loaded, stored, loaded back and compared. Called again it goes on where it
    stopped. The history says where each value is now and keeps its versions, so that nothing that was fresh has to
    run again once the configuration names the new handler. What is at the old place stays there.

    Exit codes: 0 all is there, 1 some values could not be copied, 2 a mistake in the call, 130 stopped.

    Examples:
      $ rivers migrate --from files --to lake --dry-run
      $ rivers migrate --from files --to lake orders customers
      $ rivers migrate --from files --to files@prod
    """
    from rivers_cli.endpoints import endpoint, outputs_of
    from rivers_cli.handlers import Usage
    from rivers_cli.migration import Migration
    from rivers_cli.output import others_to_stderr, print_document
    from rivers_cli.problems import ReportedError, UsageProblemError

    if source == target:
        raise UsageProblemError(f"--from and --to are the same handler, {source!r}.")
    with others_to_stderr(as_json):
        repository = context.obj.project.looked_at()
        usage = Usage(list(repository.graph.outputs.values()), repository)
        migration = Migration(
            endpoint(context.obj.project, usage, source, reading=True),
            endpoint(context.obj.project, usage, target, reading=dry_run),
            _new_run_id(),
            overwrite,
        )
        values = list(migration.values(outputs_of(usage, assets, migration.source)))
        if not dry_run:
            _copy(migration, values, context.obj.without_secrets, silent=as_json)
    if as_json:
        print_document(_document(migration, values, dry_run))
    else:
        _print(migration, values, dry_run)
    if any(value.state == "failed" for value in values):
        raise ReportedError


def _new_run_id() -> str:
    from uuid import uuid4

    return str(uuid4())


def _copy(
    migration: Migration, values: list[Value], without_secrets: Callable[[str], str], *, silent: bool
) -> None:
    from rivers_cli import amounts
    from rivers_cli.running import say

    if all(value.state == "there already" for value in values):
        return
    storage = migration.target.storage
    names = list(dict.fromkeys(value.output.name for value in values))
    tags = [("rivers/migration", f"{migration.source.name} -> {migration.target.name}")]
    storage.start_run(migration.run_id, tags=tags, steps=names, selection=names)
    status, message = "failure", None
    try:
        for value in values:
            migration.copy(value)
            value.message = without_secrets(value.message) if value.message else ""
            if not silent:
                took = "" if value.state == "there already" else f"  {amounts.duration(value.duration_ns)}"
                say(f"{_name(value)}  {value.state}{took}{f': {value.message}' if value.message else ''}")
        failed = sum(value.state == "failed" for value in values)
        status, message = ("failure", f"{failed} values could not be copied") if failed else ("success", None)
    except KeyboardInterrupt:
        status, message = "canceled", "stopped by hand; calling it again goes on"
        say(
            f"Stopped after {len(migration.done) - 1} of {len(values)} values; the same call goes on from there."
        )
        raise
    finally:
        storage.finish_run(migration.run_id, status, message)
        storage.flush()


def _name(value: Value) -> str:
    return f"{value.output.name} [{value.partition}]" if value.partition else value.output.name


def _document(migration: Migration, values: list[Value], dry_run: bool) -> dict[str, Any]:
    return {
        "from": migration.source.name,
        "to": migration.target.name,
        "dry_run": dry_run,
        "run_id": None if dry_run else migration.run_id,
        "values": [
            {
                "asset": value.output.name,
                "partition": value.partition,
                "state": value.state,
                "source": value.source,
                "target": value.target,
                "message": value.message or None,
            }
            for value in values
        ],
    }


def _print(migration: Migration, values: list[Value], dry_run: bool) -> None:
    from rivers_cli.output import Column, print_table

    if not values:
        print(f"{migration.source.name} holds nothing of these assets.")
        return
    if dry_run:
        columns = [Column("Value"), Column("State"), Column("From", wraps=True), Column("To", wraps=True)]
        print_table(columns, [(_name(v), v.state, v.source or "", v.target or "") for v in values])
        return
    counts = {
        state: sum(value.state == state for value in values)
        for state in ("copied", "there already", "failed")
    }
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    print(f"{len(values)} values from {migration.source.name} to {migration.target.name}: {told}.")
    if not counts["failed"] and "@" not in migration.target.name:
        print(
            f"Now let the assets name {migration.target.name!r}, in rivers.toml or in the code: by their history "
            "they are kept there."
        )

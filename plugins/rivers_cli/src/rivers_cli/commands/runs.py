"""`rivers runs`."""

from __future__ import annotations

from typing import Annotated

import typer

from rivers_cli.options import AsJson


def runs(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")] = 20,
    status: Annotated[
        str | None,
        typer.Option("--status", help="Only those: running, success, failure, canceled, interrupted."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List runs, the last one first.

    Examples:
      $ rivers runs
      $ rivers runs --status failure --limit 5
    """
    from rivers_cli.history import run_document, run_row
    from rivers_cli.output import Column, print_document, print_table

    found = context.obj.project.storage(reading=True).get_runs(limit=limit, status=status)
    if as_json:
        print_document([run_document(run) for run in found])
    elif not found:
        print("No runs." if status is None else f"No runs with status {status}.")
    else:
        columns = [
            Column("Run"), Column("Status"), Column("Started"), Column("Took", right=True, spare=1),
            Column("What", wraps=True), Column("Message", wraps=True),
        ]  # fmt: skip
        print_table(columns, [run_row(run) for run in found])

"""`rivers plugins`: list installed plugins."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rivers.inspection.settings import plugin_document
from rivers_cli.errors import ExitError
from rivers_cli.options import AsJson
from rivers_cli.output import Column, print_document, print_error, print_table
from rivers_core.exceptions import PluginLoadError

if TYPE_CHECKING:
    pass


def plugins(
    context: typer.Context,
    load: Annotated[
        bool,
        typer.Option("--load", help="Import every plugin, and show what it provides and what is broken."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List installed plugins and their state.

    Without --load nothing is imported, and a plugin shows the names of its entry points. The policy under [plugins] of
    rivers.toml applies. With --load, remarks report mistakes: hooks that no entry point announces, handlers with wrong
    signatures, names that several packages claim, commands that do not run under their own name.

    Exit codes: 0, or 1 if --load found a broken plugin, or a handler, executor, storage or command that cannot be used.

    Examples:
      $ rivers plugins
      $ rivers plugins --load --json
    """
    from rivers.inspection.check import foreign_distribution_message
    from rivers_core.plugins import get_registry

    _ = context.obj.project.config  # puts its plugin policy in force
    registry = get_registry()
    if load:
        with suppress(PluginLoadError):  # with strict plugins; the list names the broken one
            registry.load_all(targets=True)
    statuses = registry.plugins()
    remarks = {(status.distribution, status.entry_point): [*status.warnings] for status in statuses}
    for claim, message in context.obj.plugin_commands.conflicts() if load else ():
        remarks.setdefault((claim.distribution, claim.entry_point), []).append(message)
    documents: list[dict[str, Any]] = [
        {
            **plugin_document(status),
            "remarks": remarks.get((status.distribution, status.entry_point), []),
        }
        for status in statuses
    ]
    if as_json:
        print_document(documents)
    else:
        columns = [
            Column("Distribution"), Column("Version"), Column("State"), Column("Provides", wraps=True),
            Column("Remark", wraps=True),
        ]  # fmt: skip
        print_table(columns, [_row(document) for document in documents])
    if message := foreign_distribution_message():
        print_error(f"\nWarning: {message}")
    if load and any(status.state == "broken" or status.unusable for status in statuses):
        raise ExitError


def _row(document: dict[str, Any]) -> tuple[str, ...]:
    provides = ", ".join(document["provides"]) or f"({document['entry_point']})"
    remark = " ".join([document["error"] or "", *document["remarks"]]).strip()
    return document["distribution"], document["version"], document["state"], provides, remark

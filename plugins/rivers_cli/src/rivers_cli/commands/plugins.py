"""`rivers plugins`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from rivers_cli.options import AsJson

if TYPE_CHECKING:
    from rivers_cli.session import Session


def plugins(
    context: typer.Context,
    load: Annotated[
        bool, typer.Option("--load", help="Import every plugin, to see what it provides and what is broken.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List installed plugins and their state.

    Nothing is imported unless --load is given; until then a plugin shows the names of its entry points. The
    rules under [plugins] of rivers.toml hold.

    Of commands that do not run under the name they have, --load says why.

    Exit codes: 0, or 1 if --load found a broken plugin.

    Examples:
      $ rivers plugins
      $ rivers plugins --load --json
    """
    from rivers_cli.output import Column, print_document, print_table
    from rivers_cli.problems import ReportedError
    from rivers_core.exceptions import PluginLoadError
    from rivers_core.plugins import get_registry

    _ = context.obj.project.config  # its rules are in force from here on
    registry = get_registry()
    if load:
        with suppress(PluginLoadError):  # strict: the list tells which one is broken, and why
            registry.load_all()
    states = registry.plugins()
    remarks = _remarks(context.obj) if load else {}
    if as_json:
        print_document(
            [
                {
                    "distribution": one.distribution,
                    "version": one.version,
                    "entry_point": one.entry_point,
                    "state": one.state,
                    "provides": list(one.provides),
                    "error": one.error,
                    "remarks": remarks.get((one.distribution, one.entry_point), []),
                }
                for one in states
            ]
        )
    else:
        columns = ("Distribution", "Version", "State", "Provides", "Remark")
        rows = [
            (
                one.distribution,
                one.version,
                one.state,
                ", ".join(one.provides) or f"({one.entry_point})",
                " ".join([one.error or "", *remarks.get((one.distribution, one.entry_point), [])]).strip(),
            )
            for one in states
        ]
        print_table([Column(title, wraps=title in ("Provides", "Remark")) for title in columns], rows)
    if load and any(one.state == "broken" for one in states):
        raise ReportedError


def _remarks(session: Session) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for claim, sentence in session.plugin_commands.disputes():
        found.setdefault((claim.distribution, claim.entry_point), []).append(sentence)
    return found

"""`rivers check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rivers_cli.options import AsJson

if TYPE_CHECKING:
    from rivers_cli.checking import Report


def check(
    context: typer.Context,
    probe: Annotated[bool, typer.Option(help="Try each store with a small value of its own.")] = True,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="How long to wait for the stores.")
    ] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Find what is wrong before anything runs, and try every store.

    Looks at the configuration, the plugins, the definitions, the history, and at each store that assets are kept in:
    a probe is put, loaded and deleted, under a name of its own, and timed. Stores that are only read from are not
    written to.

    Exit codes: 0 everything is in place, 1 something is not.

    Examples:
      $ rivers check
      $ rivers check --env prod
      $ rivers check --no-probe
    """
    from rivers_cli.checking import checked
    from rivers_cli.output import others_to_stderr, print_document
    from rivers_cli.problems import ReportedError

    with others_to_stderr(as_json):
        report = checked(context.obj.project, probe=probe, seconds=timeout)
        report.warnings += [sentence for _, sentence in context.obj.plugin_commands.disputes()]
        report.clean(context.obj.without_secrets)
    if as_json:
        print_document(_document(report))
    else:
        _print(report)
    if not report.ok:
        raise ReportedError


def _document(report: Report) -> dict[str, Any]:
    return {
        "ok": report.ok,
        "facts": report.facts,
        "findings": report.findings,
        "warnings": report.warnings,
        "stores": [
            {
                "name": store.name,
                "class": type(store.handler).__name__,
                "state": store.state,
                "assets": store.assets,
                "address": store.address,
                "seconds": {action: spent / 1e9 for action, spent in store.timings.items()},
                "remark": store.remark or None,
            }
            for store in report.stores
        ],
    }


def _print(report: Report) -> None:
    from rivers_cli import amounts
    from rivers_cli.output import Column, print_table
    from rivers_cli.running import say

    for name, fact in report.facts.items():
        print(f"{name}: {fact}")
    if report.stores:
        print()
        columns = [Column("Store"), Column("State"), Column("Assets", right=True, spare=2)]
        columns += [Column(title, right=True, spare=1) for title in ("Put", "Get", "Delete")]
        columns += [Column("Where, or why", wraps=True)]
        rows = [
            (
                store.name,
                store.state,
                str(len(store.assets)),
                *(
                    amounts.duration(store.timings[action]) if action in store.timings else ""
                    for action in ("put", "get", "delete")
                ),
                store.remark or store.address or "",
            )
            for store in report.stores
        ]
        print_table(columns, rows)
    for warning in report.warnings:
        say(f"\nWarning: {warning}")
    for finding in report.findings:
        say(f"\nError: {finding}")
    print("\nEverything is in place." if report.ok else f"\n{_count(report)}")


def _count(report: Report) -> str:
    failed = sum(store.state == "failed" for store in report.stores)
    parts = [f"{len(report.findings)} to mend"] if report.findings else []
    parts += [f"{failed} of {len(report.stores)} stores failed"] if failed else []
    return f"Not everything is in place: {', '.join(parts)}."

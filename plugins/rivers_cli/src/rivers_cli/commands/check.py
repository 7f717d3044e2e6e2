"""`rivers check`: report all problems of a project, and test every store with a probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rivers_cli.errors import ExitError
from rivers_cli.humanize import format_duration
from rivers_cli.options import AsJson
from rivers_cli.output import Column, print_document, print_error, print_table, project_output_to_stderr
from rivers_core.authoring import counted

if TYPE_CHECKING:
    from rivers.inspection.check import Report, StoreTest
    from rivers_cli.session import Session


def check(
    context: typer.Context,
    probe: Annotated[bool, typer.Option(help="Test each store with a small value.")] = True,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="Time limit for testing the stores.")
    ] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Report all problems before anything runs, and test every store.

    Checks the configuration, the plugins, the definitions and the event log. Then writes, reads and deletes a probe in
    each store that assets use, under a reserved name. Stores that assets are only read from are not written to.

    Exit codes: 0 no problems, 1 problems found, 2 the call is not valid.

    Examples:
      $ rivers check
      $ rivers check --env prod
      $ rivers check --no-probe
    """
    with project_output_to_stderr(as_json):
        report = _check(context.obj, probe=probe, timeout=timeout)
    if as_json:
        print_document(report.document())
    else:
        _print_report(report)
    if not report.ok:
        raise ExitError


def _check(session: Session, *, probe: bool, timeout: float) -> Report:
    from rivers.inspection.check import check_project

    conflicts = [message for _, message in session.plugin_commands.conflicts()]
    return check_project(session.project, probe=probe, timeout=timeout, plugin_warnings=conflicts)


def _print_report(report: Report) -> None:
    """Print a report: facts and stores to stdout, problems to stderr."""
    for name, fact in report.facts.items():
        print(f"{name}: {fact}")
    if report.stores:
        print()
        columns = [Column("Store"), Column("State"), Column("Assets", right=True, optional=2)]
        columns += [Column(title, right=True, optional=1) for title in ("Put", "Get", "Delete")]
        columns += [Column("Address or remark", wraps=True)]
        print_table(columns, [_row(store) for store in report.stores])
    for warning in report.warnings:
        print_error(f"\nWarning: {warning}")
    for finding in report.findings:
        print_error(f"\nError: {finding}")
    counts = [counted(len(report.findings), "error")] if report.findings else []
    failed = report.failed_stores
    counts += [f"{failed} of {len(report.stores)} stores failed"] if failed else []
    print(f"\nProblems found: {', '.join(counts)}." if counts else "\nNo problems found.")


def _row(test: StoreTest) -> tuple[str, ...]:
    """Return the test as a row: store, state, assets, put, get, delete, address or remark."""
    timings = [
        format_duration(test.timings[action]) if action in test.timings else ""
        for action in ("put", "get", "delete")
    ]
    return test.name, test.state, str(len(test.assets)), *timings, test.remark or test.address or ""

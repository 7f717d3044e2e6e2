"""`rivers assets`: list assets with handler, last event and status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rivers.inspection.assets import summarize_assets
from rivers.inspection.events import stored_size
from rivers_cli.errors import UsageError
from rivers_cli.humanize import format_age, format_size
from rivers_cli.options import AsJson, Assets, Exclude, select_assets
from rivers_cli.output import (
    Column,
    is_terminal,
    print_document,
    print_error,
    print_table,
    project_output_to_stderr,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rivers.inspection.assets import AssetSummary


def assets(
    context: typer.Context,
    assets: Assets = None,
    exclude: Exclude = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Ask the handlers for deleted, changed and damaged values.")
    ] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="With --verify: record the stored values as the current ones.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List assets with their handler, when they were last stored, and whether they are fresh.

    An asset is stale if its code version, its handler or the data version of an input has changed since it was stored.
    With --verify, an asset is also stale if its handler has another value than the event log records, and missing if
    the handler has none.

    Examples:
      $ rivers assets
      $ rivers assets orders report --json
      $ rivers assets --verify
    """
    if accept and not verify:
        raise UsageError("--accept requires --verify.")
    with project_output_to_stderr(as_json):
        project = context.obj.project
        if accept:
            opened = project.open()
            for name, key in opened.accept(select_assets(opened, assets, exclude)):
                print_error(f"Accepted {name}{'' if key is None else f' [{key}]'} as it is stored.")
        repository = project.inspect()
        summaries = summarize_assets(repository, select_assets(repository, assets, exclude), verify=verify)
    if as_json:
        print_document([summary.document() for summary in summaries])
        return
    columns = [
        Column("Asset"), Column("Handler"), Column("Stored"), Column("Size", right=True, optional=1),
        Column("State", wraps=True),
    ]  # fmt: skip
    if any(summary.description for summary in summaries):
        columns.append(Column("Description", wraps=True, optional=2))
    if is_terminal() and any(summary.group for summary in summaries):
        print_table(columns, [row[: len(columns)] for row in _tree_rows(summaries)])
    else:
        rows = [(summary.group or "", *_row(summary)[: len(columns)]) for summary in summaries]
        print_table([Column("Group"), *columns], rows)


def _row(summary: AssetSummary) -> tuple[str, ...]:
    """Return an asset as a row: name, handler, age, size, state, first line of the description."""
    last = summary.last
    size = None if last is None or summary.partitions is not None else stored_size(last)
    return (
        summary.name, summary.handler, "" if last is None else format_age(last.timestamp),
        "" if size is None else format_size(size), summary.detail, (summary.description or "").partition("\n")[0],
    )  # fmt: skip


def _tree_rows(summaries: list[AssetSummary]) -> Iterator[tuple[str, ...]]:
    for group in dict.fromkeys(summary.group for summary in summaries):
        members = [summary for summary in summaries if summary.group == group]
        if group is None:
            yield from (_row(summary) for summary in members)
            continue
        yield (f"{group}/", *" " * 5)
        for summary in members:
            branch = "└─" if summary is members[-1] else "├─"
            name, *rest = _row(summary)
            yield (f"{branch} {name}", *rest)

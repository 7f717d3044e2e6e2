"""`rivers assets`: list assets with handler, last event and status."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rivers_cli.errors import UsageError
from rivers_cli.handler_usage import storing_handler
from rivers_cli.humanize import format_age, format_iso, format_size, stored_size
from rivers_cli.options import AsJson, Assets, Exclude, select_assets
from rivers_cli.output import (
    Column,
    is_terminal,
    print_document,
    print_error,
    print_table,
    project_output_to_stderr,
)
from rivers_core.authoring import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rivers.execution.staleness import AssetStatus
    from rivers.graph.plan import StoredOutput
    from rivers.repository import CodeRepository
    from rivers.storage import Event


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
        rows = [(summary.group or "", *summary.row()[: len(columns)]) for summary in summaries]
        print_table([Column("Group"), *columns], rows)


@dataclass(frozen=True, slots=True)
class AssetSummary:
    """One asset with its status.

    Attributes:
        name: Name of the asset.
        group: Its group, if any.
        handler: Name of its handler.
        reason: Rule that selected the handler.
        kinds: Its kinds.
        last: Last event that stored or observed it.
        statuses: Status of each value; empty for an external asset.
        partitions: Number of partition keys; None without partitions.
        failed: Whether its last step failed.
        description: Text for people, if any.
    """

    name: str
    group: str | None
    handler: str
    reason: str
    kinds: tuple[str, ...]
    last: Event | None
    statuses: tuple[AssetStatus, ...]
    partitions: int | None
    failed: bool
    description: str | None = None

    @property
    def state(self) -> str:
        """State in a few words: `fresh`, `stale: why`, `3 of 12 partitions, 1 stale`, `external`."""
        return f"{self._status()}; the last attempt failed" if self.failed else self._status()

    def _status(self) -> str:
        if not self.statuses:
            return "external" if self.partitions is None else "no partition keys"
        if self.partitions is None:
            status = self.statuses[0]
            return f"{status.state}: {status.reason}" if status.reason else status.state
        counts = Counter(status.state for status in self.statuses)
        stored = len(self.statuses) - counts["missing"]
        if counts["fresh"] == len(self.statuses):
            return f"fresh, {counted(stored, 'partition')}"
        stale = f", {counts['stale']} stale" if counts["stale"] else ""
        return f"{stored} of {counted(len(self.statuses), 'partition')}{stale}" if stored else "missing"

    def row(self) -> tuple[str, ...]:
        """Return the asset as a row: name, handler, age, size, state, first line of the description."""
        size = None if self.last is None or self.partitions is not None else stored_size(self.last)
        age = "" if self.last is None else format_age(self.last.timestamp)
        description = (self.description or "").partition("\n")[0]
        return (
            self.name, self.handler, age, "" if size is None else format_size(size), self.state, description,
        )  # fmt: skip

    def document(self) -> dict[str, Any]:
        """Return the asset as a JSON document."""
        last = self.last
        return {
            "asset": self.name,
            "group": self.group,
            "kinds": list(self.kinds),
            "description": self.description,
            "handler": self.handler,
            "handler_reason": self.reason,
            "external": not self.statuses and self.partitions is None,
            "last": last
            and {
                "event": last.event_type,
                "at": format_iso(last.timestamp),
                "run_id": last.run_id,
                "data_version": last.data_version,
                "size_bytes": stored_size(last),
            },
            "values": [
                {"partition": status.partition, "state": status.state, "reason": status.reason}
                for status in self.statuses
            ],
        }


def summarize_assets(
    repository: CodeRepository, names: Sequence[str] | None, *, verify: bool = False
) -> list[AssetSummary]:
    """Summarize assets of a repository.

    Args:
        repository: The resolved repository.
        names: Names of assets; None or an empty list for all.
        verify: Whether to compare the event log with what the handlers have.

    Returns:
        The assets in execution order, external ones first.

    Raises:
        NodeNotFoundError: A name is unknown.
    """
    graph = repository.graph
    for name in names or ():
        repository.handler_binding(name)  # raises for an unknown name
    order = {name: index for index, name in enumerate(graph.steps)}
    outputs = [
        output for output in graph.outputs.values() if output.is_asset and (not names or output.name in names)
    ]
    outputs.sort(key=lambda output: order.get(output.step_name or "", -1))
    runnable = [
        output.name for output in outputs if output.step_name is not None and output.name in graph.members
    ]
    statuses: dict[str, list[AssetStatus]] = {}
    for status in repository.status(runnable, verify=verify) if runnable else ():
        statuses.setdefault(status.asset, []).append(status)
    return [_summarize(repository, output, statuses.get(output.name, [])) for output in outputs]


def _summarize(repository: CodeRepository, output: StoredOutput, statuses: list[AssetStatus]) -> AssetSummary:
    record = repository.storage.get_asset_record(output.name)
    event = None if record is None else record.last_event
    stored = None if record is None else record.last_materialization
    is_observed = stored is None and event is not None and event.event_type == "Observation"
    return AssetSummary(
        output.name,
        output.group,
        *storing_handler(output),
        output.kinds,
        event if is_observed else stored,
        tuple(statuses),
        None if output.partitions_def is None else len(statuses),
        event is not None and event.event_type == "StepFailure",
        output.description,
    )


def _tree_rows(summaries: list[AssetSummary]) -> Iterator[tuple[str, ...]]:
    for group in dict.fromkeys(summary.group for summary in summaries):
        members = [summary for summary in summaries if summary.group == group]
        if group is None:
            yield from (summary.row() for summary in members)
            continue
        yield (f"{group}/", *" " * 5)
        for summary in members:
            branch = "└─" if summary is members[-1] else "├─"
            name, *rest = summary.row()
            yield (f"{branch} {name}", *rest)

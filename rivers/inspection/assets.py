"""Assets of a repository with handler, last event and status."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rivers.inspection.events import format_iso, stored_size
from rivers.inspection.handlers import storing_handler
from rivers_core.authoring import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.execution.staleness import StatusRange
    from rivers.graph.plan import StoredOutput
    from rivers.repository import CodeRepository
    from rivers.storage import Event
    from rivers.storage.records import AssetRecord


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
        ranges: Status of its values, consecutive keys as ranges; empty for an external asset.
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
    ranges: tuple[StatusRange, ...]
    partitions: int | None
    failed: bool
    description: str | None = None

    @property
    def state(self) -> str:
        """State in one word: failed, external, stale, fresh, partial (some values are missing) or missing."""
        if self.failed:
            return "failed"
        if not self.ranges:
            return "external" if self.partitions is None else "missing"
        counts = self.counts()
        if counts["stale"]:
            return "stale"
        return "missing" if not counts["fresh"] else "partial" if counts["missing"] else "fresh"

    @property
    def detail(self) -> str:
        """State with its reason: `fresh`, `stale: why`, `3 of 12 partitions, 1 stale`, `external`."""
        return f"{self._status()}; the last attempt failed" if self.failed else self._status()

    def _status(self) -> str:
        if not self.ranges:
            return "external" if self.partitions is None else "no partition keys"
        if self.partitions is None:
            status = self.ranges[0]
            return f"{status.state}: {status.reason}" if status.reason else status.state
        counts = self.counts()
        stored = self.partitions - counts["missing"]
        if counts["fresh"] == self.partitions:
            return f"fresh, {counted(stored, 'partition')}"
        stale = f", {counts['stale']} stale" if counts["stale"] else ""
        return f"{stored} of {counted(self.partitions, 'partition')}{stale}" if stored else "missing"

    def counts(self) -> Counter[str]:
        """Return the number of values in each state."""
        counts: Counter[str] = Counter()
        for item in self.ranges:
            counts[item.state] += item.count
        return counts

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
            "external": not self.ranges and self.partitions is None,
            "last": last
            and {
                "event": last.event_type,
                "at": format_iso(last.timestamp),
                "run_id": last.run_id,
                "data_version": last.data_version,
                "size_bytes": stored_size(last),
            },
            "state": self.state,
            "detail": self.detail,
            "partitions": self.partitions,
            "ranges": [item.document() for item in self.ranges],
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
    ranges: dict[str, list[StatusRange]] = {}
    for item in repository.status(runnable, verify=verify).ranges() if runnable else ():
        ranges.setdefault(item.asset, []).append(item)
    storage = repository.storage
    if 2 * len(outputs) > len(graph.outputs):
        records = {record.asset_key: record for record in storage.get_asset_records()}  # fewer queries
    else:
        selected = ((output.name, storage.get_asset_record(output.name)) for output in outputs)
        records = {name: record for name, record in selected if record is not None}
    return [_summarize(output, records.get(output.name), ranges.get(output.name, [])) for output in outputs]


def _summarize(output: StoredOutput, record: AssetRecord | None, ranges: list[StatusRange]) -> AssetSummary:
    event = None if record is None else record.last_event
    stored = None if record is None else record.last_materialization
    is_observed = stored is None and event is not None and event.event_type == "Observation"
    return AssetSummary(
        output.name,
        output.group,
        *storing_handler(output),
        output.kinds,
        event if is_observed else stored,
        tuple(ranges),
        None if output.partitions_def is None else sum(item.count for item in ranges),
        event is not None and event.event_type == "StepFailure",
        output.description,
    )

"""What a project has: each asset with its handler, what is stored of it, and whether that is fresh."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rivers_cli import amounts
from rivers_cli.handlers import kept_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.execution.staleness import AssetStatus
    from rivers.graph.plan import StoredOutput
    from rivers.repository import CodeRepository
    from rivers.storage import Event


@dataclass(frozen=True, slots=True)
class Item:
    """One asset.

    Attributes:
        name: The asset.
        group: Its group, if it has one.
        handler: Who keeps it.
        reason: Which rule chose the handler.
        kinds: Its kinds.
        last: The last event that stored or observed it.
        statuses: How each stored value stands; empty for an external asset.
        partitions: How many partition keys there are; None without partitions.
        failed: Whether the last thing that happened to it is that its step failed.
    """

    name: str
    group: str | None
    handler: str
    reason: str
    kinds: tuple[str, ...]
    last: Event | None
    statuses: tuple[AssetStatus, ...]
    partitions: int | None
    failed: bool = False

    @property
    def state(self) -> str:
        """In one or a few words: `fresh`, `stale: why`, `3 of 12 partitions, 1 stale`, `external`."""
        return f"{self._stands()}; the last attempt failed" if self.failed else self._stands()

    def _stands(self) -> str:
        if not self.statuses:
            return "external" if self.partitions is None else "no partition keys yet"
        if self.partitions is None:
            status = self.statuses[0]
            return f"{status.state}: {status.reason}" if status.reason else status.state
        counts = Counter(status.state for status in self.statuses)
        stored = len(self.statuses) - counts["missing"]
        if counts["fresh"] == len(self.statuses):
            return f"fresh, {stored} partitions"
        stale = f", {counts['stale']} stale" if counts["stale"] else ""
        return f"{stored} of {len(self.statuses)} partitions{stale}" if stored else "missing"

    def row(self) -> tuple[str, str, str, str, str]:
        """The asset as a row: name, handler, age, size, state."""
        size = None if self.last is None else amounts.stored_bytes(self.last)
        return (
            self.name,
            self.handler,
            "" if self.last is None else amounts.age(self.last.timestamp),
            "" if size is None or self.partitions is not None else amounts.size(size),
            self.state,
        )


def inventory(repository: CodeRepository, names: Sequence[str] | None) -> list[Item]:
    """Look at the assets of a repository.

    Args:
        repository: The repository, resolved.
        names: Which assets; None or none for all.

    Returns:
        The assets in the order in which they run, external ones first.

    Raises:
        NodeNotFoundError: A name is unknown.
    """
    graph = repository.graph
    for name in names or ():
        repository.handler_binding(name)  # complains about an unknown name
    order = {name: index for index, name in enumerate(graph.steps)}
    outputs = [
        output for output in graph.outputs.values() if output.is_asset and (not names or output.name in names)
    ]
    outputs.sort(key=lambda output: order.get(output.step_name or "", -1))
    runnable = [
        output.name for output in outputs if output.step_name is not None and output.name in graph.members
    ]
    statuses: dict[str, list[AssetStatus]] = {}
    for status in repository.status(runnable) if runnable else ():
        statuses.setdefault(status.asset, []).append(status)
    return [_item(repository, output, statuses.get(output.name, [])) for output in outputs]


def document_of(item: Item) -> dict[str, Any]:
    """An asset for programs."""
    last = item.last
    return {
        "asset": item.name,
        "group": item.group,
        "kinds": list(item.kinds),
        "handler": item.handler,
        "handler_reason": item.reason,
        "external": not item.statuses and item.partitions is None,
        "last": None
        if last is None
        else {
            "event": last.event_type,
            "at": amounts.iso(last.timestamp),
            "run_id": last.run_id,
            "data_version": last.data_version,
            "size_bytes": amounts.stored_bytes(last),
        },
        "values": [
            {"partition": status.partition, "state": status.state, "reason": status.reason}
            for status in item.statuses
        ],
    }


def _item(repository: CodeRepository, output: StoredOutput, statuses: list[AssetStatus]) -> Item:
    record = repository.storage.get_asset_record(output.name)
    event = None if record is None else record.last_event
    stored = None if record is None else record.last_materialization
    last = event if stored is None and event is not None and event.event_type == "Observation" else stored
    handler, reason = kept_by(output)
    return Item(
        output.name,
        output.group,
        handler,
        reason,
        output.kinds,
        last,
        tuple(statuses),
        None if output.partitions_def is None else len(statuses),
        event is not None and event.event_type == "StepFailure",
    )

"""The status of every asset of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.execution.freshness import AssetStatus, status_of_asset
from rivers.execution.keys import existing_keys

if TYPE_CHECKING:
    from rivers.graph.plan import Graph, Plan
    from rivers.storage import Event, EventStorage


def statuses(graph: Graph, plan: Plan, storage: EventStorage) -> list[AssetStatus]:
    """Tell of each asset of a plan, and each of its partitions, how its stored value stands.

    Args:
        graph: The graph.
        plan: Which assets.
        storage: Their history; it is read once per asset.

    Returns:
        One entry per asset and partition key, in the order in which they would run.
    """
    history: dict[str, dict[str | None, Event]] = {}

    def stored(asset: str, key: str | None) -> Event | None:
        if asset not in history:
            history[asset] = storage.get_latest_materializations(asset)
        return history[asset].get(key)

    return [
        status_of_asset(graph, output, key, stored, lambda definition: existing_keys(definition, storage))
        for step in plan.steps
        for output in plan.outputs_of(step)
        if output.is_asset
        for key in ((None,) if step.partitions_def is None else existing_keys(step.partitions_def, storage))
    ]

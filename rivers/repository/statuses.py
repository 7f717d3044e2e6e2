"""The status of every asset of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.execution.lineage import History
from rivers.execution.staleness import AssetStatus, status_of_asset

if TYPE_CHECKING:
    from rivers.graph.plan import Graph, Plan
    from rivers.storage import EventStorage


def statuses(graph: Graph, plan: Plan, storage: EventStorage) -> list[AssetStatus]:
    """Tell of each asset of a plan, and each of its partitions, how its stored value stands.

    Args:
        graph: The graph.
        plan: Which assets.
        storage: Their history; it is read once per asset.

    Returns:
        One entry per asset and partition key, in the order in which they would run.
    """
    past = History(storage)
    return [
        status_of_asset(graph, output, key, past)
        for step in plan.steps
        for output in plan.outputs_of(step)
        if output.is_asset
        for key in ((None,) if step.partitions_def is None else past.all_keys(step.partitions_def))
    ]

"""Whether a consumer gets one value of an upstream, or one for each of several keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.definitions.mapping import (
    AllPartitions,
    ForKeys,
    Identity,
    Multi,
    MultiToSingle,
    SpecificPartitions,
    Static,
    Subset,
    TimeWindow,
)
from rivers.graph.mapping_windows import window_table
from rivers.graph.mappings import default_mapping
from rivers_core.partitions import PartitionsDefinition

if TYPE_CHECKING:
    from rivers.definitions.mapping import PartitionMapping


def fans_in(
    mapping: PartitionMapping | None, downstream: PartitionsDefinition | None, upstream: PartitionsDefinition
) -> bool:
    """Tell the shape of what a mapping loads from the definitions alone, so that it never changes with the data.

    Args:
        mapping: The mapping of an input; None where none is obvious, which is a finding elsewhere.
        downstream: The consumer's partitions.
        upstream: The upstream's partitions.

    Returns:
        Whether the consumer receives `{key: value}` even for a single key of its own.
    """
    if downstream is None or isinstance(mapping, (AllPartitions, SpecificPartitions, ForKeys, Subset)):
        return True
    if isinstance(mapping, Identity):
        return False
    if isinstance(mapping, Static):
        return any(len(keys) != 1 for _, keys in mapping.pairs)
    if isinstance(mapping, TimeWindow):
        return _several_windows(mapping, downstream, upstream)
    if isinstance(mapping, MultiToSingle):
        return _across_dimension(mapping, downstream, upstream)
    return isinstance(mapping, Multi) and _dimension_fans_in(mapping, downstream, upstream)


def _several_windows(
    mapping: TimeWindow, downstream: PartitionsDefinition, upstream: PartitionsDefinition
) -> bool:
    """Windows of one grid map one to one; of a longer window of the consumer, any may hold several."""
    if downstream == upstream:
        return False
    if not isinstance(downstream, PartitionsDefinition.TimeWindow):
        return False
    if not isinstance(upstream, PartitionsDefinition.TimeWindow):
        return False
    table = window_table(upstream, downstream, mapping.offset)
    return table.is_several or any(len(keys) > 1 for keys in table.found.values())


def _across_dimension(
    mapping: MultiToSingle, downstream: PartitionsDefinition, upstream: PartitionsDefinition
) -> bool:
    if isinstance(upstream, PartitionsDefinition.Multi):
        others = [name for name in upstream.dimensions if name != mapping.dimension]
        return bool(others) or _inner(mapping.mapping, downstream, upstream.dimensions[mapping.dimension])
    assert isinstance(downstream, PartitionsDefinition.Multi)
    return _inner(mapping.mapping, downstream.dimensions[mapping.dimension], upstream)


def _dimension_fans_in(
    mapping: Multi, downstream: PartitionsDefinition, upstream: PartitionsDefinition
) -> bool:
    if not isinstance(downstream, PartitionsDefinition.Multi) or not isinstance(
        upstream, PartitionsDefinition.Multi
    ):
        return True
    given = dict(mapping.mappings)
    return any(
        name not in downstream.dimensions or _inner(given.get(name), downstream.dimensions[name], definition)
        for name, definition in upstream.dimensions.items()
    )


def _inner(
    mapping: PartitionMapping | None, downstream: PartitionsDefinition, upstream: PartitionsDefinition
) -> bool:
    return fans_in(mapping or default_mapping(downstream, upstream), downstream, upstream)

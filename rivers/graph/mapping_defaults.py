"""The obvious partition mapping between two assets, where there is one."""

from __future__ import annotations

from rivers.definitions.mapping import (
    AllPartitions,
    Identity,
    Multi,
    MultiToSingle,
    PartitionMapping,
    TimeWindow,
)
from rivers.graph.mapping_windows import window_table
from rivers_core.partitions import PartitionsDefinition


def default_mapping(
    downstream: PartitionsDefinition | None, upstream: PartitionsDefinition | None
) -> PartitionMapping | None:
    """The mapping that is taken where an author declares none.

    Equal partitions map to the same key; an unpartitioned consumer takes all partitions; windows of time
    map to those that lie within or around them; lists that share keys map key by key; dimensions map by name, and one
    dimension to equal single partitions.

    Args:
        downstream: The consumer's partitions.
        upstream: The partitions that are needed.

    Returns:
        The mapping; None where no mapping is obvious.
    """
    if upstream is None or downstream == upstream:
        return Identity()
    if downstream is None:
        return AllPartitions()
    if isinstance(downstream, PartitionsDefinition.Multi):
        if isinstance(upstream, PartitionsDefinition.Multi):
            return _by_dimension(downstream, upstream)
        return _to_single(downstream, upstream, is_downstream=True)
    if isinstance(upstream, PartitionsDefinition.Multi):
        return _to_single(upstream, downstream, is_downstream=False)
    if isinstance(downstream, PartitionsDefinition.TimeWindow):
        if (
            isinstance(upstream, PartitionsDefinition.TimeWindow)
            and window_table(upstream, downstream).is_nested
        ):
            return TimeWindow(0)
        return None
    if isinstance(downstream, PartitionsDefinition.Static) and isinstance(
        upstream, PartitionsDefinition.Static
    ):
        return None if set(downstream.keys).isdisjoint(upstream.keys) else Identity()
    return None


def obvious_mapping(
    downstream: PartitionsDefinition | None, upstream: PartitionsDefinition | None
) -> PartitionMapping:
    """What `for_keys` and `subset` narrow when they name no mapping: the obvious one, else all partitions."""
    return default_mapping(downstream, upstream) or AllPartitions()


def corresponding_dimensions(
    multi: PartitionsDefinition.Multi, single: PartitionsDefinition, *, is_downstream: bool
) -> list[str]:
    """The dimensions that obviously correspond to single partitions: equal ones, else those that map somehow.

    Args:
        multi: The partitions with dimensions.
        single: The partitions without.
        is_downstream: Whether those with dimensions are the consumer's.
    """
    equal = [name for name, definition in multi.dimensions.items() if definition == single]
    if equal:
        return equal
    return [
        name
        for name, definition in multi.dimensions.items()
        if isinstance(definition, PartitionsDefinition.TimeWindow)
        and default_mapping(*((definition, single) if is_downstream else (single, definition))) is not None
    ]


def _to_single(
    multi: PartitionsDefinition.Multi, single: PartitionsDefinition, *, is_downstream: bool
) -> PartitionMapping | None:
    names = corresponding_dimensions(multi, single, is_downstream=is_downstream)
    return MultiToSingle(names[0]) if len(names) == 1 else None


def _by_dimension(
    downstream: PartitionsDefinition.Multi, upstream: PartitionsDefinition.Multi
) -> PartitionMapping | None:
    shared: list[tuple[str, PartitionMapping]] = []
    for name, definition in upstream.dimensions.items():
        if name in downstream.dimensions:
            mapping = default_mapping(downstream.dimensions[name], definition)
            if mapping is None:
                return None
            shared.append((name, mapping))
    return Multi(tuple(shared)) if shared else None

"""Default partition mappings: those that apply where an author declares none."""

from __future__ import annotations

from rivers.mappings.base import PartitionMapping, shown_definition
from rivers.mappings.time_grids import relate
from rivers.partitions import PartitionsDefinition

__all__ = ["check_mapping", "default_mapping", "fans_in", "obvious_mapping"]

Partitions = PartitionsDefinition | None


def check_mapping(
    mapping: PartitionMapping | None, *, downstream: Partitions, upstream: Partitions, lenient: bool = False
) -> list[str]:
    """Return the problems of a mapping as `PartitionMapping.check` does; None is the default mapping."""
    mapping = mapping or default_mapping(downstream, upstream)
    if mapping is None:
        return [_no_default(downstream, upstream)]
    return mapping.check(downstream, upstream, lenient=lenient)


def fans_in(mapping: PartitionMapping | None, downstream: Partitions, upstream: PartitionsDefinition) -> bool:
    """Return whether a mapping, or the default for None, fans in; see `PartitionMapping.fans_in`."""
    mapping = mapping or default_mapping(downstream, upstream)
    return mapping is not None and mapping.fans_in(downstream, upstream)


def default_mapping(downstream: Partitions, upstream: Partitions) -> PartitionMapping | None:
    """Return the mapping that applies where an author declares none; None where there is no default.

    Equal partitions map to the same key; an unpartitioned consumer takes all partitions; time windows map
    to those that lie within or around them; lists that share keys map key by key; dimensions map by name,
    and one dimension to equal single partitions.

    Args:
        downstream: Partitions of the consumer.
        upstream: Partitions of the upstream.
    """
    if upstream is None or downstream == upstream:
        return PartitionMapping.identity()
    if downstream is None:
        return PartitionMapping.all_partitions()
    if isinstance(downstream, PartitionsDefinition.Multi) and isinstance(
        upstream, PartitionsDefinition.Multi
    ):
        return _by_dimension(downstream, upstream)
    names = _corresponding_dimensions(downstream, upstream)
    if names:
        return PartitionMapping.multi_to_single(names[0]) if len(names) == 1 else None
    if isinstance(downstream, PartitionsDefinition.TimeWindow) and isinstance(
        upstream, PartitionsDefinition.TimeWindow
    ):
        return PartitionMapping.time_window() if relate(upstream, downstream).is_nested else None
    if isinstance(downstream, PartitionsDefinition.Static) and isinstance(
        upstream, PartitionsDefinition.Static
    ):
        return None if set(downstream.keys).isdisjoint(upstream.keys) else PartitionMapping.identity()
    return None


def obvious_mapping(downstream: Partitions, upstream: Partitions) -> PartitionMapping:
    """Return the default mapping, else all partitions, as `for_keys` and `subset` apply it."""
    return default_mapping(downstream, upstream) or PartitionMapping.all_partitions()


def _corresponding_dimensions(downstream: Partitions, upstream: Partitions) -> list[str]:
    """Return the dimensions of one side that match the other, single one: equal ones, else related windows."""
    pairs: dict[str, tuple[Partitions, Partitions]]
    if isinstance(downstream, PartitionsDefinition.Multi):
        pairs = {name: (part, upstream) for name, part in downstream.dimensions.items()}
    elif isinstance(upstream, PartitionsDefinition.Multi):
        pairs = {name: (downstream, part) for name, part in upstream.dimensions.items()}
    else:
        return []
    equal = [name for name, (own, needed) in pairs.items() if own == needed]
    return equal or [
        name
        for name, (own, needed) in pairs.items()
        if isinstance(own, PartitionsDefinition.TimeWindow)
        and isinstance(needed, PartitionsDefinition.TimeWindow)
        and relate(needed, own).is_nested
    ]


def _by_dimension(
    downstream: PartitionsDefinition.Multi, upstream: PartitionsDefinition.Multi
) -> PartitionMapping | None:
    shared: dict[str, PartitionMapping] = {}
    for name, definition in upstream.dimensions.items():
        if name in downstream.dimensions:
            mapping = default_mapping(downstream.dimensions[name], definition)
            if mapping is None:
                return None
            shared[name] = mapping
    return PartitionMapping.multi(shared) if shared else None


def _no_default(downstream: Partitions, upstream: Partitions) -> str:
    reason = (
        f"there is no default mapping between {shown_definition(downstream)} and {shown_definition(upstream)}"
    )
    if (
        downstream is not None
        and upstream is not None
        and _have_dimensions(downstream) != _have_dimensions(upstream)
    ):
        names = _corresponding_dimensions(downstream, upstream)
        if len(names) > 1:
            reason += f" (the dimensions {names} all correspond)"
        return f"{reason}; name the dimension with PartitionMapping.multi_to_single(...)"
    return f"{reason}; declare one with AssetDef.input(..., partition_mapping=PartitionMapping...)"


def _have_dimensions(definition: PartitionsDefinition) -> bool:
    return isinstance(definition, PartitionsDefinition.Multi)

"""What is wrong with a partition mapping, told from the definitions alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.definitions.mapping import (
    AllPartitions,
    ForKeys,
    Multi,
    MultiToSingle,
    PartitionMapping,
    SpecificPartitions,
    Static,
    Subset,
    TimeWindow,
)
from rivers.graph.mapping_defaults import corresponding_dimensions, default_mapping, obvious_mapping
from rivers.graph.mapping_windows import window_table
from rivers_core.exceptions import PartitionValidationError
from rivers_core.partitions import PartitionKey, PartitionKeyRange, PartitionsDefinition

if TYPE_CHECKING:
    from collections.abc import Iterable

    Partitions = PartitionsDefinition | None

_SHOWN = 8


def check_mapping(
    mapping: PartitionMapping | None,
    *,
    downstream: PartitionsDefinition | None,
    upstream: PartitionsDefinition | None,
) -> list[str]:
    """Says why a mapping cannot work between two assets.

    Args:
        mapping: The mapping; None stands for the obvious one.
        downstream: The consumer's partitions.
        upstream: The partitions that are needed.

    Returns:
        One sentence for each problem, naming the keys; empty if it can work. Keys of dynamic partitions are
        not looked at, and a window that is missing for some keys only is no problem before one of these is
        run.
    """
    if mapping is None:
        mapping = default_mapping(downstream, upstream)
        if mapping is None:
            return [_nothing_obvious(downstream, upstream)]
    return _check(mapping, downstream, upstream, lenient=False)


def _check(mapping: PartitionMapping, down: Partitions, up: Partitions, *, lenient: bool) -> list[str]:
    lenient = lenient or mapping.allows_missing
    if isinstance(mapping, (Subset, ForKeys)):
        inner = mapping.mapping or obvious_mapping(down, up)
        unknown = _unknown(mapping, mapping.keys, up) if isinstance(mapping, ForKeys) else []
        return [*unknown, *_check(inner, down, up, lenient=lenient)]
    if up is None:
        return _against_unpartitioned(mapping)
    if isinstance(mapping, AllPartitions):
        return []
    if isinstance(mapping, SpecificPartitions):
        return _unknown(mapping, mapping.keys, up)
    if isinstance(mapping, Multi):
        return _multi(mapping, down, up, lenient=lenient)
    if isinstance(mapping, MultiToSingle):
        return _multi_to_single(mapping, down, up, lenient=lenient)
    if down is None:
        return [
            (
                f"{mapping!r} starts from a partition of the consumer, which has none; use "
                "PartitionMapping.all_partitions() or PartitionMapping.specific_partitions([...])"
            )
        ]
    if isinstance(mapping, Static):
        return _static(mapping, down, up)
    if isinstance(mapping, TimeWindow):
        return _time_window(mapping, down, up, lenient=lenient)
    return _identity(down, up, lenient=lenient)


def _nothing_obvious(down: Partitions, up: Partitions) -> str:
    reason = f"no mapping is obvious between {_shown(down)} and {_shown(up)}"
    pair = _multi_and_single(down, up)
    if pair is not None:
        multi, single = pair
        names = corresponding_dimensions(multi, single, is_downstream=multi is down)
        if len(names) > 1:
            reason += f" (the dimensions {names} all correspond)"
        return f"{reason}; say which dimension with PartitionMapping.multi_to_single(...)"
    return f"{reason}; say which one with AssetDef.input(..., partition_mapping=PartitionMapping...)"


def _multi_and_single(
    down: Partitions, up: Partitions
) -> tuple[PartitionsDefinition.Multi, PartitionsDefinition] | None:
    for one, other in ((down, up), (up, down)):
        is_pair = other is not None and not isinstance(other, PartitionsDefinition.Multi)
        if is_pair and isinstance(one, PartitionsDefinition.Multi) and other is not None:
            return one, other
    return None


def _shown(definition: Partitions) -> str:
    text = "no partitions" if definition is None else repr(definition)
    return text if len(text) <= 160 else f"{text[:160]}..."


def _listed(keys: Iterable[object]) -> str:
    texts = [repr(str(key)) for key in keys]
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def _faults(
    keys: Iterable[PartitionKey | PartitionKeyRange], definition: PartitionsDefinition
) -> tuple[list[PartitionKey | PartitionKeyRange], str]:
    """The keys that a definition does not have, and what it says about the first."""
    wrong: list[PartitionKey | PartitionKeyRange] = []
    said = ""
    for key in keys:
        try:
            _check_named(key, definition)
        except PartitionValidationError as error:
            said = said or str(error)
            wrong.append(key)
    return wrong, said


def _check_named(key: PartitionKey | PartitionKeyRange, definition: PartitionsDefinition) -> None:
    if isinstance(key, PartitionKey):
        definition.check_partition_key(key)
    elif not definition.is_dynamic:
        key.resolve(definition)


def _unknown(
    mapping: PartitionMapping,
    keys: Iterable[PartitionKey | PartitionKeyRange],
    definition: Partitions,
    side: str = "upstream",
) -> list[str]:
    if definition is None:
        return [f"{mapping!r} names partitions, but the {side} has none"]
    wrong, said = _faults(keys, definition)
    if not wrong:
        return []
    return [f"{mapping!r} names keys that the {side} does not have: {_listed(wrong)}. {said}"]


def _against_unpartitioned(mapping: PartitionMapping) -> list[str]:
    if isinstance(mapping, (SpecificPartitions, Static, Multi, MultiToSingle)):
        return [f"{mapping!r} names partitions, but the upstream has none; leave the mapping out"]
    return []


def _static(mapping: Static, down: PartitionsDefinition, up: PartitionsDefinition) -> list[str]:
    needed = dict.fromkeys(key for _, keys in mapping.pairs for key in keys)
    return [
        *_unknown(mapping, (key for key, _ in mapping.pairs), down, "consumer"),
        *_unknown(mapping, needed, up),
    ]


def _time_window(
    mapping: TimeWindow, down: PartitionsDefinition, up: PartitionsDefinition, *, lenient: bool
) -> list[str]:
    if not isinstance(down, PartitionsDefinition.TimeWindow) or not isinstance(
        up, PartitionsDefinition.TimeWindow
    ):
        other = _shown(up if isinstance(down, PartitionsDefinition.TimeWindow) else down)
        hint = (
            "; name the dimension: PartitionMapping.multi_to_single(..., mapping) or .multi({...: mapping})"
        )
        has_dimensions = any(isinstance(side, PartitionsDefinition.Multi) for side in (down, up))
        return [f"{mapping!r} maps windows of time, and {other} are none{hint if has_dimensions else ''}"]
    # Without an end there are more windows tomorrow: on its first day a definition has no window before.
    grows = up.end is None or down.end is None
    table = window_table(up, down, mapping.offset)
    if lenient or grows or any(table.found.values()) or not table.found:
        return []
    missing = next(iter(table.missing.values()))
    keys = up.get_partition_keys()
    has = f"{str(keys[0])!r} to {str(keys[-1])!r}" if keys else "no complete window yet"
    return [
        f"{mapping!r} finds nothing for any key: it begins with {missing[0]!r}, and the upstream has {has}"
    ]


def _identity(down: PartitionsDefinition, up: PartitionsDefinition, *, lenient: bool) -> list[str]:
    is_multi = [isinstance(side, PartitionsDefinition.Multi) for side in (down, up)]
    if isinstance(down, PartitionsDefinition.Multi) and isinstance(up, PartitionsDefinition.Multi):
        return _identity_by_dimension(down, up, lenient=lenient)
    if any(is_multi):
        return [
            (
                f"PartitionMapping.identity() needs the same keys on both sides, and {_shown(down)} and "
                f"{_shown(up)} differ in their dimensions; use PartitionMapping.multi_to_single(...)"
            )
        ]
    if down == up or down.is_dynamic or up.is_dynamic:
        return []
    keys = down.get_partition_keys()
    wrong, said = _faults(keys, up)
    is_list = isinstance(down, PartitionsDefinition.Static) and not lenient
    if not wrong or (len(wrong) < len(keys) and not is_list):
        return []
    return [f"the upstream does not have the consumer's keys {_listed(wrong)}. {said}"]


def _identity_by_dimension(
    down: PartitionsDefinition.Multi, up: PartitionsDefinition.Multi, *, lenient: bool
) -> list[str]:
    if list(down.dimensions) != list(up.dimensions):
        return [
            (
                "PartitionMapping.identity() needs the same dimensions on both sides; the consumer has "
                f"{list(down.dimensions)}, the upstream {list(up.dimensions)}; use "
                "PartitionMapping.multi({...})"
            )
        ]
    return [
        f"in dimension {name!r}: {finding}"
        for name, definition in up.dimensions.items()
        for finding in _identity(down.dimensions[name], definition, lenient=lenient)
    ]


def _multi(mapping: Multi, down: Partitions, up: PartitionsDefinition, *, lenient: bool) -> list[str]:
    if not isinstance(up, PartitionsDefinition.Multi) or not (
        down is None or isinstance(down, PartitionsDefinition.Multi)
    ):
        side, other = (
            ("upstream", up) if not isinstance(up, PartitionsDefinition.Multi) else ("consumer", down)
        )
        return [
            (
                f"{mapping!r} maps dimensions, and the {side} has {_shown(other)}; use "
                "PartitionMapping.multi_to_single(...)"
            )
        ]
    given = dict(mapping.mappings)
    own = {} if down is None else down.dimensions
    findings = [
        f"{mapping!r} names the dimension {name!r}, and the upstream has {list(up.dimensions)}"
        for name in given
        if name not in up.dimensions
    ]
    for name, definition in up.dimensions.items():
        inner = given.get(name) or default_mapping(own.get(name), definition)
        problems = (
            [_nothing_obvious(own.get(name), definition)]
            if inner is None
            else _check(inner, own.get(name), definition, lenient=lenient)
        )
        findings.extend(f"in dimension {name!r}: {problem}" for problem in problems)
    return findings


def _multi_to_single(
    mapping: MultiToSingle, down: Partitions, up: PartitionsDefinition, *, lenient: bool
) -> list[str]:
    is_up, is_down = (isinstance(side, PartitionsDefinition.Multi) for side in (up, down))
    if is_up == is_down:
        have = "both have several dimensions; use PartitionMapping.multi({...})" if is_up else "none has"
        return [f"{mapping!r} is for one side with several dimensions and one without, and {have}"]
    multi = up if is_up else down
    assert isinstance(multi, PartitionsDefinition.Multi)
    if mapping.dimension not in multi.dimensions:
        return [
            f"{mapping!r} names the dimension {mapping.dimension!r}, and there are {list(multi.dimensions)}"
        ]
    one = multi.dimensions[mapping.dimension]
    pair = (down, one) if is_up else (one, up)
    inner = mapping.mapping or default_mapping(*pair)
    problems = [_nothing_obvious(*pair)] if inner is None else _check(inner, *pair, lenient=lenient)
    return [f"in dimension {mapping.dimension!r}: {problem}" for problem in problems]

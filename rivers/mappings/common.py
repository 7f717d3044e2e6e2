"""Keys that several partitions definitions have in common."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from rivers.mappings.time_grids import common_window
from rivers.partitions import PartitionsDefinition

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["common_partitions", "first_without_common_key"]


def common_partitions(
    first: PartitionsDefinition | None, second: PartitionsDefinition | None
) -> PartitionsDefinition | None:
    """Return the partitions that are in both definitions; None if their kinds or schedules differ, or none is.

    Args:
        first: A definition; its order of the keys is kept.
        second: Another one.
    """
    if first == second:
        return first
    if isinstance(first, PartitionsDefinition.Static) and isinstance(second, PartitionsDefinition.Static):
        return _static(first, second)
    if isinstance(first, PartitionsDefinition.TimeWindow) and isinstance(
        second, PartitionsDefinition.TimeWindow
    ):
        return _windows(first, second)
    if isinstance(first, PartitionsDefinition.Multi) and isinstance(second, PartitionsDefinition.Multi):
        parts = {
            name: common_partitions(part, second.dimensions.get(name))
            for name, part in first.dimensions.items()
        }
        if first.dimensions.keys() == second.dimensions.keys() and None not in parts.values():
            return PartitionsDefinition.multi(parts)  # type: ignore[arg-type]  # None is excluded
    return None


def first_without_common_key(definitions: Mapping[str, PartitionsDefinition]) -> tuple[list[str], str] | None:
    """Return the first definition that has no key in common with all before it; None if all have one.

    Keys of a list that are names of windows count as common.

    Args:
        definitions: Definitions by name of the asset.

    Returns:
        The names before it, and its name.
    """
    names: list[str] = []
    common: PartitionsDefinition | None = None
    for name, definition in definitions.items():
        narrowed = definition if common is None else _common(common, definition)
        if narrowed is None:
            return names, name
        common = narrowed
        names.append(name)
    return None


def _common(first: PartitionsDefinition, second: PartitionsDefinition) -> PartitionsDefinition | None:
    common = common_partitions(first, second)
    if common is not None:
        return common
    if isinstance(second, PartitionsDefinition.Static):
        first, second = second, first
    if isinstance(second, PartitionsDefinition.TimeWindow):
        if isinstance(first, PartitionsDefinition.Static):
            return _static(first, second)
        if isinstance(first, PartitionsDefinition.TimeWindow) and common_window(first, second):
            return first
    return None


def _static(first: PartitionsDefinition.Static, second: PartitionsDefinition) -> PartitionsDefinition | None:
    keys = [key for key in first.keys if second.validate_partition_key(key)]
    return PartitionsDefinition.static_(keys) if keys else None


def _windows(
    first: PartitionsDefinition.TimeWindow, second: PartitionsDefinition.TimeWindow
) -> PartitionsDefinition | None:
    if (first.fmt, first.cron_schedule, first.interval_seconds) != (
        second.fmt,
        second.cron_schedule,
        second.interval_seconds,
    ):
        return None
    if first.interval_seconds is not None and (second.start - first.start) % timedelta(
        seconds=first.interval_seconds
    ):
        return None
    start = max(first.start, second.start)
    end = min((item.end for item in (first, second) if item.end is not None), default=None)
    if end is not None and not common_window(first, second):
        return None
    return PartitionsDefinition.time_window(
        start, first.cron_schedule, first.interval_seconds, end=end, fmt=first.fmt
    )

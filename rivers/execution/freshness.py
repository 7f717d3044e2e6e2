"""Is a stored value still what running its step would give?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rivers.execution.provenance import input_versions

if TYPE_CHECKING:
    from rivers.execution.provenance import FindKeys, FindStored
    from rivers.graph.plan import Step, StoredOutput
    from rivers_core.partitions import PartitionKey


@dataclass(frozen=True, slots=True)
class AssetStatus:
    """How a stored value stands against its code, its handler and its inputs.

    Attributes:
        asset: The asset.
        partition: Display form of the key; None without partitions.
        state: `missing` (never stored), `fresh`, or `stale`.
        reason: Why it is stale: the first thing that differs. None otherwise.
    """

    asset: str
    partition: str | None
    state: Literal["missing", "fresh", "stale"]
    reason: str | None = None


def status_of(
    output: StoredOutput, step: Step, key: PartitionKey | None, find_stored: FindStored, find_keys: FindKeys
) -> AssetStatus:
    """Compare what was recorded when a value was stored with how things are now.

    Args:
        output: The value.
        step: The step that makes it.
        key: Its partition key, if it has one.
        find_stored: Finds the event that stored an asset's value under a key.
        find_keys: Gives all keys of a definition.

    Returns:
        The status; an upstream that was stored anew under an equal data version makes nothing stale.
    """
    partition = None if key is None else str(key)
    event = find_stored(output.name, partition)
    if event is None:
        return AssetStatus(output.name, partition, "missing")
    reason = None
    if event.code_version != output.code_version:
        reason = f"code version changed from {event.code_version!r} to {output.code_version!r}"
    elif event.handler is not None and output.binding is not None and event.handler != output.binding.label:
        reason = f"handler changed from {event.handler!r} to {output.binding.label!r}"
    else:
        then = dict(event.input_data_versions)
        now = dict(input_versions(step, [] if key is None else [key], find_stored, find_keys))
        reason = _first_difference(then, now)
    return AssetStatus(output.name, partition, "fresh" if reason is None else "stale", reason)


def _first_difference(then: dict[str, str], now: dict[str, str]) -> str | None:
    for name, version in now.items():
        if name not in then:
            return f"upstream {name!r} was not an input before"
        if then[name] != version:
            return f"upstream {name!r} has a new data version"
    gone = [name for name in then if name not in now]
    return f"upstream {gone[0]!r} is no longer an input, or its history is gone" if gone else None

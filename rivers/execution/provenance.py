"""Which data went into a value, and whether it is still the newest."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from rivers.graph.mappings import upstream_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rivers.graph.plan import LoadedInput, Step
    from rivers.storage import Event
    from rivers_core.partitions import PartitionKey, PartitionsDefinition

    FindStored = Callable[[str, str | None], Event | None]
    FindKeys = Callable[[PartitionsDefinition | None], Sequence[PartitionKey]]


def combined_version(versions: Sequence[tuple[str, str]]) -> str:
    """One data version for several partition keys: equal only if the keys and their versions are.

    Args:
        versions: Display form of each key and its data version.
    """
    if len(versions) == 1:
        return versions[0][1]
    digest = hashlib.blake2b(digest_size=16)
    for key, version in versions:
        digest.update(f"{len(key)}:{key}={len(version)}:{version};".encode())
    return f"{len(versions)} keys {digest.hexdigest()}"


def input_versions(
    step: Step, keys: Sequence[PartitionKey], find_stored: FindStored, find_keys: FindKeys
) -> list[tuple[str, str]]:
    """The newest data version of everything that a step loads.

    Args:
        step: The step.
        keys: The partition keys of the step that are asked about; empty without partitions.
        find_stored: Finds the event that stored an asset's value under a key.
        find_keys: Gives all keys of a definition.

    Returns:
        Asset and data version, for each input of which anything is known.
    """
    found = []
    for loaded in step.inputs:
        if loaded.mapping is None:
            event = find_stored(loaded.upstream.name, None)
            if event is not None:
                found.append((loaded.upstream.name, event.data_version or ""))
            continue
        known = [
            (str(key), event.data_version or "")
            for key in needed_keys(loaded, step, keys, find_keys)
            if (event := find_stored(loaded.upstream.name, str(key))) is not None
        ]
        if known:
            found.append((loaded.upstream.name, combined_version(known)))
    return found


def needed_keys(
    loaded: LoadedInput, step: Step, keys: Sequence[PartitionKey], find_keys: FindKeys
) -> list[PartitionKey]:
    """The upstream's keys that belong to some keys of a step, in the order of the upstream's definition."""
    upstream = loaded.upstream.partitions_def
    assert loaded.mapping is not None
    return upstream_keys(
        loaded.mapping,
        downstream=step.partitions_def,
        upstream=upstream,
        keys=keys,
        upstream_all=lambda: find_keys(upstream),
    )

"""Which data went into a value, and whether it is still the newest."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

from rivers.graph.mappings import upstream_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.graph.plan import LoadedInput, Step, StoredOutput
    from rivers.storage import Event
    from rivers_core.partitions import PartitionKey, PartitionsDefinition


class Past(Protocol):
    """What is known of earlier runs, and of what the current one did so far."""

    def stored(self, asset_name: str, key: str | None) -> Event | None:
        """The event that stored an asset's value under a key."""
        ...

    def observed(self, asset_name: str) -> Event | None:
        """The newest observation of an asset that told a data version."""
        ...

    def all_keys(self, definition: PartitionsDefinition | None) -> Sequence[PartitionKey]:
        """Every key that a definition has."""
        ...


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


def input_versions(step: Step, keys: Sequence[PartitionKey], past: Past) -> list[tuple[str, str]]:
    """The newest data version of everything that a step loads.

    Args:
        step: The step.
        keys: The partition keys of the step that are asked about; empty without partitions.
        past: What is stored.

    Returns:
        Asset and data version, for each input of which anything is known.
    """
    found = []
    for loaded in step.inputs:
        if loaded.mapping is None:
            event = source_of(loaded.upstream, past)
            if event is not None:
                found.append((loaded.upstream.name, event.data_version or ""))
            continue
        known = [
            (str(key), event.data_version or "")
            for key in needed_keys(loaded, step, keys, past)
            if (event := past.stored(loaded.upstream.name, str(key))) is not None
        ]
        if known:
            found.append((loaded.upstream.name, combined_version(known)))
    return found


def source_of(upstream: StoredOutput, past: Past) -> Event | None:
    """The event behind the value of an upstream without partitions.

    What others make is stored by no run: there the last observation that told a data version counts.
    """
    observed = past.observed(upstream.name) if upstream.step_name is None else None
    return observed or past.stored(upstream.name, None)


def needed_keys(
    loaded: LoadedInput, step: Step, keys: Sequence[PartitionKey], past: Past
) -> list[PartitionKey]:
    """The upstream's keys that belong to some keys of a step, in the order of the upstream's definition."""
    upstream = loaded.upstream.partitions_def
    assert loaded.mapping is not None
    return upstream_keys(
        loaded.mapping,
        downstream=step.partitions_def,
        upstream=upstream,
        keys=keys,
        upstream_all=lambda: past.all_keys(upstream),
    )

"""Which data went into a value, and whether it is still the newest."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from rivers.execution.keys import existing_keys
from rivers.mappings import upstream_keys
from rivers_core.exceptions import PartitionValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rivers.graph.plan import Awaited, LoadedInput, Step, StoredOutput
    from rivers.storage import Event, EventStorage
    from rivers_core.partitions import PartitionKey, PartitionsDefinition

_LATELY = 100


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
    """The newest data version of everything that a step loads, or waits for without loading it.

    Args:
        step: The step.
        keys: The partition keys of the step that are asked about; empty without partitions.
        past: What is stored.

    Returns:
        Asset and data version, for each input of which anything is known.

    Raises:
        PartitionValidationError: The upstream does not have the keys that the step loads.
    """
    found = [(loaded.upstream.name, _version_of(loaded, step, keys, past)) for loaded in step.inputs]
    return [(name, version) for name, version in found if version is not None] + awaited_versions(
        step, keys, past
    )


def awaited_versions(step: Step, keys: Sequence[PartitionKey], past: Past) -> list[tuple[str, str]]:
    """The newest data version of everything that a step waits for without loading it; see `input_versions`.

    It may read that itself, where it is, so that what it makes is of this version too.
    """
    found: list[tuple[str, str]] = []
    for awaited in step.awaited:
        is_own = awaited.upstream.step_name == step.name
        is_unmapped = awaited.mapping is None and awaited.upstream.partitions_def is not None
        if is_own or is_unmapped:
            continue
        with suppress(PartitionValidationError):  # of keys that do not exist there is nothing to know
            version = _version_of(awaited, step, keys, past)
            if version is not None:
                found.append((awaited.upstream.name, version))
    return found


def _version_of(
    needed: LoadedInput | Awaited, step: Step, keys: Sequence[PartitionKey], past: Past
) -> str | None:
    upstream = needed.upstream
    if needed.mapping is None:
        event = source_of(upstream, past)
        return None if event is None else event.data_version or ""
    observed = observation_of(upstream, past)
    if observed is not None:
        return observed.data_version
    known = [
        (str(key), event.data_version or "")
        for key in needed_keys(needed, step, keys, past)
        if (event := past.stored(upstream.name, str(key))) is not None
    ]
    return combined_version(known) if known else None


def source_of(upstream: StoredOutput, past: Past) -> Event | None:
    """The event behind the value of an upstream without partitions."""
    return observation_of(upstream, past) or past.stored(upstream.name, None)


def observation_of(upstream: StoredOutput, past: Past) -> Event | None:
    """The last observation that told the data version of what others make, all its partitions together.

    That is stored by no run; of what runs make, the event that stored it counts.
    """
    return past.observed(upstream.name) if upstream.step_name is None else None


def needed_keys(
    needed: LoadedInput | Awaited, step: Step, keys: Sequence[PartitionKey], past: Past
) -> list[PartitionKey]:
    """The upstream's keys that belong to some keys of a step, in the order of the upstream's definition."""
    upstream = needed.upstream.partitions_def
    assert needed.mapping is not None
    return upstream_keys(
        needed.mapping,
        downstream=step.partitions_def,
        upstream=upstream,
        keys=keys,
        upstream_all=lambda: past.all_keys(upstream),
    )


class History:
    """Answers questions about the past, asking the storage once for each asset and definition.

    What is stored meanwhile by others is not seen, so keep it no longer than a step or a report.

    Args:
        storage: Where the events are.
        latest: What the current run stored, by asset and key; it is looked into first.
    """

    __slots__ = ("_keys", "_latest", "_observed", "_storage", "_stored")

    def __init__(
        self, storage: EventStorage, latest: Mapping[tuple[str, str | None], Event] | None = None
    ) -> None:
        self._storage = storage
        self._latest = latest or {}
        self._stored: dict[str, dict[str | None, Event]] = {}
        self._observed: dict[str, Event | None] = {}
        self._keys: dict[PartitionsDefinition | None, Sequence[PartitionKey]] = {}

    def stored(self, asset_name: str, key: str | None) -> Event | None:
        """The event that stored an asset's value under a key."""
        event = self._latest.get((asset_name, key))
        if event is not None:
            return event
        if asset_name not in self._stored:
            self._stored[asset_name] = self._storage.get_latest_materializations(asset_name)
        return self._stored[asset_name].get(key)

    def observed(self, asset_name: str) -> Event | None:
        """The newest observation of an asset that told a data version."""
        if asset_name not in self._observed:
            self._observed[asset_name] = latest_observation(self._storage, asset_name)
        return self._observed[asset_name]

    def all_keys(self, definition: PartitionsDefinition | None) -> Sequence[PartitionKey]:
        """Every key that a definition has."""
        if definition not in self._keys:
            self._keys[definition] = existing_keys(definition, self._storage)
        return self._keys[definition]


def latest_observation(storage: EventStorage, asset_name: str) -> Event | None:
    """The newest of an asset's last events that observed a data version; None if there is none.

    Args:
        storage: Where the events are.
        asset_name: The asset.
    """
    events = storage.get_events_for_asset(asset_name, limit=_LATELY)
    return next((event for event in events if event.event_type == "Observation" and event.data_version), None)

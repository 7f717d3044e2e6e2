"""Data versions of the inputs of a value, and the cached storage lookups that resolve them."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from rivers.execution.keys import existing_keys
from rivers.mappings import upstream_keys
from rivers_core.exceptions import PartitionValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rivers.graph.plan import Awaited, LoadedInput, Step, StoredOutput
    from rivers.partitions import PartitionsDefinition
    from rivers.storage import Event, EventStorage
    from rivers_core.partitions import PartitionKey

_RECENT_EVENTS = 100


class Past(Protocol):
    """Lookups in earlier runs and in the current one."""

    def stored(self, asset_name: str, key: str | None) -> Event | None:
        """Return the event that stored the value of an asset under a key."""
        ...

    def observed(self, asset_name: str) -> Event | None:
        """Return the newest observation of an asset with a data version."""
        ...

    def all_keys(self, definition: PartitionsDefinition | None) -> Sequence[PartitionKey]:
        """Return every key of a definition."""
        ...


def combined_version(versions: Sequence[tuple[str, str]]) -> str:
    """Return one data version for several partition keys, equal only for equal keys and versions.

    Args:
        versions: Display form and data version of each key.
    """
    if len(versions) == 1:
        return versions[0][1]
    digest = hashlib.blake2b(digest_size=16)
    for key, version in versions:
        digest.update(f"{len(key)}:{key}={len(version)}:{version};".encode())
    return f"{len(versions)} keys {digest.hexdigest()}"


def input_versions(step: Step, keys: Sequence[PartitionKey], past: Past) -> list[tuple[str, str]]:
    """Return the newest data version of every input of a step, loaded or awaited.

    Args:
        step: The step.
        keys: Partition keys of the step; empty without partitions.
        past: Lookups in the storage.

    Returns:
        Asset and data version of each input with a known version.

    Raises:
        PartitionValidationError: The upstream does not have the needed keys.
    """
    loaded = [(needed.upstream.name, _version_of(needed, step, keys, past)) for needed in step.inputs]
    return [(name, version) for name, version in loaded if version is not None] + awaited_versions(
        step, keys, past
    )


def awaited_versions(step: Step, keys: Sequence[PartitionKey], past: Past) -> list[tuple[str, str]]:
    """Return the newest data version of every awaited input; see `input_versions`.

    The function of the step may read these inputs itself, so that its result depends on their version.
    """
    versions: list[tuple[str, str]] = []
    for awaited in step.awaited:
        is_own = awaited.upstream.step_name == step.name
        is_unmapped = awaited.mapping is None and awaited.upstream.partitions_def is not None
        if is_own or is_unmapped:
            continue
        with suppress(PartitionValidationError):  # keys that do not exist have no version
            version = _version_of(awaited, step, keys, past)
            if version is not None:
                versions.append((awaited.upstream.name, version))
    return versions


def _version_of(
    needed: LoadedInput | Awaited, step: Step, keys: Sequence[PartitionKey], past: Past
) -> str | None:
    upstream = needed.upstream
    if needed.mapping is None or upstream.partitions_def is None:
        event = source_of(upstream, past) if is_selected(needed, step, keys) else None
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


def is_selected(needed: LoadedInput | Awaited, step: Step, keys: Sequence[PartitionKey]) -> bool:
    """Return whether a step needs an unpartitioned upstream for any of its keys; `for_keys` selects keys."""
    mapping = needed.mapping
    return mapping is None or any(mapping.selects(key, step.partitions_def) for key in keys)


def events_of(
    needed: LoadedInput | Awaited, step: Step, keys: Sequence[PartitionKey], past: Past
) -> list[Event | None]:
    """Return the event of each value that keys of a step need of one upstream."""
    name = needed.upstream.name
    if needed.mapping is None or needed.upstream.partitions_def is None:
        return [past.stored(name, None)]
    return [past.stored(name, str(key)) for key in needed_keys(needed, step, keys, past)]


def source_of(upstream: StoredOutput, past: Past) -> Event | None:
    """Return the event of the value of an upstream without partitions."""
    return observation_of(upstream, past) or past.stored(upstream.name, None)


def observation_of(upstream: StoredOutput, past: Past) -> Event | None:
    """Return the newest observation of an external asset with a data version, which covers all partitions.

    Assets that runs store are described by their materializations.
    """
    return past.observed(upstream.name) if upstream.step_name is None else None


def needed_keys(
    needed: LoadedInput | Awaited, step: Step, keys: Sequence[PartitionKey], past: Past
) -> list[PartitionKey]:
    """Return the upstream keys that belong to keys of a step, in the order of the upstream's definition."""
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
    """Cache storage lookups for the duration of one step or report.

    The storage is queried once per asset and definition; later events of other processes are not seen.

    Args:
        storage: The event storage.
        latest: Events of the current run by asset and key, which take precedence.
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
        """Return the event that stored the value of an asset under a key."""
        event = self._latest.get((asset_name, key))
        if event is not None:
            return event
        if asset_name not in self._stored:
            self._stored[asset_name] = self._storage.get_latest_materializations(asset_name)
        return self._stored[asset_name].get(key)

    def load_all(self, asset_names: Iterable[str]) -> None:
        """Query the storage once for all assets, which is faster than a query for each of many.

        Args:
            asset_names: All assets and nodes that exist.
        """
        stored = self._storage.get_all_latest_materializations()
        self._stored = {name: stored.get(name, {}) for name in asset_names}

    def observed(self, asset_name: str) -> Event | None:
        """Return the newest observation of an asset with a data version."""
        if asset_name not in self._observed:
            self._observed[asset_name] = latest_observation(self._storage, asset_name)
        return self._observed[asset_name]

    def all_keys(self, definition: PartitionsDefinition | None) -> Sequence[PartitionKey]:
        """Return every key of a definition."""
        if definition not in self._keys:
            self._keys[definition] = existing_keys(definition, self._storage)
        return self._keys[definition]


def latest_observation(storage: EventStorage, asset_name: str) -> Event | None:
    """Return the newest observation with a data version among the last events of an asset, or None.

    Args:
        storage: The event storage.
        asset_name: The asset.
    """
    events = storage.get_events_for_asset(asset_name, limit=_RECENT_EVENTS, with_steps=False)
    return next((event for event in events if event.event_type == "Observation" and event.data_version), None)

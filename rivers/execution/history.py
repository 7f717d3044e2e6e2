"""What is stored, for many questions at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.execution.keys import existing_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rivers.storage import Event, EventStorage
    from rivers_core.partitions import PartitionKey, PartitionsDefinition

_LATELY = 100


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

"""Match the versions that handlers report for stored values with the events of the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from rivers.storage.events import MATERIALIZATION
from rivers_core.exceptions import IntegrityError

if TYPE_CHECKING:
    from rivers.execution.run import Run
    from rivers.graph.plan import HandlerBinding, LoadedInput
    from rivers.storage import Event, EventStorage
    from rivers_core.contexts import InputContext

STORED_VERSION: Final = "rivers/stored_version"
"""Metadata of an event: the version of the handler, where the author of the asset gave another data version."""

_LOG = logging.getLogger("rivers.lineage")


def stored_version(event: Event) -> str | None:
    """Return the version that the handler gave to the value of an event."""
    recorded = event.typed_metadata.get(STORED_VERSION)
    return event.data_version if recorded is None else str(recorded.raw_value())


class VersionIndex:
    """Newest event of each stored version of an asset, read once per run.

    Args:
        storage: The event storage.
    """

    __slots__ = ("_by_asset", "_storage")

    def __init__(self, storage: EventStorage) -> None:
        self._storage = storage
        self._by_asset: dict[str, dict[tuple[str | None, str | None], Event]] = {}

    def find(self, asset_name: str, key: str | None, version: str) -> Event | None:
        """Return the newest event that stored a version of an asset under a key; None if no event did."""
        events = self._by_asset.get(asset_name)
        if events is None:
            newest_first = self._storage.get_events_for_asset(asset_name, limit=None, with_steps=False)
            events = self._by_asset[asset_name] = {
                (event.partition_key, stored_version(event)): event
                for event in reversed(newest_first)
                if event.event_type == MATERIALIZATION
            }
        return events.get((key, version))


def confirmed_version(
    loaded: LoadedInput, context: InputContext, reported: str, event: Event | None, key: str | None, run: Run
) -> str:
    """Return the data version that lineage records for a loaded value whose reported version is not that of the event.

    The event may belong to another version because the function gave the value an explicit data version, because
    another process stored a newer value, because a process ended between the write and the event, or because an older
    value was put back. Only the last case is a fault: the engine reports it, and rejects the value if the store is
    signed.

    Args:
        loaded: The bound input.
        context: The context of the load.
        reported: The version that the handler reported.
        event: The event that was the latest when the value was loaded, if any.
        key: Display form of the partition key; None without partitions.
        run: The run, which notes a version that no event records.

    Raises:
        IntegrityError: The value is older than the event, and its store is signed.
    """
    recorded = "" if event is None else event.data_version or ""
    if event is not None and (stored_version(event) == reported or event.handler != loaded.binding.label):
        return recorded  # another handler than the one that stored it has different versions
    if loaded.upstream.step_name is None:
        return recorded or reported
    match = run.version_index.find(loaded.upstream.name, key, reported)
    if match is None:
        run.notes_of(context.downstream_asset).note_unrecorded(loaded.upstream.name, key, reported)
        _LOG.info(
            "%s has no event in this log: another log records it, or its run did not finish",
            _shown(context, reported),
        )
        return reported
    if event is not None and is_put_back(context, match, event):
        refuse_or_warn(loaded.binding, context, reported, match, event)
    return match.data_version or reported


def check_not_put_back(
    binding: HandlerBinding, context: InputContext, reported: str, event: Event, storage: EventStorage
) -> None:
    """Check that a value which is loaded outside a run is not older than its latest event.

    Args:
        binding: The handler.
        context: The context of the load.
        reported: The version that the handler reported.
        event: The latest event when the value was loaded.
        storage: The event storage.

    Raises:
        IntegrityError: It is older, and its store is signed.
    """
    if reported == event.data_version or stored_version(event) == reported or event.handler != binding.label:
        return
    match = VersionIndex(storage).find(context.asset_name, event.partition_key, reported)
    if match is not None and is_put_back(context, match, event):
        refuse_or_warn(binding, context, reported, match, event)


def is_put_back(context: InputContext, match: Event, latest: Event) -> bool:
    """Return whether a loaded value is older than the latest event.

    Args:
        context: The context of the load.
        match: The newest event that stored this version.
        latest: The latest event when the value was loaded.
    """
    is_earlier = match.id is not None and latest.id is not None and match.id < latest.id
    # an equal value that a run stored again, without recording it yet, is younger than the event
    stored_at = context.loaded_at
    return is_earlier and (stored_at is None or stored_at.timestamp() < latest.timestamp / 1e9)


def refuse_or_warn(
    binding: HandlerBinding, context: InputContext, reported: str, match: Event, latest: Event
) -> None:
    """Refuse an older value that was put back into a signed store; warn about one in another store.

    Args:
        binding: The handler.
        context: The context of the load.
        reported: The version of the value.
        match: The event that stored it.
        latest: The latest event.

    Raises:
        IntegrityError: The store is signed.
    """
    text = (
        f"{_shown(context, reported)}, an older value that was put back: run {match.run_id} stored it, and run "
        f"{latest.run_id} stored {latest.data_version!r} after it. Materialize the asset again, or accept the older "
        "value with `rivers assets --verify --accept`."
    )
    if binding.handler.is_signed:
        raise IntegrityError(f"Could not load {text}")
    _LOG.warning("Loaded %s", text)


def _shown(context: InputContext, version: str) -> str:
    partition = "" if context.partition is None else f" [{context.partition.key}]"
    return f"asset {context.asset_name!r}{partition} in version {version!r}"

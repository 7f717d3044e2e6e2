"""Accept stored values: record the version that a handler has as the current one."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from rivers.execution.loaded_versions import VersionIndex, stored_version
from rivers.execution.verification import verifying_context
from rivers.storage import Event
from rivers.storage.events import MATERIALIZATION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers.graph.plan import StoredOutput
    from rivers.storage import EventStorage
    from rivers_core.partitions import PartitionKey

    Value = tuple[StoredOutput, PartitionKey | None]


def accept_stored(values: Iterable[Value], storage: EventStorage) -> list[tuple[str, str | None]]:
    """Record an event for each value whose handler has another version than the latest event.

    The event repeats that of the run which stored the version, if there is one: its inputs and code version.

    Args:
        values: The values to look at.
        storage: Event storage.

    Returns:
        Asset and display form of the key of each value that was recorded.
    """
    versions = VersionIndex(storage)
    events: list[Event] = []
    run_id = str(uuid.uuid4())
    for output, key in values:
        text = None if key is None else str(key)
        latest = storage.get_latest_materializations(output.name).get(text)
        try:
            version = output.handler.stored_version(verifying_context(output, key))
        except FileNotFoundError:
            continue
        if version is None or (latest is not None and stored_version(latest) == version):
            continue
        match = versions.find(output.name, text, version)
        assert output.binding is not None
        events.append(
            Event(
                MATERIALIZATION,
                run_id=run_id,
                asset_key=output.name,
                partition_key=text,
                metadata=None if match is None else match.typed_metadata,
                data_version=version if match is None else match.data_version,
                code_version=output.code_version if match is None else match.code_version,
                input_data_versions=() if match is None else match.input_data_versions,
                tags=(("rivers/accepted", "true"),),
                handler=output.binding.label,
                step=output.step_name,
                message="accepted as it is stored",
            )
        )
    if events:
        storage.start_run(run_id, steps=list(dict.fromkeys(event.step or "" for event in events)))
        for event in events:
            storage.record(event)
        storage.finish_run(run_id, "success", "accepted stored values")
    return [(event.asset_key or "", event.partition_key) for event in events]

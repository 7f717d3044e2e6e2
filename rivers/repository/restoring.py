"""Restore an earlier version of a stored value, and record it as a new materialization."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from rivers.execution.handler_calls import without_secrets
from rivers.execution.loaded_versions import STORED_VERSION, VersionIndex, stored_version
from rivers.execution.redaction import redact_metadata
from rivers.storage import Event
from rivers.storage.events import MATERIALIZATION
from rivers_core.contexts import OutputContext
from rivers_core.metadata import MetadataValue
from rivers_core.redaction import redact, secrets_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rivers.graph.plan import StoredOutput
    from rivers.storage import EventStorage
    from rivers_core.contexts import InputContext

RESTORED: Final = "rivers/restored"
"""Tag of an event: the version that was restored."""


def restore_stored(output: StoredOutput, context: InputContext, version: str, storage: EventStorage) -> Event:
    """Make an earlier version of a value the current one, and record it.

    Args:
        output: The asset or node.
        context: Asset and partition.
        version: The version.
        storage: Event storage.

    Returns:
        The recorded event.

    Raises:
        VersionNotFoundError: The version is not stored.
    """
    run_id = str(uuid.uuid4())
    name, partition = output.name, context.partition
    written = OutputContext(
        name, output.metadata, partition, output.type_hint, run_id=run_id, step_name=output.step_name
    )
    key = None if partition is None else str(partition.key)
    storage.start_run(
        run_id,
        tags=[(RESTORED, version)],
        steps=[output.step_name or name],
        selection=[name],
        partition_key=key,
    )
    secrets = secrets_of(output.handler)
    try:
        full = without_secrets(output.handler, lambda: output.handler.restore(written, version)) or version
        event = _event(output, written, key, full, storage, secrets)
        storage.record(event)
    except BaseException as error:
        storage.finish_run(run_id, "failure", redact(f"{type(error).__name__}: {error}", secrets))
        raise
    storage.finish_run(run_id, "success", event.message)
    return event


def _event(
    output: StoredOutput,
    written: OutputContext,
    key: str | None,
    version: str,
    storage: EventStorage,
    secrets: Iterable[str],
) -> Event:
    """Return the event of a restored value, with inputs and code version of the run that stored it first."""
    index, stored = VersionIndex(storage), written.content_version
    source = index.find(output.name, key, version)
    data_version = stored
    if source is not None and stored == stored_version(source):
        data_version = source.data_version  # its own, or the one that the author of the asset gave
    metadata = redact_metadata(written.output_metadata or {}, secrets)
    if stored is not None and data_version != stored:
        metadata[STORED_VERSION] = MetadataValue.text(stored)
    origin = "" if source is None else f" of run {source.run_id}"
    assert output.binding is not None
    return Event(
        MATERIALIZATION,
        run_id=written.run_id or "",
        asset_key=output.name,
        partition_key=key,
        metadata=metadata,
        data_version=data_version,
        code_version=output.code_version if source is None else source.code_version,
        input_data_versions=() if source is None else source.input_data_versions,
        tags=((RESTORED, version),),
        handler=output.binding.label,
        step=output.step_name,
        message=f"restored version {version}{origin}",
    )

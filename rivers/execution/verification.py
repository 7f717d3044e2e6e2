"""Verify stored values: compare what handlers have with what the event log records."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rivers.definitions.error_text import error_text
from rivers.execution.handler_calls import without_secrets
from rivers.execution.loaded_versions import stored_version
from rivers_core.authoring import redact, resolve_awaitable, secrets_of
from rivers_core.contexts import InputContext
from rivers_core.partitions import PartitionContext

if TYPE_CHECKING:
    from rivers.execution.lineage import Past
    from rivers.execution.loaded_versions import VersionIndex
    from rivers.execution.staleness import AssetStatus
    from rivers.graph.plan import StoredOutput
    from rivers_core.partitions import PartitionKey


def verified_status(
    status: AssetStatus, output: StoredOutput, key: PartitionKey | None, past: Past, versions: VersionIndex
) -> AssetStatus:
    """Return the status of a value after asking its handler for it.

    Args:
        status: The status according to the event log.
        output: The value.
        key: Its partition key, if it has one.
        past: Lookups in the storage.
        versions: Events by stored version.

    Returns:
        `missing` if the handler has no value, `stale` if it has another one than the log records or a damaged one;
        otherwise the given status, also if the handler does not report versions.
    """
    event = past.stored(output.name, status.partition)
    context = verifying_context(output, key)
    if event is None:
        exists = without_secrets(output.handler, lambda: resolve_awaitable(output.handler.exists(context)))
        return replace(status, reason="a value is stored that no event records") if exists else status
    if status.state == "missing" or event.handler is None:
        return status
    try:
        version = output.handler.stored_version(context)
    except FileNotFoundError:
        return replace(
            status, state="missing", reason="its value was deleted, or its handler did not store it"
        )
    except Exception as error:
        text = redact(error_text(error), secrets_of(output.handler))
        return replace(status, state="stale", reason=f"its value cannot be verified: {text}")
    if version is None or version == stored_version(event):
        return status
    match = versions.find(output.name, status.partition, version)
    reason = (
        f"its value was changed, or stored by a run that did not finish: no event records version {version!r}"
        if match is None
        else f"an older value was put back, that of run {match.run_id}"
    )
    return replace(status, state="stale", reason=reason)


def verifying_context(output: StoredOutput, key: PartitionKey | None) -> InputContext:
    """Return the context in which a handler is asked for the version of a value."""
    partition = None if key is None else PartitionContext([key], output.partitions_def)
    return InputContext(output.name, "verify", output.metadata, partition, output.type_hint)

"""Storing what a step returned, and recording that it was."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from rivers.definitions.results import Materialization, Observation, Output
from rivers.execution.handler_calls import add_place, stored_late
from rivers.execution.history import History
from rivers.execution.provenance import input_versions
from rivers.execution.results import check_name, check_part, check_value, of_part, split_by_key
from rivers.execution.retries import may_retry
from rivers.storage import Event
from rivers_core.contexts import OutputContext
from rivers_core.partitions import PartitionContext

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rivers.definitions.contexts import AssetExecutionContext, TaskExecutionContext
    from rivers.execution.run import Run
    from rivers.graph.plan import Step, StoredOutput
    from rivers_core.metadata import MetadataValue
    from rivers_core.partitions import PartitionKey


class WriteFailedError(Exception):
    """Storing failed for good, so that running the function again would not help.

    Args:
        error: What the handler raised.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Storing:
    """One attempt at a step, on its way into the stores.

    Args:
        step: The step.
        run: The run.
        context: The context that the function got, if it takes one.
        versions: What went in: asset and data version of each loaded input.
        attempt: Which attempt at the function this is, from 1.
        started_ns: `perf_counter_ns` when the attempt began.

    Attributes:
        recorded_metadata: What the last event said about its output.
    """

    __slots__ = (
        "attempt",
        "context",
        "history",
        "recorded_metadata",
        "run",
        "started_ns",
        "step",
        "versions",
    )

    def __init__(
        self,
        step: Step,
        run: Run,
        context: AssetExecutionContext[Any] | TaskExecutionContext[Any] | None,
        versions: Sequence[tuple[str, str]],
        attempt: int,
        started_ns: int,
    ) -> None:
        self.step = step
        self.run = run
        self.context = context
        self.versions = versions
        self.attempt = attempt
        self.started_ns = started_ns
        self.recorded_metadata: Mapping[str, MetadataValue] | None = None
        self.history: History | None = None

    async def store(self, output: StoredOutput, result: Any) -> None:
        """Do with one result what its type says: hand it to the handler, or only record it.

        Raises:
            AssetOutputValidationError: It contradicts the annotation or the partition keys; nothing was stored.
            WriteFailedError: The handler failed, also when tried again.
        """
        if isinstance(result, Materialization):
            check_name(self.step, result)
            self._record_all("Materialization", output, result)
        elif isinstance(result, Observation):
            self._record_all("Observation", output, result)
        elif isinstance(result, Output):
            check_name(self.step, result)
            await self._store_value(output, result.value, result)
        else:
            await self._store_value(output, result, None)

    async def _store_value(self, output: StoredOutput, value: Any, result: Output | None) -> None:
        keys = self.run.keys.get(self.step.name)
        if keys is None:
            check_value(output, value)
            await self._write(output, value, result, None)
            return
        parts = [
            (part_keys, *of_part(part, result))
            for part_keys, part in split_by_key(output, value, keys, output.handler.partition_batches)
        ]
        for part_keys, part, _ in parts:
            check_part(output, part, part_keys)
        for part_keys, part, recorded in parts:
            await self._write(output, part, recorded, part_keys)

    async def _write(
        self, output: StoredOutput, value: Any, result: Output | None, keys: tuple[PartitionKey, ...] | None
    ) -> None:
        binding = output.binding
        assert binding is not None
        attempt = self.attempt
        while True:
            context = OutputContext(
                output.name,
                output.metadata,
                None if keys is None else PartitionContext(keys, output.partitions_def),
                output.type_hint,
                run_id=self.run.run_id,
                attempt=attempt,
                step_name=self.step.name,
                code_version=output.code_version,
            )
            try:
                stored = binding.handle_output(context, value)
                if stored is not None:
                    await stored_late(stored, binding)
                break
            except Exception as error:
                add_place(error, "storing", binding, context)
                for observe in self.run.observers.io_failed:
                    observe(context, binding.handler, error)
                if not await may_retry(self.step, self.run, error, attempt, output.name):
                    raise WriteFailedError(error) from error
                attempt += 1
        self._stored(output, context, result, keys)

    def _stored(
        self,
        output: StoredOutput,
        context: OutputContext,
        result: Output | None,
        keys: tuple[PartitionKey, ...] | None,
    ) -> None:
        version = (result.data_version if result is not None else None) or context.registered_data_version
        metadata = self._merged(context.output_metadata, None if result is None else result.metadata)
        assert output.binding is not None
        tags = None if result is None else result.tags
        for key in (None,) if keys is None else keys:
            event = self._event(
                "Materialization",
                output,
                key,
                metadata,
                self._version(version, context),
                tags,
                output.binding.label,
            )
            self.run.latest[output.name, event.partition_key] = event
            self.run.storage.record(event)
            for observe in self.run.observers.output_stored:
                observe(context, output.handler, event)

    def _record_all(
        self, event_type: str, output: StoredOutput, result: Materialization | Observation
    ) -> None:
        metadata = self._merged(None, result.metadata)
        version = result.data_version
        if isinstance(result, Materialization):
            version = self._version(version, None)
        for key in self.run.keys.get(self.step.name) or (None,):
            event = self._event(
                event_type, output, key, metadata, version, getattr(result, "tags", None), None
            )
            if event_type == "Materialization":
                self.run.latest[output.name, event.partition_key] = event
            self.run.storage.record(event)

    def _event(
        self,
        event_type: str,
        output: StoredOutput,
        key: PartitionKey | None,
        metadata: Mapping[str, MetadataValue] | None,
        version: str | None,
        tags: Sequence[tuple[str, str]] | None,
        handler: str | None,
    ) -> Event:
        return Event(
            event_type,
            run_id=self.run.run_id,
            asset_key=output.name,
            partition_key=None if key is None else str(key),
            metadata=metadata,
            data_version=version,
            code_version=output.code_version,
            input_data_versions=self._inputs_of(key),
            tags=(*self.run.tags, *tags) if tags else self.run.tags,
            handler=handler,
            step=self.step.name,
            attempt=self.attempt,
            duration_ns=perf_counter_ns() - self.started_ns,
        )

    def _inputs_of(self, key: PartitionKey | None) -> Sequence[tuple[str, str]]:
        """What went into one key: of a step over several, only what belongs to this one."""
        if key is None or len(self.run.keys[self.step.name]) == 1 or not self.step.inputs:
            return self.versions
        if self.history is None:
            self.history = History(self.run.storage, self.run.latest)
        return input_versions(self.step, [key], self.history)

    def _merged(
        self,
        from_handler: Mapping[str, MetadataValue] | None,
        from_result: Mapping[str, MetadataValue] | None,
    ) -> Mapping[str, MetadataValue] | None:
        """Metadata of inputs, context, handler and result; the later wins on the same key."""
        from_inputs = self.run.served_inputs(self.step) if self.run.served else None
        from_context = getattr(self.context, "output_metadata", None)
        given = [metadata for metadata in (from_inputs, from_context, from_handler, from_result) if metadata]
        merged: Mapping[str, MetadataValue] | None = given[0] if given else None
        if len(given) > 1:
            merged = {key: value for metadata in given for key, value in metadata.items()}
        self.recorded_metadata = merged
        return merged

    def _version(self, given: str | None, context: OutputContext | None) -> str:
        """The first version that anyone gave: result or handler, the asset's context, the content's own, a UUID."""
        if given is not None:
            return given
        return (
            getattr(self.context, "registered_data_version", None)
            or (context.content_version if context is not None else None)
            or self.run.new_version()
        )

"""Store the outputs of a step and record their events."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from rivers.definitions.results import Materialization, Observation, Output, Result, tag_items
from rivers.execution.handler_calls import add_location, complete_write
from rivers.execution.lineage import input_versions
from rivers.execution.loaded_versions import STORED_VERSION
from rivers.execution.redaction import redact_error
from rivers.execution.results import check_name, check_part, check_value, of_part, split_by_key
from rivers.execution.retries import is_failure, may_retry
from rivers.storage import Event
from rivers.storage.events import MATERIALIZATION, OBSERVATION, materialization
from rivers_core.contexts import OutputContext, output_context
from rivers_core.exceptions import ConflictError, OneShotValueError
from rivers_core.metadata import MetadataValue
from rivers_core.partitions import PartitionContext

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rivers.definitions.contexts import AssetExecutionContext, TaskExecutionContext
    from rivers.definitions.results import ResultTags
    from rivers.execution.run import Run
    from rivers.graph.plan import Step, StoredOutput
    from rivers_core.partitions import PartitionKey

    Expected = dict[tuple[str, str | None], str]


class WriteFailedError(Exception):
    """The last attempt to store a value failed; running the function again would not help.

    Args:
        error: The exception of the handler.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class LostUpdateError(WriteFailedError):
    """A conditional write found another value than the one that the step had loaded; the step has to run again."""


class FirstWrite(NamedTuple):
    """A write that `store_plain` began.

    Attributes:
        context: Its context.
        pending: The result of `handle_output`.
        error: What it raised instead.
    """

    context: OutputContext
    pending: Any
    error: BaseException | None


def store_plain(
    output: StoredOutput, value: Any, step: Step, run: Run, versions: list[tuple[str, str]], started_ns: int
) -> FirstWrite | None:
    """Store the value of a plain step and record its event; see `Step.is_plain`.

    Args:
        output: The output of the step.
        value: A value of the annotated type, not a `Result`.
        step: The step.
        run: The run.
        versions: Asset and data version of each input.
        started_ns: `perf_counter_ns` at the start of the attempt.

    Returns:
        None if the value is stored and its event recorded. A write that failed, is not finished, or reported a
        separate version is left to `Storing.finish`.
    """
    binding = output.binding
    assert binding is not None
    context = output_context(
        output.name, output.metadata, output.type_hint, run.run_id, step.name, output.code_version
    )
    try:
        pending = binding.handle_output(context, value)
    except BaseException as error:
        return FirstWrite(context, None, error)
    if pending is not None or context.registered_data_version is not None or run.notes:
        return FirstWrite(context, pending, None)
    metadata = context.output_metadata
    event = materialization(
        run.run_id,
        output.name,
        step.name,
        binding.label,
        context.content_version or run.new_version(),
        output.code_version,
        tuple(versions),  # the garbage collector stops tracking a tuple of texts, but not a list
        run.recordable(metadata) if metadata else None,
        run.tags,
        perf_counter_ns() - started_ns,
    )
    try:
        run.storage.record(event)
        run.latest[output.whole_key] = event
        for observe in run.observers.output_stored:
            observe(context, binding.handler, event)
    except Exception as error:
        raise _not_recorded(error, output) from error
    return None


class Storing:
    """Stores the outputs of one attempt of a step.

    Args:
        step: The step.
        run: The run.
        keys: The partition keys of this call of the step; None without partitions.
        context: Context of the function, if it takes one.
        versions: Asset and data version of each input.
        attempt: Number of the attempt, from 1.
        started_ns: `perf_counter_ns` at the start of the attempt.
        expected: Versions that the step replaces, by output and display form of the key, empty text for none: of its
            own stored values that it loaded, or that a handler asks for. The handler stores on the condition that they
            are still there.

    Attributes:
        recorded_metadata: Metadata of the last recorded event.
    """

    __slots__ = (
        "attempt",
        "context",
        "expected",
        "keys",
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
        keys: Sequence[PartitionKey] | None,
        context: AssetExecutionContext[Any] | TaskExecutionContext[Any] | None,
        versions: Sequence[tuple[str, str]],
        attempt: int,
        started_ns: int,
        expected: Expected | None = None,
    ) -> None:
        self.step = step
        self.run = run
        self.keys = keys
        self.context = context
        self.versions = versions
        self.attempt = attempt
        self.started_ns = started_ns
        self.expected = expected
        self.recorded_metadata: Mapping[str, MetadataValue] | None = None

    async def store(self, output: StoredOutput, result: Any) -> None:
        """Store one result with the handler, or only record it, depending on its type.

        Raises:
            AssetOutputValidationError: The result does not match annotation or partition keys; nothing was stored.
            WriteFailedError: The last attempt to store failed, or the event of a stored value could not be recorded.
            OneShotValueError: The write should be retried, but the value is consumed; the function has to run again.
        """
        value, described = result, None
        if isinstance(result, Result):  # most results are plain values: one isinstance test instead of three
            if isinstance(result, (Materialization, Observation)):
                if isinstance(result, Materialization):
                    check_name(self.step, result)
                try:
                    self._record_all(output, result)
                except Exception as error:
                    raise _not_recorded(error, output) from error
                return
            if isinstance(result, Output):
                check_name(self.step, result)
                value, described = result.value, result
        if self.keys is not None:
            await self._store_by_key(output, value, described, self.keys)
        else:
            check_value(output, value)
            await self._write(output, value, described, None)

    async def finish(self, output: StoredOutput, value: Any, first: FirstWrite) -> None:
        """Finish the write of a value without a partition that has begun already; see `store`."""
        await self._write(output, value, None, None, first)

    async def _store_by_key(
        self, output: StoredOutput, value: Any, result: Output | None, keys: Sequence[PartitionKey]
    ) -> None:
        parts = [
            (part_keys, *of_part(part, result))
            for part_keys, part in split_by_key(output, value, keys, output.handler.partition_batches)
        ]
        for part_keys, part, _ in parts:
            check_part(output, part, part_keys)
        for place, (part_keys, part, recorded) in enumerate(parts):
            try:
                await self._write(output, part, recorded, part_keys)
            except WriteFailedError as failure:
                if len(parts) > 1:
                    before = f"{place} of the {len(parts)} partition keys"
                    failure.error.add_note(f"{before} of this step were stored before that, and are recorded")
                raise

    async def _write(
        self,
        output: StoredOutput,
        value: Any,
        result: Output | None,
        keys: tuple[PartitionKey, ...] | None,
        first: FirstWrite | None = None,
    ) -> None:
        binding = output.binding
        assert binding is not None
        attempt, threads = self.attempt, self.run.write_threads
        failure: BaseException | None = None
        while True:
            context = first.context if first is not None else self._context(output, result, keys, attempt)
            try:
                if first is None:
                    if threads is not None and threads.takes(self.step, self.run, binding):
                        stored = await threads.store(binding, context, value)
                    else:
                        stored = binding.handle_output(context, value)
                elif first.error is None:
                    stored = first.pending
                else:
                    raise first.error
                if stored is not None:
                    await complete_write(stored, binding)
                break
            except BaseException as error:
                if not is_failure(error, self.step):
                    raise
                self._report(error, output, context, failure)
                failure = error
                if not await may_retry(self.step, self.run, keys, error, attempt, output.name):
                    raise WriteFailedError(error) from error
                attempt += 1
                first = None
        try:
            self._stored(output, context, result, keys)
        except Exception as error:
            raise _not_recorded(error, output) from error

    def _context(
        self,
        output: StoredOutput,
        result: Output | None,
        keys: tuple[PartitionKey, ...] | None,
        attempt: int,
    ) -> OutputContext:
        context = OutputContext(
            output.name,
            output.metadata,
            None if keys is None else PartitionContext(keys, output.partitions_def),
            output.type_hint,
        )
        context.run_id, context.step_name = self.run.run_id, self.step.name
        context.attempt, context.code_version = attempt, output.code_version
        if keys is not None:
            context.allows_empty_partitions = self.step.partition_batches == "allow_empty"
        if self.context is not None or result is not None:
            context.output_metadata = self._given_metadata(result)
        if self.expected is not None:
            context.expected_version = self._condition(output, keys)
        return context

    def _report(
        self,
        error: BaseException,
        output: StoredOutput,
        context: OutputContext,
        earlier: BaseException | None,
    ) -> None:
        """Report a failed write, and raise an error if writing the same value again would not help."""
        binding = output.binding
        assert binding is not None
        add_location(error, "storing", binding, context)
        for observe in self.run.observers.io_failed:
            observe(context, binding.handler, redact_error(error, self.run.without_secrets))
        if isinstance(error, OneShotValueError):
            raise error from earlier or error.__cause__
        if isinstance(error, ConflictError) and context.expected_version is not None:
            own = self.step.own_value
            if own is None or output is not own.loaded.upstream:
                raise error  # of the attempt: writing the same value again would lose again
            raise LostUpdateError(error) from error

    def _condition(self, output: StoredOutput, keys: tuple[PartitionKey, ...] | None) -> str | None:
        """Return the version that a write replaces; None if it is unconditional."""
        assert self.expected is not None
        if keys is None:
            return self.expected.get((output.name, None))
        return self.expected.get((output.name, str(keys[0]))) if len(keys) == 1 else None

    def _stored(
        self,
        output: StoredOutput,
        context: OutputContext,
        result: Output | None,
        keys: tuple[PartitionKey, ...] | None,
    ) -> None:
        run, binding = self.run, output.binding
        assert binding is not None
        version, from_result, tags = None, None, None
        if result is not None:
            version, from_result, tags = result.data_version, result.metadata, result.tags
        version = version or context.registered_data_version
        if version is not None:
            version = run.recordable_text(version)
        metadata: Mapping[str, MetadataValue] | None = context.output_metadata or None
        if self.context is not None or run.notes or from_result:
            metadata = self._merged(metadata, from_result)
        for key in keys or (None,):
            content = context.content_version
            if key is not None:
                content = context.content_versions.get(key, content)
            stored_version = version or self._made_version(content)
            of_handler = context.registered_data_version or content
            recorded = metadata
            if of_handler is not None and of_handler != stored_version:
                recorded = {**(metadata or {}), STORED_VERSION: MetadataValue.text(of_handler)}
            self.recorded_metadata = recorded
            event = self._event(MATERIALIZATION, output, key, recorded, stored_version, tags, binding.label)
            run.storage.record(event)
            run.latest[output.name, event.partition_key] = event
            for observe in run.observers.output_stored:
                observe(context, binding.handler, event)

    def _record_all(self, output: StoredOutput, result: Materialization | Observation) -> None:
        event_type, version, tags = OBSERVATION, result.data_version, None
        if isinstance(result, Materialization):
            event_type, tags = MATERIALIZATION, result.tags
            version = version or self._made_version(None)
        if version is not None:
            version = self.run.recordable_text(version)
        self.recorded_metadata = metadata = self._merged(None, result.metadata)
        for key in self.keys or (None,):
            event = self._event(event_type, output, key, metadata, version, tags, None)
            self.run.storage.record(event)
            if event_type == MATERIALIZATION:
                self.run.latest[output.name, event.partition_key] = event
            else:
                self.run.observed_outputs.add((output.name, event.partition_key))

    def _event(
        self,
        event_type: str,
        output: StoredOutput,
        key: PartitionKey | None,
        metadata: Mapping[str, MetadataValue] | None,
        version: str | None,
        tags: ResultTags | None,
        handler: str | None,
    ) -> Event:
        return Event(
            event_type,
            run_id=self.run.run_id,
            asset_key=output.name,
            partition_key=None if key is None else str(key),
            metadata=None if metadata is None else self.run.recordable(metadata),
            data_version=version,
            code_version=output.code_version,
            input_data_versions=self.versions if key is None else self._inputs_of(key),
            tags=self._tagged(tags) if tags else self.run.tags,
            handler=handler,
            step=self.step.name,
            attempt=self.attempt,
            duration_ns=perf_counter_ns() - self.started_ns,
        )

    def _tagged(self, tags: ResultTags) -> Sequence[str | tuple[str, str]]:
        text = self.run.recordable_text
        own = [text(item) if isinstance(item, str) else (item[0], text(item[1])) for item in tag_items(tags)]
        return (*self.run.tags, *own)

    def _inputs_of(self, key: PartitionKey) -> Sequence[tuple[str, str]]:
        """Return the input versions of one key; of a step over several keys, only those that belong to it."""
        if self.keys is None or len(self.keys) == 1 or not (self.step.inputs or self.step.awaited):
            return self.versions
        return input_versions(self.step, [key], self.run.history_of(self.step))

    def _merged(
        self,
        from_handler: Mapping[str, MetadataValue] | None,
        from_result: Mapping[str, MetadataValue] | None,
    ) -> Mapping[str, MetadataValue] | None:
        """Merge metadata of inputs, context, handler and result; later ones win on the same key."""
        notes = self.run.notes.get(self.step.owner) if self.run.notes else None
        from_context = None if self.context is None else getattr(self.context, "output_metadata", None)
        from_inputs = None if notes is None else notes.metadata()
        given = [metadata for metadata in (from_inputs, from_context, from_handler, from_result) if metadata]
        return {key: value for metadata in given for key, value in metadata.items()} or None

    def _given_metadata(self, result: Output | None) -> dict[str, MetadataValue] | None:
        """Return the metadata of context and `Output` for the handler; that of the `Output` takes precedence."""
        from_context = getattr(self.context, "output_metadata", None)
        from_result = None if result is None else result.metadata
        return {**(from_context or {}), **(from_result or {})} or None

    def _made_version(self, of_content: str | None) -> str:
        """Return the data version of context or content, else a UUID, where result and handler have none."""
        of_context = None if self.context is None else getattr(self.context, "registered_data_version", None)
        if of_context:
            return self.run.recordable_text(of_context)
        return of_content or self.run.new_version()


def _not_recorded(error: Exception, output: StoredOutput) -> WriteFailedError:
    """Return the error for a stored value without an event; retrying the step would store it again."""
    error.add_note(f"the value of {output.name!r} is stored, but its event could not be recorded")
    return WriteFailedError(error)

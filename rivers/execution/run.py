"""State of one run, shared by its steps."""

from __future__ import annotations

import threading
import uuid
from contextlib import suppress
from dataclasses import replace
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from rivers.exceptions import StorageError
from rivers.execution.input_notes import InputNotes
from rivers.execution.keys import existing_keys
from rivers.execution.lineage import History, is_selected, latest_observation, needed_keys
from rivers.execution.loaded_versions import VersionIndex
from rivers.execution.redaction import redact_error, redact_metadata, redact_recorded
from rivers.execution.run_logger import log_problem
from rivers.storage import Event
from rivers.storage.live_runs import RunningCall
from rivers_core.authoring import resolve_awaitable, shown_keys
from rivers_core.contexts import InputContext
from rivers_core.exceptions import PartitionValidationError
from rivers_core.metadata import IntMetadataValue, MetadataValue, TextMetadataValue
from rivers_core.partitions import PartitionContext
from rivers_core.redaction import redact, secret_spellings, secrets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from rivers.definitions.retry import FailureReason, RetryPolicy
    from rivers.execution.fan_out import Streams
    from rivers.execution.lineage import Past
    from rivers.execution.observers import Observers
    from rivers.execution.write_threads import WriteThreads
    from rivers.graph.plan import LoadedInput, Plan, Step, StoredOutput
    from rivers.partitions import PartitionsDefinition
    from rivers.storage import EventStorage
    from rivers.storage.records import LogRecord
    from rivers_core.partitions import PartitionKey


FEW_KEYS = 8

TO_STORE = "rivers/to_store"

MAX_LOGS = 10_000
"""Number of log records of a step that are kept."""

CANCELED = "not run, since the run was canceled"


def key_text(keys: Sequence[PartitionKey] | None) -> str | None:
    """Return the display form of the key of a call as events have it: None without partitions, or with several."""
    return str(keys[0]) if keys is not None and len(keys) == 1 else None


def is_stored_unrecorded(needed: LoadedInput, key: PartitionKey) -> bool:
    """Return whether a handler has a value that no event records, such as one of the base of an overlay."""
    partition = PartitionContext([key], needed.upstream.partitions_def)
    context = InputContext(needed.upstream.name, "inputs", needed.metadata, partition)
    return bool(resolve_awaitable(needed.binding.handler.exists(context)))


class Run:
    """State of one run, shared by its steps.

    Attributes:
        run_id: Id of the run.
        plan: The plan of the run.
        storage: Event storage of the run.
        observers: Observer functions of plugins, frozen.
        keys: Partition keys of each partitioned step.
        configs: Built configuration of each step that takes one.
        resources: Values that parameters can name besides assets.
        tags: Recorded with every event.
        retry: Retry policy of steps without one.
        timeout: Seconds that an attempt of a step without a time limit may take; None for no limit.
        stop_at_failure: Whether the first failed step ends the run.
        latest: Events of values that this run stored, by asset and display form of the key.
        observed_outputs: Outputs and keys of multi-assets for which this run recorded an observation instead.
        finished: Names of the finished steps.
        resumed: Asset and key of values that an earlier part of this run stored.
        may_skip: Returns why a step is skipped, called when its turn comes; None runs all steps.
        failed: Error of each failed step; of several failed keys, that of the first.
        failed_keys: Error of each failed partition key of a step, if the step ran once per key.
        incomplete: Keys that failed or were skipped behind a failure, by step, with the reason for steps that need
            them; None is the key of a step without partitions.
        skipped: Why each skipped step was not run.
        skips_incomplete: Names of steps that were not selected by name: they are skipped, or left out for a key, if a
            partition that they need of a step of this plan is not stored.
        narrowed: Descriptions of the keys that a step leaves out, by name of the step.
        retries_elsewhere: Whether another process waits and starts the next attempt.
        spent: Why attempts of an earlier part of a resumed run failed, by step and display form of the key.
        allows_plain: Whether plain steps may run without a coroutine: the run has no time limit, and no spent attempts.
        elsewhere: The executor of each step that leaves this process, by name of the step.
        connections: Channels to the processes of these executors.
        write_threads: Threads in which handlers store values; None stores in the thread of the step.
        notes: What handlers reported about the inputs of a step, by its owner, where there is something to record.
        log_counts: Number of log records of each step.
        running: Start of each running call; see `LiveRun`.
        is_canceled: Whether cancellation was requested; no further call starts.
        is_ending: Whether the run ends early, for any reason; collectors that wait for values give up.
        streams: Collectors that receive values of mapped steps as they are finished; None if there are none.
        when_canceled: Called once when cancellation is requested, in any thread.
    """

    __slots__ = (
        "_canceled",
        "_histories",
        "_may_start",
        "_secrets",
        "_version_count",
        "_version_index",
        "_version_rest",
        "allows_plain",
        "configs",
        "connections",
        "elsewhere",
        "failed",
        "failed_keys",
        "finished",
        "incomplete",
        "is_canceled",
        "is_ending",
        "keys",
        "latest",
        "log_counts",
        "may_skip",
        "narrowed",
        "notes",
        "observed_outputs",
        "observers",
        "plan",
        "resources",
        "resumed",
        "retries_elsewhere",
        "retry",
        "run_id",
        "running",
        "skipped",
        "skips_incomplete",
        "spent",
        "stop_at_failure",
        "storage",
        "streams",
        "tags",
        "timeout",
        "when_canceled",
        "write_threads",
    )

    def __init__(
        self,
        run_id: str,
        plan: Plan,
        storage: EventStorage,
        observers: Observers,
        *,
        keys: Mapping[str, Sequence[PartitionKey]],
        configs: Mapping[str, Any],
        resources: Mapping[str, Any],
        tags: Sequence[tuple[str, str]] = (),
        retry: RetryPolicy | None = None,
        stop_at_failure: bool = True,
        timeout: float | None = None,
    ) -> None:
        self.run_id = run_id
        self.plan = plan
        self.storage = storage
        self.observers = observers
        self.keys = dict(keys)
        self.configs = configs
        self.resources = resources
        self.tags = tuple(tags)
        self.retry = retry
        self.timeout = timeout
        self.stop_at_failure = stop_at_failure
        self.retries_elsewhere = False
        self.elsewhere: Mapping[str, Any] = {}  # Any: executors are a layer above
        self.connections: Any = None
        self.write_threads: WriteThreads | None = None
        self.may_skip: Callable[[Step], str | None] | None = None
        head, self._version_rest = str(uuid.uuid4()).split("-", 1)
        self._version_count = int(head, 16)
        self.latest: dict[tuple[str, str | None], Event] = {}
        self.observed_outputs: set[tuple[str, str | None]] = set()
        self.finished: set[str] = set()
        self.resumed: set[tuple[str, str | None]] = set()
        self.failed: dict[str, BaseException] = {}
        self.failed_keys: dict[str, dict[PartitionKey, BaseException]] = {}
        self.incomplete: dict[str, dict[PartitionKey | None, str]] = {}
        self.skipped: dict[str, str] = {}
        self.skips_incomplete: frozenset[str] = frozenset()
        self.narrowed: dict[str, list[str]] = {}
        self._histories: dict[str, History] = {}
        self._secrets: tuple[str, ...] | None = None
        if tags:
            self.tags = tuple((name, self.recordable_text(value)) for name, value in tags)
        self.notes: dict[str, InputNotes] = {}
        self.running: dict[RunningCall | str, int] = {}
        self.log_counts: dict[str, int] = {}
        self.spent: dict[tuple[str, str | None], tuple[FailureReason, ...]] = {}
        self.allows_plain = timeout is None
        self.is_canceled = False
        self.is_ending = False
        self.streams: Streams | None = None
        self._may_start: dict[str, bool] = {}
        self.when_canceled: Callable[[], None] | None = None
        self._canceled = threading.Event()
        self._version_index: VersionIndex | None = None

    def stored(self, asset_name: str, key: str | None) -> Event | None:
        """Return the event that stored a value: that of this run, else the latest in the storage."""
        event = self.latest.get((asset_name, key))
        if event is None:
            event = self.storage.get_latest_materialization(asset_name, key)
            if event is not None and event.partition_key != key:
                # without a key storages return the newest of all partitions: the asset was partitioned before
                event = self.storage.get_latest_materializations(asset_name).get(key)
        return event

    def stored_each(self, asset_name: str, keys: Sequence[str], step: Step) -> list[Event | None]:
        """Return the events that stored the values of several keys, with few storage queries for a step."""
        if len(keys) <= FEW_KEYS:
            return [self.stored(asset_name, key) for key in keys]
        history = self._histories.get(step.name)
        if history is not None:
            return [history.stored(asset_name, key) for key in keys]
        earlier = self.storage.get_latest_materializations(asset_name)
        return [self.latest.get((asset_name, key)) or earlier.get(key) for key in keys]

    def history_of(self, step: Step) -> History:
        """Return storage lookups that are cached for the duration of a step."""
        history = self._histories.get(step.name)
        if history is None:
            history = self._histories[step.name] = History(self.storage, self.latest)
        return history

    def drop_history(self, step: Step) -> None:
        """Drop the cached lookups of a step."""
        self._histories.pop(step.name, None)

    def past_of(self, step: Step) -> Past:
        """Return the cached lookups of a step if there are some, else uncached ones."""
        return self._histories.get(step.name, self)

    def observed(self, asset_name: str) -> Event | None:
        """Return the newest observation of an asset with a data version."""
        return latest_observation(self.storage, asset_name)

    def new_version(self) -> str:
        """Return a unique data version.

        One random UUID (RFC 9562, version 4) per run is varied in its first group, by a counter times an odd
        factor so that abbreviated versions differ too: a new UUID costs as much as half a step.
        """
        self._version_count += 1
        head = (self._version_count * 0x9E3779B1 & 0xFFFF_FFFF).to_bytes(4, "big").hex()
        return f"{head}-{self._version_rest}"

    def record(
        self,
        event_type: str,
        step: Step,
        *,
        keys: Sequence[PartitionKey] | None = None,
        asset: str | None = None,
        attempt: int = 1,
        message: str,
        metadata: Mapping[str, MetadataValue] | None = None,
        duration_ns: int | None = None,
    ) -> None:
        """Record an event of a step other than a stored value, by default for all its keys, and log it.

        With `keys=()` the event is about the step, not about the one key that it may have left.
        """
        event = Event(
            event_type,
            run_id=self.run_id,
            asset_key=asset or step.owner,
            partition_key=key_text(self.keys.get(step.name) if keys is None else keys),
            metadata=metadata,
            tags=self.tags,
            step=step.name,
            attempt=attempt,
            message=self.without_secrets(message),
            duration_ns=duration_ns,
        )
        self.storage.record(event)
        if event.asset_key == step.owner or step.is_multi:  # the last node of a graph is recorded twice
            log_problem(event)

    def missing_outputs(self, step: Step, keys: Sequence[PartitionKey] | None) -> list[StoredOutput]:
        """Return the outputs of a step that this run has neither stored nor observed for all these keys."""
        texts = (None,) if keys is None else tuple(map(str, keys))
        return [
            output
            for output in self.plan.outputs_of(step)
            if any(
                (output.name, key) not in self.latest and (output.name, key) not in self.observed_outputs
                for key in texts
            )
        ]

    def without_secrets(self, text: str) -> str:
        """Return a message for events and results, without any credential that this run knows."""
        return redact(text, self.secrets)

    def recordable(self, metadata: Mapping[str, MetadataValue]) -> Mapping[str, MetadataValue]:
        """Return metadata for events and results, likewise redacted."""
        secrets = self._secrets
        if secrets is None:
            secrets = self.secrets
        # nearly all metadata is numbers and text without a URL: the loop costs a tenth of a general redaction
        if not secrets:
            for value in metadata.values():
                kind = type(value)
                if kind is IntMetadataValue or (kind is TextMetadataValue and "://" not in value.value):  # type: ignore[attr-defined]
                    continue
                break
            else:
                return dict(metadata)  # the handler and observers may change theirs later
        return redact_metadata(metadata, secrets)

    def recordable_text(self, text: str) -> str:
        """Return a tag or data version for events, likewise redacted."""
        return str(redact_recorded(text, self.secrets))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Spellings of the credentials of all handlers, resources and configurations of this run."""
        if self._secrets is None:
            holders = (*self.plan.handlers, *self.resources.values(), *self.configs.values())
            self._secrets = secret_spellings(secret for holder in holders for secret in secrets_of(holder))
        return self._secrets

    @secrets.setter
    def secrets(self, spellings: tuple[str, ...]) -> None:
        self._secrets = spellings

    def begin_call(
        self,
        step: Step,
        keys: Sequence[PartitionKey] | None,
        attempt: int,
        place: str | None = None,
        started_ns: int | None = None,
    ) -> None:
        """Note that an attempt of a call of a step runs now.

        Args:
            step: The step.
            keys: The partition keys of the call; None without partitions.
            attempt: Number of the attempt, from 1.
            place: Where it runs; None in this process.
            started_ns: `perf_counter_ns` of its start; None for now.
        """
        call = RunningCall(step.name, step.owner, key_text(keys), attempt, place)
        self.running.pop(call, None)  # the key of an earlier attempt is equal, and would stay
        self.running[call] = started_ns or perf_counter_ns()

    def end_call(self, step: Step, keys: Sequence[PartitionKey] | None) -> None:
        """End what `begin_call` began."""
        self.running.pop(RunningCall(step.name, step.owner, key_text(keys)), None)

    def duration_of(self, step: Step, keys: Sequence[PartitionKey] | None) -> int | None:
        """Return for how many nanoseconds an attempt of a call has been running; None if none is running."""
        started = self.running.get(RunningCall(step.name, step.owner, key_text(keys)))
        return None if started is None else perf_counter_ns() - started

    def spent_by(self, step: Step, keys: Sequence[PartitionKey] | None) -> tuple[FailureReason, ...]:
        """Return why attempts of a call failed in an earlier part of a resumed run, in their order."""
        return self.spent.get((step.name, key_text(keys)), ()) if self.spent else ()

    def keep_log(self, log: LogRecord) -> None:
        """Keep a log record of a step in the event log, unless the step has logged too much."""
        count = self.log_counts[log.step] = self.log_counts.get(log.step, 0) + 1
        if count > MAX_LOGS:
            if count > MAX_LOGS + 1:
                return
            log = replace(
                log, level="WARNING", message=f"More than {MAX_LOGS:,} log records; the rest is not kept."
            )
        with suppress(StorageError):  # the next event of the run reports it
            self.storage.record_log(log)

    def cancel(self) -> None:
        """Start no further call and no further attempt; called from any thread, any number of times."""
        is_first, self.is_canceled = not self.is_canceled, True
        self._canceled.set()
        if is_first and self.when_canceled is not None:
            self.when_canceled()

    def pause(self, seconds: float) -> None:
        """Wait in this thread, until the run is canceled at the latest."""
        self._canceled.wait(seconds)

    def skip_canceled(self) -> bool:
        """Skip every step that a cancellation kept from running; return whether it stopped anything."""
        if not self.is_canceled:
            return False
        ended = self.finished | self.failed.keys() | self.skipped.keys()
        for step in self.plan.steps:
            if step.name not in ended:
                self.skip(step, CANCELED)
        reasons = [
            *self.skipped.values(),
            *(text for lost in self.incomplete.values() for text in lost.values()),
        ]
        return bool(self.failed) or CANCELED in reasons

    def may_start(self, step: Step) -> bool:
        """Return whether a step runs; skip it, or those of its keys whose inputs are incomplete."""
        if self.streams is None:
            return self._decide_start(step)
        # a mapped step that this one drives begins first, and is not asked again when its own turn comes
        for mapped in self.streams.driven_steps(step):
            if mapped.name not in self._may_start:
                self._may_start[mapped.name] = self._decide_start(mapped)
        decided = self._may_start.get(step.name)
        return self._decide_start(step) if decided is None else decided

    def _decide_start(self, step: Step) -> bool:
        if step.name in self.finished or self.is_canceled:
            return False
        if self.incomplete and not self._has_inputs(step):
            return False
        if step.name in self.skips_incomplete and not self._has_partitions(step):
            return False
        reason = self.may_skip(step) if self.may_skip is not None else None
        if reason is not None:
            self.finished.add(step.name)
            self.skip(step, reason)
        return reason is None

    def fail(self, step: Step, error: BaseException) -> None:
        """Record that a step failed after its last attempt, for all its keys or only some of them.

        The error shows no credential, nor do its causes.
        """
        self.failed[step.name] = redact_error(error, self.without_secrets)
        reason = f"not run, since {step.name!r} failed"
        keys, failed = self.keys.get(step.name), self.failed_keys.get(step.name)
        if failed:
            self._mark_incomplete(step, {key: f"{reason} for {key}" for key in failed})
            return
        # a batch may have stored some of its keys
        outputs = self.plan.outputs_of(step)
        lost = [k for k in keys or () if any((output.name, str(k)) not in self.latest for output in outputs)]
        self._mark_incomplete(step, dict.fromkeys(lost or keys or (None,), reason))

    def give_up(self, step: Step, reason: str) -> None:
        """Skip a step that had begun, with all its keys, because a step failed whose values it was receiving."""
        self._mark_incomplete(step, dict.fromkeys(self.keys.get(step.name) or (None,), reason))
        self.skip(step, reason)

    def all_keys(self, definition: PartitionsDefinition | None) -> Sequence[PartitionKey]:
        """Return every current key of a definition; dynamic ones come from the storage."""
        return existing_keys(definition, self.storage)

    def _mark_incomplete(self, step: Step, reasons: Mapping[PartitionKey | None, str]) -> None:
        self.incomplete.setdefault(step.name, {}).update(reasons)

    def _has_inputs(self, step: Step) -> bool:
        """Skip a step, or those of its keys, that need what failed or was skipped; return whether some are left."""
        blockers = [name for name in self.plan.after[step.name] if name in self.incomplete]
        if not blockers:
            return True
        keys = self.keys.get(step.name)
        reasons: dict[PartitionKey | None, str] = {}
        for key in keys or (None,):
            reason = next((text for name in blockers if (text := self._why_blocked(step, key, name))), None)
            if reason is not None:
                reasons[key] = reason
        return not reasons or self._leave_out_keys(step, keys, reasons)

    def _has_partitions(self, step: Step) -> bool:
        """Skip a step, or its keys, whose needed partitions were never stored; return whether some are left."""
        keys = self.keys.get(step.name)
        reasons = {
            key: reason for key in keys or (None,) if (reason := self._unstored_input(step, key)) is not None
        }
        return not reasons or self._leave_out_keys(step, keys, reasons)

    def _unstored_input(self, step: Step, key: PartitionKey | None) -> str | None:
        """Return which partitions of a step of this plan one key of a step lacks; None if its inputs are complete."""
        for needed in step.inputs:
            upstream, mapping = needed.upstream, needed.mapping
            if (
                mapping is None
                or mapping.allows_missing
                or upstream.step_name not in self.plan.after[step.name]
            ):
                continue
            with suppress(PartitionValidationError):  # a key that maps to nothing fails when it runs
                keys = needed_keys(needed, step, () if key is None else (key,), self.past_of(step))
                events = self.stored_each(upstream.name, [str(need) for need in keys], step)
                missing = [need for need, event in zip(keys, events, strict=True) if event is None]
                if missing and not is_stored_unrecorded(needed, missing[0]):
                    return (
                        f"not run, since {upstream.name!r} is not materialized for {len(missing)} of the {len(keys)} "
                        f"partition keys that it needs: {shown_keys(missing)}"
                    )
        return None

    def _leave_out_keys(
        self, step: Step, keys: Sequence[PartitionKey] | None, reasons: Mapping[PartitionKey | None, str]
    ) -> bool:
        """Skip a step, or some of its keys, and return whether keys are left."""
        if keys is None or len(reasons) == len(keys):
            self._mark_incomplete(step, reasons)
            self.skip(step, next(iter(reasons.values())))
            return False
        self.record("StepSkipped", step, message=self.leave_out(step, reasons))
        self.keys[step.name] = [key for key in keys if key not in reasons]
        return True

    def _why_blocked(self, step: Step, key: PartitionKey | None, blocker: str) -> str | None:
        """Return why an incomplete step blocks one key of another step; None if that does not need what is missing."""
        reasons = self.incomplete[blocker]
        if None in reasons:
            own = () if key is None else (key,)
            needs = any(is_selected(needed, step, own) for needed in step.needs_of(blocker))
            return reasons[None] if needs else None
        missing = self.lost_input(step, key, blocker, reasons)
        return None if missing is None else reasons[missing]

    def lost_input(
        self, step: Step, key: PartitionKey | None, upstream: str, lost: Collection[PartitionKey | None]
    ) -> PartitionKey | None:
        """Return the first key of an upstream step that one key of a step needs and that is among the lost ones.

        Args:
            step: The consumer.
            key: Its key; None without partitions.
            upstream: Name of the upstream step, which may be the consumer itself.
            lost: Keys of the upstream that failed or were skipped, at least one.
        """
        own = () if key is None else (key,)
        for needed in step.needs_of(upstream):
            if needed.mapping is None:  # awaited without a mapping: all keys are needed
                return next(iter(lost))
            with suppress(PartitionValidationError):  # a key that maps to nothing fails when it runs
                for need in needed_keys(needed, step, own, self.past_of(step)):
                    if need in lost:
                        return need
        return None

    def leave_out(self, step: Step, reasons: Mapping[PartitionKey | None, str]) -> str:
        """Note that some keys of a step are skipped behind a failure, and return the description."""
        self._mark_incomplete(step, reasons)
        total, first = len(self.keys[step.name]), next(iter(reasons.values()))
        message = f"{len(reasons)} of the {total} partition keys ({shown_keys(reasons)}): {first}"
        self.narrowed.setdefault(step.name, []).append(message)
        return message

    def skip(self, step: Step, message: str) -> None:
        """Record that a step is skipped, and why."""
        self.skipped[step.name] = message
        self.record("StepSkipped", step, message=message)

    def narrow(self, step: Step, keys: Sequence[PartitionKey], message: str) -> None:
        """Restrict a step to keys whose values are not stored yet, and record why."""
        self.leave_out_stored(step, keys, message)
        self._record_narrowed(step)

    def leave_out_stored(self, step: Step, keys: Sequence[PartitionKey], message: str) -> None:
        """Restrict a step to keys whose values are not stored yet, before the run starts."""
        self.narrowed.setdefault(step.name, []).append(message)
        self.keys[step.name] = keys

    def record_narrowed(self) -> None:
        """Record which steps were restricted before the run started."""
        for step in self.plan.steps if self.narrowed else ():
            if step.name in self.narrowed:
                self._record_narrowed(step)

    def _record_narrowed(self, step: Step) -> None:
        left = MetadataValue.int(len(self.keys[step.name]) * len(self.plan.outputs_of(step)))
        message = self.narrowed[step.name][-1]
        self.record("StepSkipped", step, keys=(), message=message, metadata={TO_STORE: left})

    def is_over_several(self, step: Step) -> bool:
        """Return whether one call of a step handles several requested keys, so that it receives `{key: value}`."""
        if not step.partition_batches:
            return False
        return len(self.keys.get(step.name, ())) > 1 or step.name in self.narrowed

    def notes_of(self, step_owner: str) -> InputNotes:
        """Return the notes about the inputs of a step, by the name that users know."""
        notes = self.notes.get(step_owner)
        if notes is None:
            notes = self.notes.setdefault(step_owner, InputNotes())  # several threads may load
        return notes

    @property
    def version_index(self) -> VersionIndex:
        """Events by stored version, for loaded values that are not those of the latest events."""
        if self._version_index is None:
            self._version_index = VersionIndex(self.storage)
        return self._version_index

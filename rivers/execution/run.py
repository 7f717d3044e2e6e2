"""State of one run, shared by its steps."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from rivers.execution.keys import existing_keys
from rivers.execution.lineage import latest_observation
from rivers.storage import Event
from rivers_core.metadata import MetadataValue
from rivers_core.redaction import (
    redact,
    redact_error,
    redact_metadata,
    redact_recorded,
    secret_spellings,
    secrets_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rivers.definitions.retry import RetryPolicy
    from rivers.graph.plan import Plan, Step
    from rivers.storage import EventStorage
    from rivers_core.contexts import InputContext
    from rivers_core.hooks.observers import Observers
    from rivers_core.partitions import PartitionKey, PartitionsDefinition


FEW_KEYS = 8

SERVED_BY = "rivers/served_by"
TO_STORE = "rivers/to_store"


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
        stop_at_failure: Whether the first failed step ends the run.
        latest: Events of values that this run stored, by asset and display form of the key.
        finished: Names of the finished steps.
        resumed: Asset and key of values that an earlier part of this run stored.
        may_skip: Returns why a step is skipped, called when its turn comes; None runs all steps.
        failed: Error of each failed step.
        skipped: Why each skipped step was not run.
        narrowed: Description of the keys that a step leaves out, by name of the step.
        served: Place that served an input, by step, asset and partition, for handlers that read from several places.
    """

    __slots__ = (
        "_secrets",
        "_version_count",
        "_version_rest",
        "configs",
        "failed",
        "finished",
        "keys",
        "latest",
        "may_skip",
        "narrowed",
        "observers",
        "plan",
        "resources",
        "resumed",
        "retry",
        "run_id",
        "served",
        "skipped",
        "stop_at_failure",
        "storage",
        "tags",
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
        self.stop_at_failure = stop_at_failure
        self.may_skip: Callable[[Step], str | None] | None = None
        head, self._version_rest = str(uuid.uuid4()).split("-", 1)
        self._version_count = int(head, 16)
        self.latest: dict[tuple[str, str | None], Event] = {}
        self.finished: set[str] = set()
        self.resumed: set[tuple[str, str | None]] = set()
        self.failed: dict[str, BaseException] = {}
        self.skipped: dict[str, str] = {}
        self.narrowed: dict[str, str] = {}
        self._secrets: tuple[str, ...] | None = None
        if tags:
            self.tags = tuple((name, self.recordable_text(value)) for name, value in tags)
        self.served: dict[str, dict[str, dict[str | None, str]]] = {}

    def stored(self, asset_name: str, key: str | None) -> Event | None:
        """Return the event that stored a value: that of this run, else the latest in the storage."""
        event = self.latest.get((asset_name, key))
        if event is None:
            event = self.storage.get_latest_materialization(asset_name, key)
            if event is not None and event.partition_key != key:
                # without a key storages return the newest of all partitions: the asset was partitioned before
                event = self.storage.get_latest_materializations(asset_name).get(key)
        return event

    def stored_each(self, asset_name: str, keys: Sequence[str]) -> list[Event | None]:
        """Return the events that stored the values of several keys, with few storage queries."""
        if len(keys) <= FEW_KEYS:
            return [self.stored(asset_name, key) for key in keys]
        earlier = self.storage.get_latest_materializations(asset_name)
        return [self.latest.get((asset_name, key)) or earlier.get(key) for key in keys]

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
        asset: str | None = None,
        attempt: int = 1,
        message: str,
        metadata: Mapping[str, MetadataValue] | None = None,
    ) -> None:
        """Record an event of a step other than a stored value."""
        key = self.keys.get(step.name)
        self.storage.record(
            Event(
                event_type,
                run_id=self.run_id,
                asset_key=asset or step.owner,
                partition_key=str(key[0]) if key is not None and len(key) == 1 else None,
                metadata=metadata,
                tags=self.tags,
                step=step.name,
                attempt=attempt,
                message=self.without_secrets(message),
            )
        )

    def without_secrets(self, text: str) -> str:
        """A message as it may be recorded and shown: without any credential that this run knows of."""
        return redact(text, self.secrets)

    def recordable(self, metadata: Mapping[str, MetadataValue]) -> Mapping[str, MetadataValue]:
        """Metadata as it may be recorded and shown, likewise."""
        secrets = self._secrets
        if secrets is None:
            secrets = self.secrets
        return redact_metadata(metadata, secrets)

    def recordable_text(self, text: str) -> str:
        """A tag or data version as it may be recorded, likewise."""
        return str(redact_recorded(text, self.secrets))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Spellings of the credentials of all handlers, resources and configurations of this run."""
        if self._secrets is None:
            bindings = [loaded.binding for step in self.plan.steps for loaded in step.inputs]
            bindings += [o.binding for step in self.plan.steps for o in step.outputs if o.binding is not None]
            handlers = {id(binding.handler): binding.handler for binding in bindings}
            holders = (*handlers.values(), *self.resources.values(), *self.configs.values())
            self._secrets = secret_spellings(secret for holder in holders for secret in secrets_of(holder))
        return self._secrets

    def may_start(self, step: Step) -> bool:
        """Return whether a step runs; skip it if it depends on a failed or skipped step."""
        if step.name in self.finished:
            return False
        blocker = self.blocked_by(step) if self.failed or self.skipped else None
        if blocker is not None:
            self.skip(step, self.skipped.get(blocker) or f"not run, since {blocker!r} failed")
            return False
        reason = self.may_skip(step) if self.may_skip is not None else None
        if reason is not None:
            self.finished.add(step.name)
            self.skip(step, reason)
        return reason is None

    def fail(self, step: Step, error: BaseException) -> None:
        """Record that a step failed after its last attempt; the error shows no credential, nor do its causes."""
        self.failed[step.name] = redact_error(error, self.without_secrets)

    def all_keys(self, definition: PartitionsDefinition | None) -> Sequence[PartitionKey]:
        """Return every current key of a definition; dynamic ones come from the storage."""
        return existing_keys(definition, self.storage)

    def blocked_by(self, step: Step) -> str | None:
        """Return the failed or skipped step that blocks `step`, if any."""
        for name in self.plan.after[step.name]:
            if name not in self.finished:
                return name
        return None

    def skip(self, step: Step, message: str) -> None:
        """Record that a step is skipped, and why."""
        self.skipped[step.name] = message
        self.record("StepSkipped", step, message=message)

    def narrow(self, step: Step, keys: Sequence[PartitionKey], message: str) -> None:
        """Restrict a step over several keys to some of them, and record why; it still counts as one over several."""
        self.narrowed[step.name] = message
        left = MetadataValue.int(len(keys) * len(self.plan.outputs_of(step)))
        self.record("StepSkipped", step, message=message, metadata={TO_STORE: left})
        self.keys[step.name] = keys

    def is_over_several(self, step: Step) -> bool:
        """Return whether several keys of a step were requested, so that it loads and returns one value for each."""
        return len(self.keys.get(step.name, ())) > 1 or step.name in self.narrowed

    def note_served(self, context: InputContext) -> None:
        """Remember the place that an input came from, as reported by its handler."""
        assert context.served_by is not None
        partition = context.partition
        keys = None if partition is None else ", ".join(map(str, partition.keys))
        of_step = self.served.setdefault(context.downstream_asset, {})
        of_step.setdefault(context.asset_name, {})[keys] = context.served_by

    def served_inputs(self, step: Step) -> dict[str, MetadataValue] | None:
        """Return metadata about the places that the inputs of a step came from, as `rivers/served_by`.

        This is one place per asset if all its partitions came from there; else the partitions by place, or
        their number if there are too many to list.
        """
        served = self.served.get(step.owner)
        if served is None:
            return None
        return {SERVED_BY: MetadataValue.json({name: _by_place(of_keys) for name, of_keys in served.items()})}


def _by_place(served: Mapping[str | None, str]) -> str | dict[str, list[str] | int]:
    places: dict[str, list[str]] = {}
    for keys, place in served.items():
        places.setdefault(place, []).append(str(keys))
    if len(places) == 1:
        return next(iter(places))
    return {place: keys if len(keys) <= FEW_KEYS else len(keys) for place, keys in sorted(places.items())}

"""Copying stored values from one handler to another, checked, and recorded so that nothing counts as changed."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, Literal

from rivers_cli.probing import is_equal, said
from rivers_core.authoring import resolve_awaitable
from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import ConflictError, IntegrityError, NotMaterializedError
from rivers_core.partitions import PartitionContext, PartitionKey, PartitionsDefinition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rivers.graph.plan import StoredOutput
    from rivers.storage import Event, EventStorage
    from rivers_core.handler import BaseIOHandler

TAG: Final = "rivers/migrated_from"
"""The tag of events that tell of a copy; its value is the handler that the value came from."""

State = Literal["to copy", "copied", "there already", "failed"]


@dataclass(slots=True)
class Endpoint:
    """One side of a migration.

    Attributes:
        name: The handler, `name` or `name@environment`.
        label: How events name it.
        handler_for: Gives the handler of an asset, with what plugins put around it.
        storage: The history of its environment.
    """

    name: str
    label: str
    handler_for: Callable[[str], BaseIOHandler]
    storage: EventStorage


@dataclass(slots=True)
class Value:
    """One stored value, of one asset and partition.

    Attributes:
        event: What the source's history says about it; None if it says nothing.
        state: What became of it.
        message: Why it failed.
        source: Its address before.
        target: Its address after.
    """

    output: StoredOutput
    key: PartitionKey | None
    event: Event | None
    state: State = "to copy"
    message: str = ""
    source: str | None = None
    target: str | None = None
    duration_ns: int = 0

    @property
    def partition(self) -> str | None:
        """The display form of its key."""
        return None if self.key is None else str(self.key)


@dataclass(slots=True)
class Migration:
    """Copies values; what an earlier attempt has copied is recognised and left alone.

    Args:
        source: Where values are.
        target: Where they are to be.
        run_id: The run under which copies are recorded.
        overwrite: Replace other values that are at the target.
    """

    source: Endpoint
    target: Endpoint
    run_id: str
    overwrite: bool = False
    done: list[Value] = field(default_factory=list)
    _at_target: dict[str, dict[str | None, Event]] = field(default_factory=dict)

    def values(self, outputs: Sequence[StoredOutput]) -> Iterator[Value]:
        """Every value of some assets that the source holds, with its addresses.

        Args:
            outputs: The assets.
        """
        for output in outputs:
            for key, event in self._stored(output):
                value = Value(output, key, event)
                loading, storing = self._contexts(value)
                value.source = self.source.handler_for(output.name).describe_address(loading)
                value.target = self.target.handler_for(output.name).describe_address(storing)
                is_known = self._is_recorded(value) and self._has_its_keys(value)
                if is_known and _is_there(self.target, output.name, loading):
                    value.state = "there already"
                yield value

    def copy(self, value: Value) -> Value:
        """Copy one value, load it back, compare, and record it.

        Args:
            value: What to copy; gets its state.
        """
        self.done.append(value)
        if value.state == "there already":
            return value
        started = perf_counter_ns()
        try:
            value.state = self._copied(value)
        except Exception as error:
            value.state, value.message = "failed", said(error)
        value.duration_ns = perf_counter_ns() - started
        return value

    def _copied(self, value: Value) -> State:
        loading, storing = self._contexts(value)
        name = value.output.name
        target = self.target.handler_for(name)
        original = resolve_awaitable(self.source.handler_for(name).load_input(loading))
        may_replace = self.overwrite or self._earlier_copy(value) is not None
        if not may_replace and resolve_awaitable(target.exists(loading)):
            if not _is_same(original, resolve_awaitable(target.load_input(loading))):
                raise ConflictError(
                    f"another value is at {value.target or self.target.name}; --overwrite replaces it."
                )
            self._record(value, storing)
            return "there already"
        resolve_awaitable(target.handle_output(storing, original))
        has_same_version = value.event is not None and storing.data_version == value.event.data_version
        if not has_same_version and not _is_same(original, resolve_awaitable(target.load_input(loading))):
            raise IntegrityError(
                f"what was loaded back from {value.target or self.target.name} is not what was stored."
            )
        self._record(value, storing)
        return "copied"

    def _record(self, value: Value, storing: OutputContext) -> None:
        """Tell the target's history; the versions stay those of the source, so that nothing becomes stale."""
        from rivers.storage import Event

        for name, keys in _dynamic_keys(value):
            self.target.storage.add_dynamic_partitions(name, keys)
        told = value.event
        self.target.storage.record(
            Event(
                "Materialization",
                run_id=self.run_id,
                asset_key=value.output.name,
                partition_key=value.partition,
                metadata=storing.output_metadata,
                data_version=storing.data_version if told is None else told.data_version,
                code_version=value.output.code_version if told is None else told.code_version,
                input_data_versions=() if told is None else told.input_data_versions,
                tags=((TAG, self.source.name),),
                handler=self.target.label,
                step=value.output.step_name,
            )
        )

    def _is_recorded(self, value: Value) -> bool:
        copied = self._earlier_copy(value)
        return (
            copied is not None and value.event is not None and copied.data_version == value.event.data_version
        )

    def _has_its_keys(self, value: Value) -> bool:
        """Whether a value can be asked for at the target: the keys of dynamic partitions live in the history."""
        has = self.target.storage.has_dynamic_partition
        return all(has(name, key) for name, keys in _dynamic_keys(value) for key in keys)

    def _earlier_copy(self, value: Value) -> Event | None:
        """What the target's history says last about a value there, if that is a copy from the same source."""
        name = value.output.name
        if name not in self._at_target:
            self._at_target[name] = _last_stored(self.target, value.output)
        event = self._at_target[name].get(value.partition)
        if event is None or (TAG, self.source.name) not in [tuple(tag) for tag in event.tags]:
            return None
        return event

    def _stored(self, output: StoredOutput) -> Iterator[tuple[PartitionKey | None, Event | None]]:
        history = _last_stored(self.source, output)
        if output.partitions_def is None:
            if None in history or self._exists(output, None):
                yield None, history.get(None)
            return
        from rivers.execution.keys import existing_keys

        for key in existing_keys(output.partitions_def, self.source.storage):
            if str(key) in history or (not history and self._exists(output, key)):
                yield key, history.get(str(key))

    def _exists(self, output: StoredOutput, key: PartitionKey | None) -> bool:
        loading, _ = self._contexts(Value(output, key, None))
        return _is_there(self.source, output.name, loading)

    def _contexts(self, value: Value) -> tuple[InputContext, OutputContext]:
        output = value.output
        partition = None if value.key is None else PartitionContext([value.key], output.partitions_def)
        loading = InputContext(
            output.name, "migrate", output.metadata, partition, output.type_hint, run_id=self.run_id,
            upstream=value.event,
        )  # fmt: skip
        storing = OutputContext(
            output.name, output.metadata, partition, output.type_hint, run_id=self.run_id,
            step_name=output.step_name,
        )  # fmt: skip
        return loading, storing


def _dynamic_keys(value: Value) -> Iterator[tuple[str, list[str]]]:
    """The keys of dynamic partitions in the key of a value, by name of the definition."""
    definition, key = value.output.partitions_def, value.key
    if isinstance(key, PartitionKey.Single):
        if isinstance(definition, PartitionsDefinition.Dynamic):
            yield definition.name, key.key
    elif isinstance(definition, PartitionsDefinition.Multi) and isinstance(key, PartitionKey.Multi):
        for dimension, part in definition.dimensions.items():
            if isinstance(part, PartitionsDefinition.Dynamic):
                yield part.name, key.keys[dimension]


def _is_there(place: Endpoint, asset: str, loading: InputContext) -> bool:
    try:
        return bool(resolve_awaitable(place.handler_for(asset).exists(loading)))
    except NotMaterializedError:
        return False


def _last_stored(place: Endpoint, output: StoredOutput) -> dict[str | None, Event]:
    """The last event by which one handler stored each partition of an asset, whatever others stored since."""
    found: dict[str | None, Event] = {}
    for event in place.storage.get_events_for_asset(output.name, limit=None):
        if event.event_type == "Materialization" and event.handler == place.label:
            found.setdefault(event.partition_key, event)
    return found


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are equal; objects that cannot be compared are, if they are pickled alike."""
    if is_equal(one, other):
        return True
    try:
        return pickle.dumps(one, protocol=5) == pickle.dumps(other, protocol=5)
    except Exception:
        return False

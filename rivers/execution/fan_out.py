"""Execute mapped steps, one instance per element of their source, and load what the instances stored.

A collector with `collect_stream` receives each value as soon as it is stored: see `Streams`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from rivers.definitions.fan_out import DYNAMIC_KEYS, ENDED_KEYS
from rivers.exceptions import ExecutionError, NotMaterializedError
from rivers.execution.fan_in import load_each
from rivers.execution.handler_calls import add_location
from rivers.execution.inputs import load_input
from rivers.execution.lineage import combined_version, input_versions
from rivers.execution.redaction import redact_error
from rivers.execution.retries import NotRunError, is_failure
from rivers.execution.staleness import is_gone_from_memory
from rivers.graph.plan import MappedInstance
from rivers.storage import Event
from rivers.storage.events import MATERIALIZATION
from rivers_core.authoring import counted, resolve_awaitable
from rivers_core.awaitables import run_sync
from rivers_core.contexts import InputContext
from rivers_core.metadata import MetadataValue
from rivers_core.partitions import PartitionContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
    from concurrent.futures import Future

    from rivers.execution.run import Run
    from rivers.graph.plan import CollectedInput, Step
    from rivers_core.partitions import PartitionKey

    Keys = Sequence[PartitionKey] | None
    Call = Callable[[Step, Run, Keys], Awaitable[None]]


class UpstreamFailedError(BaseException):
    """A collector cannot continue, because a mapped step failed whose values it receives as they are finished.

    Args:
        name: Name of the mapped step.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"stopped, since {name!r} failed")


class MappedCall:
    """One call of a mapped step: each instance is a step, named `graph/task__0` or after its `DynamicOutput`.

    Collectors that receive values as they are finished read from it while it runs, in any thread.

    Args:
        step: The mapped step.
        run: The run of the step.
        keys: The partition key of the call; None without partitions.

    Attributes:
        names: Keys of the instances, in the order of the source; None until the source is loaded.
        ended: Keys of the instances whose values are stored, in the order in which they ended.
        errors: Error of each instance that failed, by name of its step.
        problem: Why the source could not be loaded, if a collector tried to.
        event: The event of the node, once all instances are stored.
        is_closed: Whether the mapped step has ended; no further value comes.
    """

    def __init__(self, step: Step, run: Run, keys: Keys) -> None:
        self._step = step
        self._run = run
        self._keys = keys
        self._started = perf_counter_ns()
        self._to_run: deque[Step] = deque()
        self._stored: set[str] = set()
        self._is_interrupted = False
        self._change = threading.Condition()
        self._watchers: list[Callable[[], object]] = []
        self.names: list[str] | None = None
        self.ended: list[str] = []
        self.errors: dict[str, BaseException] = {}
        self.problem: BaseException | None = None
        self.event: Event | None = None
        self.is_closed = False

    @property
    def _key(self) -> str | None:
        return None if self._keys is None else str(self._keys[0])

    # ------------------------------------------------------------------ execution

    async def open(self, *, overlaps: bool) -> None:
        """Load the source and name the instances; those that an earlier part of a resumed run stored have ended.

        Args:
            overlaps: Whether the event loop must stay free meanwhile.
        """
        if self.names is not None:
            return
        if self.problem is not None:
            raise self.problem
        step, run = self._step, self._run
        names, elements = await _loaded_elements(step, run, self._keys, overlaps=overlaps)
        instances = [
            instance_of(step, f"{step.name}__{name}", element)
            for name, element in zip(names, elements, strict=True)
        ]
        if step.name in run.configs:
            config = run.configs[step.name]
            run.configs = {**run.configs, **{instance.name: config for instance in instances}}
        done = _stored_before(run, self._keys, instances)
        with self._changed():
            self._to_run.extend(instance for instance in instances if instance.name not in done)
            self.ended += [name for name in names if f"{step.name}__{name}" in done]
            self._stored.update(self.ended)
            self.names = names

    async def run_instances(self, call: Call, *, overlaps: bool) -> None:
        """Execute the instances that have not run, at once if they may overlap; see `map_elements`."""
        assert self._step.fan_out is not None
        if not overlaps:
            while self._to_run and not self._is_stopped:
                await self._run_next(call)
            return
        gate = asyncio.Semaphore(self._step.fan_out.max_concurrency or max(len(self._to_run), 1))

        async def run_gated() -> BaseException | None:
            async with gate:
                if self._is_stopped:
                    return None
                try:
                    await self._run_next(call)
                except (KeyboardInterrupt, SystemExit) as error:  # raised in a task, these end the event loop
                    self._is_interrupted = True
                    return error
            return None

        # all are awaited, also after an interrupt: a value that was stored elsewhere must be recorded
        waiting = [run_gated() for _ in self._to_run]
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            if outcome is not None:
                raise outcome

    @property
    def _is_stopped(self) -> bool:
        return self._is_interrupted or (bool(self.errors) and self._run.stop_at_failure)

    async def _run_next(self, call: Call) -> None:
        instance = self._to_run.popleft()
        try:
            await call(instance, self._run, self._keys)
        except BaseException as error:
            if not is_failure(error, self._step):
                raise
            with self._changed():
                self.errors[instance.name] = error
        else:
            with self._changed():
                name = instance.name.removeprefix(f"{self._step.name}__")
                self.ended.append(name)
                self._stored.add(name)

    def record(self) -> None:
        """Record the event of the node, which remembers the instances and their common data version.

        Raises:
            BaseException: The error of the first instance that failed, in the order of the source.
        """
        if self.event is not None:
            return
        step, run, names = self._step, self._run, self.names or []
        failed = [name for name in (f"{step.name}__{name}" for name in names) if name in self.errors]
        for name in failed:
            run.failed[name] = redact_error(self.errors[name], run.without_secrets)
        if failed:
            raise self.errors[failed[0]]
        stored = [(name, run.stored(name, self._key)) for name in (f"{step.name}__{name}" for name in names)]
        versions = [(name, (event and event.data_version) or "") for name, event in stored]
        metadata = {DYNAMIC_KEYS: MetadataValue.json(names)}
        if self.ended != names and _is_collected_in_any_order(step, run):
            metadata[ENDED_KEYS] = MetadataValue.json(self.ended)
        event = Event(
            MATERIALIZATION,
            run_id=run.run_id,
            asset_key=step.name,
            partition_key=self._key,
            metadata=run.recordable(metadata),
            data_version=combined_version(versions),
            code_version=step.outputs[0].code_version,
            input_data_versions=input_versions(step, self._keys or (), run.history_of(step)),
            tags=run.tags,
            step=step.name,
            duration_ns=perf_counter_ns() - self._started,
        )
        run.storage.record(event)
        run.latest[step.name, self._key] = event
        with self._changed():
            self.event = event

    # ------------------------------------------------------------------ reading while it runs

    def close(self) -> None:
        """Let readers know that no further value comes."""
        with self._changed():
            self.is_closed = True

    @contextmanager
    def _changed(self) -> Iterator[None]:
        with self._change:
            yield
            self._change.notify_all()
            watchers = list(self._watchers)
        for notify in watchers:
            notify()

    def _lost(self) -> BaseException:
        """Return the error of a reader that gets no further value."""
        if not self.errors and self.problem is None and (self._run.is_canceled or self._run.is_ending):
            return NotRunError()
        return UpstreamFailedError(self._step.name)

    def _name_at(self, position: int, *, ordered: bool) -> str | None:
        """Return the key of the value at a position if it is stored.

        Raises:
            StopIteration: There are no more values.
            BaseException: See `_lost`.
        """
        if self.names is not None:
            if position == len(self.names):
                raise StopIteration
            if not ordered and position < len(self.ended):
                return self.ended[position]
            if ordered and self.names[position] in self._stored:
                return self.names[position]
            has_failed = (
                f"{self._step.name}__{self.names[position]}" in self.errors
                if ordered
                else len(self.ended) + len(self.errors) == len(self.names)
            )
            if has_failed or self._is_stopped:
                raise self._lost()
        if self.is_closed or self.problem is not None:
            raise self._lost()
        return None

    def read(self, position: int, *, ordered: bool, call: Call | None) -> str:
        """Return the key of the value at a position, once it is stored.

        Args:
            position: Number of values that were read.
            ordered: Whether values have the order of the source.
            call: Executes an instance in this thread when its value is needed; None waits for other threads.

        Raises:
            StopIteration: There are no more values.
            UpstreamFailedError: The value does not come.
            NotRunError: Likewise, since the run ends.
        """
        while True:
            with self._change:
                name = self._name_at(position, ordered=ordered)
                if name is not None:
                    return name
                if call is None:
                    self._change.wait()
                    continue
            _run_here(self._advance(call))

    async def _advance(self, call: Call) -> None:
        if self.names is None:
            self._run.begin_call(self._step, self._keys, 1)
            try:
                await self.open(overlaps=False)
            except BaseException as error:
                if not is_failure(error, self._step):
                    raise
                self.problem = error
        else:
            await self._run_next(call)

    async def read_on_loop(self, position: int, *, ordered: bool) -> str | None:
        """Return the key of the value at a position, once it is stored; None after the last one; see `read`."""
        name: str | None = None

        def is_read() -> bool:
            nonlocal name
            try:
                name = self._name_at(position, ordered=ordered)
            except StopIteration:
                return True
            return name is not None

        await self._until(is_read)
        return name

    async def finish(self, call: Call | None, *, on_loop: bool) -> None:
        """Return when the event of the node is recorded; with `call`, execute the rest of its instances.

        Raises:
            UpstreamFailedError: An instance failed.
            NotRunError: The run ends.
        """
        if call is not None:
            while self.names is None and self.problem is None:
                await self._advance(call)
            if self.problem is None:
                await self.run_instances(call, overlaps=False)
            if self.problem is not None or self.errors:
                raise self._lost()
            self.record()
            return

        def has_ended() -> bool:
            if self.event is None and (self.is_closed or self._is_stopped):
                raise self._lost()
            return self.event is not None

        if on_loop:
            await self._until(has_ended)
            return
        with self._change:
            while not has_ended():
                self._change.wait()

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait on the event loop until a condition holds, which changes of this call may make true."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def notify() -> None:
            with suppress(RuntimeError):  # the loop has just been closed
                loop.call_soon_threadsafe(changed.set)

        with self._change:
            self._watchers.append(notify)
        try:
            while True:
                changed.clear()
                with self._change:
                    if condition():
                        return
                await changed.wait()
        finally:
            with self._change:
                self._watchers.remove(notify)


def _run_here(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that suspends only for values that other threads store."""
    while True:
        try:
            write: Future[Any] = coroutine.send(None)
        except StopIteration:
            return
        try:
            wait([write])
        except BaseException:  # an interrupt: a value that is stored must be recorded
            wait([write])
            with suppress(StopIteration):
                coroutine.send(None)
            raise


class Streams:
    """Collectors of one run that receive the values of mapped steps as they are finished.

    If a mapped step and its collectors run in the calling thread, a collector drives the instances: each runs when
    its value is needed, and the mapped step executes what is left when its turn comes, after the collectors.
    Otherwise both run at once.

    Attributes:
        after: Like `Plan.after`, for the order of execution: steps that are driven come after their collectors.
        begun_by: Collectors that may start as soon as a mapped step has begun, by its name.
        driven_by: Names of the mapped steps that a collector drives, by name of the collector.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._steps = {step.name: step for step in run.plan.steps}
        self._calls: dict[tuple[str, str | None], MappedCall] = {}
        self._closed: set[str] = set()
        self._lock = threading.Lock()
        self.after: dict[str, set[str]] = {name: set(names) for name, names in run.plan.after.items()}
        self.begun_by: dict[str, list[Step]] = {}
        self.driven_by: dict[str, list[str]] = {}
        for mapped, collectors in self._pairs().items():
            if self._is_here(self._steps[mapped]) and all(map(self._is_here, collectors)):
                self._drive(mapped, collectors)
            else:
                early = [
                    collector
                    for collector in collectors
                    if not (self._is_here(collector) and self._is_here(self._steps[mapped]))
                ]
                if early:
                    self.begun_by[mapped] = early

    @classmethod
    def of(cls, run: Run) -> Streams | None:
        """Return the streams of a run; None if no collector starts early.

        `only_stale` compares what the instances stored, so that collectors have to wait.
        """
        if not run.plan.has_streams or run.may_skip is not None or run.timeout is not None:
            return None
        streams = cls(run)
        return streams if streams.begun_by or streams.driven_by else None

    def _pairs(self) -> dict[str, list[Step]]:
        """Return the collectors that can start before a mapped step has ended, by its name.

        The time limit of a collector must not include that of the instances. In another process, it cannot see what
        is finished; and a plain iterator would block the event loop.
        """
        pairs: dict[str, list[Step]] = {}
        for step in self._run.plan.steps:
            if not step.collected or step.timeout is not None or step.name in self._run.elsewhere:
                continue
            for name in dict.fromkeys(item.mapped.name for item in step.collected):
                items = [item for item in step.collected if item.mapped.name == name]
                if name not in self._steps or name in self._run.finished:
                    continue
                if all(item.is_stream and (item.is_async or not step.is_async) for item in items):
                    pairs.setdefault(name, []).append(step)
        return pairs

    def _is_here(self, step: Step) -> bool:
        return not step.needs_loop and step.name not in self._run.elsewhere

    def _drive(self, mapped: str, collectors: Sequence[Step]) -> None:
        """Order a mapped step after its collectors, unless one of these needs another step that needs it."""
        names = [collector.name for collector in collectors]
        original = {name: self.after[name] for name in names}
        for name in names:
            self.after[name] = (self.after[name] | self.after[mapped]) - {mapped}
        if any(mapped in self._before(name) for name in names):
            self.after.update(original)
            return
        self.after[mapped] = self.after[mapped] | set(names)
        for name in names:
            self.driven_by.setdefault(name, []).append(mapped)

    def _before(self, name: str) -> set[str]:
        before, pending = set[str](), [name]
        while pending:
            new = self.after[pending.pop()] - before
            before |= new
            pending += new
        return before

    def in_order(self) -> list[Step]:
        """Return the steps in an order of execution, each driven step directly after its collectors."""
        placed: dict[str, Step] = {}
        for step in self._run.plan.steps:
            pending = [step.name]
            while pending:
                missing = [name for name in self.after[pending[-1]] if name not in placed]
                if missing:
                    pending += missing
                else:
                    name = pending.pop()
                    placed[name] = self._steps[name]
        return list(placed.values())

    def is_early(self, collector: str, mapped: str) -> bool:
        """Return whether a collector receives values of a mapped step as they are finished."""
        return self.is_driven(collector, mapped) or any(
            step.name == collector for step in self.begun_by.get(mapped, ())
        )

    def is_driven(self, collector: str, mapped: str) -> bool:
        """Return whether a collector drives the instances of a mapped step."""
        return mapped in self.driven_by.get(collector, ())

    def driven_steps(self, collector: Step) -> list[Step]:
        """Return the mapped steps that a collector drives."""
        return [self._steps[name] for name in self.driven_by.get(collector.name, ())]

    def early_for(self, collector: Step) -> list[str]:
        """Return the names of the mapped steps whose values a collector receives as they are finished."""
        names = dict.fromkeys(item.mapped.name for item in collector.collected)
        return [name for name in names if self.is_early(collector.name, name)]

    def call(self, mapped: str, keys: Keys) -> MappedCall:
        """Return the call of a mapped step for a key, which it shares with its collectors."""
        key = None if keys is None else str(keys[0])
        with self._lock:
            call = self._calls.get((mapped, key))
            if call is None:
                call = self._calls[mapped, key] = MappedCall(self._steps[mapped], self._run, keys)
                call.is_closed = mapped in self._closed
        return call

    def close(self, mapped: str) -> None:
        """Let the collectors of a mapped step know that it has ended."""
        with self._lock:
            self._closed.add(mapped)
            calls = [call for (name, _), call in self._calls.items() if name == mapped]
        for call in calls:
            call.close()

    def close_all(self) -> None:
        """End all collectors that wait, since the run ends."""
        self._run.is_ending = True
        for name in self._steps:
            self.close(name)


async def map_elements(step: Step, run: Run, keys: Keys, call: Call, *, overlaps: bool) -> None:
    """Execute a mapped step; the node itself stores nothing.

    Args:
        step: The mapped step.
        run: The run of the step.
        keys: The partition key of this call; None without partitions.
        call: Executes one instance.
        overlaps: Whether instances may run at once; the elements are then loaded in another thread.

    Raises:
        BaseException: The error of the first instance that failed; without `stop_at_failure` the others ran.
    """
    mapped = MappedCall(step, run, keys) if run.streams is None else run.streams.call(step.name, keys)
    await mapped.open(overlaps=overlaps)
    await mapped.run_instances(call, overlaps=overlaps)
    mapped.record()


def _is_collected_in_any_order(step: Step, run: Run) -> bool:
    collected = (parameter for other in run.plan.steps for parameter in other.collected)
    return any(not parameter.is_ordered for parameter in collected if parameter.mapped.name == step.name)


async def _loaded_elements(
    step: Step, run: Run, keys: Keys, *, overlaps: bool
) -> tuple[list[str], list[Any]]:
    if overlaps and not step.needs_loop:  # a synchronous handler would block the event loop
        return await asyncio.to_thread(lambda: run_sync(_elements(step, run, keys)))
    return await _elements(step, run, keys)


async def _elements(step: Step, run: Run, keys: Keys) -> tuple[list[str], list[Any]]:
    """Return the names of the instances and the elements of the source."""
    assert step.fan_out is not None
    source = step.fan_out.source
    value = await load_input(source, step, run, keys, [])
    if not isinstance(value, Iterable):
        raise ExecutionError(
            f"node {step.name!r}: cannot map {source.upstream.name!r}, whose value is not iterable: "
            f"{type(value).__name__}. Return a list."
        )
    elements = list(value)
    event = run.stored(source.upstream.name, None if source.mapping is None or keys is None else str(keys[0]))
    dynamic = None if event is None else event.typed_metadata.get(DYNAMIC_KEYS)
    names = [str(number) for number in range(len(elements))] if dynamic is None else dynamic.raw_value()
    if len(names) != len(elements):
        raise ExecutionError(
            f"node {step.name!r}: {source.upstream.name!r} has {counted(len(elements), 'element')}, but "
            f"{counted(len(names), 'key')} were recorded with it. Materialize it again."
        )
    return names, elements


def instance_of(step: Step, name: str, element: Any) -> Step:
    """Return the step of one element of a mapped step.

    Args:
        step: The mapped step.
        name: Name of the instance, such as `graph/task__0`.
        element: The element.
    """
    assert step.fan_out is not None
    return replace(
        step,
        name=name,
        owner=name,
        outputs=(replace(step.outputs[0], name=name, step_name=name),),
        constants={**step.constants, step.fan_out.parameter: element},
        success_hooks=(),
        failure_hooks=(),
        fan_out=None,
        instance_of=MappedInstance(step.name, step.fan_out.parameter),
    )


def _stored_before(run: Run, keys: Keys, instances: Sequence[Step]) -> set[str]:
    """Return the instances that an earlier part of a resumed run stored."""
    key = None if keys is None else str(keys[0])
    events = {
        event.asset_key: event
        for event in run.storage.get_events_for_run(run.run_id, with_steps=False)
        if event.event_type == MATERIALIZATION and event.partition_key == key
    }
    kept: set[str] = set()
    for instance in instances:
        event = events.get(instance.name)
        lost = event is not None and is_gone_from_memory(instance.outputs[0], keys[0] if keys else None)
        if event is not None and not lost:
            kept.add(instance.name)
            run.latest[instance.name, key] = event
    return kept


async def finish_streams(step: Step, run: Run, keys: Keys, call: Call) -> None:
    """Complete the mapped steps whose values a collector received as they were finished, before it stores its result.

    Raises:
        UpstreamFailedError: An instance failed; the result of the collector must not be stored.
        NotRunError: The run ends.
    """
    if run.streams is None:
        return
    for name in run.streams.early_for(step):
        drives = run.streams.is_driven(step.name, name)
        await run.streams.call(name, keys).finish(call if drives else None, on_loop=step.needs_loop)


async def load_collected(collected: CollectedInput, step: Step, run: Run, keys: Keys, call: Call) -> Any:
    """Load the values of all instances of a mapped step, as a list or an iterator.

    Args:
        collected: The bound parameter.
        step: The collector.
        run: The run.
        keys: The partition key of this call; None without partitions.
        call: Executes an instance, if the collector drives the mapped step.

    Raises:
        NotMaterializedError: The mapped step has not run, or the value of an instance no longer exists.
    """
    name, streams = collected.mapped.name, run.streams
    instances = _StoredInstances(collected, step, run, keys)
    if streams is not None and streams.is_early(step.name, name):
        begun, ordered = streams.call(name, keys), collected.is_ordered
        if collected.is_async:
            return _read_on_loop(begun, instances, ordered=ordered)
        return _read(begun, instances, call if streams.is_driven(step.name, name) else None, ordered=ordered)
    names = _recorded_names(collected, run, keys)
    if collected.is_async:
        return _stream_on_loop(names, instances)
    if collected.is_stream:
        return (instances.load_now(name) for name in names)
    contexts = [instances.context_of(name) for name in names]
    values = await load_each(instances.binding, contexts, instances.load, on_loop=step.needs_loop)
    for value in values:
        if isinstance(value, NotMaterializedError):
            raise value
    return values


class _StoredInstances:
    """Loads what the instances of a mapped step stored."""

    def __init__(self, collected: CollectedInput, step: Step, run: Run, keys: Keys) -> None:
        mapped = collected.mapped
        assert mapped.binding is not None
        self.binding = mapped.binding
        self._mapped = mapped
        self._step = step
        self._run = run
        self._partition = None if keys is None else PartitionContext(keys, mapped.partitions_def)

    def context_of(self, name: str) -> InputContext:
        mapped = self._mapped
        return InputContext(
            f"{mapped.name}__{name}",
            self._step.owner,
            mapped.metadata,
            self._partition,
            mapped.type_hint,
            run_id=self._run.run_id,
        )

    async def load(self, context: InputContext) -> Any:
        binding, observers = self.binding, self._run.observers
        try:
            value = binding.load_input(context)
            value = await value if binding.is_async_input else value
        except Exception as error:
            add_location(error, "loading", binding, context)
            for observe in observers.io_failed:
                observe(context, binding.handler, error)
            raise
        for observe in observers.input_loaded:
            observe(context, binding.handler)
        return value

    def load_now(self, name: str) -> Any:
        return resolve_awaitable(self.load(self.context_of(name)))

    async def load_on_loop(self, name: str) -> Any:
        loading = self.load(self.context_of(name))
        # a synchronous handler would block the event loop
        return await (loading if self.binding.is_async_input else asyncio.to_thread(run_sync, loading))


def _recorded_names(collected: CollectedInput, run: Run, keys: Keys) -> list[str]:
    """Return the keys of the instances of a mapped step that has run."""
    mapped = collected.mapped
    event = run.stored(mapped.name, None if keys is None else str(keys[0]))
    recorded = None if event is None else event.typed_metadata.get(DYNAMIC_KEYS)
    if recorded is None:
        assert mapped.binding is not None
        raise NotMaterializedError(mapped.name, handler=mapped.binding.label)
    assert event is not None
    if not collected.is_ordered:
        recorded = event.typed_metadata.get(ENDED_KEYS, recorded)
    names: list[str] = recorded.raw_value()
    return names


def _read(
    begun: MappedCall, instances: _StoredInstances, call: Call | None, *, ordered: bool
) -> Iterator[Any]:
    for position in count():
        try:
            name = begun.read(position, ordered=ordered, call=call)
        except StopIteration:
            return
        yield instances.load_now(name)


async def _read_on_loop(
    begun: MappedCall, instances: _StoredInstances, *, ordered: bool
) -> AsyncIterator[Any]:
    for position in count():
        name = await begun.read_on_loop(position, ordered=ordered)
        if name is None:
            return
        yield await instances.load_on_loop(name)


async def _stream_on_loop(names: Sequence[str], instances: _StoredInstances) -> AsyncIterator[Any]:
    for name in names:
        yield await instances.load_on_loop(name)

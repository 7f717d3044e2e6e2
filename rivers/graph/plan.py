"""Records of the resolved graph: bound steps, the graph that they form, the plan of one run."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal

from rivers.graph.types import value_hint
from rivers_core.authoring import hint_members, mapping_hint
from rivers_core.awaitables import returning_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rivers.definitions.asset import Asset
    from rivers.definitions.hook import Hook
    from rivers.definitions.retry import Compute, RetryPolicy
    from rivers.definitions.task import Task
    from rivers.mappings import PartitionMapping
    from rivers.partitions import PartitionsDefinition
    from rivers_core.contexts import InputContext, OutputContext
    from rivers_core.handler import BaseIOHandler


_needs_loop: Final = attrgetter("needs_loop")
_collected: Final = attrgetter("collected")


@dataclass(slots=True, eq=False)
class HandlerBinding:
    """Handler of a value, and the rule that chose it.

    Attributes:
        handler: The handler, wrapped by plugins where they do so.
        label: Name in events and tables: that of the configuration, else of the class.
        reason: Description of the rule that chose it.
        handle_output: The handler's bound method, so that a call does not go through pydantic's attribute lookup.
        load_input: Likewise; of a synchronous handler it always returns the value itself.
        load_unchecked: The bound method itself, which may return a coroutine.
        is_async_output: Whether the result of `handle_output` has to be awaited.
        is_async_input: Whether the result of `load_input` has to be awaited.
    """

    handler: BaseIOHandler
    label: str
    reason: str
    handle_output: Callable[[OutputContext, Any], Any] = field(init=False)
    load_input: Callable[[InputContext], Any] = field(init=False)
    load_unchecked: Callable[[InputContext], Any] = field(init=False)
    is_async_output: bool = field(init=False)
    is_async_input: bool = field(init=False)

    def __post_init__(self) -> None:
        """Bind one callable per direction."""
        self.is_async_output = self.handler.is_async_output
        self.is_async_input = self.handler.is_async_input
        self.handle_output = self.handler.handle_output
        load = self.load_unchecked = self.handler.load_input
        self.load_input = load if self.is_async_input else returning_values(load)


@dataclass(slots=True, eq=False)
class StoredOutput:
    """One value that a step stores: an asset, or a node inside a graph asset.

    Attributes:
        name: The asset's name, or `graph/task` for a node.
        step_name: Name of the step that stores it; None for an external asset.
        binding: The handler; None if it could not be bound, which is a finding.
        whole_key: Key of its value without a partition in `Run.latest`.
        type_hint: Return annotation of the producer, None without one.
        accepted: Types of which a returned value must be an instance; None accepts all.
        description: Text for people: what was given, else the docstring of the function.
        returns_materialization: Whether the annotation declares that the function stores its result itself.
    """

    name: str
    step_name: str | None
    binding: HandlerBinding | None
    type_hint: Any = None
    accepted: tuple[type, ...] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    partitions_def: PartitionsDefinition | None = None
    code_version: str | None = None
    tags: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    group: str | None = None
    description: str | None = None
    is_asset: bool = True
    returns_materialization: bool = False
    whole_key: tuple[str, None] = field(init=False)

    def __post_init__(self) -> None:
        """Build the key once."""
        self.whole_key = (self.name, None)

    @property
    def handler(self) -> BaseIOHandler:
        """The bound handler; only used after findings were reported."""
        assert self.binding is not None
        return self.binding.handler


@dataclass(frozen=True, slots=True)
class ItemHint:
    """Form in which a consumer receives several keys.

    Attributes:
        value: Type hint of each value: the consumer's, else the producer's.
        is_mapping: Whether it is annotated as a dictionary; otherwise a batching handler may load one value for all.
        text_keys: Whether keys are text instead of `PartitionKey`.
    """

    value: Any = None
    is_mapping: bool = False
    text_keys: bool = False

    @classmethod
    def of(cls, hint: Any, produced: Any) -> ItemHint:
        """Return how a consumer with an annotation receives several keys.

        Args:
            hint: The annotation, such as `dict[str, pl.DataFrame] | None`; None if there is none.
            produced: Type hint of the producer.
        """
        mapping = mapping_hint(hint)
        if mapping is None:
            return cls(produced)
        keys, values = mapping
        value = value_hint(values)
        return cls(
            produced if value is None else value, is_mapping=True, text_keys=hint_members(keys) == (str,)
        )


@dataclass(slots=True, eq=False)
class LoadedInput:
    """One parameter that receives the stored value of an output.

    Attributes:
        parameter: The function's parameter.
        upstream: The output whose value is loaded.
        binding: The handler that loads it: the upstream's own, or the one of `AssetDef.input`.
        type_hint: Type hint of the consumer, else of the producer.
        items: How the consumer receives several keys.
        metadata: Metadata of the upstream, overridden by that of the consumer.
        mapping: Mapping to the upstream's keys; None if the upstream is not partitioned.
        fans_in: Whether the consumer receives `{key: value}` even for one key, since the mapping may return several.
    """

    parameter: str
    upstream: StoredOutput
    binding: HandlerBinding
    type_hint: Any = None
    items: ItemHint = ItemHint()
    metadata: dict[str, Any] = field(default_factory=dict)
    mapping: PartitionMapping | None = None
    fans_in: bool = False


@dataclass(frozen=True, slots=True)
class Awaited:
    """One output that must exist first without being loaded.

    Attributes:
        upstream: The output.
        mapping: Mapping to its keys; None if it is not partitioned or has no default mapping.
    """

    upstream: StoredOutput
    mapping: PartitionMapping | None = None


@dataclass(frozen=True, slots=True)
class OwnValue:
    """Parameter that receives the stored value of the asset itself.

    Attributes:
        parameter: The function's parameter.
        loaded: The bound input; its type hint is the T of `SelfDependency[T]`.
        is_conditional: Whether the handler that loads the value also stores the next one, on the condition that the
            loaded one is still there.
    """

    parameter: str
    loaded: LoadedInput
    is_conditional: bool = False


@dataclass(frozen=True, slots=True)
class MappedInput:
    """The value over whose elements a step is mapped.

    Attributes:
        parameter: Parameter that receives one element.
        source: The bound input of the whole value.
        max_concurrency: Most instances that run at once; None for no limit.
    """

    parameter: str
    source: LoadedInput
    max_concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class MappedInstance:
    """Origin of a step that is the instance of a mapped step for one element, which is among its constants.

    Attributes:
        step: Name of the mapped step.
        parameter: Parameter that receives the element.
    """

    step: str
    parameter: str


@dataclass(frozen=True, slots=True)
class CollectedInput:
    """Parameter that receives the values of all instances of a mapped step, which the step also awaits.

    Attributes:
        parameter: The function's parameter.
        mapped: Output of the mapped step, whose handler stores the instances.
        is_stream: Whether it receives an iterator instead of a list.
        is_ordered: Whether the values have the order of the source instead of that in which the instances ended.
        is_async: Whether the iterator is asynchronous.
    """

    parameter: str
    mapped: StoredOutput
    is_stream: bool
    is_ordered: bool
    is_async: bool = False


@dataclass(slots=True, eq=False)
class Step:
    """One call of a function, with all inputs, outputs and policies bound.

    Attributes:
        name: The asset's name, or `graph/task`.
        owner: Name of the asset or task that users know; of the last node of a graph, that of the graph.
        definition: The declared asset or task.
        function: The function to call.
        is_async: Whether the call returns an awaitable.
        needs_loop: Whether the function or one of its handlers is asynchronous.
        is_plain: Whether it has one output, only inputs and constants as arguments, no partitions, hooks or time limit,
            and nothing asynchronous, so that it runs without coroutines.
        outputs: Stored outputs. The last node of a graph has two: itself and the graph asset.
        is_multi: Whether the returned value names its outputs.
        is_guarded: Whether a handler replaces only the version that was stored when the step began.
        context_parameter: The parameter that receives the context, if any.
        context_is_task: Whether that context is a `TaskExecutionContext`.
        config_type: The `ConfigT` of the context, if any.
        awaited: The outputs that must exist first without being loaded.
        partition_batches: Whether one call handles several partition keys; `"allow_empty"` if it may store nothing
            for some of them. Otherwise each key is a separate call.
        fan_out: For a mapped step, the value over whose elements it runs.
        instance_of: The mapped step of which this is the instance for one element.
        collected: Parameters that receive the values of mapped steps.
        stores_elements: Whether another step is mapped over the value, of which the bare elements are stored.
        executor: Name of the executor in `metadata={"rivers/executor": ...}`.
        timeout: Seconds that one attempt may take.
    """

    name: str
    owner: str
    definition: Asset | Task
    function: Callable[..., Any]
    is_async: bool
    outputs: tuple[StoredOutput, ...]
    inputs: tuple[LoadedInput, ...] = ()
    constants: dict[str, Any] = field(default_factory=dict)
    resources: tuple[tuple[str, str], ...] = ()
    own_value: OwnValue | None = None
    context_parameter: str | None = None
    context_is_task: bool = False
    config_type: type | None = None
    awaited: tuple[Awaited, ...] = ()
    partitions_def: PartitionsDefinition | None = None
    partition_batches: bool | Literal["allow_empty"] = False
    retry: RetryPolicy | None = None
    success_hooks: tuple[Hook, ...] = ()
    failure_hooks: tuple[Hook, ...] = ()
    compute: Compute | None = None
    timeout: float | None = None
    executor: str | None = None
    is_multi: bool = False
    needs_loop: bool = False
    is_plain: bool = False
    is_guarded: bool = False
    fan_out: MappedInput | None = None
    instance_of: MappedInstance | None = None
    collected: tuple[CollectedInput, ...] = ()
    stores_elements: bool = False

    @property
    def waits_for(self) -> tuple[str, ...]:
        """Names of the outputs that must exist first without being loaded."""
        return tuple(awaited.upstream.name for awaited in self.awaited)

    def loading_bindings(self) -> Iterable[HandlerBinding]:
        """Yield the handler of each value that this step loads; one may come several times."""
        yield from (loaded.binding for loaded in self.inputs)
        if self.own_value is not None:
            yield self.own_value.loaded.binding
        if self.fan_out is not None:
            yield self.fan_out.source.binding
        yield from (item.mapped.binding for item in self.collected if item.mapped.binding is not None)

    def bindings(self) -> Iterable[HandlerBinding]:
        """Yield the handler of each value that this step stores or loads; one may come several times."""
        yield from (output.binding for output in self.outputs if output.binding is not None)
        yield from self.loading_bindings()

    def upstream_names(self) -> Iterable[str]:
        """Yield the names of all outputs that this step depends on."""
        yield from (loaded.upstream.name for loaded in self.inputs)
        yield from self.waits_for

    def needs_of(self, step_name: str) -> Iterable[LoadedInput | Awaited]:
        """Yield the inputs of this step that are outputs of a given step, which may be this step."""
        own = () if self.own_value is None else (self.own_value.loaded,)
        everything: tuple[LoadedInput | Awaited, ...] = (*self.inputs, *self.awaited, *own)
        yield from (needed for needed in everything if needed.upstream.step_name == step_name)

    def mappings(self) -> Iterable[tuple[str, PartitionMapping]]:
        """Yield the partitioned outputs that this step depends on, with their mappings."""
        everything: tuple[LoadedInput | Awaited, ...] = (*self.inputs, *self.awaited)
        for needed in everything:
            if needed.mapping is not None:
                yield needed.upstream.name, needed.mapping


@dataclass(slots=True, eq=False)
class Graph:
    """All steps of a repository, bound and ordered.

    Attributes:
        steps: Steps by name, in execution order.
        outputs: All outputs that can be loaded, by name, including external assets and graph nodes.
        members: Names of the steps of each selectable asset, multi-asset, graph or task.
        default_members: Names that run when nothing is selected.
    """

    steps: dict[str, Step]
    outputs: dict[str, StoredOutput]
    members: dict[str, tuple[str, ...]]
    default_members: tuple[str, ...]

    def producers(self, step: Step) -> set[str]:
        """Return the names of the steps that must finish before this one."""
        made_by = (self.outputs[name].step_name for name in step.upstream_names())
        return {name for name in made_by if name is not None and name != step.name}


@dataclass(eq=False)
class Plan:
    """The steps of one run, in order.

    Attributes:
        steps: Steps of the run, in execution order.
        after: For each step, the steps of this plan that must finish before it.
        selected_outputs: Selected outputs of partially selected multi-assets.
        included: Steps that only run because selected steps need them.
    """

    steps: tuple[Step, ...]
    after: Mapping[str, tuple[str, ...]]
    selected_outputs: Mapping[str, frozenset[str]]
    included: frozenset[str] = frozenset()

    @cached_property
    def needs_loop(self) -> bool:
        """True if any step is asynchronous."""
        return any(map(_needs_loop, self.steps))

    @cached_property
    def has_streams(self) -> bool:
        """True if a step may receive the values of a mapped step as they are finished."""
        return any(item.is_stream for collected in map(_collected, self.steps) for item in collected)

    @cached_property
    def handlers(self) -> tuple[BaseIOHandler, ...]:
        """Handlers of all values that the steps store or load, each once."""
        bindings = {binding for step in self.steps for binding in step.bindings()}
        # a handler need not be hashable
        return tuple({id(binding.handler): binding.handler for binding in bindings}.values())

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the assets and tasks that this plan stores."""
        return tuple(output.name for step in self.steps for output in self.outputs_of(step))

    def outputs_of(self, step: Step) -> tuple[StoredOutput, ...]:
        """Return the outputs of a step that this run stores."""
        wanted = self.selected_outputs.get(step.name)
        return step.outputs if wanted is None else tuple(o for o in step.outputs if o.name in wanted)

"""Build steps from definitions: bind each function to its inputs, outputs, context and policies."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import is_dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel

from rivers.definitions.asset import ExternalAsset, GraphAsset, MultiAsset
from rivers.definitions.composition import AssetRef, CollectedRef, Constant, NodeRef
from rivers.definitions.contexts import TaskExecutionContext
from rivers.definitions.fan_out import DynamicOutput, storing_elements
from rivers.definitions.signature import by_keyword, is_async_function, is_bare
from rivers.exceptions import AssetDefinitionError, ConfigurationError, PartitionValidationError
from rivers.graph.findings import Findings, suggest
from rivers.graph.inputs import InputBinder
from rivers.graph.plan import CollectedInput, Step
from rivers.mappings import common_partitions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rivers.definitions.asset import Asset
    from rivers.definitions.asset_def import DepDef
    from rivers.definitions.composition import GraphRecording, NodeCall
    from rivers.definitions.hook import Hook
    from rivers.definitions.retry import RetryPolicy
    from rivers.definitions.signature import FunctionSignature
    from rivers.definitions.task import Task
    from rivers.graph.plan import StoredOutput
    from rivers.graph.symbols import SymbolTable
    from rivers.mappings import PartitionMapping

EXECUTOR_KEY = "rivers/executor"
NODE_EXECUTOR_KEY = "rivers/node/executor"


class StepBuilder:
    """Build the steps of a repository from its symbol table."""

    def __init__(self, symbols: SymbolTable) -> None:
        self._symbols = symbols
        self.steps: dict[str, Step] = {}
        self.members: dict[str, tuple[str, ...]] = {}
        self.default_members: list[str] = []
        self._mapped: set[str] = set()

    def build(self) -> None:
        """Build all steps and report problems to the findings of the symbol table."""
        for asset in self._symbols.definitions.assets:
            if isinstance(asset, ExternalAsset):
                self._check_observer(asset)
                continue
            self.default_members.append(asset.name)
            if isinstance(asset, GraphAsset):
                if asset.name in self._symbols.recordings:
                    self._add_graph(asset, self._symbols.recordings[asset.name])
            elif isinstance(asset, MultiAsset):
                self._add_multi(asset)
            else:
                self._add(self._asset_step(asset, (self._symbols.outputs[asset.name],)))
        for task in self._symbols.definitions.tasks:
            self._add_task(task)
        for name in sorted(self._mapped):
            output = self._symbols.outputs.get(name)
            step = self.steps.get(output.step_name or "") if output is not None else None
            if step is not None and not step.is_multi:
                _store_elements(step)

    def _add(self, step: Step) -> None:
        self.steps[step.name] = step
        self.members[step.name] = (step.name,)

    def _add_task(self, task: Task) -> None:
        """Add a standalone task if its parameters can be bound by name; a task of a graph may be left out."""
        findings = Findings()
        step = self._task_step(task, findings)
        in_graphs = any(
            node.task is task for recording in self._symbols.recordings.values() for node in recording.nodes
        )
        if not findings.texts:
            self._add(step)
            if not in_graphs:
                self.default_members.append(task.name)
        elif in_graphs:
            del self._symbols.outputs[task.name]
        else:
            self._symbols.findings.extend(findings)

    def _add_multi(self, asset: MultiAsset) -> None:
        outputs = tuple(self._symbols.outputs[output_def.name] for output_def in asset.output_defs)
        step = self._asset_step(asset, outputs)
        clash = self._symbols.outputs.get(asset.name)
        if asset.name in self.steps or (clash is not None and clash not in outputs):
            self._symbols.findings.add(
                f"two assets are named {asset.name!r}, one of them a multi-asset; rename one"
            )
        self._add(step)
        for output in outputs:
            self.members[output.name] = (step.name,)

    def _add_graph(self, asset: GraphAsset, recording: GraphRecording) -> None:
        for node in recording.nodes:
            self._add(self._node_step(asset, node, recording))
            if node.fan_out is not None:
                source = node.fan_out.source
                self._mapped.add(source.node_name if isinstance(source, NodeRef) else source.asset_name)
        self.members[asset.name] = tuple(node.name for node in recording.nodes)

    def _check_observer(self, asset: ExternalAsset) -> None:
        """Report parameters of an observing function other than a context and resources."""
        if asset.observe_fn is None:
            return
        known = self._symbols.definitions.resources
        for parameter in asset.signature.parameters:
            if parameter.is_variadic or parameter.has_default or parameter.name in known:
                continue
            what = "is an asset" if parameter.name in self._symbols.outputs else "is not a resource"
            self._symbols.findings.add(
                f"asset {asset.name!r}: parameter {parameter.name!r} of its observing function {what}; it can "
                f"only take a context and resources.{suggest(parameter.name, known)}"
            )

    def _asset_step(self, asset: Asset, outputs: tuple[StoredOutput, ...]) -> Step:
        subject = f"asset {asset.name!r}"
        signature = asset.signature
        mapping = self._common_mapping(asset, subject)
        step = self._step(asset.name, asset, signature, outputs, subject)
        binder = InputBinder(self._symbols, subject, step.partitions_def, _all_deps(asset), mapping)
        if signature.self_parameter is not None:
            step.own_value = binder.own_value(signature.self_parameter, outputs[0], signature.self_dependency)
        self._bind_context(step, binder, signature)
        binder.bind_parameters(signature)
        self._finish(step, binder)
        step.success_hooks = _hooks(asset.hooks, "success")
        step.failure_hooks = _hooks(asset.hooks, "failure")
        step.compute = asset.compute
        step.timeout = asset.timeout
        step.partition_batches = asset.partition_batches
        if step.partition_batches and step.partitions_def is None:
            self._symbols.findings.add(
                f"{subject}: partition_batches requires partitions_def; add one, or omit it",
                AssetDefinitionError,
            )
        metadata = asset.metadata if isinstance(asset, MultiAsset) else outputs[0].metadata
        step.executor = _executor_name(metadata, EXECUTOR_KEY)
        return step

    def _task_step(self, task: Task, findings: Findings) -> Step:
        subject = f"task {task.name!r}"
        output = self._symbols.outputs[task.name]
        binder = InputBinder(
            self._symbols, subject, output.partitions_def, (), task.partition_mapping, findings
        )
        step = self._step(task.name, task, task.signature, (output,), subject)
        self._bind_context(step, binder, task.signature)
        binder.bind_parameters(task.signature)
        self._finish(step, binder)
        return step

    def _bind_context(self, step: Step, binder: InputBinder, signature: FunctionSignature) -> None:
        """Bind a parameter `context` without annotation as an input if an asset or resource has that name."""
        name = signature.context_parameter
        if signature.is_context_implied and name is not None and self._symbols.has_input(name):
            step.context_parameter = None
            binder.bind_name(name)

    def _node_step(self, graph: GraphAsset, node: NodeCall, recording: GraphRecording) -> Step:
        subject = f"asset {node.name!r}"
        outputs: tuple[StoredOutput, ...] = (self._symbols.outputs[node.name],)
        is_result = recording.result is not None and recording.result.node_name == node.name
        if is_result:
            outputs = (*outputs, self._symbols.outputs[graph.name])
        mapping = node.task.partition_mapping
        binder = InputBinder(self._symbols, subject, outputs[0].partitions_def, (), mapping)
        outside = InputBinder(self._symbols, subject, outputs[0].partitions_def, graph.deps, mapping)
        step = self._step(node.name, node.task, node.task.signature, outputs, subject)
        hints = {parameter.name: parameter.hint for parameter in node.task.signature.parameters}
        collected: list[CollectedInput] = []
        if node.fan_out is not None:
            is_node = isinstance(node.fan_out.source, NodeRef)
            step.fan_out = (binder if is_node else outside).mapped(node.fan_out)
        for parameter, reference in node.arguments.items():
            if isinstance(reference, CollectedRef):
                mapped = self._symbols.outputs[reference.node_name]
                is_async = reference.is_stream and _is_async_iterator(hints.get(parameter))
                collected.append(
                    CollectedInput(parameter, mapped, reference.is_stream, reference.is_ordered, is_async)
                )
            elif isinstance(reference, NodeRef):
                binder.load(parameter, reference.node_name, hints.get(parameter))
            elif isinstance(reference, AssetRef):
                self._from_outside(outside, parameter, reference.asset_name, hints.get(parameter))
            elif isinstance(reference, Constant):
                step.constants[parameter] = reference.value
        skip = [*node.arguments, *([] if node.fan_out is None else [node.fan_out.parameter])]
        binder.bind_parameters(node.task.signature, skip=skip)
        self._finish(step, binder)
        step.collected = tuple(collected)
        step.inputs = (*step.inputs, *outside.inputs)
        step.resources = (*step.resources, *outside.resources)
        taken = {loaded.upstream.name for loaded in step.inputs}
        after = [ref.node_name if isinstance(ref, NodeRef) else ref.asset_name for ref in node.after]
        after += [dep.name for dep in graph.deps if not dep.is_loaded]
        after += [item.mapped.name for item in collected]
        if step.fan_out is not None:
            after.append(step.fan_out.source.upstream.name)
        step.awaited = outside.awaited(name for name in dict.fromkeys(after) if name not in taken)
        is_last = is_result or (recording.result is None and node is recording.nodes[-1])
        if is_last:
            step.owner = graph.name
            step.success_hooks = _hooks(graph.hooks, "success")
        step.failure_hooks = _hooks(graph.hooks, "failure")
        step.retry = step.retry or self._policy(graph.retry, f"asset {graph.name!r}")
        metadata = self._symbols.outputs[graph.name].metadata
        keys = (EXECUTOR_KEY, NODE_EXECUTOR_KEY) if is_last else (NODE_EXECUTOR_KEY, EXECUTOR_KEY)
        step.executor = next((name for key in keys if (name := _executor_name(metadata, key))), None)
        return step

    def _from_outside(self, binder: InputBinder, parameter: str, name: str, hint: Any) -> None:
        if name in self._symbols.outputs or name not in self._symbols.definitions.resources:
            binder.load(parameter, name, hint)
        else:
            binder.resources.append((parameter, name))

    def _step(
        self,
        name: str,
        definition: Asset | Task,
        signature: FunctionSignature,
        outputs: tuple[StoredOutput, ...],
        subject: str,
    ) -> Step:
        assert definition.function is not None
        is_multi = isinstance(definition, MultiAsset)
        return Step(
            name,
            name if is_multi else outputs[-1].name,
            definition,
            by_keyword(definition.function),
            is_async=definition.is_async,
            outputs=outputs,
            context_parameter=signature.context_parameter,
            context_is_task=signature.context_type is TaskExecutionContext,
            config_type=self._config_type(signature, subject),
            partitions_def=reduce(common_partitions, (output.partitions_def for output in outputs)),
            retry=self._policy(definition.retry, subject),
            is_multi=is_multi,
        )

    def _config_type(self, signature: FunctionSignature, subject: str) -> type | None:
        declared = signature.config_type
        if declared is None:
            return None
        if declared is Any and not any("ExecutionContext" in text for text in signature.unresolved):
            return None
        if inspect.isclass(declared) and (issubclass(declared, BaseModel) or is_dataclass(declared)):  # pyright: ignore[reportArgumentType]
            return declared
        what = "cannot be resolved" if declared is Any else f"is {declared!r}"
        self._symbols.findings.add(
            f"{subject}: the configuration type of its context {what}; it must be a pydantic BaseModel or BaseSettings"
        )
        return None

    def _finish(self, step: Step, binder: InputBinder) -> None:
        step.awaited = binder.awaited(binder.order_only())
        binder.check_mappings()
        step.inputs = tuple(binder.inputs)
        step.resources = tuple(binder.resources)

    def _common_mapping(
        self, asset: Asset, subject: str
    ) -> Mapping[str, PartitionMapping] | PartitionMapping | None:
        """Return the mapping of inputs without a declared one, which the outputs of a multi-asset may declare."""
        if not isinstance(asset, MultiAsset):
            return None
        by_name: dict[str, PartitionMapping] = {}
        for_all: list[PartitionMapping] = []
        different: list[PartitionMapping] = []
        for declared in (output.partition_mapping for output in asset.output_defs):
            if isinstance(declared, dict):
                for name, mapping in declared.items():
                    if by_name.setdefault(name, mapping) != mapping:
                        different += [by_name[name], mapping]
            elif declared is not None and declared not in for_all:
                for_all.append(declared)
        different += for_all if len(for_all) > 1 else ()
        if different:
            self._symbols.findings.add(
                f"{subject}: its outputs declare different partition mappings ({', '.join(map(repr, different))}), but "
                "one call loads the inputs of all; declare one, or use AssetDef.input(..., partition_mapping=...)",
                PartitionValidationError,
            )
        return for_all[0] if for_all else by_name or None

    def _policy(self, declared: RetryPolicy | str | None, subject: str) -> RetryPolicy | None:
        if not isinstance(declared, str):
            return declared
        named = self._symbols.definitions.retries
        if declared not in named:
            self._symbols.findings.add(
                f"{subject}: retry policy {declared!r} not found.{suggest(declared, named)} "
                "Define it in `retries` of the repository.",
                ConfigurationError,
            )
        return named.get(declared)


def needs_loop(step: Step) -> bool:
    """Return whether a step needs an event loop: its function or one of its handlers is asynchronous."""
    return (
        step.is_async
        # a plain wrapper may return a coroutine
        or (not is_bare(step.function) and is_async_function(inspect.unwrap(step.function)))
        or any(binding.is_async_input for binding in step.loading_bindings())
        or any(output.binding is not None and output.binding.is_async_output for output in step.outputs)
    )


def is_plain(step: Step) -> bool:
    """Return whether a step runs without coroutines; see `Step.is_plain`. Call it after `needs_loop` is set."""
    is_unusual = (
        step.needs_loop
        or step.is_multi
        or len(step.outputs) != 1
        or step.context_parameter
        or step.resources
        or step.own_value
        or step.is_guarded
        or step.awaited
        or step.collected
        or step.fan_out
        or step.partitions_def
        or step.timeout is not None
        or step.success_hooks
        or any(loaded.mapping is not None for loaded in step.inputs)
    )
    return not is_unusual


def _is_async_iterator(hint: Any) -> bool:
    return (get_origin(hint) or hint) in (AsyncIterator, AsyncIterable, AsyncGenerator)


def _store_elements(step: Step) -> None:
    """Let a step whose value is mapped store the bare elements, and remember the keys of `DynamicOutput`s."""
    step.function = storing_elements(step.function)
    step.stores_elements = True
    for output in step.outputs:  # the annotation is of the `DynamicOutput`s
        if any(
            get_origin(argument) is DynamicOutput or argument is DynamicOutput
            for argument in get_args(output.type_hint)
        ):
            output.type_hint = output.accepted = None


def _all_deps(asset: Asset) -> list[DepDef]:
    deps = {dep.name: dep for dep in asset.deps}
    if isinstance(asset, MultiAsset):
        for output_def in asset.output_defs:
            deps.update((dep.name, dep) for dep in output_def.deps)
    return list(deps.values())


def _executor_name(metadata: Mapping[str, Any] | None, key: str) -> str | None:
    name = (metadata or {}).get(key)
    return name if isinstance(name, str) else None


def _hooks(hooks: Iterable[Hook] | None, hook_type: str) -> tuple[Hook, ...]:
    return tuple(hook for hook in hooks if hook.hook_type == hook_type) if hooks else ()

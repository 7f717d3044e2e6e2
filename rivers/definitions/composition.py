"""Composition of graph assets: call the body once and record which tasks it calls, on placeholders for values."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from rivers.definitions.error_text import error_text
from rivers.definitions.signature import by_keyword
from rivers.exceptions import GraphTypeError, GraphValidationError, RiversError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rivers.definitions.asset import Asset
    from rivers.definitions.task import Task

__all__ = [
    "AssetRef",
    "CollectedRef",
    "Constant",
    "GraphRecording",
    "InvokedNodeOutput",
    "MappedOutput",
    "NodeCall",
    "NodeRef",
    "Reference",
]


@dataclass(frozen=True, slots=True)
class NodeRef:
    """The value of another node of the same graph asset."""

    node_name: str


@dataclass(frozen=True, slots=True)
class AssetRef:
    """The value of an asset or resource from outside the graph asset."""

    asset_name: str


@dataclass(frozen=True, slots=True)
class Constant:
    """A plain value written in the body."""

    value: Any


@dataclass(frozen=True, slots=True)
class CollectedRef:
    """The values of all instances of a mapped node.

    Attributes:
        node_name: The mapped node.
        is_stream: Whether they arrive as an iterator instead of a list.
        is_ordered: Whether they arrive in the order of the source instead of that in which the instances ended.
    """

    node_name: str
    is_stream: bool = False
    is_ordered: bool = True


Reference = NodeRef | AssetRef | Constant | CollectedRef


@dataclass(frozen=True, slots=True)
class FanOut:
    """The source of a mapped node.

    Attributes:
        parameter: Parameter of the task that receives one element.
        source: The value whose elements are mapped.
        max_concurrency: Most instances that run at once; None for no limit.
    """

    parameter: str
    source: NodeRef | AssetRef
    max_concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class NodeCall:
    """A call of a task in the body.

    Attributes:
        name: `graph/task`, from the second call of a task on `graph/task_2`.
        task: The task.
        arguments: Reference of each parameter, without parameters that keep their default.
        after: Nodes and assets that only have to run first.
        fan_out: The source of a mapped node; None for others.
    """

    name: str
    task: Task
    arguments: dict[str, Reference]
    after: tuple[NodeRef | AssetRef, ...] = ()
    fan_out: FanOut | None = None


@dataclass(frozen=True, slots=True)
class GraphRecording:
    """The recorded body of a graph asset.

    Attributes:
        nodes: The calls, in the order written.
        result: The node whose value is the asset's; None if the body returns nothing, so that it has none.
    """

    nodes: tuple[NodeCall, ...]
    result: NodeRef | None


class InvokedNodeOutput:
    """Placeholder for a value while a body is recorded; it can be passed to tasks, and mapped."""

    __slots__ = ("_recorder", "reference")

    def __init__(self, recorder: Recorder, reference: NodeRef | AssetRef | CollectedRef) -> None:
        self._recorder = recorder
        self.reference = reference

    @property
    def node_name(self) -> str:
        """Name of the node, `graph/task`, or of the asset."""
        reference = self.reference
        return reference.asset_name if isinstance(reference, AssetRef) else reference.node_name

    @property
    def output_name(self) -> str:
        """Name under which the value is stored, that of the node."""
        return self.node_name

    def map(self, task: Task, *, max_concurrency: int | None = None) -> MappedOutput:
        """Run a task once per element of this value, each as a separate node.

        Args:
            task: The task; its first parameter receives the element.
            max_concurrency: Most instances that run at once; None for no limit.

        Raises:
            TypeError: `task` is not a Task.
            GraphValidationError: The value is collected, or an argument is not valid.
        """
        return self._recorder.map_task(self, task, max_concurrency)

    def belongs_to(self, recorder: Recorder) -> bool:
        """Return whether it was created in this recording."""
        return self._recorder is recorder

    def refuse(self, action: str) -> GraphValidationError:
        """Return the error for using the value while the body is recorded."""
        return self._recorder.refuse(
            f"cannot {action} {self!r} in the body, which only wires tasks and has no values. Do this in a task."
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        raise self.refuse(f"read `.{name}` of")

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        if isinstance(self.reference, AssetRef):
            return f"the value of {self.reference.asset_name!r}"
        return f"the value of node {self.reference.node_name!r}"


def _refusing(action: str) -> Callable[..., NoReturn]:
    def refuse(self: InvokedNodeOutput, *_arguments: object) -> NoReturn:
        raise self.refuse(action)

    return refuse


_BINARY_OPERATORS = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or"
_REFUSED_METHODS = {
    "test": "bool",
    "format": "str format",
    "iterate over": "iter",
    "take the length of": "len",
    "search in": "contains",
    "take an item of": "getitem",
    "call": "call",
    "await": "await",
    "enter": "enter",
    "convert": "int float index fspath",
    "compare": "eq ne lt le gt ge",
    "compute with": f"neg pos abs invert round {_BINARY_OPERATORS} r{_BINARY_OPERATORS.replace(' ', ' r')}",
}
for _action, _methods in _REFUSED_METHODS.items():
    for _method in _methods.split():
        setattr(InvokedNodeOutput, f"__{_method}__", _refusing(_action))


class MappedOutput:
    """Placeholder for the values of a mapped node, which a task receives through `collect` or `collect_stream`."""

    __slots__ = ("_recorder", "node_name")

    def __init__(self, recorder: Recorder, node_name: str) -> None:
        self._recorder = recorder
        self.node_name = node_name

    @property
    def output_name(self) -> str:
        """Name of the mapped node."""
        return self.node_name

    def collect(self) -> InvokedNodeOutput:
        """Return all values as one list, in the order of the source."""
        return InvokedNodeOutput(self._recorder, CollectedRef(self.node_name))

    def collect_stream(self, *, ordered: bool = False) -> InvokedNodeOutput:
        """Return an iterator over all values, each passed on as soon as it is stored.

        A parameter with the annotation `AsyncIterator` receives an asynchronous one.

        Args:
            ordered: Whether values come in the order of the source; otherwise in that in which the instances ended.
        """
        reference = CollectedRef(self.node_name, is_stream=True, is_ordered=bool(ordered))
        return InvokedNodeOutput(self._recorder, reference)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise self._recorder.refuse(
            f"cannot use `.{name}` of {self!r}. Pass `.collect()` or `.collect_stream()` to a task; to map them again, "
            "call both functions in one task."
        )

    def __repr__(self) -> str:
        return f"the values of the mapped node {self.node_name!r}"


class Recorder:
    """Records the calls of one body.

    Args:
        graph: Name of the graph asset.
    """

    def __init__(self, graph: str) -> None:
        self.graph = graph
        self._nodes: dict[str, NodeCall] = {}

    def refuse(self, problem: str) -> GraphValidationError:
        """Return the error to raise."""
        return GraphValidationError(f"Graph asset {self.graph!r}: {problem}")

    def call_task(self, task: Task, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> InvokedNodeOutput:
        """Record the call of a task."""
        name = self._unused_name(task.name)
        if task.is_order_only:
            after = tuple(self._upstream(name, value) for value in (*args, *kwargs.values()))
            call = NodeCall(name, task, {}, after)
        else:
            call = NodeCall(name, task, self._bind(name, task, args, kwargs))
        self._nodes[name] = call
        return InvokedNodeOutput(self, NodeRef(name))

    def map_task(self, source: InvokedNodeOutput, task: object, max_concurrency: int | None) -> MappedOutput:
        """Record the call of a task for each element of a value."""
        if not _is_task(task):
            raise GraphTypeError(f"Graph asset {self.graph!r}: only a Task can be mapped, got {task!r}.")
        assert not isinstance(task, type)
        self._check_origin(source)
        if isinstance(source.reference, CollectedRef):
            raise self.refuse(
                f"cannot map {source!r}, which is collected. Return the list from a task and map that."
            )
        limit: object = max_concurrency
        if limit is not None and (type(limit) is not int or limit < 1):
            raise self.refuse(f"max_concurrency must be a whole number, 1 or more, got {limit!r}.")
        mapped: Task = task  # type: ignore[assignment]
        parameters = [p.name for p in mapped.signature.parameters if not p.is_variadic]
        if mapped.is_order_only or not parameters:
            raise self.refuse(f"cannot map {mapped!r}, which has no parameter for an element.")
        name = self._unused_name(mapped.name)
        element, *others = mapped.signature.parameters
        arguments: dict[str, Reference] = {
            parameter.name: AssetRef(parameter.name) for parameter in others if not parameter.has_default
        }
        fan_out = FanOut(element.name, source.reference, max_concurrency)
        self._nodes[name] = NodeCall(name, mapped, arguments, fan_out=fan_out)
        return MappedOutput(self, name)

    def call_asset(self, asset: Asset, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> InvokedNodeOutput:
        """Record the use of an asset, which stays outside the graph and gets its own inputs."""
        if asset.is_multi:
            raise self.refuse(
                f"cannot call {asset.name!r}, which has several outputs. Add a parameter to the body that is named "
                "like the output."
            )
        if asset.name == self.graph:
            raise self.refuse("the body calls the asset itself.")
        values = [*args, *kwargs.values()]
        inputs = {parameter.name for parameter in asset.signature.parameters} if values else set()
        for value in values:
            reference = value.reference if isinstance(value, InvokedNodeOutput) else None
            if not isinstance(reference, AssetRef) or reference.asset_name not in inputs:
                raise self.refuse(
                    f"cannot pass {value!r} to {asset.name!r}, which is an asset and always gets its inputs by the "
                    "names of its parameters. Call it without arguments, or make it a Task."
                )
        return InvokedNodeOutput(self, AssetRef(asset.name))

    def finish(self, result: object) -> GraphRecording:
        """Return the recording, given what the body returned."""
        if result is None and self._nodes:
            return GraphRecording(tuple(self._nodes.values()), None)
        if not isinstance(result, InvokedNodeOutput) or not isinstance(result.reference, NodeRef):
            raise self.refuse(
                f"the body returns {_describe_result(result)}. Return the value of the task that makes the asset."
            )
        self._check_origin(result)
        return GraphRecording(tuple(self._nodes.values()), result.reference)

    def _unused_name(self, task_name: str) -> str:
        name, count = f"{self.graph}/{task_name}", 1
        while name in self._nodes:
            count += 1
            name = f"{self.graph}/{task_name}_{count}"
        return name

    def _bind(
        self, node: str, task: Task, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> dict[str, Reference]:
        parameters = task.signature.parameters
        signature = inspect.Signature([inspect.Parameter(p.name, p.kind) for p in parameters])
        try:
            bound = signature.bind_partial(*args, **kwargs).arguments
        except TypeError as error:
            names = ", ".join(p.name for p in parameters) or "none"
            raise self.refuse(f"cannot call task {task.name!r}: {error}. Its parameters: {names}.") from error
        references: dict[str, Reference] = {}
        for parameter in parameters:
            name = parameter.name
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                if name in bound:
                    raise self.refuse(
                        f"task {task.name!r} collects values in *{name}. Give it one parameter per value."
                    )
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                extra = bound.get(name, {})
                references.update({key: self._reference(node, key, value) for key, value in extra.items()})
            elif name in bound:
                references[name] = self._reference(node, name, bound[name])
            elif not parameter.has_default:
                references[name] = AssetRef(name)
        return references

    def _reference(self, node: str, parameter: str, value: object) -> Reference:
        if isinstance(value, InvokedNodeOutput):
            self._check_origin(value)
            return value.reference
        if isinstance(value, MappedOutput):
            raise GraphTypeError(
                f"Graph asset {self.graph!r}: node {node!r} gets {value!r} for {parameter!r}. Use .collect() or "
                ".collect_stream()."
            )
        nested = next(_placeholders_in(value), None)
        if nested is not None:
            raise self.refuse(
                f"node {node!r} gets {nested!r} inside a {type(value).__name__} for {parameter!r}. Pass each value as "
                "a separate parameter."
            )
        if _is_definition(value):
            raise self.refuse(
                f"node {node!r} gets {value!r} itself for {parameter!r}. To pass its value, call it: "
                f"`{getattr(value, 'name', '...')}(...)`."
            )
        return Constant(value)

    def _upstream(self, node: str, value: object) -> NodeRef | AssetRef:
        if not isinstance(value, InvokedNodeOutput):
            raise self.refuse(
                f"node {node!r} runs a command and accepts only values of tasks and assets that have to run first, "
                f"got {value!r}. Put plain values into the command or its env."
            )
        self._check_origin(value)
        if isinstance(value.reference, CollectedRef):
            return NodeRef(value.reference.node_name)
        return value.reference

    def _check_origin(self, value: InvokedNodeOutput) -> None:
        if not value.belongs_to(self):
            raise self.refuse(f"{value!r} belongs to another graph asset. Call the task in this body.")


_RECORDER: ContextVar[Recorder | None] = ContextVar("rivers_recorder", default=None)


def current_recorder() -> Recorder | None:
    """Return the recorder of the body that is being called, if any."""
    return _RECORDER.get()


def record(graph: str, body: Callable[..., Any], arguments: Mapping[str, Any]) -> GraphRecording:
    """Call a body and return the tasks that it wires together.

    Args:
        graph: Name of the graph asset.
        body: Its function.
        arguments: For each parameter an `AssetRef` or a plain value.

    Raises:
        GraphValidationError: The body does anything but wire tasks, or fails.
    """
    recorder = Recorder(graph)
    values = {
        name: InvokedNodeOutput(recorder, value) if isinstance(value, AssetRef) else value
        for name, value in arguments.items()
    }
    outer = _RECORDER.get()
    try:
        _RECORDER.set(recorder)
        result = by_keyword(body)(**values)
    except RiversError:
        raise
    except Exception as error:
        raise recorder.refuse(f"its body failed: {error_text(error)}") from error
    finally:
        _RECORDER.set(outer)
    return recorder.finish(result)


def _placeholders_in(value: object) -> Iterator[InvokedNodeOutput]:
    items: Iterable[object] = ()
    if isinstance(value, Mapping):
        items = value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        items = value
    for item in items:
        if isinstance(item, InvokedNodeOutput):
            yield item
        else:
            yield from _placeholders_in(item)


def _is_definition(value: object) -> bool:
    from rivers.definitions.definition import Definition  # which imports this module through its subclasses

    return isinstance(value, Definition)


def _is_task(value: object) -> bool:
    from rivers.definitions.task import Task  # which imports this module

    return isinstance(value, Task)


def _describe_result(result: object) -> str:
    if result is None:
        return "nothing and calls no task"
    if isinstance(result, MappedOutput):
        return f"{result!r}, which are several"
    if isinstance(result, InvokedNodeOutput) and isinstance(result.reference, CollectedRef):
        return f"the collected values of {result.node_name!r}, which no node stores"
    if isinstance(result, InvokedNodeOutput):
        return f"{result!r}, which comes from outside"
    if _is_definition(result):
        return f"{result!r} without calling it"
    if isinstance(result, (list, tuple, dict)):
        return f"a {type(result).__name__} of several values"
    return f"the plain value {result!r}"

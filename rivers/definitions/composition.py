"""Composition of graph assets: call the body once and record which tasks it calls, on placeholders for values."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from rivers.definitions.error_text import error_text
from rivers.definitions.signature import by_keyword
from rivers.exceptions import GraphValidationError, RiversError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rivers.definitions.asset import Asset
    from rivers.definitions.task import Task

__all__ = ["AssetRef", "Constant", "GraphRecording", "NodeCall", "NodeRef", "Placeholder", "Reference"]


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


Reference = NodeRef | AssetRef | Constant


@dataclass(frozen=True, slots=True)
class NodeCall:
    """A call of a task in the body.

    Attributes:
        name: `graph/task`, from the second call of a task on `graph/task_2`.
        task: The task.
        arguments: Reference of each parameter, without parameters that keep their default.
        after: Nodes and assets that only have to run first.
    """

    name: str
    task: Task
    arguments: dict[str, Reference]
    after: tuple[NodeRef | AssetRef, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphRecording:
    """The recorded body of a graph asset.

    Attributes:
        nodes: The calls, in the order written.
        result: The node whose value is the asset's.
    """

    nodes: tuple[NodeCall, ...]
    result: NodeRef


class Placeholder:
    """Stands for a value while a body is recorded; it can only be passed to tasks."""

    __slots__ = ("_recorder", "reference")

    def __init__(self, recorder: Recorder, reference: NodeRef | AssetRef) -> None:
        self._recorder = recorder
        self.reference = reference

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
        if isinstance(self.reference, NodeRef):
            return f"the value of node {self.reference.node_name!r}"
        return f"the value of {self.reference.asset_name!r}"


def _refusing(action: str) -> Callable[..., NoReturn]:
    def refuse(self: Placeholder, *_arguments: object) -> NoReturn:
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
        setattr(Placeholder, f"__{_method}__", _refusing(_action))


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

    def call_task(self, task: Task, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Placeholder:
        """Record the call of a task."""
        name = self._unused_name(task.name)
        if task.is_order_only:
            after = tuple(self._upstream(name, value) for value in (*args, *kwargs.values()))
            call = NodeCall(name, task, {}, after)
        else:
            call = NodeCall(name, task, self._bind(name, task, args, kwargs))
        self._nodes[name] = call
        return Placeholder(self, NodeRef(name))

    def call_asset(self, asset: Asset, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Placeholder:
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
            reference = value.reference if isinstance(value, Placeholder) else None
            if not isinstance(reference, AssetRef) or reference.asset_name not in inputs:
                raise self.refuse(
                    f"cannot pass {value!r} to {asset.name!r}, which is an asset and always gets its inputs by the "
                    "names of its parameters. Call it without arguments, or make it a Task."
                )
        return Placeholder(self, AssetRef(asset.name))

    def finish(self, result: object) -> GraphRecording:
        """Return the recording, given what the body returned."""
        if not isinstance(result, Placeholder) or not isinstance(result.reference, NodeRef):
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
        if isinstance(value, Placeholder):
            self._check_origin(value)
            return value.reference
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
        if not isinstance(value, Placeholder):
            raise self.refuse(
                f"node {node!r} runs a command and accepts only values of tasks and assets that have to run first, "
                f"got {value!r}. Put plain values into the command or its env."
            )
        self._check_origin(value)
        return value.reference

    def _check_origin(self, value: Placeholder) -> None:
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
        name: Placeholder(recorder, value) if isinstance(value, AssetRef) else value
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


def _placeholders_in(value: object) -> Iterator[Placeholder]:
    items: Iterable[object] = ()
    if isinstance(value, Mapping):
        items = value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        items = value
    for item in items:
        if isinstance(item, Placeholder):
            yield item
        else:
            yield from _placeholders_in(item)


def _is_definition(value: object) -> bool:
    from rivers.definitions.definition import Definition  # which imports this module through its subclasses

    return isinstance(value, Definition)


def _describe_result(result: object) -> str:
    if result is None:
        return "nothing"
    if isinstance(result, Placeholder):
        return f"{result!r}, which comes from outside"
    if _is_definition(result):
        return f"{result!r} without calling it"
    if isinstance(result, (list, tuple, dict)):
        return f"a {type(result).__name__} of several values"
    return f"the plain value {result!r}"

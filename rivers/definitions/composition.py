"""Composition: the body of a graph asset is called once, and writes down which tasks it wires together."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rivers.definitions.error_text import error_text
from rivers.definitions.signature import by_keyword
from rivers.definitions.wire import AssetRef, Literal, NodeRef, Reference, Wire
from rivers.exceptions import GraphValidationError, RiversError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rivers.definitions.asset_base import AssetBase
    from rivers.definitions.task import Task

__all__ = ["AssetRef", "GraphRecording", "Literal", "NodeCall", "NodeRef", "Reference"]


@dataclass(frozen=True, slots=True)
class NodeCall:
    """One task called in the body.

    Attributes:
        name: `graph/task`, from the second use of a task on `graph/task_2`.
        task: The task.
        arguments: What each of its parameters gets. A parameter with a default that was not given is missing.
        after: Nodes and assets that only have to be done first.
    """

    name: str
    task: Task
    arguments: dict[str, Reference]
    after: tuple[NodeRef | AssetRef, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphRecording:
    """What the body of a graph asset says.

    Attributes:
        nodes: The calls, in the order in which they were written.
        result: The node whose value is the asset's.
    """

    nodes: tuple[NodeCall, ...]
    result: NodeRef


class Recorder:
    """Writes down the calls of one body.

    Args:
        graph: The graph asset's name.
    """

    def __init__(self, graph: str) -> None:
        self.graph = graph
        self._nodes: dict[str, NodeCall] = {}

    def refuse(self, problem: str) -> GraphValidationError:
        """Returns the error to raise."""
        return GraphValidationError(f"Graph asset {self.graph!r}: {problem}")

    def call_task(self, task: Task, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Wire:
        """Records the call of a task."""
        name = self._free_name(task.name)
        if task.is_order_only:
            after = tuple(self._upstream(name, value) for value in (*arguments, *named.values()))
            call = NodeCall(name, task, {}, after)
        else:
            call = NodeCall(name, task, self._wired(name, task, arguments, named))
        self._nodes[name] = call
        return Wire(self, NodeRef(name))

    def call_asset(self, asset: AssetBase, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Wire:
        """Records that an asset is used; it stays outside the graph, with inputs of its own."""
        if asset.is_multi:
            raise self.refuse(
                f"{asset.name!r} has several outputs; take the one you want as a parameter of the body, by "
                "its name."
            )
        if asset.name == self.graph:
            raise self.refuse("the body calls the asset itself.")
        given = [*arguments, *named.values()]
        inputs = {parameter.name for parameter in asset.signature.parameters} if given else set()
        for value in given:
            reference = value.reference if isinstance(value, Wire) else None
            if not isinstance(reference, AssetRef) or reference.asset_name not in inputs:
                raise self.refuse(
                    f"{asset.name!r} is an asset and takes its inputs by the names of its parameters, "
                    f"wherever it is called; {value!r} cannot be passed to it. Call it without arguments, "
                    "or make it a Task."
                )
        return Wire(self, AssetRef(asset.name))

    def finish(self, result: object) -> GraphRecording:
        """Returns the recording, given what the body returned."""
        if not isinstance(result, Wire) or not isinstance(result.reference, NodeRef):
            raise self.refuse(
                f"the body returns {_returned(result)}; return the value of the task that makes the asset."
            )
        self._check_origin(result)
        return GraphRecording(tuple(self._nodes.values()), result.reference)

    def _free_name(self, task_name: str) -> str:
        name, count = f"{self.graph}/{task_name}", 1
        while name in self._nodes:
            count += 1
            name = f"{self.graph}/{task_name}_{count}"
        return name

    def _wired(
        self, node: str, task: Task, arguments: tuple[Any, ...], named: Mapping[str, Any]
    ) -> dict[str, Reference]:
        parameters = task.signature.parameters
        signature = inspect.Signature([inspect.Parameter(p.name, p.kind) for p in parameters])
        try:
            bound = signature.bind_partial(*arguments, **named).arguments
        except TypeError as error:
            takes = ", ".join(p.name for p in parameters) or "nothing"
            raise self.refuse(
                f"task {task.name!r} cannot be called so: {error}; it takes {takes}."
            ) from error
        wired: dict[str, Reference] = {}
        for parameter in parameters:
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                if parameter.name in bound:
                    raise self.refuse(
                        f"task {task.name!r} collects values in *{parameter.name}; give each a parameter of "
                        "its own."
                    )
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                extra = bound.get(parameter.name, {})
                wired.update({name: self._reference(node, name, value) for name, value in extra.items()})
            elif parameter.name in bound:
                wired[parameter.name] = self._reference(node, parameter.name, bound[parameter.name])
            elif not parameter.has_default:
                wired[parameter.name] = AssetRef(parameter.name)
        return wired

    def _reference(self, node: str, parameter: str, value: object) -> Reference:
        if isinstance(value, Wire):
            self._check_origin(value)
            return value.reference
        self._refuse_hidden(node, parameter, value)
        return Literal(value)

    def _refuse_hidden(self, node: str, parameter: str, value: object) -> None:
        hidden = next(_wires_in(value), None)
        if hidden is not None:
            raise self.refuse(
                f"{node!r} gets {hidden!r} inside a {type(value).__name__} for {parameter!r}; pass each value "
                "as a parameter of its own."
            )
        if _is_definition(value):
            raise self.refuse(
                f"{node!r} gets {value!r} itself for {parameter!r}; call it, "
                f"`{getattr(value, 'name', 'it')}(...)`, to pass its value."
            )

    def _upstream(self, node: str, value: object) -> NodeRef | AssetRef:
        if not isinstance(value, Wire):
            raise self.refuse(
                f"{node!r} runs a command and takes only the values of tasks and assets that have to be "
                f"done before it, not {value!r}; write plain values into the command or its env."
            )
        self._check_origin(value)
        return value.reference

    def _check_origin(self, wire: Wire) -> None:
        if not wire.belongs_to(self):
            raise self.refuse(f"{wire!r} belongs to another graph asset; call the task here, in this body.")


_RECORDER: ContextVar[Recorder | None] = ContextVar("rivers_recorder", default=None)


def current_recorder() -> Recorder | None:
    """The recorder of the body that is being called at this moment, if any."""
    return _RECORDER.get()


@contextmanager
def _recording(recorder: Recorder) -> Iterator[None]:
    token = _RECORDER.set(recorder)
    try:
        yield
    finally:
        _RECORDER.reset(token)


def record(graph: str, body: Callable[..., Any], arguments: Mapping[str, Any]) -> GraphRecording:
    """Calls a body and returns what it wires together.

    Args:
        graph: The graph asset's name.
        body: Its function.
        arguments: For each parameter a name from outside (`AssetRef`) or a plain value.

    Raises:
        GraphValidationError: If the body does anything but wire tasks together, or fails.
    """
    recorder = Recorder(graph)
    given = {
        name: Wire(recorder, value) if isinstance(value, AssetRef) else value
        for name, value in arguments.items()
    }
    try:
        with _recording(recorder):
            result = by_keyword(body)(**given)
    except RiversError:
        raise
    except Exception as error:
        raise recorder.refuse(f"its body fails while it is read: {error_text(error)}") from error
    return recorder.finish(result)


def _wires_in(value: object) -> Iterator[Wire]:
    items: Iterable[object] = ()
    if isinstance(value, Mapping):
        items = value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        items = value
    for item in items:
        if isinstance(item, Wire):
            yield item
        else:
            yield from _wires_in(item)


def _is_definition(value: object) -> bool:
    from rivers.definitions.definition import Definition

    return isinstance(value, Definition)


def _returned(result: object) -> str:
    if result is None:
        return "nothing"
    if isinstance(result, Wire):
        return f"{result!r}, which comes from outside"
    if _is_definition(result):
        return f"{result!r} without calling it"
    if isinstance(result, (list, tuple, dict)):
        return f"a {type(result).__name__} of several values"
    return f"the plain value {result!r}"

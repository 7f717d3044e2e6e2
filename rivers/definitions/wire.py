"""Wires: what stands for values while the body of a graph asset is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from rivers.exceptions import GraphValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rivers.definitions.composition import Recorder

__all__ = ["AssetRef", "Literal", "NodeRef", "Reference", "Wire"]


@dataclass(frozen=True, slots=True)
class NodeRef:
    """The value of another node of the same graph asset."""

    node_name: str


@dataclass(frozen=True, slots=True)
class AssetRef:
    """The value of an asset (or resource) from outside the graph asset."""

    asset_name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A plain value written in the body."""

    value: Any


Reference = NodeRef | AssetRef | Literal


class Wire:
    """What stands for a value while a body is recorded; it can be passed on to tasks, and nothing else."""

    __slots__ = ("_recorder", "reference")

    def __init__(self, recorder: Recorder, reference: NodeRef | AssetRef) -> None:
        self._recorder = recorder
        self.reference = reference

    def belongs_to(self, recorder: Recorder) -> bool:
        """Whether it was made in this recording."""
        return self._recorder is recorder

    def refuse(self, what: str) -> GraphValidationError:
        """Returns the error for using the value now."""
        return GraphValidationError(
            f"Graph asset {self._recorder.graph!r}: {what} {self!r}, but the body of a graph asset only wires "
            "tasks together: there are no values yet. Do this inside a task."
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        raise self.refuse(f"the body reads `.{name}` of")

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        if isinstance(self.reference, NodeRef):
            return f"the value of node {self.reference.node_name!r}"
        return f"the value of {self.reference.asset_name!r}"


def _refusing(method: str) -> Callable[..., NoReturn]:
    what = {
        "bool": "the body tests",
        "str": "the body makes text of",
        "format": "the body makes text of",
        "iter": "the body iterates over",
        "len": "the body asks for the length of",
        "contains": "the body looks into",
        "getitem": "the body takes an item of",
        "call": "the body calls",
        "await": "the body awaits",
        "enter": "the body enters",
        "int": "the body converts",
        "float": "the body converts",
        "index": "the body converts",
        "fspath": "the body converts",
    }.get(method, "the body computes with")

    def refuse(self: Wire, *_arguments: object) -> NoReturn:
        raise self.refuse(what)

    return refuse


_ARITHMETIC = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or"
_PLAIN = "bool str format iter len contains getitem call await enter int float index fspath neg pos abs invert round"
for _method in (
    *_PLAIN.split(),
    *["eq", "ne", "lt", "le", "gt", "ge"],
    *(prefix + name for name in _ARITHMETIC.split() for prefix in ("", "r")),
):
    setattr(Wire, f"__{_method}__", _refusing(_method))

"""What assets and tasks have in common: a function behind fixed attributes."""

from __future__ import annotations

import inspect
import re
import sys
from functools import cached_property
from types import CodeType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from rivers.definitions.contexts import AssetExecutionContext
from rivers.definitions.field_checks import FieldChecks
from rivers.definitions.signature import check_parameters, describe_signature, is_async_function
from rivers.exceptions import AssetDefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from rivers.definitions.signature import ContextType, FunctionSignature
    from rivers_core.exceptions import RiversError

D = TypeVar("D", bound="Definition")


class Definition:
    """A function and what was said about it; fixed once it is made."""

    _noun: ClassVar[str] = "asset"
    _error: ClassVar[type[RiversError]] = AssetDefinitionError
    _context: ClassVar[ContextType] = AssetExecutionContext

    name: str
    function: Callable[..., Any] | None
    """The plain function; None if there is none."""
    _local_names: dict[str, Any]

    @property
    def is_async(self) -> bool:
        """Whether the function is asynchronous."""
        return is_async_function(self.function)

    @cached_property
    def signature(self) -> FunctionSignature:
        """What the function's parameters and hints say; read on first use, so that hints may name later things."""
        if self.function is None:
            return describe_signature(lambda: None)
        return describe_signature(self.function, self._checks(self.name), self._context, self._local_names)

    @classmethod
    def _checks(cls, name: object) -> FieldChecks:
        return FieldChecks(cls._noun if name is None else f"{cls._noun} {name!r}", cls._error)

    @classmethod
    def _make(cls: type[D], fields: dict[str, Any]) -> D:
        made = object.__new__(cls)
        made.__dict__.update(fields)
        return made

    @classmethod
    def _named(
        cls, function: Callable[..., Any] | None, name: str | None, checked_parameters: bool = True
    ) -> tuple[FieldChecks, dict[str, Any]]:
        """Starts the fields of a definition: name and function, and what makes it look like the function."""
        if isinstance(function, Definition):
            raise cls._checks(name or function.name).refuse(
                f"wraps {function!r}, which is a definition already."
            )
        if function is not None:
            cls._checks(name or getattr(function, "__name__", name)).function(function)
        shown = name if name is not None else getattr(function, "__name__", None)
        checks = cls._checks(shown)
        if shown is None or (name is None and shown == "<lambda>"):
            raise checks.refuse(f'the function {function!r} has no name of its own; give one, name="...".')
        fields: dict[str, Any] = {"name": checks.name(shown), "function": function, "_local_names": {}}
        if function is not None:
            if checked_parameters:
                check_parameters(function, checks, cls._context)
            for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
                if hasattr(function, attribute):
                    fields[attribute] = getattr(function, attribute)
            fields["__wrapped__"] = function
            fields["_local_names"] = _names_around(function)
        return checks, fields

    def __setattr__(self, field: str, value: object) -> None:
        raise AttributeError(f"{self!r} is fixed once it is made: cannot set {field!r}.")

    def __delattr__(self, field: str) -> None:
        raise AttributeError(f"{self!r} is fixed once it is made: cannot delete {field!r}.")

    def __reduce__(self) -> str | tuple[Any, ...]:
        module, path = self.__dict__.get("__module__"), self.__dict__.get("__qualname__")
        if module and path and module != "__main__" and getattr(sys.modules.get(module), path, None) is self:
            return str(path)
        kept = {
            field: value
            for field, value in self.__dict__.items()
            if field not in ("signature", "_local_names", "__wrapped__")
        }
        return _restore, (type(self), kept)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class Decorator(Generic[D]):
    """What a decorator with arguments is until it gets its function.

    Args:
        name: How it was written, for whoever finds it where the definition belongs.
        make: Makes the definition of a function.
    """

    __slots__ = ("_make", "_name")

    def __init__(self, name: str, make: Callable[[Callable[..., Any]], D]) -> None:
        self._name = name
        self._make = make

    def __call__(self, function: Callable[..., Any]) -> D:
        """Makes the definition."""
        return self._make(function)

    def __repr__(self) -> str:
        return f"{self._name}(...) that was given no function"


def _restore(cls: type[Definition], fields: dict[str, Any]) -> Definition:
    function = fields.get("function")
    return cls._make({**fields, "_local_names": {}, **({"__wrapped__": function} if function else {})})


def _names_around(function: Callable[..., Any]) -> dict[str, Any]:
    """The local names around a function that is defined inside another, where its hints name any of them."""
    hints = getattr(function, "__annotations__", {})
    if "<locals>" not in getattr(function, "__qualname__", "") or not any(
        isinstance(h, str) for h in hints.values()
    ):
        return {}
    outer = function.__qualname__.rsplit(".<locals>", 1)[0].rsplit(".", 1)[-1]
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 the names around a local function are nowhere else
    code = getattr(inspect.unwrap(function), "__code__", None)
    while frame is not None and not (frame.f_code.co_name == outer and _holds(frame.f_code, code)):
        frame = frame.f_back
    if frame is None:
        return {}
    words = {word for hint in hints.values() if isinstance(hint, str) for word in re.findall(r"\w+", hint)}
    return {name: value for name, value in frame.f_locals.items() if name in words}


def _holds(outer: CodeType, code: CodeType | None) -> bool:
    """Whether a function was written inside another, perhaps in a class there."""
    within = [one for one in outer.co_consts if isinstance(one, CodeType)]
    return code in within or any(_holds(one, code) for one in within)

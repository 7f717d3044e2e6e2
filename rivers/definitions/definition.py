"""Definition: the base of assets and tasks, a function with options that are checked once and then fixed."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from functools import cached_property
from types import CodeType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, overload

from rivers.definitions.contexts import AssetExecutionContext
from rivers.definitions.field_checks import FieldChecks
from rivers.definitions.signature import check_parameters, describe_signature, is_async_function
from rivers.exceptions import AssetDefinitionError
from rivers_core.authoring import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType
    from typing import Self

    from rivers.definitions.signature import ContextType, FunctionSignature
    from rivers.exceptions import RiversError

D = TypeVar("D", bound="Definition")
T = TypeVar("T")


class Option(Generic[T]):
    """An attribute of a definition that comes from the keyword argument of the same name.

    Args:
        check: Returns the argument in the form that is kept, or raises; gets None for an argument that is not given.
    """

    def __init__(self, check: Callable[[FieldChecks, str, object], T]) -> None:
        self.check = check

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object, owner: type) -> Any:
        # the instance keeps its own value, which takes precedence over this (non-data) descriptor
        if instance is None:
            return self
        raise AttributeError(f"{owner.__name__!r} object was not initialized")


class Configured:
    """Base of values whose attributes are checked options, fixed once they are created."""

    options: ClassVar[dict[str, Option[Any]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Option)}
        cls.options = {**cls.options, **own}

    def _set_options(self, checks: FieldChecks, given: Mapping[str, object]) -> None:
        for name, option in self.options.items():
            self.__dict__[name] = option.check(checks, name, given.get(name))

    def __setattr__(self, field: str, value: object) -> None:
        raise AttributeError(f"{self!r} is immutable: cannot set {field!r}.")

    def __delattr__(self, field: str) -> None:
        raise AttributeError(f"{self!r} is immutable: cannot delete {field!r}.")


class Definition(Configured):
    """A function and its options; a repository resolves it into a step."""

    _noun: ClassVar[str] = "asset"
    _error: ClassVar[type[RiversError]] = AssetDefinitionError
    _context: ClassVar[ContextType] = AssetExecutionContext

    name: str
    function: Callable[..., Any] | None
    """The wrapped function; None if there is none."""
    _local_names: dict[str, Any]

    @property
    def is_async(self) -> bool:
        """True if the function is asynchronous."""
        return is_async_function(self.function)

    @cached_property
    def signature(self) -> FunctionSignature:
        """Parameters and hints of the function, read on first use so that hints may name what is defined later."""
        if self.function is None:
            return describe_signature(lambda: None)
        return describe_signature(self.function, self._checks(self.name), self._context, self._local_names)

    @classmethod
    def define(cls, function: Callable[..., Any] | None, options: Mapping[str, object]) -> Self:
        """Create the definition, after checking every option."""
        definition = object.__new__(cls)
        checks = definition._wrap(function, options.get("name"))
        definition._set_options(checks, options)
        return definition

    @classmethod
    def decorate(
        cls, label: str, function: Callable[..., Any] | None, options: Mapping[str, object]
    ) -> Self | Decorator[Self]:
        """Return the definition of a function, or a decorator if there is no function yet."""
        if function is None:
            return Decorator(label, functools.partial(cls.define, options=options))
        return cls.define(function, options)

    @classmethod
    def _checks(cls, name: object) -> FieldChecks:
        return FieldChecks(cls._noun if name is None else f"{cls._noun} {name!r}", cls._error)

    def _wrap(self, function: Callable[..., Any] | None, name: object) -> FieldChecks:
        """Set name and function, and copy what makes the definition look like the function."""
        own_name = getattr(function, "__name__", None)
        if isinstance(function, Definition):
            raise self._checks(name or function.name).refuse(
                f"wraps must be a function, got the definition {function!r}."
            )
        if function is not None:
            self._checks(name or own_name).function(function)
        shown = name if name is not None else own_name
        checks = self._checks(shown)
        if shown is None or (name is None and shown == "<lambda>"):
            raise checks.refuse(f'a name is required, because {function!r} has none. Use name="...".')
        attributes = self.__dict__
        attributes.update(name=checks.name("name", shown), function=function, _local_names={})
        if function is not None:
            check_parameters(function, checks, self._context)
            for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
                if hasattr(function, attribute):
                    attributes[attribute] = getattr(function, attribute)
            attributes.update(__wrapped__=function, _local_names=_enclosing_names(function))
        return checks

    def __reduce__(self) -> str | tuple[Any, ...]:
        module, path = self.__dict__.get("__module__"), self.__dict__.get("__qualname__")
        if module and path and module != "__main__" and getattr(sys.modules.get(module), path, None) is self:
            return str(path)
        return self.reduce_by_value()

    def reduce_by_value(self) -> tuple[Any, ...]:
        """Return the class and the state, for a process that cannot import this definition by its name."""
        computed = ("signature", "_local_names", "__wrapped__")
        state = {field: value for field, value in self.__dict__.items() if field not in computed}
        return _restore, (type(self), state)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class Decorator(Generic[D]):
    """The result of calling a decorator with arguments, until it gets its function.

    Args:
        label: The call as written, for the repr.
        define: Creates the definition of a function.
    """

    __slots__ = ("_define", "_label")

    def __init__(self, label: str, define: Callable[[Callable[..., Any]], D]) -> None:
        self._label = label
        self._define = define

    def __call__(self, function: Callable[..., Any]) -> D:
        """Create the definition."""
        return self._define(function)

    def __repr__(self) -> str:
        return f"{self._label}(...) without its function"


def accepts(
    options: type[Mapping[str, object]], *, keyword_only: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace the parameter `options` of a function by the keys of a TypedDict.

    The options are spelled once: type checkers read the TypedDict through `Unpack`; at run time it is part of the
    signature that arguments are bound to, so that a misspelled keyword is a TypeError.

    Args:
        options: The TypedDict, in the order of the arguments.
        keyword_only: Whether options must be given by name.
    """
    kind = inspect.Parameter.KEYWORD_ONLY if keyword_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind, default=None) for name in options.__annotations__]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        *leading, _ = inspect.signature(function).parameters.values()
        signature = inspect.Signature([*leading, *parameters])
        names = {parameter.name for parameter in leading}
        known = {parameter.name for parameter in parameters}

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if (
                len(args) <= len(leading) and kwargs.keys() <= known
            ):  # binding takes longer than the definition
                return function(*args, options=kwargs)
            try:
                arguments = signature.bind(*args, **kwargs).arguments
            except TypeError as error:
                unknown = next((name for name in kwargs if name not in signature.parameters), "")
                raise TypeError(
                    f"{function.__qualname__}(): {error}.{did_you_mean(unknown, signature.parameters)}"
                ) from None
            given = {name: arguments.pop(name) for name in list(arguments) if name not in names}
            return function(**arguments, options=given)

        call.__signature__ = signature  # type: ignore[attr-defined]
        return call

    return decorate


def _restore(cls: type[Definition], state: dict[str, Any]) -> Definition:
    definition = object.__new__(cls)
    definition.__dict__.update(state, _local_names={})
    if state["function"] is not None:
        definition.__dict__["__wrapped__"] = state["function"]
    return definition


def _enclosing_names(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the local names that the string hints of a local function mention.

    A hint does not make a closure, so that with `from __future__ import annotations` a class that is defined in the
    same function exists only in the frame of that function while it runs. (PEP 649 solves this in Python 3.14.)
    """
    hints = getattr(function, "__annotations__", {})
    if "<locals>" not in getattr(function, "__qualname__", "") or not any(
        isinstance(hint, str) for hint in hints.values()
    ):
        return {}
    outer = function.__qualname__.rsplit(".<locals>", 1)[0].rsplit(".", 1)[-1]
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 the only way to the enclosing names
    code = getattr(inspect.unwrap(function), "__code__", None)
    while frame is not None and not (frame.f_code.co_name == outer and _encloses(frame.f_code, code)):
        frame = frame.f_back
    if frame is None:
        return {}
    words = {word for hint in hints.values() if isinstance(hint, str) for word in re.findall(r"\w+", hint)}
    return {name: value for name, value in frame.f_locals.items() if name in words}


def _encloses(outer: CodeType, code: CodeType | None) -> bool:
    """Return whether a function was defined inside another, directly or in a class or function there."""
    inner = [constant for constant in outer.co_consts if isinstance(constant, CodeType)]
    return code in inner or any(_encloses(constant, code) for constant in inner)

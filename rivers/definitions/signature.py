"""What the parameters of a function say: context, own stored value, inputs."""

from __future__ import annotations

import functools
import inspect
import re
import typing
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from rivers.definitions.contexts import AssetExecutionContext, TaskExecutionContext
from rivers.definitions.self_dependency import SelfDependency

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rivers.definitions.field_checks import FieldChecks

__all__ = ["FunctionSignature", "ParameterSpec", "by_keyword", "describe_signature", "is_async_function"]

ContextType = type[AssetExecutionContext[Any]] | type[TaskExecutionContext[Any]]

_SPECIAL: dict[str, type] = {
    cls.__name__: cls for cls in (AssetExecutionContext, TaskExecutionContext, SelfDependency)
}
_SPECIAL_TEXT = re.compile(rf"(?:[\w.]+\.)?({'|'.join(_SPECIAL)})\s*(?:\[(.*)\])?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """One parameter that stands for an input.

    Attributes:
        name: Its name.
        hint: Its annotation, resolved; `Any` without one.
        default: Its default; None without one (see `has_default`).
        has_default: Whether it has a default.
        kind: How it may be passed.
    """

    name: str
    hint: Any
    default: Any
    has_default: bool
    kind: inspect._ParameterKind

    @property
    def is_variadic(self) -> bool:
        """Whether it is `*args` or `**kwargs`."""
        return self.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class FunctionSignature:
    """A function as the graph reads it.

    Attributes:
        context_parameter: The name of the context parameter, if there is one.
        context_type: `AssetExecutionContext` or `TaskExecutionContext`.
        config_type: The `ConfigT` of the context; None without one.
        self_dependency: T of the parameter annotated `SelfDependency[T]`, `Any` for a bare one; None
            without such a parameter.
        self_parameter: The name of that parameter.
        parameters: All other parameters, in order.
        return_hint: The return annotation, resolved; `Any` if there is none.
        unresolved: Annotations that name something which does not exist; they are taken for `Any`.
    """

    context_parameter: str | None
    context_type: ContextType | None
    config_type: Any
    self_dependency: Any
    self_parameter: str | None
    parameters: tuple[ParameterSpec, ...]
    return_hint: Any
    unresolved: tuple[str, ...] = ()


def is_async_function(function: Callable[..., Any] | None) -> bool:
    """Whether calling it gives a coroutine or an asynchronous generator."""
    if function is None:
        return False
    while isinstance(function, functools.partial):
        function = function.func
    candidates = (function, _call_method(function))
    return any(inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one) for one in candidates)


def by_keyword(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, callable with a keyword for each parameter, also for those that are positional only."""
    positional = [
        (spec.name, spec.default)
        for spec in _signature(function).parameters.values()
        if spec.kind is spec.POSITIONAL_ONLY
    ]
    if not positional:
        return function

    @functools.wraps(function)
    def call(**arguments: Any) -> Any:
        last = max((place for place, (name, _) in enumerate(positional) if name in arguments), default=-1)
        # what is left out before the last one given keeps its place, by its default
        given = [arguments.pop(name, default) for name, default in positional[: last + 1]]
        return function(*given, **arguments)

    return call


def describe_signature(
    function: Callable[..., Any],
    checks: FieldChecks | None = None,
    context: ContextType = AssetExecutionContext,
    names: Mapping[str, Any] | None = None,
) -> FunctionSignature:
    """Reads a function's parameters and hints.

    Args:
        function: The function of an asset or a task.
        checks: Names the definition in errors, and knows which error to raise; without it nothing is checked.
        context: The context class that belongs here.
        names: What hints may name besides the function's globals (the names around a local function).

    Returns:
        The signature. A hint that cannot be resolved is `Any`, and listed in `unresolved`.

    Raises:
        AssetDefinitionError: (of an asset) A context that is not the first parameter, or the wrong context.
        TaskDefinitionError: The same of a task.
    """
    hints = _Hints(function, names or {})
    signature = _signature(function)
    parameters = [hints.resolved(parameter) for parameter in signature.parameters.values()]
    if checks is not None:
        check_special_parameters(parameters, checks, context)
    context_name = config = own_name = own_type = context_type = None
    rest: list[ParameterSpec] = []
    for index, parameter in enumerate(parameters):
        special, argument = _special(parameter.annotation)
        if special is None:
            special, text = _special_in_text(parameter.annotation)
            argument = hints.resolve(text) if text else None
        if special is SelfDependency:
            own_name, own_type = parameter.name, Any if argument is None else argument
        elif special is not None and index == 0:
            context_name, context_type, config = parameter.name, special, argument
        else:
            has_default = parameter.default is not parameter.empty
            default = parameter.default if has_default else None
            hint = Any if isinstance(parameter.annotation, str) else parameter.annotation
            rest.append(ParameterSpec(parameter.name, hint, default, has_default, parameter.kind))
    return FunctionSignature(
        context_name,
        context_type,
        config,
        own_type,
        own_name,
        tuple(rest),
        hints.resolve(signature.return_annotation),
        tuple(hints.unresolved),
    )


def check_special_parameters(
    parameters: list[inspect.Parameter], checks: FieldChecks, context: ContextType
) -> None:
    """Refuses contexts in the wrong place; works on text as well, so that it can be done before hints resolve."""
    own: list[str] = []
    for index, parameter in enumerate(parameters):
        special = _special(parameter.annotation)[0] or _special_in_text(parameter.annotation)[0]
        if special is SelfDependency:
            own.append(parameter.name)
            if context is TaskExecutionContext:
                raise checks.refuse(
                    f"the parameter {parameter.name!r} is a SelfDependency; only assets have one."
                )
        elif special is not None and special is not context:
            raise checks.refuse(
                f"the parameter {parameter.name!r} is annotated {special.__name__}; write "
                f"{context.__name__} here."
            )
        elif special is not None and index > 0:
            raise checks.refuse(
                f"the parameter {parameter.name!r} is annotated {special.__name__} but stands at place "
                f"{index + 1}; the context has to be the first parameter."
            )
    if len(own) > 1:
        raise checks.refuse(
            f"the parameters {own} are all SelfDependency; an asset has one stored value of its own."
        )


def check_parameters(function: Callable[..., Any], checks: FieldChecks, context: ContextType) -> None:
    """Refuses contexts in the wrong place while the function is being defined."""
    check_special_parameters(list(_signature(function).parameters.values()), checks, context)


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):  # builtins without a signature
        return inspect.Signature()


def _special(hint: Any) -> tuple[type | None, Any]:
    """The context or SelfDependency class that a hint is or parametrizes, and its argument."""
    origin = typing.get_origin(hint) or hint
    if isinstance(origin, type) and _SPECIAL.get(origin.__name__) is origin:
        arguments = typing.get_args(hint)
        return origin, arguments[0] if arguments else None
    return None, None


def _special_in_text(annotation: Any) -> tuple[type | None, str | None]:
    """The same for an annotation that is text and cannot be resolved; the argument is text too."""
    found = _SPECIAL_TEXT.fullmatch(annotation.strip()) if isinstance(annotation, str) else None
    return (None, None) if found is None else (_SPECIAL[found[1]], found[2])


def _call_method(function: Callable[..., Any]) -> Callable[..., Any]:
    return type(function).__call__


class _Hints:
    """Resolves the annotations of one function, each for itself, so that one bad name spoils only its own hint."""

    def __init__(self, function: Callable[..., Any], names: Mapping[str, Any]) -> None:
        plain = inspect.unwrap(function)
        while isinstance(plain, functools.partial):
            plain = plain.func
        if not hasattr(plain, "__globals__"):
            plain = _call_method(plain)
        self._globals: dict[str, Any] = getattr(plain, "__globals__", {})
        self._names = dict(names)
        cells = zip(
            getattr(getattr(plain, "__code__", None), "co_freevars", ()),
            getattr(plain, "__closure__", None) or (),
            strict=False,
        )
        for name, cell in cells:
            try:
                self._names[name] = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
        self.unresolved: list[str] = []

    def resolved(self, parameter: inspect.Parameter) -> inspect.Parameter:
        """The parameter with its hint resolved; what cannot be resolved stays text."""
        hint = self.resolve(parameter.annotation)
        lost = (
            hint is Any and isinstance(parameter.annotation, str) and parameter.annotation in self.unresolved
        )
        return parameter if lost else parameter.replace(annotation=hint)

    def resolve(self, annotation: Any) -> Any:
        """The hint; `Any` where there is none, or it cannot be resolved."""
        if annotation is inspect.Parameter.empty:
            return Any
        if isinstance(annotation, type):
            return annotation
        holder = SimpleNamespace(__annotations__={"hint": annotation})
        try:
            return typing.get_type_hints(holder, self._globals, self._names, include_extras=True)["hint"]
        except Exception:  # whatever evaluating an author's annotation raises, it only costs the hint
            self.unresolved.append(annotation if isinstance(annotation, str) else repr(annotation))
            return Any

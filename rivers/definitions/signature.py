"""Signatures: which parameter of a function is its context, its own stored value or an input."""

from __future__ import annotations

import builtins
import functools
import inspect
import re
import typing
from functools import cached_property
from types import FunctionType, NoneType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from rivers.definitions.contexts import AssetExecutionContext, SelfDependency, TaskExecutionContext
from rivers.definitions.guarded_imports import guarded_imports

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType

    from rivers.definitions.field_checks import FieldChecks

__all__ = ["FunctionSignature", "ParameterSpec", "by_keyword", "describe_signature", "is_async_function"]

ContextType = type[AssetExecutionContext[Any]] | type[TaskExecutionContext[Any]]

_SPECIAL: dict[str, type] = {
    cls.__name__: cls for cls in (AssetExecutionContext, TaskExecutionContext, SelfDependency)
}
_ORDINARY = inspect.Parameter.POSITIONAL_OR_KEYWORD
_SPECIAL_TEXT = re.compile(rf"(?:[\w.]+\.)?({'|'.join(_SPECIAL)})\s*(?:\[(.*)\])?", re.DOTALL)


class ParameterSpec(NamedTuple):
    """A parameter of a function.

    Attributes:
        name: Name of the parameter.
        hint: Annotation; `Any` without one.
        default: Default value; None without one (see `has_default`).
        has_default: Whether it has a default.
        kind: Whether it is positional, keyword or variadic.
    """

    name: str
    hint: Any
    default: Any
    has_default: bool
    kind: inspect._ParameterKind

    @property
    def is_variadic(self) -> bool:
        """True for `*args` and `**kwargs`."""
        return self.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class FunctionSignature(NamedTuple):
    """Parameters and return type of a function.

    Attributes:
        context_parameter: Name of the context parameter, if any.
        context_type: `AssetExecutionContext` or `TaskExecutionContext`.
        config_type: `ConfigT` of the context; None without one.
        self_dependency: T of the parameter annotated `SelfDependency[T]`, `Any` for a bare one; None without such a
            parameter.
        self_parameter: Name of that parameter.
        parameters: All other parameters, in order.
        return_hint: Resolved return annotation; `Any` without one.
        unresolved: Annotations that could not be resolved and count as `Any`. Imports below `if TYPE_CHECKING:` are
            executed for the names that annotations use.
        is_context_implied: Whether the context is a first parameter named `context` without annotation; it is an input
            if an asset or resource has that name.
    """

    context_parameter: str | None
    context_type: ContextType | None
    config_type: Any
    self_dependency: Any
    self_parameter: str | None
    parameters: tuple[ParameterSpec, ...]
    return_hint: Any
    unresolved: tuple[str, ...] = ()
    is_context_implied: bool = False


def is_async_function(function: Callable[..., Any] | None) -> bool:
    """Return whether the function returns a coroutine or an asynchronous generator."""
    if function is None:
        return False
    if is_bare(function):
        return bool(function.__code__.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR))
    while isinstance(function, functools.partial):
        function = function.func
    candidates = (function, _call_method(function))
    return any(inspect.iscoroutinefunction(item) or inspect.isasyncgenfunction(item) for item in candidates)


def is_bare(function: Callable[..., Any]) -> TypeGuard[FunctionType]:
    """Return whether a function is what `def` made: without attributes such as `__wrapped__`, its code says everything.

    Asking `inspect` about each function takes more time than the rest of resolving a graph.
    """
    return type(function) is FunctionType and not function.__dict__


def read_parameters(function: Callable[..., Any]) -> tuple[list[ParameterSpec], Any]:
    """Return the parameters of a function and its return annotation, as written; `Any` where there is none."""
    if is_bare(function) and not _has_unusual_parameters(function.__code__):
        code, hints, defaults = function.__code__, function.__annotations__, function.__defaults__ or ()
        names = code.co_varnames[: code.co_argcount]
        required = len(names) - len(defaults)
        parameters = [
            ParameterSpec(name, hints.get(name, Any), None, False, _ORDINARY) for name in names[:required]
        ]
        parameters += [
            ParameterSpec(name, hints.get(name, Any), default, True, _ORDINARY)
            for name, default in zip(names[required:], defaults, strict=True)
        ]
        return parameters, hints.get("return", Any)
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # builtins without a signature
        return [], Any
    return [_spec(item) for item in signature.parameters.values()], _given(signature.return_annotation, Any)


def _has_unusual_parameters(code: CodeType) -> bool:
    """Return whether a function has parameters that are positional-only, keyword-only or variadic."""
    variadic = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    return bool(code.co_posonlyargcount or code.co_kwonlyargcount or variadic)


def _spec(parameter: inspect.Parameter) -> ParameterSpec:
    hint, default = _given(parameter.annotation, Any), _given(parameter.default, None)
    return ParameterSpec(
        parameter.name, hint, default, parameter.default is not parameter.empty, parameter.kind
    )


def _given(value: Any, default: Any) -> Any:
    return default if value is inspect.Parameter.empty else value


def by_keyword(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, callable with keywords also for parameters that are positional-only."""
    if is_bare(function) and not function.__code__.co_posonlyargcount:
        return function
    positional = [
        (spec.name, spec.default)
        for spec in read_parameters(function)[0]
        if spec.kind is inspect.Parameter.POSITIONAL_ONLY
    ]
    if not positional:
        return function

    @functools.wraps(function)
    def call(**arguments: Any) -> Any:
        last = max((index for index, (name, _) in enumerate(positional) if name in arguments), default=-1)
        # a parameter that is omitted before the last one given must be passed too, with its default
        values = [arguments.pop(name, default) for name, default in positional[: last + 1]]
        return function(*values, **arguments)

    return call


def describe_signature(
    function: Callable[..., Any],
    checks: FieldChecks | None = None,
    context: ContextType = AssetExecutionContext,
    names: Mapping[str, Any] | None = None,
) -> FunctionSignature:
    """Read the parameters and hints of a function.

    Args:
        function: The function of an asset or a task.
        checks: Raises the errors of the definition; None skips the checks.
        context: The context class of this kind of definition.
        names: Names that hints may use besides the function's globals (the enclosing names of a local function).

    Returns:
        The signature. A hint that cannot be resolved is `Any`, and listed in `unresolved`.

    Raises:
        AssetDefinitionError: The context of an asset is not the first parameter, or not an asset's.
        TaskDefinitionError: The same for a task.
    """
    hints = _Hints(function, names or {})
    written, return_annotation = read_parameters(function)
    parameters = [hints.resolved(parameter) for parameter in written]
    if checks is not None:
        check_special_parameters(parameters, checks, context)
    context_name = config = self_name = self_type = context_type = None
    is_implied = False
    rest: list[ParameterSpec] = []
    for index, parameter in enumerate(parameters):
        special, argument = _special(parameter.hint)
        if special is None:
            special, text = _special_in_text(parameter.hint)
            argument = hints.resolve(text) if text else None
        if special is SelfDependency:
            self_name, self_type = parameter.name, Any if argument is None else argument
        elif special is not None and index == 0:
            context_name, context_type, config = parameter.name, special, argument
        elif index == 0 and _is_plain_context(parameter):
            context_name, context_type = parameter.name, context
            is_implied = True
        else:
            rest.append(parameter._replace(hint=Any) if isinstance(parameter.hint, str) else parameter)
    return FunctionSignature(
        context_name,
        context_type,
        config,
        self_type,
        self_name,
        tuple(rest),
        hints.resolve(return_annotation),
        tuple(hints.unresolved),
        is_implied,
    )


def check_special_parameters(
    parameters: list[ParameterSpec], checks: FieldChecks, context: ContextType
) -> None:
    """Refuse misplaced contexts; unresolved annotations are read as text, so that this works before they resolve."""
    self_names: list[str] = []
    for index, parameter in enumerate(parameters):
        special = _special(parameter.hint)[0] or _special_in_text(parameter.hint)[0]
        if special is SelfDependency:
            self_names.append(parameter.name)
            if context is TaskExecutionContext:
                raise checks.refuse(
                    f"parameter {parameter.name!r} is a SelfDependency, which only assets have."
                )
        elif special is TaskExecutionContext and context is AssetExecutionContext:
            raise checks.refuse(
                f"parameter {parameter.name!r} must be annotated {context.__name__}, got {special.__name__}."
            )
        elif special is not None and index > 0:
            raise checks.refuse(
                f"the context must be the first parameter, got {parameter.name!r} ({special.__name__}) at position "
                f"{index + 1}."
            )
    if len(self_names) > 1:
        raise checks.refuse(f"only one parameter can be a SelfDependency, got {', '.join(self_names)}.")


def _is_plain_context(parameter: ParameterSpec) -> bool:
    is_plain = parameter.hint is Any and not parameter.has_default
    is_positional = parameter.kind in (inspect.Parameter.POSITIONAL_ONLY, _ORDINARY)
    return parameter.name == "context" and is_plain and is_positional


def check_parameters(function: Callable[..., Any], checks: FieldChecks, context: ContextType) -> None:
    """Refuse misplaced contexts while the function is being defined."""
    check_special_parameters(read_parameters(function)[0], checks, context)


def _special(hint: Any) -> tuple[type | None, Any]:
    """Return the context or SelfDependency class of a hint, and its type argument."""
    if type(hint) is type:  # most annotations are plain classes
        return (hint if _SPECIAL.get(hint.__name__) is hint else None), None
    origin = typing.get_origin(hint) or hint
    if isinstance(origin, type) and _SPECIAL.get(origin.__name__) is origin:
        arguments = typing.get_args(hint)
        return origin, arguments[0] if arguments else None
    return None, None


def _special_in_text(annotation: Any) -> tuple[type | None, str | None]:
    """Return the same for an annotation that could not be resolved; the argument is text too."""
    match = _SPECIAL_TEXT.fullmatch(annotation.strip()) if isinstance(annotation, str) else None
    return (None, None) if match is None else (_SPECIAL[match[1]], match[2])


def parameter_names(function: Callable[..., Any]) -> list[str] | None:
    """Return the names of the parameters of a function; None if it takes any keyword."""
    parameters = read_parameters(function)[0]
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters]


def _call_method(function: Callable[..., Any]) -> Callable[..., Any]:
    return type(function).__call__


class _Hints:
    """Resolver of the annotations of one function, one by one, so that an unknown name costs only its own hint."""

    def __init__(self, function: Callable[..., Any], names: Mapping[str, Any]) -> None:
        self._function = function
        self._enclosing = names
        self.unresolved: list[str] = []

    @cached_property
    def _scope(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Global names of the function, and the local names around it."""
        if is_bare(self._function) and not self._function.__closure__:
            return self._function.__globals__, dict(self._enclosing)
        plain = inspect.unwrap(self._function)
        while isinstance(plain, functools.partial):
            plain = plain.func
        if not hasattr(plain, "__globals__"):
            plain = _call_method(plain)
        names = dict(self._enclosing)
        cells = zip(
            getattr(getattr(plain, "__code__", None), "co_freevars", ()),
            getattr(plain, "__closure__", None) or (),
            strict=False,
        )
        for name, cell in cells:
            try:
                names[name] = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
        return getattr(plain, "__globals__", {}), names

    def resolved(self, parameter: ParameterSpec) -> ParameterSpec:
        """Return the parameter with its hint resolved; an annotation that cannot be resolved stays text."""
        annotation = parameter.hint
        hint = self.resolve(annotation)
        failed = hint is Any and isinstance(annotation, str) and annotation in self.unresolved
        return parameter if failed or hint is annotation else parameter._replace(hint=hint)

    def resolve(self, annotation: Any) -> Any:
        """Return the hint; `Any` if it cannot be resolved."""
        if annotation is Any or isinstance(annotation, type):
            return annotation
        if annotation is None:
            return NoneType
        try:
            return self._evaluate(annotation)
        except Exception:  # evaluating an annotation may raise anything
            self.unresolved.append(annotation if isinstance(annotation, str) else repr(annotation))
            return Any

    def _evaluate(self, annotation: Any) -> Any:
        if isinstance(annotation, str) and (named := self._named_class(annotation)) is not None:
            return named
        holder = SimpleNamespace(__annotations__={"hint": annotation})
        try:
            return typing.get_type_hints(holder, *self._scope, include_extras=True)["hint"]
        except NameError as error:
            (module_names, names), missing = self._scope, error.name or ""
            guarded = guarded_imports(module_names).get(missing)
            if guarded is None or missing in names:
                raise
            names[missing] = guarded.execute()
        return self._evaluate(annotation)

    def _named_class(self, annotation: str) -> type | None:
        """Return the class that text like `Table` or `pl.DataFrame` names; `eval` takes several times as long."""
        (first, *path), (module_names, names) = annotation.split("."), self._scope
        value = names.get(first, module_names.get(first, vars(builtins).get(first)))
        for part in path:
            value = getattr(value, part, None)
        return value if isinstance(value, type) else None

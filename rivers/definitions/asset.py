"""Assets: functions whose results are stored by IO handlers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypedDict, overload

from rivers.definitions.asset_def import AssetDef, check_deps
from rivers.definitions.composition import AssetRef, GraphRecording, current_recorder, record
from rivers.definitions.definition import Decorator, Definition, Option, accepts
from rivers.definitions.field_checks import FieldChecks
from rivers.definitions.html import html_facts
from rivers.definitions.signature import parameter_names
from rivers.exceptions import AssetDefinitionError, AssetPartitionsError
from rivers.mappings import common_partitions
from rivers_core.authoring import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from typing import Self, Unpack

    from typing_extensions import ParamSpec, TypeVar

    from rivers.definitions.asset_def import DepDef
    from rivers.definitions.hook import Hook
    from rivers.definitions.retry import Compute, RetryPolicy
    from rivers.mappings import PartitionMapping
    from rivers.partitions import PartitionsDefinition
    from rivers_core.handler import BaseIOHandler

    # the defaults make a bare `SingleAsset` a complete annotation
    P = ParamSpec("P", default=...)
    R = TypeVar("R", default=Any)
else:
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

__all__ = ["Asset", "ExternalAsset", "GraphAsset", "MultiAsset", "SingleAsset"]

Function = Callable[..., Any]


# The decorators that the forms with arguments return; each keeps parameters and return type of the function.


class SingleDecorator(Protocol):
    """Decorator returned by `Asset(...)`."""

    def __call__(self, function: Callable[P, R], /) -> SingleAsset[P, R]: ...


class MultiDecorator(Protocol):
    """Decorator returned by `Asset.from_multi(...)`."""

    def __call__(self, function: Callable[P, R], /) -> MultiAsset[P, R]: ...


class GraphDecorator(Protocol):
    """Decorator returned by `Asset.from_graph(...)`."""

    def __call__(self, function: Callable[P, R], /) -> GraphAsset[P, R]: ...


# Keyword arguments of the four forms. Each argument belongs to one group, and the order of the groups is the order of
# the arguments.


class _Labels(TypedDict, total=False):
    name: str | None
    tags: Sequence[str] | None
    kinds: str | Sequence[str] | None
    group: str | None


class _Description(TypedDict, total=False):
    description: str | None


class _CodeVersion(TypedDict, total=False):
    code_version: str | None


class _Handler(TypedDict, total=False):
    io_handler: BaseIOHandler | str | None


class _NodeHandler(TypedDict, total=False):
    node_io_handler: BaseIOHandler | str | None


class _Metadata(TypedDict, total=False):
    metadata: Mapping[str, Any] | None


class _Partitions(TypedDict, total=False):
    partitions_def: PartitionsDefinition | str | None


class _Batches(TypedDict, total=False):
    partition_batches: bool | Literal["allow_empty"]


class _Steps(TypedDict, total=False):
    deps: Sequence[DepDef] | None
    hooks: Sequence[Hook] | None
    retry: RetryPolicy | str | None


class _Machine(TypedDict, total=False):
    compute: Compute | None
    timeout: float | timedelta | None


class SingleOptions(
    _Labels,
    _Description,
    _CodeVersion,
    _Handler,
    _Metadata,
    _Partitions,
    _Batches,
    _Steps,
    _Machine,
    total=False,
):
    """Keyword arguments of `Asset`."""


class MultiOptions(_Labels, _CodeVersion, _Handler, _Partitions, _Steps, _Machine, _Batches, total=False):
    """Keyword arguments of `Asset.from_multi`."""


class GraphOptions(
    _Labels, _CodeVersion, _Handler, _NodeHandler, _Metadata, _Partitions, _Steps, total=False
):
    """Keyword arguments of `Asset.from_graph`."""


class ExternalOptions(_Labels, _Handler, _Metadata, _Partitions, total=False):
    """Keyword arguments of `Asset.external`."""


class Asset(Definition):
    """A function whose result is stored by an IO handler; a decorator, bare or with keyword arguments.

    The parameters of the function declare what it needs: the context (`AssetExecutionContext`, first), the asset's own
    stored value (`SelfDependency`), other assets and resources by name. Calling an asset calls its function.

    Args:
        wraps: The function.
        name: Name of the asset; by default the name of the function.
        tags: Tags.
        kinds: Kinds such as `"table"`; a string or a list.
        group: Group in which listings show the asset.
        description: Text for people; by default the docstring of the function.
        code_version: Version of the code; a new one makes stored values stale.
        io_handler: Handler, or the name of one.
        metadata: JSON values; keys of the form `handler/option` are options of that handler.
        partitions_def: Partitions, or the name of an entry of the repository's `partition_defs`.
        partition_batches: Whether one call of the function handles several partition keys, for which it returns a
            `PartitionedOutput`, or one value that its handler can split. By default a run over several keys calls
            the function once per key. With `"allow_empty"` such a value may store nothing for some of its keys.
        deps: Upstream assets declared with `AssetDef.input(...)` and `AssetDef.dep(...)`.
        hooks: Functions called when the step succeeded or failed.
        retry: Retry policy, or the name of an entry of the repository's `retries`.
        compute: Machine resources of a step, for executors that place steps on machines.
        timeout: Seconds, or a `timedelta`, that one attempt of a step may take. It takes precedence over that of a job
            or run.

    Raises:
        AssetDefinitionError: An argument is not valid, or the context is not the first parameter.

    Examples:
        >>> @Asset
        ... def numbers() -> list[int]:
        ...     return [1, 2, 3]
        >>> @Asset(tags=["daily"])
        ... def total(numbers: list[int]) -> int:
        ...     return sum(numbers)
        >>> total([1, 2])
        3
    """

    is_single: ClassVar[bool] = False
    """Whether it is a function with one output."""
    is_multi: ClassVar[bool] = False
    """Whether it has several outputs."""
    is_graph: ClassVar[bool] = False
    """Whether it consists of tasks."""
    is_external: ClassVar[bool] = False
    """Whether another system stores it."""

    tags = Option(FieldChecks.texts)
    kinds = Option(FieldChecks.text_or_texts)
    group = Option(FieldChecks.text)
    code_version = Option(FieldChecks.text)
    io_handler = Option(FieldChecks.io_handler)
    node_io_handler = Option(FieldChecks.io_handler)
    """Handler of the inner nodes of a graph asset."""
    metadata = Option(FieldChecks.metadata)
    partitions_def = Option(FieldChecks.partitions_def)
    partition_batches = Option(FieldChecks.partition_batches)
    deps = Option(check_deps)
    hooks = Option(FieldChecks.hooks)
    retry = Option(FieldChecks.retry)
    compute = Option(FieldChecks.compute)
    timeout = Option(FieldChecks.timeout)

    def _repr_html_(self) -> str:
        """Return the definition as a table, which notebooks show."""
        facts = {
            "description": self.description,
            "group": self.group,
            "kinds": ", ".join(self.kinds),
            "tags": ", ".join(self.tags or ()),
            "code version": self.code_version,
            "handler": self.io_handler,
            "partitions": self.partitions_def,
        }
        return html_facts(f"{type(self).__name__} {self.name}", facts)

    @property
    def description(self) -> str | None:
        """Text for people: what was given, else the docstring of the function; None without either."""
        given: str | None = self.__dict__.get("_description")
        documented = getattr(self.function, "__doc__", None)
        return given if given is not None else documented and inspect.cleandoc(documented)

    @property
    def partition_mapping(self) -> dict[str, PartitionMapping] | None:
        """Partition mapping by name of the upstream, of the deps that declare one; None if none does."""
        declared = ((dep.name, dep.partition_mapping) for dep in self.deps)
        return {name: mapping for name, mapping in declared if mapping is not None} or None

    @overload
    def __new__(cls, wraps: Callable[P, R], **options: Unpack[SingleOptions]) -> SingleAsset[P, R]: ...
    @overload
    def __new__(  # type: ignore[misc]
        cls, wraps: None = None, **options: Unpack[SingleOptions]
    ) -> SingleDecorator: ...
    @accepts(SingleOptions, keyword_only=True)
    def __new__(cls, wraps: Function | None = None, *, options: SingleOptions) -> Any:
        """Create a single asset, or return a decorator if there is no function yet."""
        if cls not in (Asset, SingleAsset):
            raise AssetDefinitionError(
                f"{cls.__name__} cannot be called. Use Asset.from_multi, Asset.from_graph or Asset.external."
            )
        return SingleAsset.decorate("Asset", wraps, options)

    @overload
    @classmethod
    def from_multi(
        cls, wraps: Callable[P, R], output_defs: Sequence[AssetDef] = (), **options: Unpack[MultiOptions]
    ) -> MultiAsset[P, R]: ...
    @overload
    @classmethod
    def from_multi(
        cls, wraps: None = None, output_defs: Sequence[AssetDef] = (), **options: Unpack[MultiOptions]
    ) -> MultiDecorator: ...
    @classmethod
    @accepts(MultiOptions)
    def from_multi(
        cls, wraps: Function | None = None, output_defs: Sequence[AssetDef] = (), *, options: MultiOptions
    ) -> Any:
        """Create an asset with several outputs; a decorator, or a direct call with `wraps=`.

        The function returns `{output name: value}` or yields `Output(value, output_name=...)`.

        Args:
            wraps: The function.
            output_defs: One `AssetDef` per output, at least one.
            options: Arguments of `Asset` except `metadata`; group, code version, handler and partitions apply to
                outputs that do not set their own, tags and kinds to all outputs.

        Raises:
            AssetDefinitionError: An argument is not valid, or two outputs have the same name.
        """
        return MultiAsset.decorate("Asset.from_multi", wraps, {"output_defs": output_defs, **options})

    @overload
    @classmethod
    def from_graph(cls, wraps: Callable[P, R], **options: Unpack[GraphOptions]) -> GraphAsset[P, R]: ...
    @overload
    @classmethod
    def from_graph(cls, wraps: None = None, **options: Unpack[GraphOptions]) -> GraphDecorator: ...
    @classmethod
    @accepts(GraphOptions)
    def from_graph(cls, wraps: Function | None = None, *, options: GraphOptions) -> Any:
        """Create an asset that consists of tasks; a decorator, bare or with arguments, or a direct call.

        The repository calls the body once, when it is resolved, to record which tasks it calls. Parameters of the
        body are assets by name; nodes are named `graph/task`.

        Args:
            wraps: The body.
            options: Arguments of `Asset` except `compute` and `partition_batches`. `io_handler` stores the result,
                `node_io_handler` the values of inner nodes whose task has no handler. `partitions_def` and `retry`
                also apply to the nodes.

        Raises:
            AssetDefinitionError: An argument is not valid.
        """
        return GraphAsset.decorate("Asset.from_graph", wraps, options)

    @overload
    @classmethod
    def external(cls, wraps: Function, **options: Unpack[ExternalOptions]) -> ExternalAsset: ...
    @overload
    @classmethod
    def external(cls, wraps: None = None, **options: Unpack[ExternalOptions]) -> ExternalAsset: ...
    @classmethod
    @accepts(ExternalOptions, keyword_only=True)
    def external(cls, wraps: Function | None = None, *, options: ExternalOptions) -> Any:
        """Create an asset that another system stores: never run, loaded through its handler.

        Args:
            wraps: Function that observes the asset (`repo.observe()`), if any; also `@Asset.external(...)`.
            options: The arguments `name`, `io_handler` (required), `tags`, `kinds`, `group`, `metadata` and
                `partitions_def` of `Asset`. Without `name`, the observing function names the asset.

        Raises:
            AssetDefinitionError: An argument is not valid, or there is no handler.

        Examples:
            >>> Asset.external(name="raw", io_handler="pickle")
            ExternalAsset('raw')
        """
        return ExternalAsset.declare(wraps, options)

    @property
    def observe_fn(self) -> Callable[..., Any] | None:
        """The function that observes an external asset; None for other kinds."""
        return None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function; in the body of a graph asset return a placeholder for the asset's value."""
        recorder = current_recorder()
        if recorder is not None:
            return recorder.call_asset(self, args, kwargs)
        if self.function is None:
            raise AssetDefinitionError(f"Asset {self.name!r} has no function to call.")
        return self.function(*args, **kwargs)


class _FunctionAsset(Asset, Generic[P, R]):
    """Base of the assets that always have a function, and its parameters and return type for type checkers."""

    function: Callable[P, R]

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


class SingleAsset(_FunctionAsset[P, R]):
    """A function with one output, created by `@Asset`."""

    is_single: ClassVar[bool] = True

    def _set_options(self, checks: FieldChecks, given: Mapping[str, object]) -> None:
        super()._set_options(checks, given)
        self.__dict__["_description"] = checks.text("description", given.get("description"))
        _check_inputs(checks, self.function, self.deps, {self.name})


def _check_inputs(
    checks: FieldChecks, function: Function, deps: Iterable[DepDef], own_names: Collection[str]
) -> None:
    """Require a parameter for each declared input other than the asset's own stored value."""
    inputs = [dep for dep in deps if dep.is_input and dep.name not in own_names]
    names = parameter_names(function) if inputs else None
    for dep in inputs:
        if names is not None and dep.name not in names:
            raise checks.refuse(
                f"AssetDef.input({dep.name!r}) is declared, but there is no parameter {dep.name!r}; add it, or use "
                f"AssetDef.dep({dep.name!r}).{did_you_mean(dep.name, names)}"
            )


def _check_outputs(checks: FieldChecks, field: str, value: object) -> list[AssetDef]:
    if isinstance(value, AssetDef):
        value = [value]
    outputs = list(value) if isinstance(value, Iterable) else []
    if not outputs:
        raise checks.refuse(
            f'it has no outputs; {field} is required. Use {field}=[AssetDef("a"), AssetDef("b")].'
        )
    seen: dict[str, str] = {}
    for output in outputs:
        if not isinstance(output, AssetDef):
            raise checks.refuse_type(
                f"{field} must contain AssetDefs, got {output!r}. Use AssetDef({output!r})."
            )
        same = seen.get(output.name.casefold())
        if same is not None:
            problem = "twice" if same == output.name else f"and {same!r}, which differ only in case"
            raise checks.refuse(f"{field} names {output.name!r} {problem}. Give each output another name.")
        seen[output.name.casefold()] = output.name
    return outputs


class MultiAsset(_FunctionAsset[P, R]):
    """One function with several outputs, created by `Asset.from_multi`."""

    is_multi: ClassVar[bool] = True
    output_defs = Option(_check_outputs)
    """Definitions of the outputs, in the order given."""

    def _set_options(self, checks: FieldChecks, given: Mapping[str, object]) -> None:
        super()._set_options(checks, given)
        declared = {dep.name: (dep, "the multi-asset") for dep in self.deps}
        for output in self.output_defs:
            for dep in output.deps:
                first, owner = declared.setdefault(dep.name, (dep, f"output {output.name!r}"))
                if first != dep:
                    raise checks.refuse(
                        f"deps declare {dep.name!r} twice and differently: {owner} has {first!r}, output "
                        f"{output.name!r} has {dep!r}. Declare it once; the function loads it once for all outputs."
                    )
        _check_inputs(checks, self.function, [dep for dep, _ in declared.values()], self.output_names)
        # labels live on the outputs
        labels = {name: self.__dict__[name] for name in ("tags", "kinds", "group")}
        outputs = [output.inheriting(self, labels) for output in self.output_defs]
        self.__dict__.update(tags=None, kinds=[], group=None, output_defs=outputs)
        _check_common_partitions(checks, outputs)

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, in the order given."""
        return [output.name for output in self.output_defs]


def _check_common_partitions(checks: FieldChecks, outputs: list[AssetDef]) -> None:
    """Refuse outputs whose partitions have no key in common; the graph compares definitions that are given by name."""
    definitions = [output.partitions_def for output in outputs]
    partitions = [item for item in definitions if not isinstance(item, str)]
    if (
        len(partitions) < len(outputs)
        or not any(partitions)
        or reduce(common_partitions, partitions) is not None
    ):
        return
    raise FieldChecks(checks.subject, AssetPartitionsError).refuse(
        f"its outputs {', '.join(repr(output.name) for output in outputs)} have no partition key in common, but one "
        "call returns all for one key. Use the same partitions, or several assets."
    )


class GraphAsset(_FunctionAsset[P, R]):
    """Tasks wired together by the body of a function, created by `Asset.from_graph`."""

    is_graph: ClassVar[bool] = True

    def _set_options(self, checks: FieldChecks, given: Mapping[str, object]) -> None:
        super()._set_options(checks, given)
        if self.is_async:
            raise checks.refuse(
                "the body of a graph asset cannot be `async def`. It only wires tasks; make the tasks async."
            )

    def record(self) -> GraphRecording:
        """Call the body once and return the tasks it calls.

        A parameter without a default refers to the asset or resource of that name; one with a default gets the
        default.

        Raises:
            GraphValidationError: The body does anything but wire tasks, or fails.
            AssetDefinitionError: The body takes a context or a `SelfDependency`.
        """
        return self._recording

    @cached_property
    def _recording(self) -> GraphRecording:
        signature = self.signature
        checks = self._checks(self.name)
        for parameter in (signature.context_parameter, signature.self_parameter):
            if parameter is not None:
                raise checks.refuse(
                    f"the body of a graph asset cannot take {parameter!r}. Give the parameter to a task."
                )
        arguments: dict[str, Any] = {}
        for spec in signature.parameters:
            if spec.is_variadic:
                raise checks.refuse(
                    f"the body of a graph asset cannot take *{spec.name}. Name each asset it needs."
                )
            arguments[spec.name] = spec.default if spec.has_default else AssetRef(spec.name)
        return record(self.name, self.function, arguments)


def _check_required_handler(checks: FieldChecks, field: str, value: object) -> BaseIOHandler | str:
    handler = checks.io_handler(field, value)
    if handler is None:
        raise checks.refuse(f"{field} is required: an external asset is loaded through its handler.")
    return handler


class ExternalAsset(Asset):
    """An asset that another system stores, created by `Asset.external`; its function, if any, observes it."""

    is_external: ClassVar[bool] = True
    io_handler = Option(_check_required_handler)
    _pending: ExternalOptions | None = None
    """Options of an asset without a function, which may still be used as a decorator."""

    @property
    def observe_fn(self) -> Callable[..., Any] | None:
        """The function that observes the asset; None if there is none."""
        return self.function

    @classmethod
    def declare(cls, function: Function | None, options: ExternalOptions) -> Self | Decorator[Self]:
        """Create an external asset; without a name and a function it can only be a decorator."""
        if function is None and options.get("name") is None:
            _check_required_handler(cls._checks(None), "io_handler", options.get("io_handler"))
            return cls.decorate("Asset.external", None, options)
        asset = cls.define(function, options)
        if function is None:
            asset.__dict__["_pending"] = options
        return asset

    @overload
    def __call__(self, function: Callable[..., Any], /) -> ExternalAsset: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take the observing function if used as a decorator; otherwise call it."""
        options = None if current_recorder() is not None else self._pending
        if options is not None and len(args) == 1 and not kwargs and callable(args[0]):
            return self.declare(args[0], options)
        return super().__call__(*args, **kwargs)

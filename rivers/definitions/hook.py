"""Hooks: functions that are called after a step succeeded or failed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NoReturn, TypeVar, overload

from rivers.definitions.contexts import ConfigT
from rivers.exceptions import AssetDefinitionError, AssetTypeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from rivers_core.metadata import MetadataValue
    from rivers_core.partitions import PartitionContext

__all__ = ["Hook", "HookContext"]

HookType = Literal["success", "failure"]


class HookContext(Generic[ConfigT]):
    """Argument of a hook.

    Args:
        asset_name: Name of the asset whose step ended; of a multi-asset, the output.
        run_id: Identifier of the run.
        hook_type: `"success"` or `"failure"`.
        output: The stored value; None after a failure.
        error: Type and message of a failure; None after a success.
        metadata: Static metadata of the asset; None if it has none.
        config: The configuration object of the asset in this run; None if it takes none.
        exception: The error of a failure itself.
        output_metadata: Metadata recorded with the output.
        partition: Partition keys of the call of the step; None without partitions.
    """

    __slots__ = (
        "asset_name",
        "config",
        "error",
        "exception",
        "hook_type",
        "metadata",
        "output",
        "output_metadata",
        "partition",
        "run_id",
    )

    def __init__(
        self,
        asset_name: str,
        run_id: str | None = None,
        hook_type: HookType = "success",
        output: Any = None,
        error: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        config: ConfigT = None,  # type: ignore[assignment]
        *,
        exception: BaseException | None = None,
        output_metadata: Mapping[str, MetadataValue] | None = None,
        partition: PartitionContext | None = None,
    ) -> None:
        self.partition = partition
        self.asset_name = asset_name
        self.run_id = run_id
        self.hook_type = hook_type
        self.output = output
        self.error = error
        self.metadata = metadata
        self.config = config
        self.exception = exception
        self.output_metadata = output_metadata

    def __repr__(self) -> str:
        names = ("asset_name", "run_id", "hook_type", "output", "error", "metadata", "config")
        given = [(name, getattr(self, name)) for name in names]
        return f"HookContext({', '.join(f'{name}={value!r}' for name, value in given if value is not None)})"


HookFunction = Callable[[HookContext[Any]], object]


@dataclass(frozen=True, repr=False)
class Hook:
    """A function called with a `HookContext` when a step ends, created by `Hook.success` or `Hook.failure`.

    `Hook.Success` and `Hook.Failure` are the classes of the two kinds. The engine awaits an `async def` function.

    Examples:
        >>> @Hook.failure
        ... def page(context: HookContext) -> None:
        ...     print(context.asset_name, context.error)
    """

    name: str
    function: HookFunction

    hook_type: ClassVar[HookType]

    if TYPE_CHECKING:
        Success: TypeAlias = "SuccessHook"  # type: ignore[misc]  # only type checkers see it
        Failure: TypeAlias = "FailureHook"  # type: ignore[misc]

    @overload
    @staticmethod
    def success(func: HookFunction, *, name: str | None = None) -> SuccessHook: ...
    @overload
    @staticmethod
    def success(func: None = None, *, name: str | None = None) -> Callable[[HookFunction], SuccessHook]: ...
    @staticmethod
    def success(
        func: HookFunction | None = None, *, name: str | None = None
    ) -> SuccessHook | Callable[[HookFunction], SuccessHook]:
        """Create a hook that is called after a step succeeded; a decorator, bare or with `name=`."""
        return _hook(SuccessHook, func, name)

    @overload
    @staticmethod
    def failure(func: HookFunction, *, name: str | None = None) -> FailureHook: ...
    @overload
    @staticmethod
    def failure(func: None = None, *, name: str | None = None) -> Callable[[HookFunction], FailureHook]: ...
    @staticmethod
    def failure(
        func: HookFunction | None = None, *, name: str | None = None
    ) -> FailureHook | Callable[[HookFunction], FailureHook]:
        """Create a hook that is called after the last attempt of a step failed; a decorator, bare or with `name=`."""
        return _hook(FailureHook, func, name)

    def __call__(self, *_arguments: object) -> NoReturn:
        """Refuse a second function: the hook has one already.

        Raises:
            AssetDefinitionError: Always; `hook.function` can be called.
        """
        raise AssetDefinitionError(
            f"{self!r} has a function already and cannot be called. Use {self.name}.function(context) to call it."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        module, path = (getattr(self.function, name, "") for name in ("__module__", "__qualname__"))
        if module != "__main__" and getattr(sys.modules.get(module), path, None) is self:
            return _import_hook, (module, path)  # the decorator replaced the function under its name
        return type(self), (self.name, self.function)

    def __repr__(self) -> str:
        return f"Hook.{self.hook_type.capitalize()}(name={self.name!r})"


@dataclass(frozen=True, repr=False)
class SuccessHook(Hook):
    """A function called after a step succeeded, created by `Hook.success`."""

    hook_type: ClassVar[HookType] = "success"


@dataclass(frozen=True, repr=False)
class FailureHook(Hook):
    """A function called after the last attempt of a step failed, created by `Hook.failure`."""

    hook_type: ClassVar[HookType] = "failure"


for _name, _variant in (("Success", SuccessHook), ("Failure", FailureHook)):
    setattr(Hook, _name, _variant)

H = TypeVar("H", SuccessHook, FailureHook)


def _import_hook(module: str, path: str) -> Hook:
    hook = getattr(import_module(module), path)
    assert isinstance(hook, Hook)
    return hook


def _hook(kind: type[H], function: HookFunction | None, name: str | None) -> H | Callable[[HookFunction], H]:
    def make(function: HookFunction) -> H:
        if not callable(function):
            raise AssetTypeError(
                f"Hook.{kind.hook_type}: func must be a function of one HookContext, got {function!r}. For a name use "
                f'@Hook.{kind.hook_type}(name="...").'
            )
        own_name = str(getattr(function, "__name__", type(function).__name__))
        return kind(name or own_name, function)

    return make if function is None else make(function)

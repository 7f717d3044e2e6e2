"""Hooks: functions that are called after a step succeeded or failed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, overload

from rivers.exceptions import AssetDefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rivers_core.metadata import MetadataValue

__all__ = ["Hook", "HookContext"]

HookType = Literal["success", "failure"]


class HookContext:
    """Argument of a hook.

    Args:
        asset_name: Name of the asset whose step ended.
        run_id: Identifier of the run.
        hook_type: `"success"` or `"failure"`.
        output: The value that the function returned; None after a failure.
        error: The error of a failure; None after a success.
        metadata: Metadata recorded with the output.
    """

    __slots__ = ("asset_name", "error", "hook_type", "metadata", "output", "run_id")

    def __init__(
        self,
        asset_name: str,
        run_id: str | None = None,
        hook_type: HookType = "success",
        output: Any = None,
        error: BaseException | None = None,
        metadata: Mapping[str, MetadataValue] | None = None,
    ) -> None:
        self.asset_name = asset_name
        self.run_id = run_id
        self.hook_type = hook_type
        self.output = output
        self.error = error
        self.metadata = metadata

    def __repr__(self) -> str:
        return f"HookContext({self.asset_name!r}, run_id={self.run_id!r}, hook_type={self.hook_type!r})"


HookFunction = Callable[[HookContext], object]


@dataclass(frozen=True)
class Hook:
    """A function called with a `HookContext` when a step ends, created by `Hook.success` or `Hook.failure`.

    The engine awaits an `async def` function.

    Examples:
        >>> @Hook.failure
        ... def page(context: HookContext) -> None:
        ...     print(context.asset_name, context.error)
    """

    name: str
    hook_type: HookType
    function: HookFunction

    @overload
    @staticmethod
    def success(wraps: HookFunction, /, *, name: str | None = None) -> Hook: ...
    @overload
    @staticmethod
    def success(*, name: str | None = None) -> Callable[[HookFunction], Hook]: ...
    @staticmethod
    def success(
        wraps: HookFunction | None = None, /, *, name: str | None = None
    ) -> Hook | Callable[[HookFunction], Hook]:
        """Create a hook that is called after a step succeeded; a decorator, bare or with `name=`."""
        return _hook("success", wraps, name)

    @overload
    @staticmethod
    def failure(wraps: HookFunction, /, *, name: str | None = None) -> Hook: ...
    @overload
    @staticmethod
    def failure(*, name: str | None = None) -> Callable[[HookFunction], Hook]: ...
    @staticmethod
    def failure(
        wraps: HookFunction | None = None, /, *, name: str | None = None
    ) -> Hook | Callable[[HookFunction], Hook]:
        """Create a hook that is called after the last attempt of a step failed; a decorator, bare or with `name=`."""
        return _hook("failure", wraps, name)

    def __call__(self, context: HookContext) -> object:
        """Call the function."""
        return self.function(context)

    def __reduce__(self) -> tuple[Any, ...]:
        module, path = (getattr(self.function, name, "") for name in ("__module__", "__qualname__"))
        if module != "__main__" and getattr(sys.modules.get(module), path, None) is self:
            return _import_hook, (module, path)  # the decorator replaced the function under its name
        return Hook, (self.name, self.hook_type, self.function)


def _import_hook(module: str, path: str) -> Hook:
    hook = getattr(import_module(module), path)
    assert isinstance(hook, Hook)
    return hook


def _hook(
    hook_type: HookType, function: HookFunction | None, name: str | None
) -> Hook | Callable[[HookFunction], Hook]:
    def make(function: HookFunction) -> Hook:
        if not callable(function):
            raise AssetDefinitionError(
                f"Hook.{hook_type}: wraps must be a function of one HookContext, got {function!r}. For a name use "
                f'@Hook.{hook_type}(name="...").'
            )
        own_name = str(getattr(function, "__name__", type(function).__name__))
        return Hook(name or own_name, hook_type, function)

    return make if function is None else make(function)

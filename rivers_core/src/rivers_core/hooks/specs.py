"""Hook specifications and their markers. An implementation may take a subset of the arguments, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rivers_core.contexts import InputContext, OutputContext
    from rivers_core.handler import BaseIOHandler
    from rivers_core.hooks.records import CommandSpec, ExecutorSpec, HandlerSpec

PROJECT: Final = "rivers"

hookspec: Final = pluggy.HookspecMarker(PROJECT)
"""Marks the specification of a hook; used by rivers only."""

hookimpl: Final = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin module as the implementation of the hook of the same name."""


@hookspec(historic=True)
def rivers_io_handlers() -> Iterable[HandlerSpec]:  # type: ignore[empty-body]
    """Provide IO handlers.

    Returns:
        Records; yield them. A target is imported when the handler is first used.
    """


@hookspec(historic=True)
def rivers_executors() -> Iterable[ExecutorSpec]:  # type: ignore[empty-body]
    """Provide executors.

    Returns:
        Records; yield them.
    """


@hookspec(historic=True)
def rivers_cli_commands() -> Iterable[CommandSpec]:  # type: ignore[empty-body]
    """Provide sub-commands of `rivers`.

    Returns:
        Records; yield them.
    """


@hookspec(firstresult=True)
def rivers_default_io_handler(
    asset_name: str, asset_metadata: Mapping[str, Any] | None
) -> str | BaseIOHandler | None:
    """Choose the handler of an asset for which neither code nor configuration names one.

    Called once per such asset when a repository is resolved.

    Args:
        asset_name: Name of the asset.
        asset_metadata: Static metadata of the asset, if any.

    Returns:
        The name of a handler, a handler, or None to leave the choice to the next plugin.
    """


@hookspec
def rivers_wrap_io_handler(handler: BaseIOHandler, asset_name: str) -> BaseIOHandler | None:
    """Wrap the handler of an asset, for example to cache, trace or encrypt.

    Called once per asset when a repository is resolved.

    Args:
        handler: Handler of the asset, with the wrappers that other plugins added so far.
        asset_name: Name of the asset.

    Returns:
        The handler to use instead, or None to leave it unchanged.
    """


@hookspec
def rivers_run_start(run_id: str, step_names: Sequence[str], tags: Sequence[tuple[str, str]]) -> None:
    """Observe the start of a run.

    Args:
        run_id: Id of the run.
        step_names: Steps that the run executes, in order.
        tags: Tags of the run.
    """


@hookspec
def rivers_run_end(run_id: str, success: bool, error: BaseException | None) -> None:
    """Observe the end of a run.

    Args:
        run_id: Id of the run.
        success: Whether every step succeeded.
        error: The first failure, if any.
    """


@hookspec
def rivers_output_stored(context: OutputContext, handler: BaseIOHandler, event: Any) -> None:
    """Observe that a handler stored a value and its event was recorded.

    Args:
        context: Context that the handler received.
        handler: Handler that stored the value.
        event: The materialization event.
    """


@hookspec
def rivers_input_loaded(context: InputContext, handler: BaseIOHandler) -> None:
    """Observe that a handler loaded a value.

    Args:
        context: Context that the handler received.
        handler: Handler that loaded the value.
    """


@hookspec
def rivers_io_failed(
    context: OutputContext | InputContext, handler: BaseIOHandler, error: BaseException
) -> None:
    """Observe that a handler raised an error.

    Args:
        context: Context that the handler received.
        handler: Handler that raised.
        error: The error.
    """

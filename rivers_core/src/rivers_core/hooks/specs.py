"""Every hook there is. An implementation may take a subset of the arguments, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers_core.hooks.markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rivers_core.contexts import InputContext, OutputContext
    from rivers_core.handler import BaseIOHandler
    from rivers_core.plugins.spec import CommandSpec, ExecutorSpec, HandlerSpec


@hookspec(historic=True)
def rivers_io_handlers() -> Iterable[HandlerSpec]:  # type: ignore[empty-body]
    """Offer IO handlers.

    Returns:
        Records; yield them. No target is imported before someone uses it.
    """


@hookspec(historic=True)
def rivers_executors() -> Iterable[ExecutorSpec]:  # type: ignore[empty-body]
    """Offer executors.

    Returns:
        Records; yield them.
    """


@hookspec(historic=True)
def rivers_cli_commands() -> Iterable[CommandSpec]:  # type: ignore[empty-body]
    """Offer sub-commands of `rivers`.

    Returns:
        Records; yield them.
    """


@hookspec(firstresult=True)
def rivers_default_io_handler(
    asset_name: str, asset_metadata: Mapping[str, Any] | None
) -> str | BaseIOHandler | None:
    """Choose the handler of an asset that names none, in code or config; asked once per asset at resolve.

    Args:
        asset_name: The asset.
        asset_metadata: Its static metadata, if it has any.

    Returns:
        The name of a handler, a handler, or None to leave the choice to the next plugin.
    """


@hookspec
def rivers_wrap_io_handler(handler: BaseIOHandler, asset_name: str) -> BaseIOHandler | None:
    """Put a handler of your own around one: to cache, trace or encrypt; asked once per asset at resolve.

    Args:
        handler: The handler of the asset, with what other plugins already put around it.
        asset_name: The asset.

    Returns:
        The handler to use instead, or None to leave it.
    """


@hookspec
def rivers_run_start(run_id: str, step_names: Sequence[str], tags: Sequence[tuple[str, str]]) -> None:
    """Observe that a run starts.

    Args:
        run_id: The run.
        step_names: The steps it is going to execute, in order.
        tags: The tags of the run.
    """


@hookspec
def rivers_run_end(run_id: str, success: bool, error: BaseException | None) -> None:
    """Observe that a run ended.

    Args:
        run_id: The run.
        success: Whether every step succeeded.
        error: The first failure, if there was one.
    """


@hookspec
def rivers_output_stored(context: OutputContext, handler: BaseIOHandler, event: Any) -> None:
    """Observe that a value was stored and its event recorded.

    Args:
        context: The context that the handler got.
        handler: The handler that stored the value.
        event: The materialization event.
    """


@hookspec
def rivers_input_loaded(context: InputContext, handler: BaseIOHandler) -> None:
    """Observe that a value was loaded.

    Args:
        context: The context that the handler got.
        handler: The handler that loaded the value.
    """


@hookspec
def rivers_io_failed(
    context: OutputContext | InputContext, handler: BaseIOHandler, error: BaseException
) -> None:
    """Observe that a handler raised.

    Args:
        context: The context that the handler got.
        handler: The handler that raised.
        error: What it raised.
    """

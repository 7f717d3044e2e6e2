"""Hooks: the marker `hookimpl`, the records that plugins yield, and the specifications of all hooks.

This is all that a plugin module imports. It loads pluggy and nothing else, because a plugin module is imported whenever
plugins are listed. An implementation may take a subset of the arguments, by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pluggy

from rivers_core._messages import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self

    from rivers_core.contexts import InputContext, OutputContext
    from rivers_core.handler import BaseIOHandler

PROJECT: Final = "rivers"

hookspec: Final = pluggy.HookspecMarker(PROJECT)
"""Marks the specification of a hook; used by rivers only."""

hookimpl: Final = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin module as the implementation of the hook of the same name."""

API_VERSION: Final = 1
"""Newest version of the records that this core supports."""

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?")
_TARGET: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class _Record:
    """Fields that all records share."""

    name: str
    target: str
    summary: str = ""
    api_version: int = field(default=API_VERSION, kw_only=True)

    def __new__(cls, *_: object, **fields: object) -> Self:
        """Reject unknown fields: the constructor of the dataclass could not say that a newer core may have them."""
        unknown = sorted(fields.keys() - cls.__dataclass_fields__.keys())
        if unknown:
            raise TypeError(
                f"{cls.__name__} does not have the field {unknown[0]!r}."
                f"{did_you_mean(unknown[0], cls.__dataclass_fields__)} If it is spelled correctly, the plugin needs a "
                "newer rivers-core (pip install -U rivers-core)."
            )
        return object.__new__(cls)

    def __post_init__(self) -> None:
        kind = type(self).__name__
        if not _matches(_NAME, self.name):
            raise ValueError(
                f"{kind} needs a short lower-case name (letters, digits, '-', '_', '.'), got {self.name!r}."
            )
        if not _matches(_TARGET, self.target):
            raise ValueError(
                f"{kind} {self.name!r} needs a target such as 'package.module:Class', got {self.target!r}."
            )
        if not _is_text(self.summary) or not self.summary.isprintable():
            raise TypeError(f"{kind} {self.name!r} needs one line of text as summary, got {self.summary!r}.")
        if type(self.api_version) is not int or self.api_version < 1:
            raise TypeError(
                f"{kind} {self.name!r} needs a positive int as api_version, got {self.api_version!r}."
            )

    @property
    def module(self) -> str:
        """Name of the module in which the target is defined."""
        return self.target.partition(":")[0]

    @property
    def class_name(self) -> str:
        """Name of the class or function in that module."""
        return self.target.partition(":")[2]


@dataclass(frozen=True, slots=True)
class _RequiringRecord(_Record):
    """A record whose target needs further distributions."""

    requires: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _Record.__post_init__(self)
        if not _is_text_sequence(self.requires):
            raise TypeError(
                f"{type(self).__name__} {self.name!r}: `requires` must be a sequence of distribution names, "
                f"got {self.requires!r}."
            )
        object.__setattr__(self, "requires", tuple(self.requires))


class HandlerSpec(_RequiringRecord):
    """IO handler that a plugin provides.

    Args:
        name: Name that users write: `io_handler="delta"`, `use = "delta"`.
        target: Class, as `"rivers_delta.handler:DeltaIOHandler"`. Imported on first use.
        summary: One line for lists.
        requires: Distributions that the target needs and that may be missing.
        api_version: Version of the records that the plugin was written for; using a record that is newer than
            rivers-core is an error that says what to upgrade.
    """

    __slots__ = ()


class ExecutorSpec(_RequiringRecord):
    """Executor that a plugin provides.

    Args:
        name: Name that users write: `rs.Executor.<name>(...)`.
        target: Class, as `"package.module:Class"`. Imported on first use.
        summary: One line for lists.
        requires: Distributions that the target needs and that may be missing.
        api_version: Version of the records that the plugin was written for; using a record that is newer than
            rivers-core is an error that says what to upgrade.
    """

    __slots__ = ()


class StorageSpec(_RequiringRecord):
    """Event storage that a plugin provides.

    Args:
        name: Scheme of its URLs: `rs.Storage.connect("<name>://...")`.
        target: Class, as `"package.module:Class"`. Imported on first use, and called with the URL and the keywords
            `read_only` and `durable`.
        summary: One line for lists.
        requires: Distributions that the target needs and that may be missing.
        api_version: Version of the records that the plugin was written for; as in `HandlerSpec`.
    """

    __slots__ = ()


class CommandSpec(_Record):
    """Sub-command of `rivers` that a plugin provides.

    Args:
        name: Name that users type after `rivers`.
        target: Function or typer application, as `"package.module:name"`. Imported on first use.
        summary: One line for `rivers --help`.
        api_version: Version of the records that the plugin was written for; as in `HandlerSpec`.
    """

    __slots__ = ()


RecordT = TypeVar("RecordT", HandlerSpec, ExecutorSpec, StorageSpec, CommandSpec)


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_text_sequence(value: object) -> bool:
    return isinstance(value, (tuple, list)) and all(map(_is_text, value))


@hookspec
def rivers_io_handlers() -> Iterable[HandlerSpec]:  # type: ignore[empty-body]
    """Provide IO handlers.

    Returns:
        Records; yield them. A target is imported when the handler is first used.
    """


@hookspec
def rivers_executors() -> Iterable[ExecutorSpec]:  # type: ignore[empty-body]
    """Provide executors.

    Returns:
        Records; yield them.
    """


@hookspec
def rivers_event_storages() -> Iterable[StorageSpec]:  # type: ignore[empty-body]
    """Provide storages of events.

    Returns:
        Records; yield them.
    """


@hookspec
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

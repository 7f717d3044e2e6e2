"""Decide where each step of a plan runs, and check that its handlers can be read and written there."""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rivers.exceptions import ConfigurationError, HandlerNotFoundError, RiversError
from rivers.executors.base import Executor, executor_class
from rivers_core.authoring import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rivers.execution.run import Run
    from rivers.executors.remote import Channel
    from rivers.executors.remote.bundle import Bundle
    from rivers.graph.findings import Findings
    from rivers.graph.plan import Step
    from rivers_core.config import Config
    from rivers_core.plugins import PluginRegistry

_LOG = logging.getLogger("rivers.run")

_REACH: Final = {"process": 0, "host": 1, "shared": 2}
_SHOWN = 10

_ADVICE: Final = {
    "process": "Use a handler that stores values outside the process, such as pickle",
    "host": "Use a handler on shared storage, or pass shared_filesystem=True if all hosts see the same files",
}


class Executors:
    """Executors by name: the engine's own, those of the configuration, and those of plugins.

    Args:
        registry: Plugins to search.
        config: The configuration, if any.
    """

    def __init__(self, registry: PluginRegistry, config: Config | None) -> None:
        self._registry = registry
        self._config = config
        self._built: dict[str, Executor] = {}

    def named(self, name: str, of_run: Executor | None = None) -> Executor:
        """Return the executor with a name, built with default arguments or those of the configuration.

        Args:
            name: Name in the configuration, or of a plugin.
            of_run: The executor of the run, which is returned if it is the one of that plugin.

        Raises:
            HandlerNotFoundError: The name is unknown.
            PluginLoadError: The package that registers it is broken.
            ConfigurationError: Its arguments are not valid.
        """
        if name not in self._built:
            configured = None if self._config is None else self._config.executor(name)
            kind = self._class(name if configured is None else configured[0])
            if configured is None and of_run is not None and type(of_run) is kind:
                return of_run
            self._built[name] = build_executor(name, kind, {} if configured is None else configured[1])
        return self._built[name]

    def _class(self, name: str) -> type:
        try:
            return executor_class(name, self._registry)
        except HandlerNotFoundError as error:
            configured = () if self._config is None else self._config.executor_names
            raise HandlerNotFoundError(f"{error}{did_you_mean(name, configured)}") from error

    def new(self, name: str, arguments: Mapping[str, Any]) -> Executor:
        """Return a new executor with a name, with arguments that take precedence over those of the configuration.

        Args:
            name: Name in the configuration, or of a plugin.
            arguments: Its arguments.

        Raises:
            HandlerNotFoundError: The name is unknown.
            PluginLoadError: The package that registers it is broken.
            ConfigurationError: Its arguments are not valid.
        """
        kind, configured = (self._config and self._config.executor(name)) or (name, {})
        return build_executor(name, self._class(kind), {**configured, **arguments})

    def findings(self) -> list[str]:
        """Build all executors of the configuration and return one sentence per problem."""
        config, findings = self._config, list[str]()
        if config is None:
            return findings
        for name in config.executor_names:
            try:
                self.named(name)
            except RiversError as error:
                # a variable that is not set is a finding of the configuration, with its own place
                own = getattr(error, "findings", ())
                findings += own or [f"{config.place_of_executor(name)}: {error}"]
        return findings


def build_executor(name: str, kind: type, arguments: Mapping[str, Any]) -> Executor:
    """Return an executor of a class.

    Args:
        name: Name for messages.
        kind: The class.
        arguments: Its arguments.

    Raises:
        ConfigurationError: The arguments are not valid, or the class is not an executor.
    """
    try:
        executor = kind(**arguments)
    except (TypeError, ValueError) as error:
        problem = _unknown_argument(kind, arguments) or error
        raise ConfigurationError(f"Executor {name!r} cannot be built: {problem}") from error
    if not isinstance(executor, Executor):
        raise ConfigurationError(f"Executor {name!r} must be a subclass of rivers.Executor, got {kind!r}.")
    return executor


def _unknown_argument(kind: type, arguments: Mapping[str, Any]) -> str | None:
    """Return a sentence about the first argument that a class does not take; None if it takes them all."""
    parameters = inspect.signature(kind).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    unknown = next((argument for argument in arguments if argument not in parameters), None)
    if unknown is None:
        return None
    accepted = f"Use one of: {', '.join(parameters)}." if parameters else "It takes no arguments."
    return f"unknown argument {unknown!r}.{did_you_mean(unknown, parameters)} {accepted}"


class Connections:
    """Channels of a repository to the executors that run its steps, each opened on first use.

    Args:
        make_bundle: Pickles the steps of the repository.
    """

    def __init__(self, make_bundle: Callable[[], Bundle]) -> None:
        self._make_bundle = make_bundle
        self._bundle: Bundle | None = None
        self._channels: dict[Executor, Channel] = {}

    @property
    def bundle(self) -> Bundle:
        """The pickled steps of the repository."""
        if self._bundle is None:
            self._bundle = self._make_bundle()
        return self._bundle

    def channel(self, executor: Executor) -> Channel:
        """Return the channel of an executor."""
        if executor not in self._channels:
            self._channels[executor] = executor.connect()
        return self._channels[executor]

    def open_run(self, run: Run) -> None:
        """Prepare the channels of the steps that a run sends elsewhere."""
        for executor in dict.fromkeys(run.elsewhere.values()):
            self.channel(executor).open_run(run)

    def close_run(self, run: Run) -> None:
        """Release what these channels keep for a run."""
        for executor in dict.fromkeys(run.elsewhere.values()):
            if executor in self._channels:
                self._channels[executor].close_run(run)

    def close(self) -> None:
        """End the processes of all channels."""
        while self._channels:
            self._channels.popitem()[1].close()


@dataclass(frozen=True, slots=True)
class Placement:
    """Placement of the steps of a plan.

    Attributes:
        elsewhere: The executor of each step that leaves this process, by name of the step.
        kept: Assets whose steps stay because of their handlers, with these handlers.
    """

    elsewhere: dict[str, Executor]
    kept: dict[str, str]

    def warn(self, executor: Executor) -> None:
        """Log one warning that names the steps that stay, and their handlers."""
        if not self.kept:
            return
        shown = [f"{name!r} ({handlers})" for name, handlers in list(self.kept.items())[:_SHOWN]]
        if len(self.kept) > _SHOWN:
            shown.append(f"and {len(self.kept) - _SHOWN} more")
        _LOG.warning(
            "Steps run in the coordinating process instead of %r, because a handler keeps their value or an input in "
            "that process: %s. With a handler that stores values outside the process, such as pickle, they can run in "
            "parallel.",
            executor,
            ", ".join(shown),
        )


def place_steps(
    steps: Iterable[Step], executor: Executor, executors: Executors, findings: Findings
) -> Placement:
    """Return where each step of a plan runs.

    Args:
        steps: The steps.
        executor: The executor of the run.
        executors: Executors that assets name.
        findings: Receives a finding for each step whose handlers cannot be used where it would run.
    """
    elsewhere: dict[str, Executor] = {}
    kept: dict[str, str] = {}
    keeps_all = type(executor).keeps is Executor.keeps and executor.reach == "process"
    for step in steps:
        if keeps_all and step.executor is None:  # nearly all steps of nearly all runs
            continue
        chosen = executor
        if step.executor is not None:
            with findings.collecting(f"asset {step.owner!r}: rivers/executor={step.executor!r}"):
                chosen = executors.named(step.executor, executor)
        if chosen.keeps(step):
            continue
        narrow = {
            binding.label: binding.handler.locality
            for binding in step.bindings()
            if _REACH[binding.handler.locality] < _REACH[chosen.reach]
        }
        if not narrow:
            elsewhere[step.name] = chosen
        elif chosen.keeps_process_local and set(narrow.values()) == {"process"}:
            kept[step.owner] = ", ".join(map(repr, narrow))
        else:
            findings.add(_refusal(step, chosen, narrow))
    return Placement(elsewhere, kept)


def _refusal(step: Step, executor: Executor, narrow: Mapping[str, str]) -> str:
    narrowest = min(narrow.values(), key=_REACH.__getitem__)
    where = "in this process" if narrowest == "process" else "on this host"
    names = ", ".join(repr(name) for name, locality in narrow.items() if locality == narrowest)
    return (
        f"asset {step.owner!r}: handler {names} keeps its value or an input {where}, but {executor!r} runs steps "
        f"elsewhere. {_ADVICE[narrowest]}."
    )

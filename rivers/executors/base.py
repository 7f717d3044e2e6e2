"""Base class of executors, and the lookup of executors by name."""

from __future__ import annotations

import re
from abc import ABC, ABCMeta
from typing import TYPE_CHECKING, Any, ClassVar

from rivers.executors.scheduler import run_overlapping
from rivers_core.authoring import did_you_mean
from rivers_core.exceptions import HandlerNotFoundError, RiversError
from rivers_core.plugins import get_registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.execution.run import Run
    from rivers.executors import in_process as own
    from rivers.executors.remote import Channel
    from rivers.graph.plan import Step
    from rivers_core.plugins import PluginRegistry


class _ExecutorType(ABCMeta):
    """Metaclass that makes registered executors attributes: `Executor.parallel` and `Executor.Parallel`."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_") or cls is not Executor:
            raise AttributeError(f"{cls.__name__!r} has no attribute {name!r}")
        try:
            return executor_class(re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(), get_registry())
        except RiversError as error:
            raise AttributeError(f"Executor.{name}: {error}") from error


class Executor(ABC, metaclass=_ExecutorType):
    """Base class of executors.

    `Executor.in_process()` belongs to the engine. Other packages register executors in the `rivers_executors` hook,
    with a class that sets `reach` and implements `connect`; they are available under their name, such as
    `Executor.parallel(max_workers=2)`, and the class as `Executor.Parallel`.
    """

    InProcess: ClassVar[type[own.InProcess]]
    in_process: ClassVar[type[own.InProcess]]

    reach: ClassVar[Any] = "process"
    """`Locality`: where steps run: in the coordinating process, in others on its host, or on other hosts.

    A subclass sets a plain class attribute, or overrides it with a property.
    """

    keeps_process_local: ClassVar[bool] = False
    """Whether steps with a handler that keeps values in this process run there; otherwise the run is refused."""

    def execute(self, run: Run) -> None:
        """Run every step of `run.plan`, each after those in `run.plan.after[step.name]`.

        The default starts a step as soon as its upstreams are stored, and sends those in `run.elsewhere` through the
        channel of their executor. An override calls `rivers.execution.execute_step` for each step, reports one that
        raises to `run.fail`, and with `run.stop_at_failure` starts none after the first failure.

        Args:
            run: The run, with its plan and everything that steps need.
        """
        run_overlapping(run)

    def connect(self) -> Channel:
        """Return a channel to the processes that run the steps of a repository; called once, on first use.

        Raises:
            RiversError: No process can be reached.
        """
        raise RiversError(
            f"{self!r} does not run steps of an asset with metadata={{'rivers/executor': ...}}."
        )

    @classmethod
    def work(cls, arguments: Sequence[str]) -> int:
        """Do the work of a process that this executor started elsewhere with `python -m rivers.worker NAME ...`.

        Args:
            arguments: What follows the name of the executor on the command line.

        Returns:
            The exit code of the process.

        Raises:
            RiversError: The executor starts no such processes.
        """
        raise RiversError(f"Executor {cls.__name__!r} does not start processes with arguments {arguments!r}.")

    def keeps(self, step: Step) -> bool:
        """Return whether a step runs in the coordinating process, whatever its handlers; by default it does not.

        Args:
            step: A step that this executor runs.
        """
        del step
        return bool(self.reach == "process")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), repr(self)))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if value is not None)
        return f"Executor.{type(self).__name__}({arguments})"


def executor_class(name: str, registry: PluginRegistry) -> type:
    """Return the class of the engine's own or a registered executor.

    Args:
        name: Name of the executor, such as `in_process`.
        registry: Plugins to search.

    Raises:
        HandlerNotFoundError: No installed package registers the name.
        PluginLoadError: The package that registers it is broken.
    """
    if name == "in_process":
        return Executor.in_process
    try:
        return registry.executor(name)
    except HandlerNotFoundError as error:
        if not error.is_unknown:
            raise
        raise HandlerNotFoundError(
            f"{error} Built in: in_process.{did_you_mean(name, ['in_process'])}"
        ) from error

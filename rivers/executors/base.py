"""Base class of executors, and the lookup of executors by name."""

from __future__ import annotations

import re
from abc import ABC, ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from rivers_core.exceptions import RiversError
from rivers_core.plugins import get_registry

if TYPE_CHECKING:
    from rivers.execution.run import Run
    from rivers.executors import in_process as own
    from rivers.graph.findings import Findings
    from rivers.graph.plan import Graph
    from rivers_core.authoring import Locality
    from rivers_core.plugins import PluginRegistry


class _ExecutorType(ABCMeta):
    """Metaclass that makes registered executors attributes: `Executor.parallel` and `Executor.Parallel`."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_") or cls is not Executor:
            raise AttributeError(f"{cls.__name__!r} has no attribute {name!r}")
        try:
            return get_registry().executor(re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())
        except RiversError as error:
            raise AttributeError(f"Executor.{name}: {error}") from error


class Executor(ABC, metaclass=_ExecutorType):
    """Base class of executors.

    `Executor.in_process()` belongs to the engine. Other packages register executors in the `rivers_executors` hook,
    with a class that implements `execute`; they are available under their name, such as
    `Executor.parallel(max_workers=2)`, and the class as `Executor.Parallel`.
    """

    InProcess: ClassVar[type[own.InProcess]]
    in_process: ClassVar[type[own.InProcess]]

    reach: ClassVar[Locality] = "process"
    """Where steps run: in the coordinating process, on its host, or anywhere."""

    @abstractmethod
    def execute(self, run: Run) -> None:
        """Run every step of `run.plan`, each after those in `run.plan.after[step.name]`.

        Each step goes through `rivers.execution.execute_step`. A step that raises is reported to `run.fail`, one that
        can no longer run to `run.skip`; with `run.stop_at_failure` no step starts after the first failure.

        Args:
            run: The run, with its plan and everything that steps need.
        """

    def check(self, graph: Graph, findings: Findings) -> None:
        """Add a finding for each asset that this executor cannot run.

        The default checks that stored values can be read where the steps run.

        Args:
            graph: The bound graph.
            findings: Collects the problems.
        """
        if self.reach == "process":
            return
        for output in graph.outputs.values():
            if output.binding is not None and output.step_name and output.handler.locality == "process":
                findings.add(
                    f"asset {output.name!r}: handler {output.binding.label!r} keeps values in this process, but "
                    f"{self!r} runs steps in others. Use a handler that stores them, such as pickle."
                )

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
    return Executor.in_process if name == "in_process" else registry.executor(name)

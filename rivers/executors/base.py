"""What an executor is: it decides where and when the steps of a run are executed, never how."""

from __future__ import annotations

from abc import ABC, ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from rivers_core.exceptions import RiversError

if TYPE_CHECKING:
    from rivers.execution.run import Run
    from rivers.graph.findings import Findings
    from rivers.graph.plan import Graph
    from rivers_core.authoring import Locality


class _ByName(ABCMeta):
    """Lets `Executor.parallel(...)` and `Executor.Parallel` name what this package or a plugin provides."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_") or cls is not Executor:
            raise AttributeError(f"{cls.__name__!r} has no attribute {name!r}")
        snake = _snake_case(name)
        if snake == "in_process":
            from rivers.executors.in_process import InProcess

            return InProcess
        from rivers_core.plugins import get_registry

        try:
            return get_registry().executor(snake)
        except RiversError as error:
            raise AttributeError(
                f"Executor.{name}: {error} Executor.in_process() is always there."
            ) from error


class Executor(ABC, metaclass=_ByName):
    """Base class of executors.

    `Executor.in_process()` is always there; others come from packages and are reached by their name, such
    as `Executor.parallel(max_workers=2)`, and their class as `Executor.Parallel`. An executor package
    subclasses this, implements `execute`, and offers the class in the `rivers_executors` hook.
    """

    reach: ClassVar[Locality] = "process"
    """How far from the coordinating process steps run: in it, on its host, or anywhere."""

    @abstractmethod
    def execute(self, run: Run) -> None:
        """Run every step of `run.plan`, each after those in `run.plan.after[step.name]`.

        Each step goes through `rivers.execution.execute_step`. A step that raises is reported to
        `run.fail`, one that can no longer run to `run.skip`; with `run.stop_at_failure` no step starts
        after the first failure.

        Args:
            run: The run, with its plan and everything that steps need.
        """

    def check(self, graph: Graph, findings: Findings) -> None:
        """Add a finding for each asset that this executor cannot run.

        The default asks whether the handlers' values can be read from where the steps run.

        Args:
            graph: The bound graph.
            findings: Where mistakes go.
        """
        if self.reach == "process":
            return
        for output in graph.outputs.values():
            if output.binding is not None and output.step_name and output.handler.locality == "process":
                findings.add(
                    f"asset {output.name!r}: its handler {output.binding.label!r} keeps values in this process, "
                    f"but {self!r} runs steps elsewhere; give it a handler that stores, such as pickle"
                )

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), repr(self)))

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if value is not None)
        return f"Executor.{type(self).__name__}({given})"


def _snake_case(name: str) -> str:
    return "".join(
        f"_{letter.lower()}" if index and letter.isupper() else letter.lower()
        for index, letter in enumerate(name)
    )

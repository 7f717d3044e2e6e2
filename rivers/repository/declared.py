"""What a repository was given, checked for shape and kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rivers.definitions.asset import Asset
from rivers.definitions.job import Job
from rivers.definitions.retry import RetryPolicy
from rivers.definitions.task import Task
from rivers.executors import Executor
from rivers.graph.findings import did_you_mean
from rivers_core.exceptions import (
    AssetDefinitionError,
    ConfigurationError,
    GraphValidationError,
    TaskDefinitionError,
)
from rivers_core.partitions import PartitionsDefinition

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from rivers_core.config import Config
    from rivers_core.handler import BaseIOHandler


@dataclass(frozen=True, slots=True)
class Declared:
    """The arguments of `CodeRepository`.

    Attributes:
        everywhere: The handler that keeps every asset whatever they say, in a repository made by `override`.
    """

    assets: tuple[Asset, ...]
    tasks: tuple[Task, ...]
    jobs: tuple[Job, ...]
    default_executor: Executor | None
    resources: Mapping[str, Any]
    partition_defs: Mapping[str, PartitionsDefinition]
    retries: Mapping[str, RetryPolicy]
    default_retry_policy: RetryPolicy | None
    config: Config | None
    everywhere: BaseIOHandler | str | None = None

    @classmethod
    def checked(
        cls,
        assets: Sequence[Asset],
        tasks: Sequence[Task] | None,
        jobs: Sequence[Job] | None,
        default_executor: Executor | None,
        resources: Mapping[str, Any] | None,
        partition_defs: Mapping[str, PartitionsDefinition] | None,
        retries: Mapping[str, RetryPolicy] | None,
        default_retry_policy: RetryPolicy | str | None,
        config: str | Path | Config | Literal[False] | None,
    ) -> Declared:
        """Check the arguments of a repository.

        Raises:
            AssetDefinitionError: Something in `assets` is no asset.
            TaskDefinitionError: Something in `tasks` is no task.
            GraphValidationError: Something else is not what it has to be.
            ConfigurationError: The configuration file is not valid.
        """
        found = cls(
            _all_of(Asset, assets, "assets", AssetDefinitionError),
            _all_of(Task, tasks or (), "tasks", TaskDefinitionError),
            _all_of(Job, jobs or (), "jobs", GraphValidationError),
            default_executor,
            dict(resources or {}),
            _values_of(PartitionsDefinition, partition_defs, "partition_defs"),
            _values_of(RetryPolicy, retries, "retries"),
            None,
            _config(config),
        )
        if default_executor is not None and not isinstance(default_executor, Executor):
            raise GraphValidationError(
                f"default_executor={default_executor!r} is no executor; write Executor.in_process()"
            )
        return replace(found, default_retry_policy=found.policy(default_retry_policy))

    def overridden(
        self,
        resources: Mapping[str, Any] | None,
        io_handler: BaseIOHandler | str | None,
        executor: Executor | None,
    ) -> Declared:
        """The same with some things replaced.

        Raises:
            ConfigurationError: A resource of that name does not exist.
        """
        for name in resources or {}:
            if name not in self.resources:
                raise ConfigurationError(
                    f"no resource is called {name!r}; {did_you_mean(name, self.resources)}"
                )
        return replace(
            self,
            resources={**self.resources, **(resources or {})},
            everywhere=io_handler if io_handler is not None else self.everywhere,
            default_executor=executor or self.default_executor,
        )

    def policy(self, declared: RetryPolicy | str | None) -> RetryPolicy | None:
        """The policy itself, where it is given by name.

        Raises:
            ConfigurationError: No policy has the name, or it is neither.
        """
        if declared is None or isinstance(declared, RetryPolicy):
            return declared
        if not isinstance(declared, str):
            raise ConfigurationError(
                f"retry={declared!r}: give a RetryPolicy, or the name of one of `retries`"
            )
        if declared not in self.retries:
            raise ConfigurationError(
                f"no retry policy is called {declared!r}; {did_you_mean(declared, self.retries)}"
            )
        return self.retries[declared]

    def names(self, selection: Iterable[Any] | str | None) -> tuple[str, ...] | None:
        """Names of what was selected by name or as the definition itself."""
        if selection is None:
            return None
        given = [selection] if isinstance(selection, (str, Asset, Task)) else selection
        return tuple(one if isinstance(one, str) else one.name for one in given)


def _all_of(kind: type, given: Iterable[Any], what: str, error: type[Exception]) -> tuple[Any, ...]:
    if isinstance(given, (str, kind)) or not isinstance(given, Iterable):
        raise error(f"{what}={given!r}: give a list")
    found = tuple(given)
    for one in found:
        if not isinstance(one, kind):
            hint = "; decorate it with @rs.Asset" if kind is Asset and callable(one) else ""
            raise error(f"{what}: {one!r} is no {kind.__name__}{hint}")
    return found


def _values_of(kind: type, given: Mapping[str, Any] | None, what: str) -> dict[str, Any]:
    for name, value in (given or {}).items():
        if not isinstance(value, kind):
            raise GraphValidationError(f"{what}[{name!r}]: {value!r} is no {kind.__name__}")
    return dict(given or {})


def _config(given: str | Path | Config | Literal[False] | None) -> Config | None:
    if given is False:
        return None
    if given is None or isinstance(given, (str, Path)):
        from rivers_core.config import find_config, load_config

        path = find_config() if given is None else Path(given)
        return None if path is None else load_config(path)
    return given

"""What a repository was given, checked for shape and kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rivers.definitions.asset import Asset
from rivers.definitions.definition import Definition
from rivers.definitions.field_checks import FieldChecks
from rivers.definitions.job import Job
from rivers.definitions.resource import Resource
from rivers.definitions.retry import RetryPolicy
from rivers.definitions.task import Task
from rivers.exceptions import (
    AssetDefinitionError,
    AssetNotFoundError,
    ConfigurationError,
    GraphValidationError,
    TaskDefinitionError,
)
from rivers.graph.findings import suggest
from rivers.repository.run_request import check_executor
from rivers_core.handler import BaseIOHandler
from rivers_core.partitions import PartitionsDefinition

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from rivers.executors import Executor
    from rivers_core.config import Config


@dataclass(frozen=True, slots=True)
class Declared:
    """The arguments of `CodeRepository`.

    Attributes:
        everywhere: The handler that keeps every asset whatever they say, in a repository made by `override`.
        is_trial: It was made by `override`: its events do not belong into the history of the project.
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
    is_trial: bool = False

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
            ConfigurationError: The configuration file is not valid, or an executor or a policy is none.
        """
        found = cls(
            _all_of(Asset, assets, "assets", AssetDefinitionError),
            _all_of(Task, tasks or (), "tasks", TaskDefinitionError),
            _all_of(Job, jobs or (), "jobs", GraphValidationError),
            default_executor,
            _resources(_named(resources, "resources")),
            _values_of(PartitionsDefinition, partition_defs, "partition_defs"),
            _values_of(RetryPolicy, retries, "retries"),
            None,
            _config(config),
        )
        check_executor(default_executor, "default_executor")
        return replace(found, default_retry_policy=found.policy(default_retry_policy))

    def overridden(
        self,
        resources: Mapping[str, Any] | None,
        io_handler: BaseIOHandler | str | None,
        executor: Executor | None,
    ) -> Declared:
        """The same with some things replaced.

        Raises:
            ConfigurationError: A resource of that name does not exist; the handler or the executor is none.
        """
        for name in resources or {}:
            if name not in self.resources:
                raise ConfigurationError(f"resource {name!r} not found.{suggest(name, self.resources)}")
        check_executor(executor, "executor")
        checks = FieldChecks("override", ConfigurationError)
        return replace(
            self,
            is_trial=True,
            resources={**self.resources, **_resources(resources or {})},
            everywhere=self.everywhere if io_handler is None else checks.io_handler("io_handler", io_handler),
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
            raise ConfigurationError(f"retry policy {declared!r} not found.{suggest(declared, self.retries)}")
        return self.retries[declared]

    def names(self, selection: Iterable[Any] | str | None) -> tuple[str, ...] | None:
        """Names of what was selected by name or as the definition itself."""
        if selection is None:
            return None
        given: Any = [selection] if isinstance(selection, (str, Definition)) else selection
        return tuple(name_of(one) for one in (given if isinstance(given, Iterable) else (given,)))


def name_of(selected: object) -> str:
    """The name of what was given by name or as the definition itself.

    Raises:
        AssetNotFoundError: It is neither.
    """
    if isinstance(selected, str):
        return selected
    if isinstance(selected, Definition):
        return selected.name
    hint = f"; run a job with repo.get_job({selected.name!r}).execute()" if isinstance(selected, Job) else ""
    raise AssetNotFoundError(f"{selected!r} is neither an asset nor the name of one{hint}")


def _all_of(kind: type, given: Iterable[Any], what: str, error: type[Exception]) -> tuple[Any, ...]:
    if isinstance(given, (str, kind, Mapping)) or not isinstance(given, Iterable):
        raise error(f"{what}={given!r}: give a list")
    found = tuple(given)
    for one in found:
        if not isinstance(one, kind):
            raise error(f"{what}: {one!r} is no {kind.__name__}{_place_of(one, kind)}")
    return tuple(dict.fromkeys(found))  # the same one, listed by two modules, is still one


def _place_of(one: object, kind: type) -> str:
    places = {Asset: "assets=[...]", Task: "tasks=[...]", Job: "jobs=[...]"}
    for other, place in places.items():
        if isinstance(one, other):
            return f"; it belongs into {place}"
    return f"; decorate it with @rs.{kind.__name__}" if callable(one) and kind is not Job else ""


def _named(given: object, what: str) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise GraphValidationError(f"{what}={given!r}: give a dictionary by name")
    return given


def _resources(given: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in given.items():
        if isinstance(value, type) and issubclass(value, (Resource, BaseIOHandler)):
            raise GraphValidationError(
                f"resources[{name!r}] is the class {value.__name__}; give an instance, {value.__name__}(...)"
            )
    return dict(given)


def _values_of(kind: type, given: Mapping[str, Any] | None, what: str) -> dict[str, Any]:
    for name, value in _named(given, what).items():
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
    from rivers_core.config import Config

    if not isinstance(given, Config):
        raise ConfigurationError(
            f"config={given!r}: give the path of a rivers.toml, a loaded Config, False for none, "
            "or leave it out to look for one from the current folder upwards"
        )
    return given

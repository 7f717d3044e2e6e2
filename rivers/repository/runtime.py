"""Runtime of a repository: the bound graph, plans, event storage and open resources, each created once on demand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from threading import RLock
from typing import TYPE_CHECKING, Any

from rivers.definitions.retry import RetryPolicy
from rivers.exceptions import (
    ConfigurationError,
    ConfigurationTypeError,
    HandlerNotFoundError,
    PartitionValidationError,
)
from rivers.execution.observers import Observers
from rivers.execution.resources import OpenResources
from rivers.executors import Executor
from rivers.executors.placement import Connections, Executors, place_steps
from rivers.graph.findings import suggest
from rivers.graph.handlers import HandlerBinder
from rivers.graph.resolve import resolve
from rivers.graph.selection import make_plan, missing_upstreams, without_common_key
from rivers.repository.overrides import Overrides, override_resources, parse_overrides
from rivers.storage import EventStorage, Storage
from rivers.storage.event_log import open_event_log
from rivers.storage.records import AssetFacts
from rivers_core.handler import BaseIOHandler
from rivers_core.plugins import get_registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rivers.definitions.job import Job
    from rivers.executors.remote.bundle import Bundle
    from rivers.graph.findings import Findings
    from rivers.graph.plan import Graph, Plan
    from rivers.graph.symbols import Definitions
    from rivers_core.config import Config
    from rivers_core.plugins import PluginRegistry


_SHOWN = 5


@dataclass(slots=True, eq=False)
class RunScope:
    """Resources of one run.

    Attributes:
        graph: The bound graph.
        resources: Resources by name.
        connections: Channels to the processes of executors.
        overrides: Overrides that `graph` and `resources` do not include yet.
        opened: Resources that were created for this run; None if its graph and resources are those of the repository.
    """

    graph: Graph
    resources: Mapping[str, Any]
    connections: Connections
    overrides: Overrides = field(default_factory=Overrides)
    opened: OpenResources | None = None

    def close(self) -> None:
        """Release what was created for this run."""
        if self.opened is not None:
            try:
                self.connections.close()
            finally:
                self.opened.close()


class Runtime:
    """State of a repository in use, shared by all threads.

    It is sent to another process as its arguments, without a storage that it opened itself.

    Args:
        definitions: Assets, tasks, resources, and the named partitions definitions and retry policies.
        jobs: The jobs.
        default_executor: Executor of runs that do not set their own; None takes that of the configuration.
        config: The configuration, if any.
        io_handler: Handler that replaces the handlers of all assets, in a repository created by `override`.
        is_override: Whether `override` created the repository, so that its events must not be stored in the project.
        storage: Event storage; None opens one on demand.
    """

    def __init__(
        self,
        definitions: Definitions,
        jobs: tuple[Job, ...],
        default_executor: Executor | None,
        config: Config | None,
        io_handler: BaseIOHandler | str | None = None,
        is_override: bool = False,
        storage: EventStorage | None = None,
    ) -> None:
        self.definitions = definitions
        self.jobs = jobs
        self.default_executor = default_executor
        self.config = config
        self.io_handler = io_handler
        self._is_override = is_override
        self._lock = RLock()
        self._graph: Graph | None = None
        self._plans: dict[tuple[tuple[str, ...] | None, bool], Plan] = {}
        self._storage = storage
        self._owns_storage = False
        self._resources: OpenResources | None = None
        self._binder: HandlerBinder | None = None
        self.connections = Connections(lambda: _make_bundle(self.graph, self.definitions.resources))

    def __reduce__(self) -> tuple[Any, ...]:
        storage = None if self._owns_storage else self._storage
        arguments = (
            self.definitions,
            self.jobs,
            self.default_executor,
            self.config,
            self.io_handler,
            self._is_override,
        )
        return Runtime, (*arguments, storage)

    @property
    def graph(self) -> Graph:
        """The bound graph."""
        with self._lock:
            if self._graph is None:
                self._binder = self._new_binder()
                self._graph = self._resolve(self.definitions, self._binder)
                self._declare_assets()
            return self._graph

    @property
    def storage(self) -> EventStorage:
        """The event storage: the given one, `.rivers/` next to a configuration file, or memory."""
        with self._lock:
            if self._storage is None:
                config = None if self._is_override else self.config
                self._storage = Storage.memory() if config is None else open_event_log(config)
                self._owns_storage = True
                self._declare_assets()
            return self._storage

    @cached_property
    def registry(self) -> PluginRegistry:
        """The plugins, under the policy of this repository's configuration."""
        return get_registry().with_policy() if self.config is None else self.config.registry

    def observers(self) -> Observers:
        """Return the observers of a run that starts now."""
        return Observers.of(self.registry)

    def bind(self) -> Graph:
        """Bind all definitions, without storage or set-up.

        Raises:
            GraphValidationError: With all findings.
        """
        return self._resolve(self.definitions, self._new_binder())

    def _new_binder(self) -> HandlerBinder:
        return HandlerBinder(self.registry, self.config, self.definitions.resources, self.io_handler)

    def _resolve(self, definitions: Definitions, binder: HandlerBinder) -> Graph:
        return resolve(definitions, binder, self._check_jobs, self._check_config, self._check_executors)

    def scope(self, config: Mapping[str, Any], *, set_up: bool = True) -> RunScope:
        """Return the scope of a run: the bound graph and the resources, with the overrides of the run.

        Args:
            config: Argument `config` of the run.
            set_up: Whether to set up the replaced resources.

        Raises:
            ConfigurationError: An override is not valid, or a replaced resource could not be set up.
            GraphValidationError: The graph is not valid with the overridden metadata.
        """
        resources = self.definitions.resources
        if not config:
            return RunScope(self.graph, resources, self.connections)
        overrides = parse_overrides(config, self.graph)
        step_resources, replaced, left = override_resources(self.graph, resources, overrides)
        if not replaced and not overrides.metadata:
            return RunScope(self.graph, resources, self.connections, left)
        merged, graph = {**resources, **replaced}, self.graph
        if overrides.metadata or any(isinstance(item, BaseIOHandler) for item in replaced.values()):
            assert self._binder is not None
            binder = self._binder.overridden(merged, overrides.metadata)
            graph = self._resolve(replace(self.definitions, resources=merged), binder)
        own = {name: replace(graph.steps[name], resources=pairs) for name, pairs in step_resources.items()}
        graph = replace(graph, steps={**graph.steps, **own})
        opened = OpenResources()
        scope = RunScope(graph, merged, Connections(partial(_make_bundle, graph, merged)), left, opened)
        try:
            if set_up:
                opened.set_up(replaced)
        except BaseException:
            scope.close()
            raise
        return scope

    @cached_property
    def executors(self) -> Executors:
        """Executors by name."""
        return Executors(self.registry, self.config)

    @property
    def executor(self) -> Executor:
        """Executor of runs that do not set their own: the given one, that of the configuration, or in process."""
        if self.default_executor is not None:
            return self.default_executor
        name = None if self.config is None else self.config.default_executor
        try:
            return self.executors.named(name or "in_process")
        except HandlerNotFoundError as error:  # a name in the configuration, not in a definition
            raise ConfigurationError(str(error)) from error

    def policy(self, policy: RetryPolicy | str | None) -> RetryPolicy | None:
        """Return a retry policy that is given by name or as itself.

        Raises:
            ConfigurationError: The name is unknown, or the argument is neither.
        """
        if policy is None or isinstance(policy, RetryPolicy):
            return policy
        policies = self.definitions.retries
        if not isinstance(policy, str):
            raise ConfigurationTypeError(
                f"retry must be a RetryPolicy or the name of one in `retries`, got {policy!r}."
            )
        if policy not in policies:
            raise ConfigurationError(f"Retry policy {policy!r} not found.{suggest(policy, policies)}")
        return policies[policy]

    def _check_jobs(self, graph: Graph, findings: Findings) -> None:
        names: set[str] = set()
        for job in self.jobs:
            subject = f"job {job.name!r}"
            if job.name in names:
                findings.add(f"{subject} is defined twice. Rename one.")
            names.add(job.name)
            with findings.collecting(subject):
                self.policy(job.retry)
                plan = make_plan(graph, job.selection)
                if not job.allow_incomplete_deps:
                    for consumer, missing in missing_upstreams(graph, plan):
                        findings.add(
                            f"{subject}: {consumer!r} needs {missing!r}, which is not in the job. Add it, or load its "
                            "stored value with allow_incomplete_deps=True."
                        )
                if (clash := without_common_key(plan)) is not None:
                    findings.add(
                        f"{subject}: no partition key can run all of its assets: {clash[1]!r} has none in common with "
                        f"{', '.join(map(repr, clash[0][:_SHOWN]))}. Use separate jobs.",
                        PartitionValidationError,
                    )
            with findings.collecting(subject):
                check_executor("executor", job.executor)
                if job.executor is not None:
                    place_steps(make_plan(graph, job.selection).steps, job.executor, self.executors, findings)

    def _check_config(self, _graph: Graph, findings: Findings) -> None:
        for text in self.config.findings() if self.config is not None else ():
            findings.add(text, ConfigurationError)

    def _check_executors(self, graph: Graph, findings: Findings) -> None:
        """Check the executors that assets name, and whether the default one can run the steps."""
        with findings.collecting("default executor"):
            place_steps(graph.steps.values(), self.executor, self.executors, findings)

    def open(self, storage: EventStorage | None = None, *, set_up: bool = True) -> None:
        """Bind the graph and set up resources.

        Args:
            storage: Event storage from now on; None keeps the current one.
            set_up: Whether to set up resources.

        Raises:
            GraphValidationError: With all findings.
            ConfigurationError: A resource could not be set up, or `storage` is not a storage.
        """
        argument: object = storage
        if argument is not None and not isinstance(argument, EventStorage):
            raise ConfigurationTypeError(
                f"storage must be an EventStorage, got {argument!r}. Use rs.Storage.embedded(path) or "
                "rs.Storage.memory()."
            )
        _ = self.graph
        with self._lock:
            if self._resources is None and set_up:
                # assigned before the set-up, so that `close` tears down what an interrupt left
                self._resources = OpenResources()
                try:
                    self._resources.set_up(self.definitions.resources)
                except BaseException:
                    self._close_resources()
                    raise
            if storage is not None and storage is not self._storage:
                self._release_storage()
                self._storage, self._owns_storage = storage, False
                self._declare_assets()

    def _declare_assets(self) -> None:
        """Tell the storage which assets exist, as soon as both are known."""
        if self._storage is not None and self._graph is not None:
            outputs = self._graph.outputs.values()
            self._storage.declare_assets(
                {
                    output.name: AssetFacts(output.tags, output.kinds, output.group, output.code_version)
                    for output in outputs
                    if output.is_asset
                }
            )

    def plan(
        self, names: tuple[str, ...] | None, *, include_upstream: bool = False, graph: Graph | None = None
    ) -> Plan:
        """Return the plan of a selection, cached unless it is one of another graph."""
        key = (names, include_upstream)
        if graph is not None and graph is not self.graph:
            return make_plan(graph, names, include_upstream=include_upstream)
        if key not in self._plans:
            self._plans[key] = make_plan(self.graph, names, include_upstream=include_upstream)
        return self._plans[key]

    def close(self) -> None:
        """End the processes of executors, tear down resources, and close or flush the storage."""
        try:
            self.connections.close()
        finally:
            try:
                self._close_resources()
            finally:
                self._release_storage()

    def _close_resources(self) -> None:
        if self._resources is not None:
            self._resources.close()
            self._resources = None

    def _release_storage(self) -> None:
        if self._storage is None:
            return
        if self._owns_storage:
            self._storage.close()
        else:
            self._storage.flush()


def _make_bundle(graph: Graph, resources: Mapping[str, Any]) -> Bundle:
    from rivers.executors.remote.bundle import make_bundle  # cloudpickle is needed only here

    return make_bundle(graph.steps, resources)


def check_executor(field: str, executor: object) -> None:
    """Refuse what is not an executor.

    Raises:
        ConfigurationError: The argument is neither None nor an executor.
    """
    if executor is None or isinstance(executor, Executor):
        return
    advice = "Use rs.Executor.in_process()."
    if isinstance(executor, str):
        try:
            getattr(Executor, executor)
            advice = f"Use rs.Executor.{executor}()."
        except AttributeError as error:
            advice = str(error)
    raise ConfigurationTypeError(f"{field} must be an Executor, got {executor!r}. {advice}")

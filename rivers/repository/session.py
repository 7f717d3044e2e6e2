"""What a repository holds while it is in use: the bound graph, plans, the storage, resources that are set up."""

from __future__ import annotations

from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING

from rivers.definitions.resource import Resource
from rivers.executors import Executor
from rivers.graph.handlers import HandlerBinder
from rivers.graph.resolve import resolve
from rivers.graph.selection import make_plan
from rivers.graph.symbols import Definitions
from rivers.repository.history import history_of
from rivers.repository.job_checks import job_check
from rivers.repository.launch import launch
from rivers.repository.resources import OpenResources
from rivers.storage import EventStorage, Storage
from rivers_core.exceptions import ConfigurationError
from rivers_core.plugins import get_registry

if TYPE_CHECKING:
    from rivers.graph.findings import Findings
    from rivers.graph.plan import Graph, Plan
    from rivers.repository.declared import Declared
    from rivers.repository.run_request import RunRequest
    from rivers.repository.run_result import RunResult
    from rivers_core.plugins import PluginRegistry


class Session:
    """Makes each thing when it is first needed, once for all threads, and keeps it.

    To another process it travels as what the repository was given, and the storage if that was given too.

    Args:
        declared: What the repository was given.
        storage: Where events go; None decides when it is first needed.
    """

    def __init__(self, declared: Declared, storage: EventStorage | None = None) -> None:
        self._declared = declared
        self._lock = RLock()
        self._graph: Graph | None = None
        self._plans: dict[tuple[tuple[str, ...] | None, bool], Plan] = {}
        self._storage = storage
        self._owns_storage = False
        self._resources: OpenResources | None = None

    def __reduce__(self) -> tuple[type[Session], tuple[Declared, EventStorage | None]]:
        return Session, (self._declared, None if self._owns_storage else self._storage)

    @property
    def graph(self) -> Graph:
        """The bound graph; needs no storage and sets nothing up."""
        with self._lock:
            if self._graph is None:
                self._graph = self.bound_graph()
            return self._graph

    @property
    def storage(self) -> EventStorage:
        """Where events are: what was given, `.rivers/` beside a configuration file, or memory.

        A repository made by `override` writes nothing into the history of the project.
        """
        with self._lock:
            if self._storage is None:
                self._storage, self._owns_storage = self._own_storage(), True
            return self._storage

    def _own_storage(self) -> EventStorage:
        config = None if self._declared.is_trial else self._declared.config
        return Storage.memory() if config is None else Storage.embedded(history_of(config))

    @cached_property
    def _registry(self) -> PluginRegistry:
        """The plugins, under the rules of this repository's configuration and of no other."""
        config = self._declared.config
        return get_registry().with_policy() if config is None else config.registry

    @property
    def executor(self) -> Executor:
        """Where steps run unless a job or a run says otherwise."""
        return self._declared.default_executor or Executor.in_process()

    def bound_graph(self) -> Graph:
        """Bind everything anew.

        Raises:
            GraphValidationError: With all that is wrong.
        """
        declared = self._declared
        definitions = Definitions(
            declared.assets, declared.tasks, declared.partition_defs, declared.retries, declared.resources
        )
        binder = HandlerBinder(self._registry, declared.config, declared.resources, declared.everywhere)
        return resolve(
            definitions,
            binder,
            self.executor.check,
            job_check(declared),
            self._check_config,
            self._check_executors,
        )

    def _check_executors(self, graph: Graph, findings: Findings) -> None:
        """An asset that asks for an executor which is not installed would silently run elsewhere."""
        for step in graph.steps.values():
            if step.executor is not None:
                try:
                    getattr(Executor, step.executor)
                except AttributeError as error:
                    findings.add(f"asset {step.name!r}: rivers/executor={step.executor!r}: {error}")

    def _check_config(self, _graph: Graph, findings: Findings) -> None:
        for text in self._declared.config.findings() if self._declared.config is not None else ():
            findings.add(text)

    def open(self, storage: EventStorage | None = None, *, set_up: bool = True) -> None:
        """Make ready to run.

        Args:
            storage: Where events go from now on; None leaves that as it is.
            set_up: Whether resources are set up now.

        Raises:
            GraphValidationError: With all that is wrong.
            ConfigurationError: A resource could not be set up, or the storage is none.
        """
        given_storage: object = storage
        if given_storage is not None and not isinstance(given_storage, EventStorage):
            raise ConfigurationError(
                f"storage={storage!r} is no storage; write rs.Storage.embedded(path) or rs.Storage.memory()"
            )
        _ = self.graph
        with self._lock:
            if self._resources is None and set_up:
                given = self._declared.resources.items()
                self._resources = OpenResources(
                    {name: one for name, one in given if isinstance(one, Resource)}
                )
            if storage is not None and storage is not self._storage:
                self._let_go_of_storage()
                self._storage, self._owns_storage = storage, False

    def plan(self, names: tuple[str, ...] | None, *, include_upstream: bool = False) -> Plan:
        """The plan of a selection; the same one when it is asked for again."""
        if (names, include_upstream) not in self._plans:
            self._plans[names, include_upstream] = make_plan(
                self.graph, names, include_upstream=include_upstream
            )
        return self._plans[names, include_upstream]

    def run(self, request: RunRequest, *, include_upstream: bool = False) -> RunResult:
        """Run what a request selects; see `launch`."""
        self.open()
        plan = self.plan(request.selection, include_upstream=include_upstream)
        executor = request.executor or self.executor
        observers = self._registry.observers()
        return launch(self.graph, plan, request, self.storage, executor, observers, self._declared.resources)

    def close(self) -> None:
        """Tear resources down and let go of the storage."""
        if self._resources is not None:
            self._resources.close()
            self._resources = None
        self._let_go_of_storage()

    def _let_go_of_storage(self) -> None:
        if self._storage is None:
            return
        if self._owns_storage:
            self._storage.close()
        else:
            self._storage.flush()

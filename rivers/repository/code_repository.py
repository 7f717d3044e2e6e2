"""CodeRepository: the face of rivers, where definitions become something that runs."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from rivers.exceptions import AssetNotFoundError, NodeNotFoundError
from rivers.graph.findings import suggest
from rivers.repository.declared import Declared, name_of
from rivers.repository.loading import load_stored
from rivers.repository.observing import observe_assets
from rivers.repository.run_request import RunRequest
from rivers.repository.session import Session
from rivers.repository.statuses import statuses

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Literal, Self

    from rivers.definitions.asset import Asset
    from rivers.definitions.job import Job
    from rivers.definitions.retry import RetryPolicy
    from rivers.definitions.task import Task
    from rivers.execution.keys import KeyRequest
    from rivers.execution.staleness import AssetStatus
    from rivers.executors import Executor
    from rivers.graph.plan import Graph, HandlerBinding, StoredOutput
    from rivers.repository.run_result import RunResult
    from rivers.storage import EventStorage
    from rivers_core.config import Config
    from rivers_core.handler import BaseIOHandler
    from rivers_core.metadata import MetadataValue
    from rivers_core.partitions import PartitionsDefinition


class CodeRepository:
    """Assets, and all that belongs to them, as something that can be checked, run and asked.

    Args:
        assets: The assets, of every kind.
        tasks: Tasks that run on their own; those inside graph assets need not be listed.
        jobs: Named selections of assets.
        default_executor: Where steps run unless a job says otherwise; in this process without it.
        resources: What function parameters may name besides assets; a resource that is a handler can be
            named by `io_handler=`.
        partition_defs: Partition definitions that assets refer to by name.
        retries: Retry policies that assets and jobs refer to by name.
        default_retry_policy: The policy of steps for which neither asset, job nor run says one.
        config: A `rivers.toml`: its path, a loaded `Config`, False for none; None looks for one from the
            current folder upwards.

    Raises:
        AssetDefinitionError: Something in `assets` is no asset.
        ConfigurationError: The configuration file is not valid.

    Examples:
        >>> import rivers as rs
        >>> @rs.Asset
        ... def numbers() -> list[int]:
        ...     return [1, 2, 3]
        >>> @rs.Asset
        ... def total(numbers: list[int]) -> int:
        ...     return sum(numbers)
        >>> with rs.CodeRepository([numbers, total]) as repo:
        ...     repo.materialize().materialized_assets, repo.load_node("total")
        (['numbers', 'total'], 6)
    """

    def __init__(
        self,
        assets: Sequence[Asset],
        tasks: Sequence[Task] | None = None,
        jobs: Sequence[Job] | None = None,
        default_executor: Executor | None = None,
        resources: Mapping[str, Any] | None = None,
        partition_defs: Mapping[str, PartitionsDefinition] | None = None,
        retries: Mapping[str, RetryPolicy] | None = None,
        default_retry_policy: RetryPolicy | str | None = None,
        config: str | Path | Config | Literal[False] | None = None,
    ) -> None:
        self._adopt(
            Declared.checked(
                assets,
                tasks,
                jobs,
                default_executor,
                resources,
                partition_defs,
                retries,
                default_retry_policy,
                config,
            )
        )

    def _adopt(self, declared: Declared) -> None:
        self._declared = declared
        self._session = Session(declared)

    # ------------------------------------------------------------------ resolving

    def resolve(self, storage: EventStorage | None = None, *, set_up: bool = True) -> Self:
        """Bind every asset to its handler and every parameter to its source, and make ready to run.

        Called by itself before the first run; calling it again with another storage changes to that.

        Args:
            storage: Where events go; without it memory, or `.rivers/` beside the `rivers.toml`, one per environment.
            set_up: Set resources up now; False leaves that to the first run, for who only wants to look.

        Returns:
            This repository.

        Raises:
            GraphValidationError: With all that is wrong.
            ConfigurationError: A resource could not be set up.
        """
        self._session.open(storage, set_up=set_up)
        return self

    def validate(self) -> None:
        """Look for everything that is wrong without data, storage or set-up; may be called again and again.

        Raises:
            GraphValidationError: With all that is wrong.
        """
        self._session.bound_graph()

    @property
    def graph(self) -> Graph:
        """The bound graph: steps, outputs, handlers."""
        return self._session.graph

    # ------------------------------------------------------------------ running

    def materialize(
        self,
        selection: Iterable[str | Asset | Task] | str | None = None,
        partition_key: KeyRequest | None = None,
        tags: list[tuple[str, str]] | None = None,
        raise_on_error: bool = True,
        config: Mapping[str, Any] | None = None,
        run_id_override: str | None = None,
        include_upstream: bool = False,
        resume: bool = False,
        retry: RetryPolicy | str | None = None,
        *,
        only_stale: bool = False,
        executor: Executor | None = None,
    ) -> RunResult:
        """Run assets and keep their results.

        Args:
            selection: Assets, outputs of multi-assets or tasks, or their names; None for every asset.
            partition_key: The partition, or several: a key, its text, a `PartitionKeyRange`, a list.
            tags: Recorded with every event of the run.
            raise_on_error: Raise the first failure; else go on with what does not depend on it.
            config: `{asset: {field: value}}`, laid over what the contexts' configuration reads.
            run_id_override: The run's identifier.
            include_upstream: Also run everything that the selected assets need.
            resume: Skip what the run `run_id_override` already finished.
            retry: The policy of steps for which neither asset nor job says one; a policy, or its name.
            only_stale: Skip what is fresh: code, handler and inputs are as they were when it was stored.
            executor: Where steps run; None takes the repository's.

        Returns:
            What was materialized, what failed and what was skipped.

        Raises:
            ExecutionError: A step failed and `raise_on_error` is true; the step's error is the cause.
            AssetNotFoundError: A selected name is unknown.
            GraphValidationError: Something is wrong with the repository.
            PartitionValidationError: A partitioned asset has no valid key.
            ConfigurationError: The configuration overrides do not fit.
        """
        return self._session.run(
            RunRequest(
                self._declared.names(selection),
                partition_key,
                tags or (),
                raise_on_error,
                {} if config is None else config,
                run_id_override,
                resume,
                only_stale,
                self._declared.policy(retry) or self._declared.default_retry_policy,
                executor=executor,
            ),
            include_upstream=include_upstream,
        )

    def get_job(self, name: str) -> Job:
        """A job of this repository, ready to `execute`.

        Raises:
            AssetNotFoundError: No job has this name.
        """
        jobs = {job.name: job for job in self._declared.jobs}
        if name not in jobs:
            raise AssetNotFoundError(f"job {name!r} not found.{suggest(name, jobs)}")
        return jobs[name].bound(self._execute_job)

    def _execute_job(
        self,
        job: Job,
        *,
        tags: Sequence[tuple[str, str]] | None,
        config: Mapping[str, Any] | None,
        **request: Any,
    ) -> RunResult:
        retry = self._declared.policy(job.retry) or self._declared.default_retry_policy
        return self._session.run(
            RunRequest(
                tuple(job.selection),
                tags=tags or (),
                config={} if config is None else config,
                retry=retry,
                job=job.name,
                **request,
            )
        )

    # ------------------------------------------------------------------ asking

    def load_node(
        self, name: str | Asset | Task, *, partition_key: KeyRequest | None = None, type_hint: Any = None
    ) -> Any:
        """Load what was stored of an asset, a task or a node of a graph asset.

        Args:
            name: Its name; `graph/task` for a node.
            partition_key: Which partition, or several.
            type_hint: The type wanted; None takes what its function promised.

        Returns:
            The value; `{key: value}` for several keys.

        Raises:
            NodeNotFoundError: The name is unknown.
            NotMaterializedError: Nothing was ever stored.
            PartitionValidationError: The key is missing, superfluous, or not one of the asset's.
        """
        return load_stored(self._output(name), self.storage, partition_key, type_hint)

    def io_handler_for_output(self, name: str | Asset | Task) -> BaseIOHandler:
        """The handler that keeps an asset or node, found without running anything.

        Raises:
            NodeNotFoundError: The name is unknown.
        """
        return self._output(name).handler

    def handler_binding(self, name: str | Asset | Task) -> HandlerBinding:
        """The handler that keeps an asset or node, how it is called, and which rule chose it.

        Raises:
            NodeNotFoundError: The name is unknown.
        """
        binding = self._output(name).binding
        assert binding is not None
        return binding

    def _output(self, of: str | Asset | Task) -> StoredOutput:
        name, outputs = name_of(of), self.graph.outputs
        if name not in outputs:
            raise NodeNotFoundError(f"asset or node {name!r} not found.{suggest(name, outputs)}")
        return outputs[name]

    def status(self, asset_names: Iterable[str | Asset] | str | None = None) -> list[AssetStatus]:
        """Tell of each asset, and each of its partitions, whether its stored value is missing, fresh or stale.

        Args:
            asset_names: Which assets; None for all.

        Returns:
            One entry per asset and partition key, in the order in which they would run; the first reason for
            what is stale.

        Raises:
            AssetNotFoundError: A name is unknown.
        """
        return statuses(self.graph, self._session.plan(self._declared.names(asset_names)), self.storage)

    def observe(self, asset_names: Iterable[str] | None = None) -> dict[str, dict[str, MetadataValue]]:
        """Call the functions of external assets that look at them, and record what they saw.

        Args:
            asset_names: Which; None for all that have such a function.

        Returns:
            The metadata that each function reported: `{asset: {key: value}}`.

        Raises:
            AssetNotFoundError: A name is no external asset with such a function.
            ExecutionError: A function failed.
        """
        self.resolve()
        names = self._declared.names(asset_names)
        return observe_assets(self.graph, self.assets, names, self.storage, self._declared.resources)

    @property
    def assets(self) -> dict[str, Asset]:
        """The assets by name."""
        return {asset.name: asset for asset in self._declared.assets}

    @property
    def jobs(self) -> dict[str, Job]:
        """The jobs by name, ready to execute."""
        return {job.name: self.get_job(job.name) for job in self._declared.jobs}

    @property
    def config(self) -> Config | None:
        """The configuration in force, if there is one."""
        return self._declared.config

    @property
    def storage(self) -> EventStorage:
        """Where events are."""
        return self._session.storage

    # ------------------------------------------------------------------ changing, ending

    def override(
        self,
        *,
        resources: Mapping[str, Any] | None = None,
        io_handler: BaseIOHandler | str | None = None,
        executor: Executor | None = None,
    ) -> CodeRepository:
        """The same repository with some things replaced, for tests: nothing of this one changes.

        Its events stay in memory, unless it is resolved with a storage.

        Args:
            resources: Replace the resources of these names, handlers among them.
            io_handler: Keep every asset in this handler, whatever the assets and the configuration say.
            executor: Run steps here.
        """
        other = copy(self)
        other._adopt(self._declared.overridden(resources, io_handler, executor))  # noqa: SLF001 - one of this class
        return other

    def shutdown(self) -> None:
        """Tear resources down and close a storage that this repository opened itself; it may be used again."""
        self._session.close()

    def __enter__(self) -> Self:
        return self.resolve()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()

    def __repr__(self) -> str:
        return f"CodeRepository({len(self._declared.assets)} assets, {len(self._declared.jobs)} jobs)"

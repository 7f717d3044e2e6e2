"""CodeRepository: definitions that can be checked, run and queried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pydantic import BaseModel, ValidationError

from rivers.definitions.asset import Asset
from rivers.definitions.definition import Definition
from rivers.definitions.field_checks import FieldChecks
from rivers.definitions.html import html_table
from rivers.definitions.job import Job
from rivers.definitions.retry import RetryPolicy
from rivers.definitions.task import Task
from rivers.exceptions import (
    TYPE_ERRORS,
    AssetDefinitionError,
    ConfigurationError,
    ConfigurationTypeError,
    ExecutionError,
    GraphTypeError,
    GraphValidationError,
    NodeNotFoundError,
    RiversError,
    SelectionTypeError,
    TaskDefinitionError,
)
from rivers.execution.handler_calls import without_secrets
from rivers.execution.lineage import History
from rivers.execution.loaded_versions import VersionIndex
from rivers.execution.staleness import StatusList, status_of_asset
from rivers.execution.verification import verified_status
from rivers.graph.findings import suggest
from rivers.graph.selection_syntax import select_names
from rivers.graph.symbols import Definitions
from rivers.partitions import PartitionsDefinition
from rivers.repository.accepting import accept_stored
from rivers.repository.deleting import delete_values, values_of
from rivers.repository.loading import load_stored, stored_context
from rivers.repository.observing import observe_assets
from rivers.repository.restoring import restore_stored
from rivers.repository.runner import RunRequest, preview_plan, run_plan
from rivers.repository.runtime import Runtime, check_executor
from rivers.repository.tracebacks import keeps_frames
from rivers_core.authoring import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta
    from types import TracebackType
    from typing import Literal, Self

    from rivers.execution.keys import KeyRequest
    from rivers.executors import Executor
    from rivers.graph.plan import Graph, HandlerBinding, StoredOutput
    from rivers.repository.run_preview import RunPlan
    from rivers.repository.runner import RunResult
    from rivers.repository.runtime import RunScope
    from rivers.storage import Event, EventStorage
    from rivers_core.config import Config
    from rivers_core.handler import BaseIOHandler, StoredVersion
    from rivers_core.metadata import MetadataValue
    from rivers_core.partitions import PartitionKey

T = TypeVar("T")


class CodeRepository:
    """Assets with everything that belongs to them.

    Args:
        assets: Assets of every kind.
        tasks: Tasks that run on their own; tasks of graph assets need not be listed.
        jobs: Named selections of assets.
        default_executor: Executor of runs that do not set their own; by default that of the configuration, else in
            process.
        resources: Values that function parameters may name besides assets; `io_handler=` may name a resource that is
            a handler.
        partition_defs: Partitions definitions by name.
        retries: Retry policies by name.
        default_retry_policy: Retry policy of steps for which asset, job and run set none.
        config: A `rivers.toml`: its path, a loaded `Config`, or False for none. None searches from the working folder
            upwards.

    Raises:
        AssetDefinitionError: An item of `assets` is not an asset.
        TaskDefinitionError: An item of `tasks` is not a task.
        GraphValidationError: Another argument is not valid.
        ConfigurationError: The configuration file, an executor or a policy is not valid.

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
        *,
        default_executor: Executor | None = None,
        resources: Mapping[str, Any] | None = None,
        partition_defs: Mapping[str, PartitionsDefinition] | None = None,
        retries: Mapping[str, RetryPolicy] | None = None,
        default_retry_policy: RetryPolicy | str | None = None,
        config: str | Path | Config | Literal[False] | None = None,
    ) -> None:
        definitions = Definitions(
            _check_items(Asset, "assets", assets, AssetDefinitionError),
            _check_items(Task, "tasks", tasks or (), TaskDefinitionError),
            _check_values(PartitionsDefinition, "partition_defs", partition_defs),
            _check_values(RetryPolicy, "retries", retries),
            _check_resources(resources),
        )
        checked_jobs = _check_items(Job, "jobs", jobs or (), GraphValidationError)
        check_executor("default_executor", default_executor)
        self._runtime = Runtime(definitions, checked_jobs, default_executor, _load_config(config))
        self._default_retry_policy = self._runtime.policy(default_retry_policy)

    # ------------------------------------------------------------------ resolve

    def resolve(self, storage: EventStorage | None = None, *, set_up: bool = True) -> Self:
        """Bind every asset to its handler and every parameter to its source, and set up resources.

        Called automatically before the first run. Call again to switch storage.

        Args:
            storage: Event storage; by default memory, or `.rivers/` next to the `rivers.toml`, one per environment.
            set_up: Whether to set up resources now; False leaves that to the first run.

        Returns:
            This repository.

        Raises:
            GraphValidationError: With all findings.
            ConfigurationError: A resource could not be set up.
        """
        self._runtime.open(storage, set_up=set_up)
        return self

    def validate(self) -> None:
        """Check everything that needs no data, storage or set-up; may be called repeatedly.

        Raises:
            GraphValidationError: With all findings.
        """
        self._runtime.bind()

    # ------------------------------------------------------------------ run

    @overload
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
        partitions: Literal["all", "missing", "stale", "latest"] | None = None,
        only_stale: bool = False,
        dry_run: Literal[False] = False,
        executor: Executor | None = None,
        timeout: float | timedelta | None = None,
    ) -> RunResult: ...
    @overload
    def materialize(
        self,
        selection: Iterable[str | Asset | Task] | str | None = None,
        partition_key: KeyRequest | None = None,
        *,
        include_upstream: bool = False,
        partitions: Literal["all", "missing", "stale", "latest"] | None = None,
        only_stale: bool = False,
        dry_run: Literal[True],
    ) -> RunPlan: ...
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
        partitions: Literal["all", "missing", "stale", "latest"] | None = None,
        only_stale: bool = False,
        dry_run: bool = False,
        executor: Executor | None = None,
        timeout: float | timedelta | None = None,
    ) -> RunResult | RunPlan:
        """Run assets and store their results.

        Args:
            selection: Assets and tasks, or terms that select them (see `select`); None for every asset.
            partition_key: One or several partition keys: a key, its display form, a `PartitionKeyRange`, a list.
            tags: Tags recorded with every event of the run.
            raise_on_error: Whether to raise the first failure; otherwise independent steps go on.
            config: `{asset: {field: value}}`, which takes precedence over what the configuration classes read; or a
                document `{"assets": {asset: {"config": ..., "metadata": ...}}, "resources": {name: {field: value}},
                "execution": {"executor": name, ...}}`.
            run_id_override: Identifier of the run.
            include_upstream: Also run everything that the selected assets need.
            resume: Skip the steps that the run `run_id_override` already finished.
            retry: Retry policy of steps for which asset and job set none, or the name of one.
            partitions: Which partition keys to run instead of `partition_key`: `all` of them; those that are `missing`;
                those that are `stale`, which includes the missing ones; or the last complete window (`latest`).
            only_stale: Skip assets whose code, handler and inputs have not changed since they were stored; without
                `partition_key` it selects the keys that are not fresh.
            dry_run: Only return what would run, and why; nothing is run or written.
            executor: Executor of this run; None for the repository's.
            timeout: Seconds, or a `timedelta`, that one attempt of a step may take, for assets without a time limit.

        Returns:
            The assets that were materialized, failed or skipped; with `dry_run` a `RunPlan`.

        Raises:
            ExecutionError: A step failed and `raise_on_error` is true. It is also an instance of the class of the
                step's error (`except ValueError` works), which is its cause.
            AssetNotFoundError: A selected name is unknown, or nothing matches.
            GraphValidationError: The repository is not valid.
            PartitionValidationError: A partitioned asset has no valid key.
            ConfigurationError: The configuration values are not valid.
        """
        request = RunRequest(
            self.select(selection),
            partition_key,
            tags or (),
            raise_on_error,
            {} if config is None else config,
            run_id_override,
            resume,
            only_stale,
            self._runtime.policy(retry) or self._default_retry_policy,
            executor=executor,
            partitions=partitions,
            timeout=timeout,
        )
        run = self._preview if dry_run else self._run
        return run(request, include_upstream=include_upstream)

    def select(self, selection: Iterable[str | Asset | Task] | str | None = None) -> tuple[str, ...] | None:
        """Return the names of the assets, outputs and tasks that a selection matches; None for None.

        Args:
            selection: Assets or terms: names, globs, `group:x`, `tag:x`, `kind:x`, `handler:x`, `+name` with everything
                upstream, `name+` downstream, `1+name` one level, `-x` without. A string holds terms separated by
                spaces; an item of a list is one term.

        Raises:
            AssetNotFoundError: A name is unknown, or nothing matches.
        """
        terms = selection if isinstance(selection, str) else _terms(selection)
        return None if terms is None else tuple(select_names(self.graph, terms))

    def get_job(self, name: str) -> Job:
        """Return a job of this repository, ready to `execute`.

        Raises:
            NodeNotFoundError: The name is unknown.
        """
        jobs = {job.name: job for job in self._runtime.jobs}
        if name not in jobs:
            raise NodeNotFoundError(f"Job {name!r} not found.{suggest(name, jobs)}")
        return jobs[name].bound(self._execute_job)

    def _execute_job(
        self,
        job: Job,
        *,
        tags: Sequence[tuple[str, str]] | None,
        config: Mapping[str, Any] | None,
        dry_run: bool,
        **request: Any,
    ) -> RunResult | RunPlan:
        run = self._preview if dry_run else self._run
        return run(
            RunRequest(
                tuple(select_names(self.graph, job.selection)),
                tags=tags or (),
                config={} if config is None else config,
                retry=self._runtime.policy(job.retry) or self._default_retry_policy,
                job=job.name,
                **request,
            )
        )

    def _preview(self, request: RunRequest, *, include_upstream: bool = False) -> RunPlan:
        runtime = self._runtime
        runtime.open(set_up=False)
        scope = runtime.scope(request.config, set_up=False)
        try:
            return preview_plan(
                scope,
                runtime.plan(request.selection, include_upstream=include_upstream, graph=scope.graph),
                request,
                runtime.storage,
                self._executor(request, scope),
                runtime.executors,
            )
        finally:
            scope.close()

    def _executor(self, request: RunRequest, scope: RunScope) -> Executor:
        execution = dict(scope.overrides.execution)
        executors = self._runtime.executors
        executor = executors.new(execution.pop("executor"), execution) if execution else None
        return request.executor or executor or self._runtime.executor

    def _run(self, request: RunRequest, *, include_upstream: bool = False) -> RunResult:
        runtime = self._runtime
        runtime.open()
        scope = runtime.scope(request.config)
        try:
            return run_plan(
                scope,
                runtime.plan(request.selection, include_upstream=include_upstream, graph=scope.graph),
                request,
                runtime.storage,
                self._executor(request, scope),
                runtime.executors,
                runtime.observers(),
            )
        except ExecutionError as error:
            if keeps_frames() or error.__cause__ is None:
                raise
            # from here on, and not from where the engine raised it
            raise error.with_traceback(None) from error.__cause__
        finally:
            scope.close()

    def executor(self, name: str, **arguments: Any) -> Executor:
        """Return a new executor by its name.

        Args:
            name: Name in the configuration (`[executors.big]`), of a plugin, or `in_process`.
            arguments: Its arguments; they take precedence over those of the configuration.

        Raises:
            HandlerNotFoundError: The name is unknown.
            PluginLoadError: The package that registers it is broken.
            ConfigurationError: The arguments are not valid.
        """
        return self._runtime.executors.new(name, arguments)

    # ------------------------------------------------------------------ query

    @overload
    def load_node(
        self,
        name: str | Asset | Task,
        *,
        partition_key: KeyRequest | None = None,
        type_hint: type[T],
        version: str | int | None = None,
    ) -> T: ...
    @overload
    def load_node(
        self,
        name: str | Asset | Task,
        *,
        partition_key: KeyRequest | None = None,
        type_hint: Any = None,
        version: str | int | None = None,
    ) -> Any: ...
    def load_node(
        self,
        name: str | Asset | Task,
        *,
        partition_key: KeyRequest | None = None,
        type_hint: Any = None,
        version: str | int | None = None,
    ) -> Any:
        """Load the stored value of an asset, a task or a node of a graph asset.

        Args:
            name: Its name; `graph/task` for a node.
            partition_key: One or several partition keys.
            type_hint: Requested type; None for the return annotation of its function.
            version: An earlier version, see `versions`; None for the current value.

        Returns:
            The value; `{key: value}` for several keys.

        Raises:
            NodeNotFoundError: The name is unknown.
            NotMaterializedError: Nothing was ever stored.
            VersionNotFoundError: The version is not stored.
            RiversError: The handler does not keep versions.
            PartitionValidationError: The key is missing, or not one of the asset's.
        """
        wanted = None if version is None else str(version)
        return load_stored(self._output(name), self.storage, partition_key, type_hint, wanted)

    def versions(
        self, name: str | Asset | Task, *, partition_key: KeyRequest | None = None
    ) -> list[StoredVersion]:
        """Return the versions of a stored value that can be loaded, the current one first.

        Args:
            name: Name of an asset, a task or a node.
            partition_key: The partition key; None without partitions.

        Raises:
            NodeNotFoundError: The name is unknown.
            PartitionValidationError: The key is missing, not one of the asset's, or not a single one.
            RiversError: The handler does not keep versions.
        """
        output = self._output(name)
        context = stored_context(output, self.storage, partition_key, "versions")
        return without_secrets(output.handler, lambda: output.handler.versions(context))

    def restore(
        self, name: str | Asset | Task, *, version: str | int, partition_key: KeyRequest | None = None
    ) -> Event:
        """Make an earlier version the current value, and record it as a new materialization.

        Args:
            name: Name of an asset, a task or a node.
            version: The version, see `versions`.
            partition_key: The partition key; None without partitions. Other partitions stay as they are.

        Returns:
            The recorded event: inputs and code version are those of the restored value, and the tag `rivers/restored`
            names the version.

        Raises:
            NodeNotFoundError: The name is unknown.
            VersionNotFoundError: The version is not stored.
            PartitionValidationError: The key is missing, not one of the asset's, or not a single one.
            RiversError: The handler does not keep versions.
        """
        output = self._output(name)
        context = stored_context(output, self.storage, partition_key, "restore")
        return restore_stored(output, context, str(version), self.storage)

    def delete(
        self, name: str | Asset | Task, *, partition_key: KeyRequest | None = None
    ) -> list[tuple[str, str | None]]:
        """Delete stored values, and record an event "Deletion" for each. The events of earlier runs stay.

        Of a graph asset also the values of its nodes are deleted.

        Args:
            name: Name of an asset, a task or a node.
            partition_key: One or several partition keys; None for all that are recorded.

        Returns:
            Asset and partition of each deleted value, without those for which nothing was stored.

        Raises:
            NodeNotFoundError: The name is unknown.
            GraphValidationError: The asset is external, or its function stores its values itself.
            PartitionValidationError: The asset is not partitioned, or does not have the keys.
            RiversError: Its handler does not support deletion.
        """
        graph, storage, given = self.graph, self.storage, _name(name)
        step = graph.steps.get(given)
        outputs = step.outputs if step is not None and step.is_multi else (self._output(given),)
        values = [value for output in outputs for value in values_of(graph, output, storage, partition_key)]
        return delete_values(values, storage)

    def io_handler_for_output(self, name: str | Asset | Task) -> BaseIOHandler:
        """Return the handler of an asset or node; runs nothing.

        Raises:
            NodeNotFoundError: The name is unknown.
        """
        return self._output(name).handler

    def handler_binding(self, name: str | Asset | Task) -> HandlerBinding:
        """Return the handler of an asset or node with its name and the rule that selected it.

        Raises:
            NodeNotFoundError: The name is unknown.
        """
        binding = self._output(name).binding
        assert binding is not None
        return binding

    def _output(self, definition: str | Asset | Task) -> StoredOutput:
        name, outputs = _name(definition), self.graph.outputs
        if name not in outputs:
            for step in self.graph.steps.values():  # an instance of a mapped node
                if step.fan_out is not None and name.startswith(f"{step.name}__"):
                    return replace(step.outputs[0], name=name)
            raise NodeNotFoundError(f"Asset or node {name!r} not found.{suggest(name, outputs)}")
        return outputs[name]

    def status(
        self, asset_names: Iterable[str | Asset] | str | None = None, *, verify: bool = False
    ) -> StatusList:
        """Return whether the stored value of each asset and partition is missing, fresh or stale.

        Args:
            asset_names: Which assets; None for all.
            verify: Whether to ask the handlers, too: for values that were deleted, changed, damaged, or never stored
                although the handler returned. Handlers may have to read every value.

        Returns:
            One entry per asset and partition key, in run order, with the first reason of a stale one; `ranges()` of the
            list joins consecutive keys.

        Raises:
            AssetNotFoundError: A name is unknown.
        """
        history, versions = History(self.storage), VersionIndex(self.storage)
        graph, statuses = self.graph, StatusList()
        for output, key in self._values(asset_names, history):
            status = status_of_asset(graph, output, key, history)
            statuses.append(verified_status(status, output, key, history, versions) if verify else status)
        return statuses

    def accept(self, asset_names: Iterable[str | Asset] | str | None = None) -> list[tuple[str, str | None]]:
        """Record what the handlers have as the current values: older values that were put back, changed ones.

        Args:
            asset_names: Which assets; None for all.

        Returns:
            Asset and partition of each value that the event log recorded differently.

        Raises:
            AssetNotFoundError: A name is unknown.
            IntegrityError: A value is damaged.
        """
        return accept_stored(self._values(asset_names, History(self.storage)), self.storage)

    def _values(
        self, asset_names: Iterable[str | Asset] | str | None, history: History
    ) -> Iterator[tuple[StoredOutput, PartitionKey | None]]:
        plan = self._runtime.plan(self.select(asset_names))
        if 2 * len(plan.steps) > len(self.graph.steps):
            history.load_all(self.graph.outputs)
        for step in plan.steps:
            for output in plan.outputs_of(step):
                if output.is_asset:
                    definition = output.partitions_def
                    for key in (None,) if definition is None else history.all_keys(definition):
                        yield output, key

    def observe(self, asset_names: Iterable[str] | None = None) -> dict[str, dict[str, MetadataValue]]:
        """Call the observing functions of external assets and record what they return.

        Args:
            asset_names: Which assets; None for all that have such a function.

        Returns:
            The metadata that each function returned: `{asset: {key: value}}`.

        Raises:
            AssetNotFoundError: A name is not an external asset with such a function.
            ExecutionError: A function failed.
        """
        self.resolve()
        return observe_assets(self.graph, self.assets, _terms(asset_names), self.storage, self.resources)

    @property
    def graph(self) -> Graph:
        """The bound graph: steps, outputs, handlers."""
        return self._runtime.graph

    @property
    def assets(self) -> dict[str, Asset]:
        """The assets by name."""
        return {asset.name: asset for asset in self._runtime.definitions.assets}

    @property
    def jobs(self) -> dict[str, Job]:
        """The jobs by name, ready to execute."""
        return {job.name: self.get_job(job.name) for job in self._runtime.jobs}

    @property
    def resources(self) -> dict[str, Any]:
        """The resources by name."""
        return dict(self._runtime.definitions.resources)

    @property
    def config(self) -> Config | None:
        """The configuration, if any."""
        return self._runtime.config

    @property
    def storage(self) -> EventStorage:
        """The event storage."""
        return self._runtime.storage

    # ------------------------------------------------------------------ override, shut down

    def override(
        self,
        *,
        resources: Mapping[str, Any] | None = None,
        io_handler: BaseIOHandler | str | None = None,
        executor: Executor | None = None,
    ) -> CodeRepository:
        """Return a copy of this repository with replacements, for tests.

        Its events are kept in memory, unless it is resolved with a storage.

        Args:
            resources: Replacements of resources by name, handlers included.
            io_handler: Handler of every asset, regardless of assets and configuration.
            executor: Executor of its runs.

        Raises:
            ConfigurationError: A resource name is unknown, or the handler or the executor is not valid.
        """
        runtime = self._runtime
        definitions = runtime.definitions
        for name in resources or {}:
            if name not in definitions.resources:
                raise ConfigurationError(
                    f"Resource {name!r} not found.{suggest(name, definitions.resources)}"
                )
        check_executor("executor", executor)
        handler = FieldChecks("override", ConfigurationError).io_handler("io_handler", io_handler)
        merged = {**definitions.resources, **_check_resources(resources)}
        repository = copy(self)
        repository._runtime = Runtime(  # noqa: SLF001 the copy is of this class
            replace(definitions, resources=merged),
            runtime.jobs,
            executor or runtime.default_executor,
            runtime.config,
            runtime.io_handler if handler is None else handler,
            is_override=True,
        )
        return repository

    def shutdown(self) -> None:
        """Tear down resources and close a storage that the repository opened; it can be used again."""
        self._runtime.close()

    def __enter__(self) -> Self:
        return self.resolve()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()

    def _repr_html_(self) -> str:
        """Return the assets with handler and upstreams as an HTML table, for notebooks."""
        graph = self.graph
        rows = [
            (
                output.name,
                output.group or "",
                "" if output.binding is None else output.binding.label,
                ", ".join(dict.fromkeys(_upstreams_of(graph, output))),
            )
            for output in graph.outputs.values()
            if output.is_asset
        ]
        return html_table(repr(self), ("Asset", "Group", "Handler", "Upstream"), rows)

    def __repr__(self) -> str:
        assets, jobs = len(self._runtime.definitions.assets), len(self._runtime.jobs)
        return f"CodeRepository({counted(assets, 'asset')}, {counted(jobs, 'job')})"


def _upstreams_of(graph: Graph, output: StoredOutput) -> Iterator[str]:
    """Yield the assets that the steps of an asset need, other than nodes of the same graph asset."""
    for member in graph.members.get(output.name, ()):
        yield from (name for name in graph.steps[member].upstream_names() if graph.outputs[name].is_asset)


def _terms(selection: Iterable[Any] | str | None) -> tuple[str, ...] | None:
    """Return the terms of a selection of terms and definitions."""
    if selection is None:
        return None
    items: Any = [selection] if isinstance(selection, (str, Definition)) else selection
    return tuple(_name(item) for item in (items if isinstance(items, Iterable) else (items,)))


def _name(item: object) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, Definition):
        return item.name
    hint = f" Use repo.get_job({item.name!r}).execute() to run a job." if isinstance(item, Job) else ""
    raise SelectionTypeError(f"selection must contain assets or their names, got {item!r}.{hint}")


def _check_items(kind: type, field: str, value: Iterable[Any], error: type[RiversError]) -> tuple[Any, ...]:
    error = TYPE_ERRORS[error]
    if isinstance(value, (str, kind, Mapping)) or not isinstance(value, Iterable):
        raise error(f"{field} must be a list, got {value!r}.")
    items = tuple(value)
    for item in items:
        if not isinstance(item, kind):
            raise error(f"{field} must contain only {kind.__name__}, got {item!r}.{_place_of(item, kind)}")
    return tuple(dict.fromkeys(items))  # a definition that two modules list is the same one


def _place_of(item: object, kind: type) -> str:
    for other, field in ((Asset, "assets"), (Task, "tasks"), (Job, "jobs")):
        if isinstance(item, other):
            return f" Use {field}=[...]."
    return f" Decorate it with @rs.{kind.__name__}." if callable(item) and kind is not Job else ""


def _check_values(kind: type, field: str, values: Mapping[str, Any] | None) -> dict[str, Any]:
    checked = _check_mapping(field, values)
    for name, value in checked.items():
        if not isinstance(value, kind):
            raise GraphTypeError(f"{field}[{name!r}] must be a {kind.__name__}, got {value!r}.")
    return checked


def _check_resources(resources: Mapping[str, Any] | None) -> dict[str, Any]:
    checked = _check_mapping("resources", resources)
    for name, value in checked.items():
        if isinstance(value, type) and issubclass(value, BaseModel):
            checked[name] = _instance(name, value)
    return checked


def _instance(name: str, model: type[BaseModel]) -> BaseModel:
    """Return an instance of a class that is given as a resource; settings come from the environment."""
    try:
        return model()
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise ConfigurationError(
            f"resources[{name!r}]: cannot create {model.__name__} without arguments. Pass an instance.",
            problems,
        ) from None


def _check_mapping(field: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise GraphTypeError(f"{field} must be a dictionary by name, got {value!r}.")
    return dict(value)


def _load_config(config: str | Path | Config | Literal[False] | None) -> Config | None:
    if config is False:
        return None
    if config is None or isinstance(config, (str, Path)):
        from rivers_core.config import find_config, load_config

        path = find_config() if config is None else Path(config)
        return None if path is None else load_config(path)
    from rivers_core.config import Config

    if not isinstance(config, Config):
        raise ConfigurationTypeError(
            f"config must be the path of a rivers.toml, a Config or False, got {config!r}. Omit it to search from the "
            "working folder upwards."
        )
    return config

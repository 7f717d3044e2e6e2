"""Job: a named selection of assets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from rivers.definitions.asset import MultiAsset
from rivers.definitions.definition import Definition
from rivers.definitions.field_checks import FieldChecks
from rivers.exceptions import ExecutionError, GraphValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from rivers.definitions.asset import Asset
    from rivers.definitions.retry import RetryPolicy
    from rivers_core.partitions import PartitionKey

__all__ = ["Job"]


class Job:
    """A named selection of assets that run together.

    Args:
        name: Name of the job.
        assets: Assets, tasks, or terms that select them, such as `group:sales`; a string of several terms.
        executor: Executor of its runs; by default the repository's.
        allow_incomplete_deps: Whether upstreams may be missing in the selection, so that their stored values are
            loaded.
        retry: Retry policy of steps that have none, or the name of an entry of the repository's `retries`.
        timeout: Seconds, or a `timedelta`, that one attempt of a step may take, for assets without a time limit.

    Raises:
        GraphValidationError: An argument is not valid.
    """

    __slots__ = ("_run", "allow_incomplete_deps", "assets", "executor", "name", "retry", "timeout")

    def __init__(
        self,
        name: str,
        assets: Sequence[Asset | Definition | str] | str,
        executor: Any = None,
        allow_incomplete_deps: bool = False,
        retry: RetryPolicy | str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        checks = FieldChecks(f"job {name!r}", GraphValidationError)
        self.name = checks.name("name", name)
        self.assets = _members(checks, assets)
        self.executor = executor
        self.allow_incomplete_deps = bool(allow_incomplete_deps)
        self.retry = checks.retry("retry", retry)
        self.timeout = checks.timeout("timeout", timeout)
        self._run: Callable[..., Any] | None = None

    @property
    def selection(self) -> list[str]:
        """Names and terms of the assets, with all outputs of a multi-asset."""
        names: list[str] = []
        for member in self.assets:
            if isinstance(member, MultiAsset):
                names.extend(member.output_names)
            else:
                names.append(member if isinstance(member, str) else member.name)
        return list(dict.fromkeys(names))

    def bound(self, run: Callable[..., Any]) -> Job:
        """Return a copy of this job that can be executed.

        Args:
            run: Called with the job and the arguments of `execute` by name, `run_id_override` as `run_id`.
        """
        job = Job(self.name, self.assets, self.executor, self.allow_incomplete_deps, self.retry, self.timeout)
        job._run = run
        return job

    def execute(
        self,
        partition_key: PartitionKey | str | None = None,
        tags: Sequence[tuple[str, str]] | None = None,
        config: Mapping[str, Any] | None = None,
        raise_on_error: bool = True,
        *,
        run_id_override: str | None = None,
        resume: bool = False,
        partitions: Literal["all", "missing", "stale", "latest"] | None = None,
        only_stale: bool = False,
        dry_run: bool = False,
        executor: Any = None,
        timeout: float | timedelta | None = None,
    ) -> Any:
        """Run the job.

        Args:
            partition_key: One or several partition keys.
            tags: Tags recorded with the run.
            config: `{asset: {field: value}}`, which takes precedence over what the configuration classes read; or a
                document `{"assets": {asset: {"config": ..., "metadata": ...}}, "resources": {name: {field: value}},
                "execution": {"executor": name, ...}}`.
            raise_on_error: Whether to raise the first failure; otherwise the result lists all failures.
            run_id_override: Identifier of the run.
            resume: Skip the steps that the run `run_id_override` already finished.
            partitions: Which keys to run instead of `partition_key`; see `CodeRepository.materialize`.
            only_stale: Skip fresh assets; without `partition_key` it selects the keys that are not fresh.
            dry_run: Only return what would run, as a `RunPlan`.
            executor: Executor of this run; by default the job's.
            timeout: Time limit of one attempt of a step, if neither the asset nor the job has one.

        Returns:
            The `RunResult`.

        Raises:
            ExecutionError: A step failed and `raise_on_error` is true, or the job belongs to no repository.
        """
        if self._run is None:
            raise ExecutionError(
                f"Job {self.name!r} does not belong to a repository. Pass it to CodeRepository(jobs=[...]) and use "
                f"repo.get_job({self.name!r}).execute()."
            )
        return self._run(
            self,
            partition_key=partition_key,
            tags=tags,
            config=config,
            raise_on_error=raise_on_error,
            run_id=run_id_override,
            resume=resume,
            partitions=partitions,
            only_stale=only_stale,
            dry_run=dry_run,
            executor=executor or self.executor,
            timeout=timeout if self.timeout is None else self.timeout,
        )

    def __repr__(self) -> str:
        return f"Job({self.name!r}, assets={self.selection!r})"


def _members(checks: FieldChecks, assets: object) -> list[Definition | str]:
    if isinstance(assets, str):
        assets = assets.split()
    if isinstance(assets, (Definition, Mapping)) or not isinstance(assets, Iterable):
        raise checks.refuse_type(f"assets must be a list of assets or their names, got {assets!r}.")
    members: list[Any] = list(assets)
    if not members:
        raise checks.refuse("assets must not be empty.")
    for member in members:
        if not isinstance(member, Definition) and not (isinstance(member, str) and member):
            raise checks.refuse(f"assets must contain assets or their names, got {member!r}.")
    return members

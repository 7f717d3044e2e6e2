"""Job: a named selection of assets that are run together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rivers.definitions.definition import Definition
from rivers.definitions.field_checks import FieldChecks
from rivers.definitions.multi import MultiAsset
from rivers.exceptions import ExecutionError, GraphValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.definitions.asset import Asset
    from rivers.definitions.retry import RetryPolicy
    from rivers_core.partitions import PartitionKey

__all__ = ["Job"]


class Job:
    """A named selection of assets that are run together.

    Args:
        name: The job's name.
        assets: Assets, tasks, or their names.
        executor: Where it runs; the repository's default by default.
        allow_incomplete_deps: Whether upstreams may be missing in the selection, and are loaded from what
            is stored.
        retry: How steps that say nothing themselves are tried again; a policy, or the name of one.

    Raises:
        GraphValidationError: If an argument is not what it has to be.
    """

    __slots__ = ("_run", "allow_incomplete_deps", "assets", "executor", "name", "retry")

    def __init__(
        self,
        name: str,
        assets: Sequence[Asset | Definition | str],
        executor: Any = None,
        allow_incomplete_deps: bool = False,
        retry: RetryPolicy | str | None = None,
    ) -> None:
        checks = FieldChecks(f"job {name!r}", GraphValidationError)
        self.name = checks.name(name)
        self.assets = _members(checks, assets)
        self.executor = executor
        self.allow_incomplete_deps = bool(allow_incomplete_deps)
        self.retry = checks.retry(retry)
        self._run: Callable[..., Any] | None = None

    @property
    def selection(self) -> list[str]:
        """The names of what the job runs; a multi-asset counts with all its outputs."""
        names: list[str] = []
        for member in self.assets:
            if isinstance(member, MultiAsset):
                names.extend(member.output_names)
            else:
                names.append(member if isinstance(member, str) else member.name)
        return list(dict.fromkeys(names))

    def bound(self, run: Callable[..., Any]) -> Job:
        """Returns this job as one that can be executed.

        Args:
            run: Called with the job and the arguments of `execute` by name, `run_id_override` as `run_id`.
        """
        job = Job(self.name, self.assets, self.executor, self.allow_incomplete_deps, self.retry)
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
        only_stale: bool = False,
        executor: Any = None,
    ) -> Any:
        """Runs the job.

        Args:
            partition_key: The partition, or several.
            tags: Recorded with the run.
            config: `{asset: {field: value}}`, laid over what the contexts' configuration reads.
            raise_on_error: Whether the first failure is raised; else the result lists what failed.
            run_id_override: The run's identifier.
            resume: Skip what the run `run_id_override` already finished.
            only_stale: Skip what is fresh.
            executor: Where it runs this time; the job's own by default.

        Returns:
            The `RunResult`.

        Raises:
            ExecutionError: If a step fails and `raise_on_error` is true, or the job belongs to no repository.
        """
        if self._run is None:
            raise ExecutionError(
                f"Job {self.name!r} belongs to no repository yet; pass it as CodeRepository(jobs=[...]) and "
                f"execute repo.get_job({self.name!r})."
            )
        return self._run(
            self,
            partition_key=partition_key,
            tags=tags,
            config=config,
            raise_on_error=raise_on_error,
            run_id=run_id_override,
            resume=resume,
            only_stale=only_stale,
            executor=executor or self.executor,
        )

    def __repr__(self) -> str:
        return f"Job({self.name!r}, assets={self.selection!r})"


def _members(checks: FieldChecks, assets: object) -> list[Definition | str]:
    if isinstance(assets, (str, Definition, Mapping)) or not isinstance(assets, Iterable):
        raise checks.refuse(f"assets={assets!r}: give a list of assets or their names.")
    members = list(assets)
    if not members:
        raise checks.refuse("it has no assets; name at least one.")
    for member in members:
        if not isinstance(member, Definition) and not (isinstance(member, str) and member):
            raise checks.refuse(f"assets: {member!r} is neither an asset nor the name of one.")
    return members

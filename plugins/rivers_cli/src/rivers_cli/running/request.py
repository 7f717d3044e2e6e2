"""What a call of `rivers materialize` asks for, looked up in the repository before anything runs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from rivers_cli.partitions import requested
from rivers_cli.problems import UsageProblemError
from rivers_cli.typed import pair, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rivers.execution.keys import KeyRequest
    from rivers.executors import Executor
    from rivers.graph.plan import Plan
    from rivers.repository import CodeRepository, RunResult
    from rivers.storage import RunRecord


@dataclass(frozen=True, slots=True)
class Request:
    """One call.

    Attributes:
        assets: Names as they were typed; none stands for all.
        partitions: What `--partition` said.
        job: The job to run, instead of assets.
        executor: Where, as it was typed: `parallel`, `parallel:max_workers=2`.
        tags: `key=value` each.
        settings: `asset.field=value` each.
        run_id: The run to resume, or a part of its identifier.
        only_stale: Skip what is fresh.
        upstream: Also run what the assets need.
        fail_fast: Stop at the first failure.
    """

    assets: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    job: str | None = None
    executor: str | None = None
    tags: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    run_id: str | None = None
    only_stale: bool = False
    upstream: bool = False
    fail_fast: bool = False


@dataclass(slots=True)
class Prepared:
    """A call whose names were found.

    Attributes:
        repository: The repository, resolved.
        plan: What is going to run.
        selection: Names of assets; None for all.
        expected: How many values each step is to store, by name of the step.
        resumed: The run to go on with, if any.
        run_id: The identifier of the run that this is going to be.
    """

    repository: CodeRepository
    request: Request
    plan: Plan
    selection: tuple[str, ...] | None
    partition_key: KeyRequest | None
    executor: Executor | None
    tags: list[tuple[str, str]]
    config: dict[str, dict[str, Any]]
    resumed: RunRecord | None
    run_id: str
    expected: dict[str, int]

    def run(self) -> RunResult:
        """Run it.

        Raises:
            ExecutionError: A step failed, and the call wants to stop there.
        """
        request = self.request
        common: dict[str, Any] = {
            "partition_key": self.partition_key,
            "tags": self.tags,
            "config": self.config,
            "raise_on_error": request.fail_fast,
            "run_id_override": self.run_id,
            "resume": self.resumed is not None,
            "only_stale": request.only_stale,
            "executor": self.executor,
        }
        if request.job is not None:
            result: RunResult = self.repository.get_job(request.job).execute(**common)
            return result
        return self.repository.materialize(self.selection, include_upstream=request.upstream, **common)

    def command(self) -> str:
        """The command line that goes on with this run where it stopped; credentials are left out."""
        from shlex import join

        from rivers_core.authoring import is_secret_name

        request = self.request
        words = ["rivers", "materialize", *request.assets]
        words += [word for text in request.partitions for word in ("--partition", text)]
        words += ["--job", request.job] if request.job else []
        words += ["--executor", request.executor] if request.executor else []
        for text in request.settings:
            target, name, _ = _setting(text)
            is_secret = is_secret_name(name) or self._secrets_in_setting(text)
            words += ["--set", f"{target}.{name}=..." if is_secret else text]
        words += ["--upstream"] if request.upstream else []
        return join([*words, "--resume", self.run_id])

    def secrets(self) -> Iterator[str]:
        """The credentials in the configuration of the functions that are going to run."""
        from rivers.repository.config import build_configs
        from rivers_core.authoring import secrets_of

        for text in self.request.settings:
            yield from self._secrets_in_setting(text)
        with suppress(Exception):  # what is wrong with it, the run says
            for config in build_configs(self.repository.graph, self.plan, self.config).values():
                yield from secrets_of(config)

    def _secrets_in_setting(self, text: str) -> list[str]:
        from rivers_core.authoring import collect_secrets

        asset, name, value = _setting(text)
        types = [step.config_type for step in self.plan.steps if asset in (step.name, step.owner)]
        given = {name: value_of(value)}
        return [
            secret for of_step in types if of_step for secret in collect_secrets(given, annotation=of_step)
        ]


def prepared(request: Request, repository: CodeRepository) -> Prepared:
    """Look up everything that a call names.

    Args:
        request: The call.
        repository: The repository, resolved with the project's history.

    Raises:
        RiversError: A name is unknown, or something does not fit.
    """
    from rivers.execution.keys import keys_of_plan
    from rivers.graph.selection import make_plan

    if request.job is not None and (request.assets or request.upstream):
        raise UsageProblemError("--job says which assets run; leave out their names and --upstream.")
    resumed = None if request.run_id is None else find_run(repository, request.run_id)
    request = _completed(request, resumed)
    selection = tuple(repository.get_job(request.job).selection) if request.job else request.assets or None
    plan = make_plan(repository.graph, selection, include_upstream=request.upstream)
    partition_key = requested(request.partitions)
    keys = keys_of_plan(plan, partition_key, repository.storage)
    return Prepared(
        repository,
        request,
        plan,
        selection,
        partition_key,
        None if request.executor is None else executor_of(request.executor),
        [pair(text, "--tag", "key=value") for text in request.tags],
        _config(request.settings),
        resumed,
        str(uuid4()) if resumed is None else resumed.run_id,
        {step.name: len(plan.outputs_of(step)) * len(keys.get(step.name) or (None,)) for step in plan.steps},
    )


def find_run(repository: CodeRepository, text: str) -> RunRecord:
    """A run by its identifier, or by the beginning of it.

    Raises:
        UsageProblemError: There is none, or several begin like that.
    """
    exact = repository.storage.get_run(text)
    if exact is not None:
        return exact
    found = [run for run in repository.storage.get_runs(limit=None) if run.run_id.startswith(text)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageProblemError(f"There is no run {text!r}; `rivers runs` lists them.")
    ids = ", ".join(run.run_id for run in found[:5])
    raise UsageProblemError(f"{len(found)} runs begin with {text!r}: {ids}. Write more of it.")


def executor_of(text: str) -> Executor:
    """The executor that `--executor` names, with its arguments if there are any.

    Raises:
        UsageProblemError: There is none of that name, or it does not take the arguments.
    """
    from rivers.executors import Executor

    name, _, arguments = text.partition(":")
    given = dict(pair(part, "--executor", "name:argument=value,...") for part in arguments.split(",") if part)
    try:
        made: Executor = getattr(Executor, name)(**{key: value_of(value) for key, value in given.items()})
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageProblemError(f"--executor {text}: {error}") from error
    return made


def _completed(request: Request, resumed: RunRecord | None) -> Request:
    """What a call that resumes leaves out is as it was in that run."""
    if resumed is None or request.assets or request.job:
        return request
    recorded = resumed.partition_key
    partitions = request.partitions or (() if recorded is None else tuple(recorded.split(", ")))
    if resumed.job is not None:
        return replace(request, job=resumed.job, partitions=partitions)
    return replace(request, assets=resumed.selection or (), partitions=partitions)


def _config(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    config: dict[str, dict[str, Any]] = {}
    for text in texts:
        asset, name, value = _setting(text)
        config.setdefault(asset, {})[name] = value_of(value)
    return config


def _setting(text: str) -> tuple[str, str, str]:
    """Asset, field and value."""
    target, value = pair(text, "--set", "asset.field=value")
    asset, dot, name = target.rpartition(".")
    if not dot:
        raise UsageProblemError(f"--set {target}=...: write it as asset.field=value.")
    return asset, name, value

"""Request of a run: the options of `rivers materialize`, resolved against the repository before anything runs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from rivers_cli.errors import UsageError
from rivers_cli.options import select_assets
from rivers_cli.parsing import parse_pair, parse_partitions, parse_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rivers.execution.keys import KeyRequest
    from rivers.executors import Executor
    from rivers.graph.plan import Plan
    from rivers.repository import CodeRepository, RunPlan, RunResult
    from rivers.storage import RunRecord


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of one call, as typed.

    Attributes:
        assets: Names of assets; none selects all.
        partitions: Values of `--partition`.
        job: Job to run instead of assets.
        executor: Executor with its arguments: `in_process`, `NAME:argument=value`.
        tags: `key=value` each.
        settings: `asset.field=value` each.
        run_id: Run to resume, or the start of its id.
        only_stale: Skip fresh assets.
        upstream: Also run what the assets depend on.
        fail_fast: Stop at the first failure.
        exclude: Terms of assets that are left out.
        partition_mode: Value of `--partitions`.
        timeout: Seconds that one attempt of a step may take.
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
    exclude: tuple[str, ...] = ()
    partition_mode: str | None = None
    timeout: float | None = None


@dataclass(slots=True)
class RunRequest:
    """Options resolved against a repository.

    Attributes:
        repository: The resolved repository.
        options: The options.
        plan: The steps to run.
        selection: Names of assets; None for all.
        partition_key: The selected partition keys.
        executor: The executor; None uses that of the repository.
        tags: Tags of the run.
        config: Configuration by asset and field.
        resumed: The run to resume, if any.
        run_id: Id of the run.
        expected: Number of values to store, by step.
    """

    repository: CodeRepository
    options: RunOptions
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
        """Run the request.

        Raises:
            ExecutionError: A step failed, with `fail_fast`.
        """
        result: RunResult = self._call(dry_run=False)
        return result

    def preview(self) -> RunPlan:
        """Return what the request would run; nothing is run or written."""
        plan: RunPlan = self._call(dry_run=True)
        return plan

    def _call(self, *, dry_run: bool) -> Any:
        options = self.options
        common: dict[str, Any] = {
            "partition_key": self.partition_key,
            "partitions": options.partition_mode,
            "tags": self.tags,
            "config": self.config,
            "raise_on_error": options.fail_fast,
            "run_id_override": self.run_id,
            "resume": self.resumed is not None,
            "dry_run": dry_run,
            "only_stale": options.only_stale,
            "executor": self.executor,
            "timeout": options.timeout,
        }
        if options.job is not None:
            return self.repository.get_job(options.job).execute(**common)
        return self.repository.materialize(self.selection, include_upstream=options.upstream, **common)

    def resume_command(self) -> str:
        """Return the command line that resumes this run, without credentials."""
        from shlex import join

        from rivers_core.authoring import is_secret_name

        options = self.options
        words = ["rivers", "materialize", *options.assets]
        words += [word for term in options.exclude for word in ("--exclude", term)]
        words += [word for text in options.partitions for word in ("--partition", text)]
        words += ["--partitions", options.partition_mode] if options.partition_mode else []
        words += ["--job", options.job] if options.job else []
        words += ["--executor", options.executor] if options.executor else []
        for text in options.settings:
            asset, name, _ = _parse_setting(text)
            is_secret = is_secret_name(name) or self._setting_secrets(text)
            words += ["--set", f"{asset}.{name}=..." if is_secret else text]
        words += ["--upstream"] if options.upstream else []
        words += ["--timeout", f"{options.timeout:g}"] if options.timeout is not None else []
        return join([*words, "--resume", self.run_id])

    def secrets(self) -> Iterator[str]:
        """Yield the credentials in the configuration of the functions that will run."""
        from rivers.repository.config import build_configs
        from rivers_core.authoring import secrets_of

        for text in self.options.settings:
            yield from self._setting_secrets(text)
        with suppress(Exception):  # the run reports an invalid configuration
            for config in build_configs(self.repository.graph, self.plan, self.config).values():
                yield from secrets_of(config)

    def _setting_secrets(self, text: str) -> list[str]:
        from rivers_core.authoring import collect_secrets

        asset, name, value = _parse_setting(text)
        values = {name: parse_value(value)}
        return [
            secret
            for step in self.plan.steps
            if step.config_type and asset in (step.name, step.owner)
            for secret in collect_secrets(values, annotation=step.config_type)
        ]


def create_request(options: RunOptions, repository: CodeRepository) -> RunRequest:
    """Resolve options against a repository.

    Args:
        options: The options.
        repository: The repository, resolved with the project's event log.

    Raises:
        RiversError: A name is unknown, or options exclude each other.
    """
    from rivers.execution.keys import check_partition_mode, keys_of_plan
    from rivers.graph.selection import make_plan

    if options.timeout is not None and not 0 < options.timeout < inf:
        raise UsageError(f"--timeout must be a positive number of seconds, got {options.timeout:g}.")
    if options.job is not None and (options.assets or options.upstream or options.exclude):
        raise UsageError("--job cannot be combined with names of assets, --exclude or --upstream.")
    resumed = None if options.run_id is None else find_run(repository, options.run_id)
    options = _repeat_options(options, resumed)
    if options.job:
        selection = repository.select(repository.get_job(options.job).selection)
    else:
        selection = select_assets(repository, options.assets, options.exclude)
    plan = make_plan(repository.graph, selection, include_upstream=options.upstream)
    partition_key = parse_partitions(options.partitions)
    mode = check_partition_mode(options.partition_mode, partition_key)
    if mode is None and partition_key is None and options.only_stale:
        mode = "stale"
    keys = keys_of_plan(plan, partition_key, repository.storage, mode)
    return RunRequest(
        repository,
        options,
        plan,
        selection,
        partition_key,
        None if options.executor is None else create_executor(options.executor, repository),
        [parse_pair(text, "--tag", "key=value") for text in options.tags],
        _parse_config(options.settings),
        resumed,
        str(uuid4()) if resumed is None else resumed.run_id,
        {step.name: len(plan.outputs_of(step)) * len(keys.get(step.name) or (None,)) for step in plan.steps},
    )


def find_run(repository: CodeRepository, text: str) -> RunRecord:
    """Return a run by its id or the start of it.

    Raises:
        UsageError: No run, or several, match.
    """
    exact = repository.storage.get_run(text)
    if exact is not None:
        return exact
    matches = [run for run in repository.storage.get_runs(limit=None) if text and run.run_id.startswith(text)]
    if not matches:
        raise UsageError(f"Run {text!r} not found. `rivers runs` lists all runs.")
    if len(matches) > 1:
        ids = ", ".join(run.run_id for run in matches[:5])
        raise UsageError(f"{len(matches)} runs start with {text!r}: {ids}. Use a longer prefix.")
    return matches[0]


def create_executor(text: str, repository: CodeRepository) -> Executor:
    """Create the executor that `--executor` names, with its arguments.

    Args:
        text: `NAME` or `NAME:argument=value,...`; only the first colon separates.
        repository: The repository, whose configuration may have executors.

    Raises:
        UsageError: The executor does not exist, or does not support the arguments.
    """
    from rivers_core.exceptions import RiversError

    name, _, arguments = text.partition(":")
    pairs = [
        parse_pair(part, "--executor", "NAME:argument=value,...") for part in arguments.split(",") if part
    ]
    try:
        return repository.executor(name, **{key: parse_value(value) for key, value in pairs})
    except RiversError as error:
        raise UsageError(f"--executor {text}: {error}") from error


def _repeat_options(options: RunOptions, resumed: RunRecord | None) -> RunOptions:
    """Fill what a call that resumes a run omits with what the run was started with."""
    if resumed is None or options.assets or options.job:
        return options
    from rivers.execution.keys import MODE_PREFIX

    recorded = resumed.partition_key
    partitions, mode = options.partitions, options.partition_mode
    if recorded is not None and not partitions and mode is None:
        if recorded.startswith(MODE_PREFIX):
            mode = recorded.removeprefix(MODE_PREFIX)
        else:
            partitions = tuple(recorded.split(", "))
    if resumed.job_name is not None:
        return replace(options, job=resumed.job_name, partitions=partitions, partition_mode=mode)
    return replace(options, assets=resumed.selection or (), partitions=partitions, partition_mode=mode)


def _parse_config(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    config: dict[str, dict[str, Any]] = {}
    for text in texts:
        asset, name, value = _parse_setting(text)
        config.setdefault(asset, {})[name] = parse_value(value)
    return config


def _parse_setting(text: str) -> tuple[str, str, str]:
    """Split `asset.field=value`."""
    target, value = parse_pair(text, "--set", "asset.field=value")
    asset, dot, name = target.rpartition(".")
    if not dot:
        # without the value, which may be a credential
        raise UsageError(f"--set must be asset.field=value, got '{target}=...'.")
    return asset, name, value

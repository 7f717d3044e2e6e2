"""`rivers materialize`: run assets, show the run, report its outcome."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rivers.inspection.errors import comes_from_project, project_traceback
from rivers_cli.errors import (
    EXIT_FAILED,
    ExitError,
)
from rivers_cli.humanize import format_duration
from rivers_cli.options import AsJson, Assets, Exclude, Job, PartitionMode, Partitions, complete_executors
from rivers_cli.output import Column, print_document, print_error, print_table, project_output_to_stderr
from rivers_cli.run.interrupts import describe_interruption, sigterm_interrupts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rivers_cli.run.progress import Progress
    from rivers_cli.run.request import RunOptions, RunRequest
    from rivers_cli.session import Session


def materialize(
    context: typer.Context,
    assets: Assets = None,
    exclude: Exclude = None,
    partition: Partitions = None,
    partitions: PartitionMode = None,
    job: Job = None,
    executor: Annotated[
        str | None,
        typer.Option(
            "--executor",
            "-x",
            metavar="NAME",
            help="Executor, as NAME or NAME:argument=value,...: in_process, parallel, that of a plugin or of the "
            "configuration.",
            autocompletion=complete_executors,
        ),
    ] = None,
    only_stale: Annotated[bool, typer.Option("--only-stale", help="Skip fresh assets.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would run, and why.")] = False,
    upstream: Annotated[
        bool, typer.Option("--upstream", "-u", help="Also run what the assets depend on.")
    ] = False,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", help="Resume a run that did not finish.")
    ] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failure.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            help="Time limit of each attempt of a step, for assets without one.",
        ),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="Tag of the run. Repeatable.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="ASSET.FIELD=VALUE", help="Configure a function. Repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run assets and store their results.

    Without names all assets run. Assets that do not depend on a failed one still run. Ctrl-C stops cleanly: the run is
    recorded as canceled, and the command that resumes it is printed.

    Exit codes: 0 all stored, 1 a step failed, 2 the call or the project is not valid, 130 interrupted.

    Examples:
      $ rivers materialize
      $ rivers materialize orders report --partition 2024-01-01
      $ rivers materialize --partition 2024-01-01..2024-01-31
      $ rivers materialize --partitions missing
      $ rivers materialize --job nightly --env prod
      $ rivers materialize --only-stale --dry-run
      $ rivers materialize "+report" group:sales --exclude "raw_*"
    """
    from contextlib import nullcontext

    from rivers.repository.tracebacks import keeping_frames
    from rivers_cli.run.request import RunOptions, create_request

    session: Session = context.obj
    options = RunOptions(
        tuple(assets or ()),
        tuple(partition or ()),
        job,
        executor,
        tuple(tag or ()),
        tuple(settings or ()),
        resume,
        only_stale,
        upstream,
        fail_fast,
        tuple(exclude or ()),
        partitions,
        timeout,
    )
    if dry_run:
        _show_plan(options, session, as_json=as_json)
        return
    with project_output_to_stderr(as_json):
        request = create_request(options, session.project.open())
        session.project.add_secrets(request.secrets())
        with keeping_frames() if session.traceback else nullcontext():
            outcome = run_request(request, session.redact, silent=as_json)
    for text in outcome.tracebacks(whole=session.traceback):
        print_error(f"\n{session.redact(text)}\n")
    if as_json:
        print_document(outcome.document())
    else:
        for line in outcome.summary():
            print_error(line)
    if outcome.code:
        raise ExitError(outcome.code)


def _show_plan(options: RunOptions, session: Session, *, as_json: bool) -> None:
    """Print what a run would do."""
    from dataclasses import asdict

    from rivers_cli.run.request import create_request

    with project_output_to_stderr(as_json):
        request = create_request(options, session.project.inspect())
        session.project.add_secrets(request.secrets())
        plan = request.preview()
    if as_json:
        print_document([asdict(step) for step in plan])
    elif not plan:
        print("Nothing to run.")
    else:
        columns = [
            Column("Step"), Column("Partitions"), Column("Why", wraps=True), Column("Handler", optional=1),
            Column("Address", optional=2),
        ]  # fmt: skip
        print_table(columns, [step.row() for step in plan])


@dataclass(slots=True)
class Outcome:
    """Outcome of a run.

    Attributes:
        request: The run.
        progress: Its steps.
        status: Status of the run in the event log.
        duration_ns: Time that it took.
        errors: Exceptions by asset.
        code: Exit code.
        interruption: What stopped the run, as a sentence, if it was stopped.
    """

    request: RunRequest
    progress: Progress
    status: Literal["success", "failure", "canceled"]
    duration_ns: int
    errors: dict[str, BaseException] = field(default_factory=dict)
    code: int = 0
    interruption: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the outcome as a JSON document."""
        steps = self.progress.steps.values()
        return {
            "run_id": self.request.run_id,
            "status": self.status,
            "success": self.status == "success",
            "duration_s": round(self.duration_ns / 1e9, 3),
            "materialized": self.progress.names("done"),
            "failed": [
                {"asset": step.name, "message": step.message} for step in steps if step.state == "failed"
            ],
            "skipped": [
                {"asset": step.name, "reason": step.message} for step in steps if step.state == "skipped"
            ],
            "stopped": self.progress.names("stopped"),
        }

    def summary(self) -> Iterator[str]:
        """Yield the lines that summarize the run and say how to resume it."""
        progress = self.progress
        counts = [f"{progress.count('done')} of {len(progress.steps)} stored"]
        for state, count in (
            ("failed", progress.count("failed")),
            ("skipped", progress.count("skipped")),
            ("stopped", progress.count("stopped")),
        ):
            counts += [f"{count} {state}"] if count else []
        verb = {"success": "finished", "failure": "failed", "canceled": "stopped"}[self.status]
        duration = format_duration(self.duration_ns)
        yield f"Run {self.request.run_id} {verb} after {duration}: {', '.join(counts)}."
        if self.interruption is not None:
            stored = ", ".join(progress.names("done")) or "none"
            yield f"{self.interruption} Assets stored before: {stored}. No partial value was stored."
        if self.status != "success":
            yield f"Resume with: {self.request.resume_command()}"

    def tracebacks(self, *, whole: bool) -> Iterator[str]:
        """Yield the traceback of each failure in the project's code.

        Args:
            whole: Include all failures and the frames of the framework.
        """
        from traceback import format_exception

        for asset, error in self.errors.items():
            if whole:
                yield f"{asset} failed:\n{''.join(format_exception(error)).rstrip()}"
            elif comes_from_project(error):
                yield f"{asset} failed:\n{project_traceback(error)}"


def run_request(request: RunRequest, redact: Callable[[str], str], *, silent: bool = False) -> Outcome:
    """Run a request and show its progress.

    Args:
        request: The run.
        redact: Removes credentials from messages and log records.
        silent: Show nothing while it runs.

    Returns:
        The outcome, also of a run that was interrupted.
    """
    from rivers.exceptions import ExecutionError
    from rivers_cli.run.progress import Progress, create_view

    progress = Progress(request, redact)
    view = create_view(progress, silent=silent)
    started = monotonic_ns()
    try:
        watching = request.repository.storage.watching(view.update)
        with sigterm_interrupts(), _logs_to_stderr(redact, has_steps=silent), view, watching:
            errors = dict(request.run().errors)
    except ExecutionError as error:
        failed = progress.names("failed")
        errors = {failed[0] if failed else "?": error.__cause__ or error}
    except (KeyboardInterrupt, SystemExit) as error:
        code, message = describe_interruption(error)
        return Outcome(request, progress, "canceled", monotonic_ns() - started, {}, code, message)
    duration = monotonic_ns() - started
    if errors:
        return Outcome(request, progress, "failure", duration, errors, EXIT_FAILED)
    return Outcome(request, progress, "success", duration)


class _StderrHandler(logging.Handler):
    """Logging handler for the current `sys.stderr`, which the live view replaces."""

    def __init__(self, redact: Callable[[str], str], *, has_steps: bool) -> None:
        super().__init__()
        self._redact = redact
        self.setFormatter(logging.Formatter("%(asctime)s  %(name)s: %(message)s", "%H:%M:%S"))
        if not has_steps:
            self.addFilter(lambda record: record.name != "rivers.run" or record.levelno > logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self._redact(self.format(record)), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


@contextmanager
def _logs_to_stderr(redact: Callable[[str], str], *, has_steps: bool) -> Iterator[None]:
    """Print records of the logger `rivers` from INFO on, unless the project configures logging itself.

    Args:
        redact: Replaces secrets.
        has_steps: Whether steps that end well are printed; a view of the progress shows them too.
    """
    logger = logging.getLogger("rivers")
    if logger.handlers or logging.getLogger().handlers:
        yield
        return
    handler, level = _StderrHandler(redact, has_steps=has_steps), logger.level
    try:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)

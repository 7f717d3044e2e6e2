"""How a run ended: what is said about it, and the exit code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from rivers_cli import amounts
from rivers_cli.failures import FAILED, INTERRUPTED, comes_from_project, project_traceback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rivers_cli.running.progress import Progress
    from rivers_cli.running.request import Prepared


@dataclass(slots=True)
class Outcome:
    """A run that is over, in whatever way.

    Attributes:
        prepared: What was to be run.
        progress: How far it came.
        status: As in the history of runs.
        duration_ns: How long it took.
        errors: What was raised, by asset.
        code: The exit code.
        ended_by: What stopped it, in words, if it was stopped.
    """

    prepared: Prepared
    progress: Progress
    status: Literal["success", "failure", "canceled"]
    duration_ns: int
    errors: dict[str, BaseException] = field(default_factory=dict)
    code: int = 0
    ended_by: str | None = None

    def document(self) -> dict[str, Any]:
        """The outcome for programs."""
        lines = self.progress.lines.values()
        return {
            "run_id": self.prepared.run_id,
            "status": self.status,
            "success": self.status == "success",
            "duration_s": round(self.duration_ns / 1e9, 3),
            "materialized": self.progress.names("done"),
            "failed": [
                {"asset": line.name, "message": line.message} for line in lines if line.state == "failed"
            ],
            "skipped": [
                {"asset": line.name, "reason": line.message} for line in lines if line.state == "skipped"
            ],
            "stopped": self.progress.names("stopped"),
        }

    def sentences(self) -> Iterator[str]:
        """The outcome for people: one line that sums it up, and what to do next."""
        stored, total = self.progress.count("done"), len(self.progress.lines)
        counts = [f"{stored} of {total} stored"]
        counts += [
            f"{count} {word}" for word in ("failed", "skipped", "stopped") if (count := self._count(word))
        ]
        verb = {"success": "finished", "failure": "failed", "canceled": "stopped"}[self.status]
        run = self.prepared.run_id
        yield f"Run {run} {verb} after {amounts.duration(self.duration_ns)}: {', '.join(counts)}."
        if self.ended_by is not None:
            done = ", ".join(self.progress.names("done")) or "nothing"
            yield f"{self.ended_by} Stored before that, and kept: {done}. No value was left half written."
        if self.status != "success":
            yield f"Go on where it stopped: {self.prepared.command()}"

    def tracebacks(self, *, whole: bool) -> Iterator[str]:
        """Where each failure comes from, if the project's code had a part in it.

        Args:
            whole: Show frames of the framework too.
        """
        from traceback import format_exception

        for asset, error in self.errors.items():
            if whole:
                yield f"{asset} failed:\n{''.join(format_exception(error)).rstrip()}"
            elif comes_from_project(error):
                yield f"{asset} failed:\n{project_traceback(error)}"

    def _count(self, word: Any) -> int:
        return self.progress.count(word)


def finished(prepared: Prepared, progress: Progress, duration_ns: int, errors: Any) -> Outcome:
    """A run that came to its end."""
    failed = bool(errors)
    status: Any = "failure" if failed else "success"
    return Outcome(prepared, progress, status, duration_ns, dict(errors), FAILED if failed else 0)


def stopped(prepared: Prepared, progress: Progress, duration_ns: int, error: BaseException) -> Outcome:
    """A run that somebody stopped: Ctrl-C, a signal, or a function that called `sys.exit`."""
    if isinstance(error, Terminated):
        return Outcome(prepared, progress, "canceled", duration_ns, {}, Terminated.code, "It was terminated.")
    if isinstance(error, KeyboardInterrupt):
        return Outcome(prepared, progress, "canceled", duration_ns, {}, INTERRUPTED, "You stopped it.")
    why = f"The code of the project called sys.exit({getattr(error, 'code', '')!r})."
    return Outcome(prepared, progress, "canceled", duration_ns, {}, FAILED, why)


class Terminated(KeyboardInterrupt):
    """Another process asked this one to end (SIGTERM)."""

    code = 143

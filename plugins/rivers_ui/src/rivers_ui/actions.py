"""Actions of `rivers ui --actions`: materialize a selection, cancel a run. Each is the command in another process."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Any, Final

MAX_RUNNING: Final = 4
MAX_LISTED: Final = 20
MAX_OUTPUT: Final = 4_000


class ActionRefusedError(Exception):
    """An action was not started."""


@dataclass(frozen=True, slots=True)
class Action:
    """A command that the page started.

    Attributes:
        number: Its number, from 1.
        command: The command as a user would type it.
        process: Its process.
        output: What it has printed.
    """

    number: int
    command: str
    process: subprocess.Popen[bytes]
    output: IO[bytes]

    def document(self) -> dict[str, Any]:
        """Return the action as a JSON document: number, command, exit code (None while it runs), end of the output."""
        size = self.output.seek(0, os.SEEK_END)
        self.output.seek(max(0, size - MAX_OUTPUT))
        text = self.output.read().decode(errors="replace")
        return {"id": self.number, "command": self.command, "code": self.process.poll(), "output": text}


class Actions:
    """Starts commands of the project, with the environment and the folder of the moment it was created.

    A run that was started goes on when the page ends, as one that was started in a terminal does.

    Args:
        options: Values of `--env`, `--config` and `--repository`.
    """

    def __init__(self, options: tuple[str | None, str | None, str | None]) -> None:
        names = ("--env", "--config", "--repository")
        self._options = [f"{name}={value}" for name, value in zip(names, options, strict=True) if value]
        self._environment, self._folder = dict(os.environ), Path.cwd()
        self._actions: list[Action] = []
        self._numbers = count(1)
        self._lock = Lock()

    def materialize(self, assets: list[str], partition: str) -> dict[str, Any]:
        """Start `rivers materialize`.

        Args:
            assets: Names of assets of the project.
            partition: Partition key of the assets; empty without.

        Raises:
            ActionRefusedError: Too many commands are running.
        """
        keys = [f"--partition={partition}"] if partition else []
        return self._start("materialize", [*keys, "--", *assets])

    def cancel(self, run_id: str) -> dict[str, Any]:
        """Start `rivers runs cancel`.

        Args:
            run_id: Id of a run of the event log.

        Raises:
            ActionRefusedError: Too many commands are running.
        """
        return self._start("runs cancel", ["--", run_id])

    def documents(self) -> list[dict[str, Any]]:
        """Return the newest commands, the newest first."""
        with self._lock:
            return [action.document() for action in reversed(self._actions)]

    def close(self) -> None:
        """Forget the commands; those that are running go on."""
        with self._lock:
            while self._actions:
                self._actions.pop().output.close()

    def _start(self, command: str, arguments: list[str]) -> dict[str, Any]:
        words = [*command.split(), *self._options, *arguments]
        with self._lock:
            running = sum(action.process.poll() is None for action in self._actions)
            if running >= MAX_RUNNING:
                raise ActionRefusedError(
                    f"{running} commands that this page started are running. Wait until one ends."
                )
            output = TemporaryFile()  # noqa: SIM115 - closed when the action leaves the list
            process = subprocess.Popen(
                [sys.executable, "-m", "rivers", *words],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=os.name == "posix",  # Ctrl+C ends the page, not the run
            )
            action = Action(next(self._numbers), shlex.join(["rivers", *words]), process, output)
            self._actions.append(action)
            self._forget()
            return action.document()

    def _forget(self) -> None:
        """Drop the oldest commands that have ended."""
        ended = [action for action in self._actions if action.process.poll() is not None]
        for action in ended[: max(0, len(self._actions) - MAX_LISTED)]:
            self._actions.remove(action)
            action.output.close()

"""Client of the worker process: starts it, asks it, and replaces it when it hangs or the project has changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import count, islice
from pathlib import Path
from queue import Empty, Queue
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT: Final = 60.0
FINGERPRINT_AGE: Final = 2.0
_MAX_FILES: Final = 2_000
_SKIPPED: Final = {"node_modules", "__pycache__", "site-packages"}


class WorkerError(Exception):
    """The worker could not answer a question.

    Args:
        error: Name of the error.
        message: The sentence for people, without credentials.
        detail: Traceback of the project's code, if any.
    """

    def __init__(self, error: str, message: str, detail: str | None = None) -> None:
        super().__init__(message)
        self.error, self.message, self.detail = error, message, detail


class WorkerClient:
    """Owner of the worker process; any thread may call it, calls follow each other.

    Args:
        root: Folder of the project; its Python files and rivers.toml decide when the worker is outdated.
        options: Values of `--env`, `--config` and `--repository`.
        timeout: Seconds that one call may take before the process is killed.
    """

    def __init__(
        self, root: Path, options: tuple[str | None, str | None, str | None], timeout: float = TIMEOUT
    ) -> None:
        self._root, self._options, self._timeout = root, options, timeout
        self._process: subprocess.Popen[str] | None = None
        self._answers: Queue[str] = Queue()
        self._fingerprint: tuple[int, int] | None = None
        self._current: tuple[int, int] | None = None
        self._looked = 0.0
        self._lock = Lock()
        self._ids = count(1)

    def call(self, call: str, /, *, timeout: float | None = None, **arguments: str | int | bool) -> Any:
        """Ask the worker and return its answer.

        Args:
            call: Name of the question.
            timeout: Seconds that it may take before the process is killed; None for the limit of all calls.
            arguments: Arguments of the question.

        Raises:
            WorkerError: The project raised an error, hung, or ended the process.
        """
        with self._lock:
            fingerprint = self.fingerprint()
            if fingerprint != self._fingerprint:
                self._stop()
            if self._process is None or self._process.poll() is not None:
                self._start()
                self._fingerprint = fingerprint
            request = {"id": next(self._ids), "call": call, "arguments": arguments}
            answer = self._exchange(request, self._timeout if timeout is None else timeout)
        if "error" in answer:
            raise WorkerError(**answer["error"])
        return answer["result"]

    def fingerprint(self) -> tuple[int, int]:
        """Return number and newest time of the project's source files, at most two seconds old."""
        if monotonic() - self._looked > FINGERPRINT_AGE or self._current is None:
            self._current, self._looked = _fingerprint(self._root), monotonic()
        return self._current

    def close(self) -> None:
        """Kill the worker process."""
        with self._lock:
            self._stop()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rivers_ui.worker", json.dumps(self._options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=os.name == "posix",  # Ctrl+C reaches the server only, which ends the worker
        )
        self._answers = Queue()
        Thread(target=_read_answers, args=(self._process, self._answers), daemon=True).start()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def _exchange(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = self._answers.get(timeout=timeout)
        except Empty:
            self._stop()
            raise WorkerError(
                "TimeoutError", f"The project did not answer {request['call']!r} within {timeout:g} s."
            ) from None
        except OSError:
            line = ""
        if not line:
            code = process.wait()
            self._stop()
            raise WorkerError(
                "WorkerError", f"The process that imports the project ended with exit code {code}."
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


def _read_answers(process: subprocess.Popen[str], answers: Queue[str]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            answers.put(line)
    answers.put("")


def _fingerprint(root: Path) -> tuple[int, int]:
    """Return number and newest time of the project's source files."""
    times = [path.stat().st_mtime_ns for path in islice(_sources(root), _MAX_FILES) if path.exists()]
    return len(times), max(times, default=0)


def _sources(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _SKIPPED and not name.startswith(".")]
        for name in files:
            if name.endswith((".py", ".toml")):
                yield Path(folder, name)

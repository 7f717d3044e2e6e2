"""Client of the worker process: starts it, asks it, and replaces it when it hangs or the project has changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path
from queue import Empty, Queue
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from rivers_ui.answers import JsonText

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT: Final = 60.0
FINGERPRINT_AGE: Final = 2.0
_LOADING_CALLS: Final = ("prepare", "assets")  # they fail only if the project cannot be loaded
_MAX_FILES: Final = 2_000
_SKIPPED: Final = {"node_modules", "__pycache__", "site-packages"}


class WorkerError(Exception):
    """The worker could not answer a question.

    Args:
        error: Name of the error.
        message: The sentence for people, without credentials.
        detail: Traceback of the project's code, if any.
        status: HTTP status: 404 for an unknown name, 400 for another invalid request.
    """

    def __init__(self, error: str, message: str, detail: str | None = None, status: int = 500) -> None:
        super().__init__(message)
        self.error, self.message, self.detail, self.status = error, message, detail, status


class WorkerClient:
    """Owner of the worker process; any thread may call it, calls follow each other.

    Args:
        root: Folder of the project; its Python files and rivers.toml decide when the worker is outdated.
        options: Values of `--env`, `--config` and `--repository`.
        timeout: Seconds that one call may take before the process is killed.

    Attributes:
        problem: Why the project could not be loaded the last time; None if it could.
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
        self.problem: str | None = None

    def call(self, call: str, /, *, timeout: float | None = None, **arguments: str | int | bool) -> Any:
        """Ask the worker and return its answer; see `ask`."""
        return json.loads(self.ask(call, timeout=timeout, **arguments))

    def ask(self, call: str, /, *, timeout: float | None = None, **arguments: str | int | bool) -> JsonText:
        """Ask the worker and return its answer as it is serialized.

        Args:
            call: Name of the question.
            timeout: Seconds that it may take before the process is killed; None for the limit of all calls.
            arguments: Arguments of the question.

        Raises:
            WorkerError: The project raised an error, hung, or ended the process.
        """
        is_loading = call in _LOADING_CALLS
        try:
            answer = self._answer(call, arguments, self._timeout if timeout is None else timeout)
        except WorkerError as error:
            self.problem = error.message if is_loading else self.problem
            raise
        self.problem = None if is_loading else self.problem
        return answer

    def prepare(self) -> None:
        """Start the worker and let it import the project, in another thread."""

        def prepare() -> None:
            with suppress(WorkerError):  # the first question gets the same error
                self.ask("prepare")

        Thread(target=prepare, daemon=True).start()

    def fingerprint(self) -> tuple[int, int]:
        """Return number and newest time of the project's source files, at most two seconds old."""
        if monotonic() - self._looked > FINGERPRINT_AGE or self._current is None:
            self._current, self._looked = _fingerprint(self._root), monotonic()
        return self._current

    def close(self) -> None:
        """Kill the worker process."""
        with self._lock:
            self._stop()

    def _answer(self, call: str, arguments: dict[str, str | int | bool], timeout: float) -> JsonText:
        with self._lock:
            fingerprint = self.fingerprint()
            if fingerprint != self._fingerprint:
                self._stop()
            if self._process is None or self._process.poll() is not None:
                self._start()
                self._fingerprint = fingerprint
            kind, answer = self._exchange({"call": call, "arguments": arguments}, timeout)
        if kind == "error":
            raise WorkerError(**json.loads(answer))
        return JsonText(answer)

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rivers_ui.worker", json.dumps(self._options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="surrogatepass",
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

    def _exchange(self, request: dict[str, Any], timeout: float) -> tuple[str, str]:
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
        kind, _, answer = line.rstrip("\n").partition("\t")
        return kind, answer


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

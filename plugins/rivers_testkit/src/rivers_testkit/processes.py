"""Run functions in other processes, quickly: each is forked from one interpreter that has imported the handler."""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import traceback
import warnings
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rivers_testkit.faults import Fault, Supervisor

_FORK: Final = b"f"
_IMPORT: Final = b"i"
_START: Final = "from rivers_testkit.processes import serve; serve({fd})"


class ProcessDiedError(RuntimeError):
    """The process ended before the function returned."""


class ProcessServer:
    """Start functions in separate processes.

    The processes share nothing with this one: they are forked from a fresh interpreter without threads, which was
    started once. Functions and arguments are pickled; a handler travels as configuration.

    Args:
        timeout_s: Default limit in seconds for the result of a function.

    Examples:
        >>> with ProcessServer() as server:
        ...     server.call(divmod, 7, 2)
        (3, 1)
    """

    def __init__(self, timeout_s: float = 60.0) -> None:
        self.timeout_s = timeout_s
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._imported: set[str] = set()

    def __enter__(self) -> ProcessServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def import_module(self, name: str) -> None:
        """Import a module once for all later processes; an error is left to the process that needs it.

        Args:
            name: Name of the module.
        """
        self._import_modules([name])

    def start(self, function: Callable[..., Any], *arguments: Any, fault: Fault | None = None) -> RunningCall:
        """Start a function in a new process.

        Args:
            function: A function that can be imported.
            *arguments: Its arguments; they are pickled.
            fault: A fault of the operating system that the process meets.
        """
        job = pickle.dumps((function, arguments))
        connection = self._request(_FORK)
        connection.send((_import_path(), os.getcwd(), fault))
        pid = connection.recv()
        supervisor = None if fault is None else fault.supervise(connection, pid)
        connection.send_bytes(job)
        return RunningCall(connection, pid, supervisor, self.timeout_s, self._import_modules)

    def call(self, function: Callable[..., Any], *arguments: Any, fault: Fault | None = None) -> Any:
        """Return the result of a function that runs in a new process; raises what `RunningCall.result` raises.

        Args:
            function: A function that can be imported.
            *arguments: Its arguments; they are pickled.
            fault: A fault of the operating system that the process meets.
        """
        return self.start(function, *arguments, fault=fault).result()

    def close(self) -> None:
        """End the server. Processes that still run are not ended."""
        if self._control is not None and self._process is not None:
            self._control.close()
            self._process.wait()
        self._control = self._process = None
        self._imported.clear()

    def _import_modules(self, names: Iterable[str]) -> None:
        """Import modules in the server; those that a call imported cost the next call nothing."""
        missing = [name for name in names if name not in self._imported]
        if missing:
            self._imported.update(missing)
            connection = self._request(_IMPORT)
            connection.send((_import_path(), missing))
            connection.recv()
            connection.close()

    def _request(self, kind: bytes) -> Connection:
        if self._control is None:
            self._control = self._launch()
        mine, theirs = socket.socketpair()
        socket.send_fds(self._control, [kind], [theirs.fileno()])
        theirs.close()
        return Connection(mine.detach())

    def _launch(self) -> socket.socket:
        mine, theirs = socket.socketpair()
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(_import_path()),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START.format(fd=theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment,
        )
        theirs.close()
        return mine


class RunningCall:
    """A function that runs in another process.

    Attributes:
        pid: Id of the process.
        supervisor: Decides about its system calls; None without a fault.
    """

    def __init__(
        self,
        connection: Connection,
        pid: int,
        supervisor: Supervisor | None,
        timeout_s: float,
        report_imports: Callable[[list[str]], None],
    ) -> None:
        self.pid = pid
        self.supervisor = supervisor
        self._connection = connection
        self._timeout_s = timeout_s
        self._report_imports = report_imports

    def result(self, timeout_s: float | None = None) -> Any:
        """Return the result of the function, or raise its error.

        Args:
            timeout_s: Limit in seconds, after which the process is killed; None is that of the server.

        Raises:
            ProcessDiedError: The process ended before.
            TimeoutError: The function did not return in time.
            Exception: The error of the function, with the traceback of the process as a note.
        """
        try:
            success, value, modules = self._receive(self._timeout_s if timeout_s is None else timeout_s)
        except (EOFError, ConnectionResetError):
            raise ProcessDiedError(f"Process {self.pid} died before the function returned.") from None
        finally:
            self._connection.close()
            if self.supervisor is not None:
                self.supervisor.close()
        self._report_imports(modules)
        if success:
            return value
        raise value

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)

    def _receive(self, timeout_s: float) -> Any:
        deadline = monotonic() + timeout_s
        supervisor = self.supervisor
        while remaining := max(deadline - monotonic(), 0.0):
            sources: list[Any] = [self._connection]
            if supervisor is not None and supervisor.is_open:
                sources.append(supervisor.fd)
            ready = wait(sources, remaining)
            if self._connection in ready:
                return self._connection.recv()
            if ready and supervisor is not None:
                supervisor.answer()
        self.kill()
        raise TimeoutError(f"Process {self.pid} did not return within {timeout_s} s, and was killed.")


def call_in_fork(function: Callable[[], Any], timeout_s: float) -> Any:
    """Return the result of a function in a process forked from this one, with its threads gone.

    Args:
        function: Function without arguments; it need not be importable.
        timeout_s: Limit in seconds, after which the process is killed.

    Raises:
        TimeoutError: The function did not return in time.
        Exception: The error of the function.
    """
    receiver, sender = Pipe(duplex=False)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # Python 3.12 warns of threads, which are the point
        pid = os.fork()
    if pid == 0:
        _send_result(sender, function)
        os._exit(0)
    sender.close()
    try:
        if not receiver.poll(timeout_s):
            raise TimeoutError(f"The forked process did not return within {timeout_s} s, and was killed.")
        success, value, _ = receiver.recv()
    except EOFError:
        raise ProcessDiedError("The forked process died before the function returned.") from None
    finally:
        receiver.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if success:
        return value
    raise value


def serve(fd: int) -> None:
    """Fork a process for each request, until the other end is closed; runs in the server process.

    Args:
        fd: File descriptor of the socket that requests arrive at.
    """
    importlib.import_module("rivers_testkit.faults")  # once here, instead of in each process
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control = socket.socket(fileno=fd)
    while True:
        kind, fds, *_ = socket.recv_fds(control, 1, 1)
        if not kind:
            return
        connection = Connection(fds[0])
        if kind == _IMPORT:
            _import(connection)
        elif os.fork() == 0:
            control.close()
            _run(connection)
            os._exit(0)
        connection.close()


def _import(connection: Connection) -> None:
    path, names = connection.recv()
    sys.path[:] = path
    for name in names:
        with suppress(Exception):
            importlib.import_module(name)
    connection.send(None)


def _run(connection: Connection) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    path, folder, fault = connection.recv()
    sys.path[:] = path
    os.chdir(folder)
    connection.send(os.getpid())
    if fault is not None:
        fault.prepare(connection)

    def run_job() -> Any:
        function, arguments = pickle.loads(connection.recv_bytes())
        if fault is not None:
            fault.begin()
        return function(*arguments)

    _send_result(connection, run_job)


def _send_result(connection: Connection, function: Callable[[], Any]) -> None:
    """Send success, result or error, and the modules that the function imported."""
    before = set(sys.modules)
    try:
        message: tuple[bool, Any] = (True, function())
    except BaseException as error:
        message = (False, _portable(error))
    connection.send((*message, [name for name in sys.modules if name not in before]))


def _portable(error: BaseException) -> BaseException:
    """Return the error, or a RuntimeError with its text if it cannot be sent; Rust panics are no Exception."""
    text = "".join(traceback.format_exception(error))
    portable: object = None
    with suppress(Exception):
        portable = pickle.loads(pickle.dumps(error))
    if not isinstance(portable, Exception):
        portable = RuntimeError(f"{type(error).__name__}: {error}")
    portable.add_note(f"In the other process:\n{text}")
    return portable


def _import_path() -> list[str]:
    return [entry or os.getcwd() for entry in sys.path]

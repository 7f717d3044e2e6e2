"""Start Python programs quickly: each is a process forked from one that has imported the packages and their libraries.

Importing the engine, the command, pyarrow, polars and deltalake takes two seconds of processor time, more than most
programs of the tests. A forked program has the arguments, environment, folder and streams of a started one, an exit
code, signals, and a separate import of everything that the server has not imported.

The file has three parts: `ProgramServer`, which tests use; the process of the server, `serve`;
and `connect`, which the programs `python` and `rivers` of `ProgramServer.folder` use in shells. Those start with
`-I -S`, so that this module imports only what it needs.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

FILE = Path(__file__)
CAN_FORK = sys.platform == "linux"
# not rivers_testkit and hypothesis, whose assertions pytest rewrites when it imports them
IMPORTED = (
    "rivers.repository", "rivers_cli.main", "rivers_cli.commands.materialize", "rivers_cli.commands.assets",
    "rivers_delta.compat", "rivers_delta.handler", "rivers_json", "rivers_memory", "rivers_overlay",
    "rivers_parallel", "rivers_parquet.handler", "rivers_pickle.handler", "rich.table", "rich.console",
    "asyncio", "sqlite3", "obstore", "pyarrow.dataset", "pyarrow.parquet", "pyarrow.compute", "polars",
)  # fmt: skip
PROGRAM = """#!{python} -IS
import sys
sys.path[:0] = [{folder!r}]
from program_server import connect
sys.exit(connect({socket!r}, {program!r}))
"""


class ProgramServer:
    """Fork server for programs. Only Linux forks them; other systems start an interpreter for each.

    Args:
        folder: An empty folder with a short path, for the socket and the programs.

    Attributes:
        folder: Folder with the programs `python` and `rivers`, for the variable `PATH`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder if CAN_FORK else Path(sys.executable).parent
        self._socket = str(folder / "s")
        if not CAN_FORK:
            return
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self._process = subprocess.Popen(
            [sys.executable, str(FILE), "serve", self._socket],
            env=environment,
            stdin=subprocess.PIPE,  # its end tells the server that this process has ended
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise RuntimeError(f"the program server ended with {self._process.wait()}")
        for program in ("python", "rivers"):
            path = folder / program
            arguments = {"python": sys.executable, "folder": str(FILE.parent), "socket": self._socket}
            path.write_text(PROGRAM.format(program=_installed(program), **arguments))
            path.chmod(0o755)

    def start(
        self,
        command: list[str],
        *,
        cwd: Path,
        env: dict[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        stderr: int = subprocess.DEVNULL,
    ) -> RunningProgram | subprocess.Popen[bytes]:
        """Start `rivers` or `python` with arguments.

        Args:
            command: Name of the program, and its arguments.
            cwd: Working folder.
            env: Environment; None for that of this process.
            stdin: File descriptor.
            stdout: File descriptor.
            stderr: File descriptor.
        """
        command = [_installed(command[0]), *command[1:]]
        if not CAN_FORK:
            return subprocess.Popen(command, cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr)
        with open(os.devnull, "r+b") as null:
            streams = [
                null.fileno() if stream == subprocess.DEVNULL else stream
                for stream in (stdin, stdout, stderr)
            ]
            return RunningProgram(
                self._socket, command, str(cwd), dict(os.environ if env is None else env), streams
            )

    def run(
        self, command: list[str], *, cwd: Path, env: dict[str, str] | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run `rivers` or `python` with arguments, and return exit code and output."""
        from tempfile import TemporaryFile

        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(stdin.encode())
            given.seek(0)
            fds = {"stdin": given.fileno(), "stdout": out.fileno(), "stderr": err.fileno()}
            code = self.start(command, cwd=cwd, env=env, **fds).wait()
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode())
        return subprocess.CompletedProcess(command, code, *texts)

    def close(self) -> None:
        """End the server; programs that still run are not ended."""
        if CAN_FORK:
            self._process.kill()
            self._process.communicate()


class RunningProgram:
    """A program that the server started.

    Attributes:
        pid: Id of its process.
    """

    def __init__(
        self, address: str, command: list[str], cwd: str, env: dict[str, str], streams: list[int]
    ) -> None:
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connection.connect(address)
        request = json.dumps({"command": command, "cwd": cwd, "env": env}).encode("utf-8", "surrogateescape")
        socket.send_fds(self._connection, [len(request).to_bytes(4, "big")], streams)
        self._connection.sendall(request)
        self._answers = self._connection.makefile("rb")
        self.pid = int(self._answers.readline())

    def wait(self) -> int:
        """Wait for the end of the program, and return its exit code; negative for a signal."""
        code = int(self._answers.readline())
        self._answers.close()
        self._connection.close()
        return code


def connect(address: str, program: str) -> int:
    """Run a program of the server with the arguments, streams and environment of this process."""
    running = RunningProgram(address, [program, *sys.argv[1:]], os.getcwd(), dict(os.environ), [0, 1, 2])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: os.kill(running.pid, received))
    code = running.wait()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _installed(program: str) -> str:
    return sys.executable if program == "python" else str(Path(sys.executable).with_name(program))


def serve(address: str) -> None:
    """Fork a program for each connection, until stdin ends; runs in the server process."""
    import gc
    import select
    from contextlib import suppress
    from importlib import import_module

    with suppress(ValueError):
        sys.path.remove(str(FILE.parent))
    for name in IMPORTED:
        import_module(name)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(64)
    gc.collect()
    gc.freeze()  # a collection in a program would copy the pages of all objects
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([listener, 0], [], [], 1.0)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if 0 in readable:
            os._exit(0)
        if listener in readable:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _answer(connection)
                return
            connection.close()


def _answer(connection: socket.socket) -> None:
    """Fork the program, wait for it and report its end; in the fork, return after the program."""
    size, streams, *_ = socket.recv_fds(connection, 4, 3)
    with connection.makefile("rb") as file:
        request = json.loads(file.read(int.from_bytes(size, "big")).decode("utf-8", "surrogateescape"))
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(streams, **request)
        return
    for stream in streams:
        os.close(stream)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection.sendall(b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(streams: list[int], command: list[str], cwd: str, env: dict[str, str]) -> None:
    """Turn this process into the program: streams, folder, environment, import path, `__main__`."""
    import importlib
    import io
    import runpy
    import traceback

    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        buffer = open(number, "rb" if number == 0 else "wb", closefd=False)  # noqa: SIM115
        text = io.TextIOWrapper(
            buffer,
            "utf-8",
            "backslashreplace" if name == "stderr" else "strict",
            line_buffering=name == "stderr" or buffer.isatty(),
        )
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.dont_write_bytecode = bool(env.get("PYTHONDONTWRITEBYTECODE"))
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    paths = [os.path.abspath(path) for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = paths
    arguments = command if command[0] != sys.executable else command[1:]
    try:
        match arguments[0]:
            case "-c":
                sys.path.insert(0, "")
                sys.argv = ["-c", *arguments[2:]]
                _run_source(arguments[1])
            case "-m":
                sys.path.insert(0, os.getcwd())
                sys.argv = arguments[1:]
                runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
            case script:
                sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
                sys.argv = arguments
                runpy.run_path(script, run_name="__main__")
    except SystemExit:
        raise
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as error:
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename in (__file__, "<frozen runpy>"):
            frames = frames.tb_next
        traceback.print_exception(type(error), error, frames)
        sys.exit(1)


def _run_source(source: str) -> None:
    import types

    sys.modules["__main__"] = main = types.ModuleType("__main__")
    exec(compile(source, "<string>", "exec"), main.__dict__)


if __name__ == "__main__":
    serve(sys.argv[2])

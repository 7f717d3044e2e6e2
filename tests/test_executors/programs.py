"""A coordinator in another process, for tests that interrupt or kill it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from uuid import uuid4

import psutil

import rivers as rs

MARK = "PROGRAM_OF_TEST"
"""Variable that marks all processes of a program, also those that others of them started."""
PATIENCE_S = 300

PROGRAM = """
import os, sys, time
from pathlib import Path
import rivers as rs
from rivers.executors.remote.call import RemoteCalls

folder = Path(sys.argv[1])
withdraw = RemoteCalls.withdraw

def withdraw_and_note(calls):
    withdraw(calls)  # when a run ends early: no further step starts
    (folder / "withdrawn").touch()

RemoteCalls.withdraw = withdraw_and_note
store = rs.PickleIOHandler(f"file:{folder}/values")

def asset(number):
    def function() -> int:
        (folder / f"started-{number}.{os.getpid()}").touch()
        BODY
        (folder / f"called-{number}.{os.getpid()}.{time.time_ns()}").touch()
        return number
    return rs.Asset(function, name=f"a{number}", io_handler=store)

if __name__ == "__main__":
    storage = STORAGE
    repo = rs.CodeRepository([asset(n) for n in range(COUNT)], config=False)
    repo.resolve(storage)
    try:
        repo.materialize(executor=EXECUTOR, run_id_override="run", resume="--resume" in sys.argv)
    finally:
        repo.shutdown()
        storage.close()
"""


class Program:
    """A coordinator in another process; leaving its block ends what is left of it.

    Args:
        folder: Folder of its event log, its values, and the files that its steps create.
        executor: Expression for its executor.
        body: Statement that each step executes.
        count: Number of steps.
        url: URL of its event log; None for one in the folder.
    """

    def __init__(self, folder, executor, body="pass", count=12, url=None):
        self.folder = folder
        self.url = url
        self.source = folder / "program.py"
        storage = 'rs.Storage.embedded(folder / "log")' if url is None else f"rs.Storage.connect({url!r})"
        source = PROGRAM.replace("BODY", body).replace("COUNT", str(count))
        source = source.replace("EXECUTOR", executor).replace("STORAGE", storage)
        self.source.write_text(source, encoding="utf-8")
        self.mark = uuid4().hex

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def start(self, *arguments):
        command = [sys.executable, str(self.source), str(self.folder), *arguments]
        environment = os.environ | {MARK: self.mark}
        with open(self.folder / "errors", "a") as errors:
            self.process = subprocess.Popen(command, stderr=errors, start_new_session=True, env=environment)
        return self.process

    def wait_for(self, pattern, number=1):
        while len(list(self.folder.glob(pattern))) < number:
            assert self.process.poll() is None, self.errors
            time.sleep(0.02)

    def processes(self):
        """Return its processes that are running, and those that they started."""
        running = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):  # it ended meanwhile, or belongs to another user
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    running.append(process)
        return running

    def assert_no_process_is_left(self):
        end = time.monotonic() + PATIENCE_S
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        assert left == []

    @property
    def errors(self):
        return (self.folder / "errors").read_text()

    @property
    def events(self):
        log = rs.Storage.embedded(self.folder / "log") if self.url is None else rs.Storage.connect(self.url)
        with log as storage:
            return storage.get_events_for_run("run"), storage.get_run("run")

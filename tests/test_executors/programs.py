"""A coordinator in another process, for tests that interrupt or kill it."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

import rivers as rs

PROGRAM = """
import os, sys, time
from pathlib import Path
import rivers as rs

folder = Path(sys.argv[1])
store = rs.PickleIOHandler(f"file:{folder}/values")

def asset(number):
    def function() -> int:
        (folder / f"started-{number}.{os.getpid()}").touch()
        BODY
        (folder / f"called-{number}.{os.getpid()}.{time.time_ns()}").touch()
        return number
    return rs.Asset(function, name=f"a{number}", io_handler=store)

if __name__ == "__main__":
    storage = rs.Storage.embedded(folder / "log")
    repo = rs.CodeRepository([asset(n) for n in range(COUNT)], config=False)
    repo.resolve(storage)
    try:
        repo.materialize(executor=EXECUTOR, run_id_override="run", resume="--resume" in sys.argv)
    finally:
        repo.shutdown()
        storage.close()
"""


class Program:
    """A coordinator in another process; its workers and their processes are known by their parent."""

    def __init__(self, folder, executor, body="time.sleep(0.02)", count=12):
        self.folder = folder
        self.source = folder / "program.py"
        source = PROGRAM.replace("BODY", body).replace("COUNT", str(count)).replace("EXECUTOR", executor)
        self.source.write_text(source, encoding="utf-8")
        self.workers = set()

    def start(self, *arguments):
        command = [sys.executable, str(self.source), str(self.folder), *arguments]
        with open(self.folder / "errors", "a") as errors:
            self.process = subprocess.Popen(command, stderr=errors, start_new_session=True)
        return self.process

    def wait_for(self, pattern, number=1):
        while len(list(self.folder.glob(pattern))) < number:
            assert self.process.poll() is None, self.errors
            time.sleep(0.005)
            self.note_workers()
        self.note_workers()

    def note_workers(self):
        try:
            self.workers.update(psutil.Process(self.process.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return

    def assert_no_process_is_left(self):
        _, alive = psutil.wait_procs(self.workers, timeout=30)
        assert [item for item in alive if item.status() != psutil.STATUS_ZOMBIE] == []

    @property
    def errors(self):
        return (self.folder / "errors").read_text()

    @property
    def events(self):
        with rs.Storage.embedded(self.folder / "log") as storage:
            return storage.get_events_for_run("run"), storage.get_run("run")

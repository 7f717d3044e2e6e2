"""Interrupts at any point: a trace function raises KeyboardInterrupt at the k-th event."""

from __future__ import annotations

import ast
import gc
import sqlite3
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

import pytest

import rivers as rs
from rivers.definitions.composition import current_recorder
from rivers.storage import Event, Storage

# an interrupt may hit a coroutine before its first step, or while it is finalized, where Python only reports it
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]

SOURCES = str(Path(rs.__file__).parent)
POINTS = 40


@pytest.fixture(scope="module", autouse=True)
def few_objects_to_collect():
    """Exclude what exists by now from collections, hundreds of which follow."""
    gc.collect()
    gc.freeze()


@cache
def unreachable_lines(file):
    """Return the exits of `with` and the starts of `finally`, where no signal arrives before their first call.

    CPython calls signal handlers after calls, at the start of functions and before the next round of a loop.
    """
    nodes = list(ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))))
    exits = {node.lineno for node in nodes if isinstance(node, ast.With)}
    return exits | {
        node.finalbody[0].lineno for node in nodes if isinstance(node, ast.Try) and node.finalbody
    }


class Tracer:
    """Count trace events in the engine's code, and raise KeyboardInterrupt at one of them."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.count = 0

    def __call__(self, frame, event, argument):
        code = frame.f_code
        if not code.co_filename.startswith(SOURCES) or code.co_name == "__del__":
            return None
        if event == "call" or (event == "line" and frame.f_lineno not in unreachable_lines(code.co_filename)):
            self.count += 1
            if self.count == self.at:
                raise KeyboardInterrupt
        return self

    def run(self, work) -> bool:
        """Call a function and return whether it was interrupted."""
        previous = sys.gettrace()
        sys.settrace(self)
        try:
            work()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(previous)
        return False


def points(work, number=POINTS):
    """Return positions of interrupts, spread over all trace events of a function."""
    counter = Tracer()
    counter.run(work)
    return range(1, counter.count + 1, max(1, counter.count // number))


def query(folder, statement):
    connection = sqlite3.connect(folder / "rivers.db", timeout=60, isolation_level=None)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def check_unlocked(folder):
    # a timer may be writing the events of an earlier point
    connection = sqlite3.connect(folder / "rivers.db", timeout=60, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def check_no_duplicates(folder):
    key = "run_id, timestamp, event_type, step"
    assert query(folder, f"SELECT {key} FROM events GROUP BY {key} HAVING COUNT(*) > 1") == []


def repository():
    @rs.Asset
    def numbers() -> list:
        return [1, 2]

    @rs.Asset
    def total(numbers: list) -> int:
        return sum(numbers)

    repository = rs.CodeRepository([numbers, total])
    repository.resolve()
    return repository


def test_run_interrupted_anywhere_leaves_storage_usable(tmp_path):
    storage = Storage.embedded(tmp_path)
    repo = repository()
    repo.resolve(storage=storage)
    repo.materialize(run_id_override="warm-up")
    for point in points(lambda: repo.materialize(run_id_override="counted")):
        run_id = f"run{point}"
        Tracer(point).run(lambda run_id=run_id: repo.materialize(run_id_override=run_id))
        check_unlocked(tmp_path)
        status = [row[0] for row in query(tmp_path, f"SELECT status FROM runs WHERE run_id = '{run_id}'")]
        assert status in ([], ["canceled"], ["success"]), point
        assert repo.materialize(run_id_override=run_id, resume=bool(status)).success
    storage.close()
    check_no_duplicates(tmp_path)
    with Storage.embedded(tmp_path) as reopened:
        assert {run.status for run in reopened.get_runs(limit=None)} == {"Success"}


def lifetime(folder, run_id):
    with Storage.embedded(folder) as storage:
        storage.start_run(run_id)
        for number in range(3):
            storage.record(Event("Materialization", run_id=run_id, asset_key="a", data_version=str(number)))
        storage.get_events_for_run(run_id)
        storage.add_dynamic_partitions("d", ["x"])
        storage.finish_run(run_id, "success")


def test_storage_interrupted_anywhere_leaves_file_usable(tmp_path):
    lifetime(tmp_path, "counted")
    for point in points(lambda: lifetime(tmp_path, "warm-up"), 20):
        Tracer(point).run(lambda point=point: lifetime(tmp_path, f"run{point}"))
        gc.collect()
        check_unlocked(tmp_path)
        with Storage.embedded(tmp_path) as other:
            assert other.get_runs(status="running") == []
            other.start_run(f"next{point}")
            other.finish_run(f"next{point}", "success")
    check_no_duplicates(tmp_path)


def test_open_storage_is_usable_after_interrupted_calls(tmp_path):
    storage = Storage.embedded(tmp_path)

    def calls(run_id):
        storage.start_run(run_id)
        storage.record(Event("Materialization", run_id=run_id, asset_key="a"))
        storage.flush()
        storage.finish_run(run_id, "success")

    calls("counted")
    for point in points(lambda: calls("warm-up")):
        Tracer(point).run(lambda point=point: calls(f"run{point}"))
        storage.start_run(f"next{point}")
        storage.finish_run(f"next{point}", "success")
        check_unlocked(tmp_path)
    storage.close()
    check_no_duplicates(tmp_path)


def test_new_file_survives_interrupted_creation(tmp_path):
    numbers = points(lambda: Storage.embedded(tmp_path / "counted").open(), 15)
    for number in numbers:
        folder = tmp_path / str(number)
        Tracer(number).run(lambda folder=folder: Storage.embedded(folder).open())
        gc.collect()
        with Storage.embedded(folder) as storage:
            assert storage.get_runs() == []


def test_another_process_writes_while_interrupted_storage_is_open(tmp_path):
    repo = repository()
    with Storage.embedded(tmp_path) as storage:
        repo.resolve(storage=storage)
        repo.materialize()
        for point in list(points(lambda: repo.materialize()))[::20]:
            Tracer(point).run(lambda: repo.materialize())
        code = (
            "import sys; from rivers.storage import Storage\n"
            "with Storage.embedded(sys.argv[1]) as s: s.start_run('other'); s.finish_run('other', 'success')"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
        assert storage.get_run("other").status == "Success"


def test_runs_read_canceled_in_memory_after_interrupt():
    repo = repository()
    storage = Storage.memory()
    repo.resolve(storage=storage)
    repo.materialize()
    for point in points(lambda: repo.materialize()):
        Tracer(point).run(lambda: repo.materialize())
    assert storage.get_runs(status="running") == []


def test_watching_interrupted_anywhere_removes_watcher():
    storage = Storage.memory()

    def watched():
        with storage.watching(lambda event: None):
            storage.flush()

    for point in points(watched):
        Tracer(point).run(watched)
        gc.collect()
        assert "record" not in vars(storage)


def test_graph_asset_interrupted_anywhere_leaves_no_recorder():
    @rs.Task
    def one() -> int:
        return 1

    @rs.Asset.from_graph(name="graph")
    def graph() -> int:
        return one()

    def resolve():
        rs.CodeRepository([graph]).resolve()

    for point in points(resolve, 20):
        Tracer(point).run(resolve)
        gc.collect()
        assert current_recorder() is None


def test_resources_are_torn_down_after_interrupted_resolve():
    balance = {"a": 0, "b": 0}

    class Counted(rs.Resource):
        name: str

        def setup(self):
            balance[self.name] += 1

        def teardown(self):
            balance[self.name] -= 1

    @rs.Asset
    def value() -> int:
        return 1

    repo = None

    def lifetime():
        nonlocal repo
        repo = rs.CodeRepository([value], resources={"a": Counted(name="a"), "b": Counted(name="b")})
        try:
            repo.resolve()
        finally:
            repo.shutdown()

    for point in points(lifetime):
        balance.update(a=0, b=0)
        Tracer(point).run(lifetime)
        repo.shutdown()
        # an interrupt next to `setup` tears down what may not be set up, rather than leaking it
        assert max(balance.values()) <= 0, point


def test_asynchronous_run_interrupted_anywhere_ends_its_loop():
    @rs.Asset
    async def value() -> int:
        return 1

    repo = rs.CodeRepository([value])
    storage = Storage.memory()
    repo.resolve(storage=storage)
    repo.materialize()
    for point in points(lambda: repo.materialize(), 40):
        Tracer(point).run(lambda: repo.materialize())
    assert storage.get_runs(status="running") == []


@pytest.fixture(autouse=True)
def no_thread_is_blocked():
    yield
    gc.collect()
    assert [thread.name for thread in threading.enumerate() if thread.name == "rivers-loop"] == []

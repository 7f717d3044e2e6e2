"""`Executor.in_process(io_threads=...)`: results are stored in threads while the next steps run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import PrivateAttr

import rivers as rs

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 30.0


class WatchedIOHandler(rs.BaseIOHandler):
    """Keeps values; calls `during` while it stores one, and counts the results that wait to be stored."""

    locality = "host"
    _values: dict[str, Any] = PrivateAttr(default_factory=dict)
    _during: Callable[[str], None] = PrivateAttr()

    def __init__(self, during: Callable[[str], None] = lambda name: None) -> None:
        super().__init__()
        self._during = during

    def handle_output(self, context: rs.OutputContext, obj: Any) -> None:
        self._during(context.asset_name)
        self._values[context.storage_key] = obj

    def load_input(self, context: rs.InputContext) -> Any:
        return self._values[context.storage_key]


def wait(event: threading.Event) -> None:
    assert event.wait(PATIENCE_S), "the other step did not run meanwhile"


@pytest.fixture
def run():
    """Return a repository of assets, and a function that materializes them with threads."""
    repositories: list[rs.CodeRepository] = []

    def materialize(*assets: Any, io_threads: int = 1, **options: Any) -> Any:
        repo = rs.CodeRepository(list(assets), config=False)
        repositories.append(repo)
        executor = rs.Executor.in_process(io_threads=io_threads)
        return repo, lambda: repo.materialize(executor=executor, **options)

    yield materialize
    for repo in repositories:
        repo.shutdown()


def stored_names(repo: rs.CodeRepository, names: str) -> list[str]:
    return [name for name in names if repo.storage.get_latest_materialization(name, None) is not None]


def test_next_step_runs_while_result_is_stored(run) -> None:
    b_runs = threading.Event()
    handler = WatchedIOHandler(lambda name: wait(b_runs) if name == "a" else None)

    @rs.Asset(io_handler=handler)
    def a() -> int:
        return 1

    @rs.Asset(io_handler=handler)
    def b() -> int:
        b_runs.set()
        return 2

    @rs.Asset(io_handler=handler)
    def c(a: int, b: int) -> int:
        return a + b

    repo, materialize = run(a, b, c)
    assert materialize().success
    assert repo.load_node("c") == 3


def test_event_of_input_is_recorded_before_step_starts(run) -> None:
    handler = WatchedIOHandler()
    seen: list[list[str]] = []

    @rs.Asset(io_handler=handler)
    def a() -> int:
        return 1

    @rs.Asset(io_handler=handler)
    def b(a: int) -> int:
        seen.append(stored_names(repo, "ab"))
        return a + 1

    repo, materialize = run(a, b, io_threads=4)
    materialize()
    assert seen == [["a"]]


@pytest.mark.parametrize("io_threads", [1, 2, 3])
def test_results_that_wait_are_bounded(run, io_threads: int) -> None:
    count = 30
    begun = [threading.Event() for _ in range(count)]
    stored: list[str] = []
    waiting: list[int] = []

    def store(name: str) -> None:
        # not before as many other steps began as may
        wait(begun[min(int(name[1:]) + io_threads, count - 1)])
        stored.append(name)

    handler = WatchedIOHandler(store)

    def asset(number: int) -> Any:
        def compute() -> int:
            waiting.append(number - len(stored))
            begun[number].set()
            return number

        return rs.Asset(io_handler=handler, name=f"a{number}")(compute)

    _, materialize = run(*map(asset, range(count)), io_threads=io_threads)
    materialize()
    assert len(stored) == count
    assert max(waiting) == io_threads


def test_functions_hooks_and_observers_stay_in_calling_thread(run) -> None:
    threads: dict[str, int] = {}
    handler = WatchedIOHandler(lambda name: threads.update(store=threading.get_ident()))

    @rs.Hook.success
    def hook(context: rs.HookContext[Any]) -> None:
        threads["hook"] = threading.get_ident()

    @rs.Asset(io_handler=handler, hooks=[hook])
    def a() -> int:
        threads["function"] = threading.get_ident()
        return 1

    _, materialize = run(a)
    materialize()
    assert threads["function"] == threads["hook"] == threading.get_ident()
    assert threads["store"] != threading.get_ident()


def test_context_variables_reach_handler(run) -> None:
    from contextvars import ContextVar

    tenant: ContextVar[str] = ContextVar("tenant", default="nobody")
    seen: list[str] = []

    handler = WatchedIOHandler(lambda name: seen.append(tenant.get()))

    @rs.Asset(io_handler=handler)
    def a() -> int:
        return 1

    _, materialize = run(a)
    token = tenant.set("acme")
    try:
        materialize()
    finally:
        tenant.reset(token)
    assert seen == ["acme"]


def test_context_variables_of_steps_that_take_turns_stay_apart(run) -> None:
    from contextvars import ContextVar

    tenant: ContextVar[str] = ContextVar("tenant", default="nobody")
    b_runs = threading.Event()
    seen: dict[str, str] = {}

    def store(name: str) -> None:
        if name == "a":
            wait(b_runs)
        seen[name] = tenant.get()

    handler = WatchedIOHandler(store)

    @rs.Asset(io_handler=handler)
    def a() -> int:
        tenant.set("acme")
        return 1

    @rs.Asset(io_handler=handler)
    def b() -> int:
        seen["function of b"] = tenant.get()
        b_runs.set()
        return 2

    _, materialize = run(a, b)
    materialize()
    assert seen == {"a": "acme", "b": "nobody", "function of b": "nobody"}


def test_logs_of_steps_that_take_turns_are_kept_by_step(run) -> None:
    b_runs = threading.Event()
    handler = WatchedIOHandler(lambda name: wait(b_runs) if name == "a" else None)

    @rs.Asset(io_handler=handler)
    def a(context: rs.AssetExecutionContext[Any]) -> int:
        context.log.info("from a")
        return 1

    @rs.Asset(io_handler=handler)
    def b(context: rs.AssetExecutionContext[Any]) -> int:
        b_runs.set()
        context.log.info("from b")
        return 2

    repo, materialize = run(a, b)
    result = materialize()
    logs = repo.storage.get_run_logs(result.run_id)
    assert [(log.step, log.message) for log in logs] == [("a", "from a"), ("b", "from b")]


def test_failed_write_is_retried_in_thread(run) -> None:
    failures = [OSError("disk full")]

    def store(name: str) -> None:
        if failures:
            raise failures.pop()

    calls: list[int] = []

    handler = WatchedIOHandler(store)

    @rs.Asset(io_handler=handler, retry=rs.RetryPolicy(max_retries=1))
    def a() -> int:
        calls.append(1)
        return 1

    repo, materialize = run(a)
    assert materialize().success
    assert calls == [1]
    assert repo.load_node("a") == 1


def test_failed_write_fails_step_and_what_needs_it(run) -> None:
    def store(name: str) -> None:
        if name == "a":
            raise OSError("disk full")

    handler = WatchedIOHandler(store)

    @rs.Asset(io_handler=handler)
    def a() -> int:
        return 1

    @rs.Asset(io_handler=handler)
    def b(a: int) -> int:
        raise AssertionError("needs a")

    @rs.Asset(io_handler=handler)
    def c() -> int:
        return 3

    repo, materialize = run(a, b, c, raise_on_error=False)
    result = materialize()
    assert not result.success
    [(name, message)] = result.failed_assets
    assert name == "a"
    assert "disk full" in message
    assert stored_names(repo, "ab") == []


def test_stop_iteration_of_handler_is_failure(run) -> None:
    def store(name: str) -> None:
        raise StopIteration

    handler = WatchedIOHandler(store)

    @rs.Asset(io_handler=handler)
    def a() -> int:
        return 1

    repo, materialize = run(a)
    with pytest.raises(rs.exceptions.ExecutionError):
        materialize()
    assert stored_names(repo, "a") == []


def test_interrupt_records_what_threads_store(run) -> None:
    b_runs = threading.Event()
    handler = WatchedIOHandler(lambda name: wait(b_runs) if name == "a" else None)

    @rs.Asset(io_handler=handler)
    def a() -> int:
        return 1

    @rs.Asset(io_handler=handler)
    def b() -> int:
        b_runs.set()
        raise KeyboardInterrupt

    @rs.Asset(io_handler=handler)
    def c(a: int) -> int:
        raise AssertionError("the run has ended")

    repo, materialize = run(a, b, c)
    with pytest.raises(KeyboardInterrupt):
        materialize()
    assert stored_names(repo, "abc") == ["a"]
    assert repo.load_node("a") == 1


def test_failure_records_what_threads_store(run) -> None:
    b_runs = threading.Event()
    handler = WatchedIOHandler(lambda name: wait(b_runs) if name == "a" else None)

    @rs.Asset(io_handler=handler)
    def a() -> int:
        return 1

    @rs.Asset(io_handler=handler)
    def b() -> int:
        b_runs.set()
        raise ValueError("no prices")

    repo, materialize = run(a, b)
    with pytest.raises(rs.exceptions.ExecutionError, match="no prices"):
        materialize()
    assert stored_names(repo, "ab") == ["a"]


def test_interrupt_begins_no_further_partition_key(run) -> None:
    other_runs = threading.Event()
    handler = WatchedIOHandler(lambda name: wait(other_runs) if name == "days" else None)
    days: list[str] = []

    @rs.Asset(
        io_handler=handler, name="days", partitions_def=rs.PartitionsDefinition.static_(["mon", "tue", "wed"])
    )
    def days_(context: rs.AssetExecutionContext[Any]) -> str:
        days.append(str(context.partition_key))
        return "done"

    @rs.Asset(io_handler=handler)
    def other() -> int:
        other_runs.set()
        raise KeyboardInterrupt

    _, materialize = run(days_, other, partitions="all")
    with pytest.raises(KeyboardInterrupt):
        materialize()
    assert days == ["mon"]


def test_handler_of_this_process_stores_in_calling_thread(run) -> None:
    threads: list[int] = []

    class Local(WatchedIOHandler):
        locality = "process"

    handler = Local(lambda name: threads.append(threading.get_ident()))

    @rs.Asset(io_handler=handler)
    def a() -> int:
        return 1

    _, materialize = run(a)
    materialize()
    assert threads == [threading.get_ident()]


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "2"])
def test_wrong_io_threads_are_refused(wrong: Any) -> None:
    with pytest.raises(rs.exceptions.ConfigurationError, match="io_threads"):
        rs.Executor.in_process(io_threads=wrong)


def test_io_threads_show_in_repr_and_equality() -> None:
    two = rs.Executor.in_process(io_threads=2)
    assert repr(two) == "Executor.InProcess(io_threads=2)"
    assert two == rs.Executor.in_process(io_threads=2) != rs.Executor.in_process()

"""Records of `context.log`, kept in the event log."""

from __future__ import annotations

import logging
import threading

import pytest

import rivers as rs


def logs_of(repo, result, step=None):
    return [(log.level, log.message) for log in repo.storage.get_run_logs(result.run_id, step)]


@pytest.mark.parametrize("level", [logging.NOTSET, logging.DEBUG, logging.CRITICAL])
def test_records_from_info_up_are_kept_at_every_level(repository, level):
    @rs.Asset
    def orders(context: rs.AssetExecutionContext) -> int:
        context.log.debug("too fine")
        context.log.info("%d rows", 3)
        context.log.warning("late")
        return 1

    repo = repository(orders)
    logger = logging.getLogger("rivers.assets.orders")
    logger.setLevel(level)
    try:
        result = repo.materialize()
    finally:
        logger.setLevel(logging.NOTSET)
    assert logs_of(repo, result) == [("INFO", "3 rows"), ("WARNING", "late")]
    (first, _) = repo.storage.get_run_logs(result.run_id)
    assert (first.run_id, first.step, first.asset_key, first.attempt) == (
        result.run_id,
        "orders",
        "orders",
        1,
    )


def test_handlers_of_logging_get_what_the_level_allows(repository, caplog):
    @rs.Asset
    def orders(context: rs.AssetExecutionContext) -> int:
        context.log.info("quiet")
        context.log.warning("loud")
        return 1

    with caplog.at_level(logging.WARNING):
        repository(orders).materialize()
    assert "loud" in caplog.text
    assert "quiet" not in caplog.text


def test_logger_is_the_one_of_logging():
    context = rs.AssetExecutionContext("orders")
    assert context.log is logging.getLogger("rivers.assets.orders")
    context.log.info("outside of a run, nothing keeps this")


def test_logs_name_key_and_attempt(repository):
    @rs.Asset(partitions_def=rs.PartitionsDefinition.static_(["a", "b"]), retry=rs.RetryPolicy(max_retries=1))
    def daily(context: rs.AssetExecutionContext) -> int:
        context.log.info("begin")
        if len(begun := repo.storage.get_run_logs(context.run_id)) == 2:
            raise ConnectionError(len(begun))
        return 1

    repo = repository(daily)
    result = repo.materialize(partitions="all")
    logs = repo.storage.get_run_logs(result.run_id)
    assert [(log.partition_key, log.attempt) for log in logs] == [("a", 1), ("b", 1), ("b", 2)]


def test_logs_of_tasks_and_graphs(repository):
    @rs.Task
    def fetch(context: rs.TaskExecutionContext) -> int:
        context.log.info("fetching")
        return 1

    @rs.Asset.from_graph
    def graph():
        return fetch()

    repo = repository(graph)
    result = repo.materialize()
    (log,) = repo.storage.get_run_logs(result.run_id)
    assert (log.step, log.asset_key, log.message) == ("graph/fetch", "graph", "fetching")
    assert logs_of(repo, result, "other") == []


def test_logs_of_concurrent_steps_are_not_mixed_up(repository):
    @rs.Asset
    async def one(context: rs.AssetExecutionContext) -> int:
        context.log.info("of one")
        return 1

    @rs.Asset
    async def two(context: rs.AssetExecutionContext) -> int:
        context.log.info("of two")
        return 2

    repo = repository(one, two)
    result = repo.materialize()
    assert logs_of(repo, result, "one") == [("INFO", "of one")]
    assert logs_of(repo, result, "two") == [("INFO", "of two")]


def test_logs_of_threads_of_a_step_are_kept(repository):
    @rs.Asset
    def orders(context: rs.AssetExecutionContext) -> int:
        thread = threading.Thread(target=context.log.info, args=["in a thread"])
        thread.start()
        thread.join()
        return 1

    repo = repository(orders)
    assert logs_of(repo, repo.materialize()) == [("INFO", "in a thread")]


def test_logs_show_no_secrets(repository):
    @rs.Asset
    def orders(context: rs.AssetExecutionContext) -> int:
        context.log.info("connecting to https://user:planted-password@host/")
        return 1

    repo = repository(orders)
    ((_, message),) = logs_of(repo, repo.materialize())
    assert "planted" not in message
    assert "host" in message


def test_logs_contain_the_traceback(repository):
    @rs.Asset
    def orders(context: rs.AssetExecutionContext) -> int:
        try:
            raise ValueError("no rows")
        except ValueError:
            context.log.exception("could not count")
        return 1

    repo = repository(orders)
    ((level, message),) = logs_of(repo, repo.materialize())
    assert level == "ERROR"
    assert message.startswith("could not count\nTraceback")
    assert message.endswith("ValueError: no rows")


def test_logs_with_wrong_arguments_are_kept(repository, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)

    @rs.Asset
    def orders(context: rs.AssetExecutionContext) -> int:
        context.log.info("%d rows", "three")
        return 1

    repo = repository(orders)
    assert logs_of(repo, repo.materialize()) == [("INFO", "%d rows")]


def test_logs_of_a_step_are_limited(repository, monkeypatch):
    monkeypatch.setattr("rivers.execution.run.MAX_LOGS", 3)

    @rs.Asset
    def orders(context: rs.AssetExecutionContext) -> int:
        for number in range(10):
            context.log.info("%d", number)
        return 1

    @rs.Asset
    def other(context: rs.AssetExecutionContext) -> int:
        context.log.info("few")
        return 1

    repo = repository(orders, other)
    result = repo.materialize()
    *kept, last = logs_of(repo, result, "orders")
    assert kept == [("INFO", "0"), ("INFO", "1"), ("INFO", "2")]
    assert last[0] == "WARNING"
    assert "3" in last[1]
    assert logs_of(repo, result, "other") == [("INFO", "few")]


def test_logger_class_of_the_program_is_kept(repository):
    class Counting(logging.Logger):
        counted = 0

        def handle(self, record):
            Counting.counted += 1

    before = logging.getLoggerClass()
    logging.setLoggerClass(Counting)
    try:
        logger = logging.getLogger("rivers.assets.counted_by_the_program")
    finally:
        logging.setLoggerClass(before)

    @rs.Asset
    def counted_by_the_program(context: rs.AssetExecutionContext) -> int:
        context.log.warning("once")
        return 1

    repo = repository(counted_by_the_program)
    assert logs_of(repo, repo.materialize()) == [("WARNING", "once")]
    assert Counting.counted == 1
    assert isinstance(logger, Counting)

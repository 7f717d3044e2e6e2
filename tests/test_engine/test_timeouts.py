"""`timeout=`: attempts that take too long are ended, and nothing of them is stored."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from datetime import timedelta

import pytest

import rivers as rs
from rivers.definitions.retry import classify
from rivers.exceptions import AssetDefinitionError, ConfigurationError, ExecutionError, GraphValidationError

LONG = 600
SHORT = 0.3


def waiting(**options):
    @rs.Asset(**options)
    def wait() -> int:
        time.sleep(LONG)
        return 1

    return wait


def failure_of(repo, **arguments):
    with pytest.raises(ExecutionError) as caught:
        repo.materialize(**arguments)
    assert classify(caught.value.__cause__) is rs.FailureReason.TIMEOUT
    assert repo.status()[0].state == "missing"
    return caught.value


@pytest.mark.parametrize("timeout", [SHORT, timedelta(seconds=SHORT)])
def test_synchronous_step_is_interrupted(repository, timeout):
    error = failure_of(repository(waiting(timeout=timeout)))
    assert "'wait'" in str(error)
    assert "0.3 s" in str(error)


def test_asynchronous_step_is_cancelled(repository):
    cancelled = []

    @rs.Asset(timeout=SHORT)
    async def wait() -> int:
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return 1

    failure_of(repository(wait))
    assert cancelled == [True]


def test_run_limits_assets_without_a_limit(repository):
    failure_of(repository(waiting()), timeout=SHORT)


def test_limit_of_the_asset_takes_precedence(repository):
    @rs.Asset(timeout=LONG)
    def wait() -> int:
        time.sleep(3 * SHORT)
        return 1

    assert repository(wait).materialize(timeout=SHORT).success


def test_job_limits_its_assets(repository):
    wait = waiting()
    repo = repository(wait, jobs=[rs.Job("slow", [wait], timeout=SHORT)])
    with pytest.raises(ExecutionError):
        repo.get_job("slow").execute()


def test_result_that_comes_too_late_is_not_stored(repository):
    @rs.Asset(timeout=SHORT)
    def stubborn() -> int:
        with contextlib.suppress(TimeoutError):
            time.sleep(2 * SHORT)
        return 1

    failure_of(repository(stubborn))


def test_result_is_discarded_outside_of_the_main_thread(repository):
    @rs.Asset(timeout=SHORT)
    def slow() -> int:
        time.sleep(2 * SHORT)
        return 1

    repo, errors = repository(slow), []

    def run():
        try:
            repo.materialize()
        except ExecutionError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert classify(errors[0].__cause__) is rs.FailureReason.TIMEOUT
    assert repo.status()[0].state == "missing"


def test_generator_is_not_stored_late(repository):
    @rs.Asset.from_multi(output_defs=[rs.AssetDef("first"), rs.AssetDef("second")], timeout=SHORT)
    def both():
        yield rs.Output(1, output_name="first")
        time.sleep(2 * SHORT)
        yield rs.Output(2, output_name="second")

    repo = repository(both)
    with pytest.raises(ExecutionError):
        repo.materialize()
    assert {status.asset: status.state for status in repo.status()}["second"] == "missing"


def test_timeout_is_retried(repository):
    calls = []

    # on a busy machine, a quick attempt may take too long as well
    @rs.Asset(timeout=SHORT, retry=rs.RetryPolicy(100, retry_on=rs.RetryOn.TRANSIENT))
    def once() -> int:
        calls.append(1)
        if len(calls) == 1:
            time.sleep(LONG)
        return 1

    repo = repository(once)
    result = repo.materialize()
    assert result.success
    kinds = [event.event_type for event in repo.storage.get_events_for_run(result.run_id)]
    assert kinds.count("StepRetry") == len(calls) - 1 >= 1


def test_limit_restores_timer_and_handler_of_the_caller(repository):
    fired = []
    before = signal.signal(signal.SIGALRM, lambda *_: fired.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, LONG)

        @rs.Asset(timeout=LONG)
        def quick() -> int:
            return 1

        repository(quick).materialize()
        failure_of(repository(waiting(timeout=SHORT)))
        rest, _ = signal.getitimer(signal.ITIMER_REAL)
        assert 0 < rest <= LONG
        signal.raise_signal(signal.SIGALRM)
        assert fired == [1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "3", True])
def test_invalid_limit_is_refused(repository, timeout):
    with pytest.raises(AssetDefinitionError, match="timeout"):
        waiting(timeout=timeout)
    with pytest.raises(GraphValidationError, match="timeout"):
        rs.Job("job", ["a"], timeout=timeout)
    with pytest.raises(ConfigurationError, match="timeout"):
        repository(waiting()).materialize(timeout=timeout)

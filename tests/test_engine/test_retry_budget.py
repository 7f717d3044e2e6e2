"""A resumed run continues the retry budget of its earlier part."""

from __future__ import annotations

import pytest

import rivers as rs


def flaky(attempts, failures):
    @rs.Asset(retry=rs.RetryPolicy(max_retries=2))
    def broken() -> int:
        attempts.append(1)
        if len(attempts) <= failures:
            raise ConnectionError("busy")
        return 1

    return broken


def retries(repo):
    return [event for event in repo.storage.get_events_for_run("r") if event.event_type == "StepRetry"]


def test_spent_budget_allows_one_more_attempt(repository):
    attempts = []
    repo = repository(flaky(attempts, failures=9))
    for _ in range(2):
        repo.materialize(run_id_override="r", resume=bool(attempts), raise_on_error=False)
    assert len(attempts) == 4
    assert [event.attempt for event in retries(repo)] == [1, 2]


def test_attempt_of_a_resumed_run_continues_the_numbers(repository):
    attempts = []
    repo = repository(flaky(attempts, failures=3))
    repo.materialize(run_id_override="r", raise_on_error=False)
    assert repo.materialize(run_id_override="r", resume=True).success
    assert repo.storage.get_latest_materialization("broken").attempt == 3


def test_rest_of_the_budget_is_used(repository):
    attempts = []

    @rs.Asset(retry=rs.RetryPolicy(max_retries=2))
    def interrupted() -> int:
        attempts.append(1)
        if len(attempts) == 2:
            raise KeyboardInterrupt
        raise ConnectionError("busy")

    repo = repository(interrupted)
    with pytest.raises(KeyboardInterrupt):
        repo.materialize(run_id_override="r")
    repo.materialize(run_id_override="r", resume=True, raise_on_error=False)
    assert len(attempts) == 4
    assert [event.attempt for event in retries(repo)] == [1, 2]

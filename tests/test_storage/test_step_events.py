"""Starts and successes of steps, derived from recorded events."""

from __future__ import annotations

import pytest

from rivers.storage import Event
from rivers.storage.step_events import with_step_events


def event(event_type, asset, *, step=None, key=None, attempt=1, duration=3, run="r", number=1):
    result = Event(
        event_type,
        run_id=run,
        asset_key=asset,
        partition_key=key,
        timestamp=10 * number,
        step=step or asset,
        attempt=attempt,
        duration_ns=duration,
    )
    result.id = number
    return result


def shown(recorded, running=()):
    return [
        f"{item.event_type} {item.asset_key} {item.attempt}" for item in with_step_events(recorded, running)
    ]


def test_stored_step_starts_and_succeeds():
    start, stored, success = with_step_events([event("Materialization", "a", key="k", number=4)])
    assert (start.event_type, success.event_type) == ("StepStart", "StepSuccess")
    assert (start.id, stored.id, success.id) == (4, 4, 4)
    assert (start.timestamp, success.timestamp) == (37, 40)
    assert {item.partition_key for item in (start, stored, success)} == {"k"}
    assert {item.run_id for item in (start, stored, success)} == {"r"}


def test_failed_attempts_only_start():
    recorded = [
        event("StepRetry", "a", attempt=1),
        event("StepFailure", "a", attempt=2),
    ]
    assert shown(recorded) == ["StepStart a 1", "StepRetry a 1", "StepStart a 2", "StepFailure a 2"]


def test_step_with_several_outputs_starts_and_succeeds_once():
    recorded = [event("Materialization", name, step="multi", number=n) for n, name in enumerate("abc", 1)]
    assert shown(recorded) == [
        "StepStart a 1",
        "Materialization a 1",
        "Materialization b 1",
        "Materialization c 1",
        "StepSuccess c 1",
    ]


def test_step_that_stored_some_outputs_does_not_succeed():
    recorded = [event("Materialization", "a", step="multi"), event("StepFailure", "b", step="multi")]
    assert shown(recorded) == ["StepStart a 1", "Materialization a 1", "StepFailure b 1"]


def test_step_that_still_runs_does_not_succeed_yet():
    recorded = [event("Materialization", "a", step="multi", key="k")]
    assert shown(recorded, {("multi", "k", 1)}) == ["StepStart a 1", "Materialization a 1"]


def test_graph_starts_before_its_first_node():
    recorded = [
        event("Materialization", "g/one", number=1),
        event("Materialization", "g/two", number=2),
        event("Materialization", "g", step="g/two", number=3),
    ]
    assert shown(recorded) == [
        "StepStart g 1",
        "StepStart g/one 1",
        "Materialization g/one 1",
        "StepSuccess g/one 1",
        "StepStart g/two 1",
        "Materialization g/two 1",
        "StepSuccess g/two 1",
        "Materialization g 1",
        "StepSuccess g 1",
    ]


@pytest.mark.parametrize("first", ["StepFailure", "Materialization"])
def test_resumed_run_repeats_numbers_of_attempts(first):
    recorded = [event(first, "a", number=1), event("Materialization", "a", number=2)]
    assert shown(recorded)[-3:] == ["StepStart a 1", "Materialization a 1", "StepSuccess a 1"]


def test_keys_and_runs_are_separate_calls():
    recorded = [
        event("StepFailure", "a", key="x"),
        event("Materialization", "a", key="y"),
        event("Materialization", "a", key="x", run="other"),
    ]
    assert shown(recorded).count("StepStart a 1") == 3
    assert shown(recorded).count("StepSuccess a 1") == 2


@pytest.mark.parametrize("event_type", ["RunStart", "StepSkipped"])
def test_events_of_no_attempt_stay_alone(event_type):
    assert len(with_step_events([event(event_type, "a")])) == 1


def test_event_without_a_duration_stays_alone():
    assert len(with_step_events([event("Materialization", "a", duration=None)])) == 1

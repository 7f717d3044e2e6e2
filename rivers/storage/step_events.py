"""Derive "StepStart" and "StepSuccess" from the recorded events; recording them would cost time in each step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rivers.storage.events import (
    MATERIALIZATION,
    OBSERVATION,
    STEP_FAILURE,
    STEP_RETRY,
    STEP_START,
    STEP_SUCCESS,
    Event,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Call = tuple[str, str | None, int]
"""Step, display form of the partition key, and attempt."""

_FAILURES: Final = (STEP_FAILURE, STEP_RETRY)
_ENDINGS: Final = (MATERIALIZATION, OBSERVATION, *_FAILURES)


@dataclass(slots=True)
class _Attempt:
    """Events of one attempt of a step, or of a graph asset.

    Attributes:
        call: Step or graph, partition key and attempt.
        first: Position of the event before which it starts.
        started_at: Nanoseconds since the epoch (UTC).
        last: Position of its last event.
        results: Assets that it stored or observed.
        failures: Assets for which it failed.
    """

    call: Call
    first: int
    started_at: int
    last: int = -1
    results: set[str] = field(default_factory=set)
    failures: set[str] = field(default_factory=set)

    def includes(self, asset: str, *, is_failure: bool) -> bool:
        """Return whether a further event can be one of this attempt: each asset ends once, a failure comes last."""
        return asset not in self.failures if is_failure else not self.failures and asset not in self.results

    def succeeds_at(self, position: int) -> bool:
        """Return whether the event at a position is the last one, and none was a failure."""
        return position == self.last and not self.failures


class _Attempts:
    """Groups recorded events by attempt; a resumed run repeats the numbers of earlier attempts."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, Call], _Attempt] = {}
        self._first_nodes: dict[tuple[str, str, str | None], tuple[int, int]] = {}

    def add(self, position: int, event: Event) -> _Attempt | None:
        """Return the attempt of an event, None if it belongs to none or its start is unknown."""
        asset, step = event.asset_key, event.step
        if event.event_type not in _ENDINGS or asset is None or step is None or event.duration_ns is None:
            return None
        is_failure = event.event_type in _FAILURES
        is_graph = step.startswith(f"{asset}/")
        scope = (event.run_id, (asset if is_graph else step, event.partition_key, event.attempt))
        attempt = self._open.get(scope)
        if attempt is None or not attempt.includes(asset, is_failure=is_failure):
            start = position, event.timestamp - event.duration_ns
            graph = (event.run_id, asset if is_graph else step.rpartition("/")[0], event.partition_key)
            if is_graph:
                start = self._first_nodes.pop(graph, start)
            elif graph[1]:
                self._first_nodes.setdefault(graph, start)
            attempt = self._open[scope] = _Attempt(scope[1], *start)
        attempt.last = position
        (attempt.failures if is_failure else attempt.results).add(asset)
        return attempt


def with_step_events(recorded: Sequence[Event], running: Collection[Call] = ()) -> list[Event]:
    """Return events, oldest first, with the start and the success of each attempt of a step.

    The start comes before the first event of its attempt, and the success after the last one. A graph asset starts
    before its first node. A derived event shares the id of the event from which it is derived.

    Args:
        recorded: Recorded events, oldest first: those of a run, or of an asset.
        running: Calls that may still store outputs.
    """
    attempts = _Attempts()
    of_events = [attempts.add(position, event) for position, event in enumerate(recorded)]
    starts: dict[int, list[tuple[_Attempt, Event]]] = {}
    for event, attempt in zip(recorded, of_events, strict=True):
        if attempt is not None and attempt.first >= 0:
            starts.setdefault(attempt.first, []).append((attempt, event))
            attempt.first = -1
    events: list[Event] = []
    for position, (event, attempt) in enumerate(zip(recorded, of_events, strict=True)):
        # a graph is found at its last node, but starts before its first one
        for started, its_event in reversed(starts.get(position, ())):
            events.append(_derived(STEP_START, its_event, event.id, started.started_at))
        events.append(event)
        if attempt is not None and attempt.succeeds_at(position) and attempt.call not in running:
            events.append(_derived(STEP_SUCCESS, event, event.id, event.timestamp, event.duration_ns))
    return events


def _derived(
    event_type: str, event: Event, number: int | None, timestamp: int, duration_ns: int | None = None
) -> Event:
    derived = Event(
        event_type,
        run_id=event.run_id,
        asset_key=event.asset_key,
        partition_key=event.partition_key,
        timestamp=timestamp,
        tags=event.stored_tags,
        step=event.step,
        attempt=event.attempt,
        duration_ns=duration_ns,
    )
    derived.id = number
    return derived

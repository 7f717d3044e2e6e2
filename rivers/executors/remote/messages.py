"""Messages between the coordinator and the process that runs a step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from rivers.definitions.retry import FailureReason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rivers.definitions.retry import Compute, RetryPolicy
    from rivers.executors.remote.bundle import Bundle
    from rivers.storage import Event, LogRecord
    from rivers_core.metadata import MetadataValue
    from rivers_core.partitions import PartitionKey


@dataclass(frozen=True, slots=True)
class StepRequest:
    """One attempt of one call of a step, to be run elsewhere.

    Attributes:
        bundle: The pickled steps of the repository, identified by a digest; a process needs it once.
        encoded: The pickled `StepOrder`.
        run_id: Identifier of the run.
        step: Name of the step.
        asset: Name of the asset that users know.
        keys: Display forms of the partition keys of this call; None without partitions.
        attempt: Number of the attempt, from 1.
        compute: Machine resources of this attempt, if the asset or its retry policy declares some.
        timeout: Seconds that the attempt may take; None for no limit.
        started: Called by the channel when a process runs the attempt, in any thread, with a text that names the
            process for users.
    """

    bundle: Bundle
    encoded: bytes = field(repr=False)
    run_id: str
    step: str
    asset: str
    keys: tuple[str, ...] | None
    attempt: int
    compute: Compute | None
    timeout: float | None = None
    started: Callable[[str], None] = field(default=lambda _place: None, compare=False)

    @property
    def subject(self) -> str:
        """The call for messages, such as `asset 'orders' [2024-01-01]`."""
        keys = (
            ""
            if self.keys is None
            else f" [{', '.join(self.keys[:3])}{', ...' if len(self.keys) > 3 else ''}]"
        )
        return f"asset {self.asset!r}{keys}"


@dataclass(slots=True)
class RunTerms:
    """Facts that are equal for all requests of a run.

    Attributes:
        tags: Recorded with every event.
        retry: Retry policy of steps without one.
        stop_at_failure: Whether the first failed step ends the run.
        timeout: Seconds that an attempt of a step without a time limit may take; None for no limit.
        log_levels: Level of each logger that has one; the root logger is "".
        watched: Names of the observer hooks that have an implementation.
    """

    tags: tuple[tuple[str, str], ...]
    retry: RetryPolicy | None
    stop_at_failure: bool
    timeout: float | None
    log_levels: dict[str, int]
    watched: frozenset[str]


@dataclass(slots=True)
class StepOrder:
    """Requirements of a process that runs a step, besides the steps of the repository.

    Attributes:
        run_id: Identifier of the run.
        step: Name of the step in the bundle.
        element: Name and pickled element of an instance of this step, if it is a mapped one.
        keys: Partition keys of this call; None without partitions.
        run_keys: All partition keys that the run requests of this step, if it handles several in one call.
        is_narrowed: Whether the run leaves out keys of this step.
        attempt: Number of the attempt, from 1.
        outputs: Names of the outputs to store; None for all.
        config: The pickled configuration object of the step, if it takes one.
        terms: The pickled `RunTerms`.
        stored: Events that stored the inputs, by asset and display form of the key.
        observed: Newest observation of each external input.
        earlier: Events of outputs that earlier attempts of this call stored or observed.
        dynamic_keys: Keys of the dynamic partitions definitions that the step needs.
    """

    run_id: str
    step: str
    element: tuple[str, bytes] | None
    keys: tuple[PartitionKey, ...] | None
    run_keys: tuple[PartitionKey, ...] | None
    is_narrowed: bool
    attempt: int
    outputs: frozenset[str] | None
    config: bytes | None
    terms: bytes
    stored: dict[tuple[str, str | None], Event]
    observed: dict[str, Event]
    earlier: tuple[Event, ...]
    dynamic_keys: dict[str, list[str]]


class HandlerCall(NamedTuple):
    """A call of a handler that is reported to observers of the coordinator.

    Attributes:
        hook: `output_stored`, `input_loaded` or `io_failed`.
        name: The output, or the parameter that receives the input.
        is_output: Whether it is an output.
        keys: Partition keys of the call; None without partitions.
        metadata: Metadata that was added to an output, or None.
        event: Number of the event in the report; None if the hook takes none.
        error: The packed error; None if the hook takes none.
    """

    hook: str
    name: str
    is_output: bool
    keys: tuple[PartitionKey, ...] | None
    metadata: Mapping[str, MetadataValue] | None = None
    event: int | None = None
    error: Any = None


@dataclass(slots=True)
class StepReport:
    """Report of one attempt; never contains a value.

    Attributes:
        place: Where it ran, such as `process 4711`.
        events: Recorded events, in order.
        logs: Attributes of each log record, in order.
        step_logs: Records of the logger of the step's context, which the event log keeps.
        calls: Calls of handlers that are reported to observers.
        retry_after: Seconds to wait before the next attempt; None if there is none.
        retry_reason: Category of the failure that the next attempt follows.
        error: The packed error that failed the attempt; None if it succeeded.
        is_refused: Whether the error is about the request, such as missing code, instead of the step.
    """

    place: str
    events: list[Event] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)
    step_logs: list[LogRecord] = field(default_factory=list)
    calls: Sequence[HandlerCall] = ()
    retry_after: float | None = None
    retry_reason: FailureReason = FailureReason.ERROR
    error: Any = None
    is_refused: bool = False

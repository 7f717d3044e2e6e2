"""What a run was asked to do, besides which steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rivers.definitions.retry import RetryPolicy
    from rivers.execution.keys import KeyRequest
    from rivers.executors import Executor


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The arguments of `materialize` or `Job.execute`.

    Attributes:
        selection: What was asked for by name; None for everything.
        partition_key: The partitions, if any.
        tags: Recorded with every event.
        raise_on_error: Stop at the first failure and raise it.
        config: Overrides by asset: `{asset: {field: value}}`.
        run_id: The identifier to use; None makes one.
        resume: Skip what the run of this identifier already finished.
        only_stale: Skip what is fresh.
        retry: The policy of steps that have none of their own.
        job: The job's name, if it is one.
        executor: Where steps run; None takes the repository's.
    """

    selection: tuple[str, ...] | None = None
    partition_key: KeyRequest | None = None
    tags: Sequence[tuple[str, str]] = ()
    raise_on_error: bool = True
    config: Mapping[str, Any] = field(default_factory=dict)
    run_id: str | None = None
    resume: bool = False
    only_stale: bool = False
    retry: RetryPolicy | None = None
    job: str | None = None
    executor: Executor | None = None

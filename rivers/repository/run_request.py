"""What a run was asked to do, besides which steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rivers.executors import Executor
from rivers_core.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.definitions.retry import RetryPolicy
    from rivers.execution.keys import KeyRequest


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

    def __post_init__(self) -> None:
        """Check what a user gave.

        Raises:
            ConfigurationError: An argument is not what it has to be.
        """
        object.__setattr__(self, "tags", _pairs(self.tags))
        config: object = self.config
        if not isinstance(config, Mapping):
            raise ConfigurationError(f"config={config!r}: give a dictionary {{asset: {{field: value}}}}")
        for name in config:
            if not isinstance(name, str):
                meant = getattr(name, "name", str(name))
                raise ConfigurationError(
                    f"config names {name!r}; write the asset's name: config={{{meant!r}: ...}}"
                )
        run_id: object = self.run_id
        if run_id is not None and (not isinstance(run_id, str) or not run_id):
            raise ConfigurationError(f"run_id_override={run_id!r}: give non-empty text, or leave it out")
        if self.resume and run_id is None:
            raise ConfigurationError(
                "resume=True goes on with an earlier run: say which, run_id_override=..."
            )
        check_executor(self.executor, "executor")


def check_executor(given: object, what: str) -> None:
    """Refuse what is no executor.

    Raises:
        ConfigurationError: With what to write.
    """
    if given is None or isinstance(given, Executor):
        return
    name = given if isinstance(given, str) and given.isidentifier() else "in_process"
    raise ConfigurationError(f"{what}={given!r} is no executor; write rs.Executor.{name}()")


def _pairs(given: object) -> tuple[tuple[str, str], ...]:
    pairs = tuple(
        given.items() if isinstance(given, Mapping) else given if isinstance(given, Iterable) else (given,)
    )
    for pair in pairs:
        if not (
            isinstance(pair, (tuple, list)) and len(pair) == 2 and all(isinstance(one, str) for one in pair)
        ):
            raise ConfigurationError(
                f"tags={given!r}: {pair!r} is not a pair of texts; write tags=[('team', 'sales')]"
            )
    return tuple((name, value) for name, value in pairs)

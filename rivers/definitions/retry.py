"""Retries: how often, for which failures, and with how much machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from rivers.definitions.backoff import Backoff
from rivers_core.exceptions import ConfigurationError, RiversError

if TYPE_CHECKING:
    from rivers.definitions.compute import Compute

__all__ = ["FailureReason", "RetryOn", "RetryPolicy", "classify"]


class FailureReason(Enum):
    """Why an attempt failed, as far as its error tells."""

    ERROR = "error"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    INFRASTRUCTURE = "infrastructure"
    CANCELLED = "cancelled"

    def __repr__(self) -> str:
        return f"FailureReason.{self.name}"


# An absent or forbidden file stays so however often one looks: these OSErrors are no accident of the machine.
_LASTING_OS_ERRORS = (
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


def classify(error: BaseException) -> FailureReason:
    """Says why an attempt failed.

    An error may say so itself with an attribute `failure_reason` (executors do, for a worker that was
    killed). A `RiversError` that was raised from another error is judged by that one.

    Args:
        error: What the attempt raised.

    Returns:
        `OUT_OF_MEMORY` for `MemoryError`, `TIMEOUT` for `TimeoutError`, `CANCELLED` for cancellation and
        interrupts, `INFRASTRUCTURE` for `ConnectionError`, `EOFError` of a pipe and every other `OSError`
        that may pass by itself, `ERROR` for everything else.
    """
    own = getattr(error, "failure_reason", None)
    if isinstance(own, FailureReason):
        return own
    if isinstance(error, RiversError) and error.__cause__ is not None:
        return classify(error.__cause__)
    if isinstance(error, MemoryError):
        return FailureReason.OUT_OF_MEMORY
    if isinstance(error, TimeoutError):
        return FailureReason.TIMEOUT
    if isinstance(error, KeyboardInterrupt) or _is_cancellation(error):
        return FailureReason.CANCELLED
    if isinstance(error, OSError) and not isinstance(error, (RiversError, *_LASTING_OS_ERRORS)):
        return FailureReason.INFRASTRUCTURE
    return FailureReason.ERROR


def _is_cancellation(error: BaseException) -> bool:
    asyncio = sys.modules.get("asyncio")  # nothing was cancelled where it was never imported
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


@dataclass(frozen=True)
class RetryOn:
    """Which failures are worth another attempt.

    Args:
        reasons: Failure reasons.
        exceptions: Exception classes; an error that is an instance of one is retried whatever its reason.

    `RetryOn.ALL` is every reason but `CANCELLED` (who cancels does not want another attempt);
    `RetryOn.TRANSIENT` is `TIMEOUT` and `INFRASTRUCTURE`: what may go away by itself. `OUT_OF_MEMORY` is
    not in it, since the same attempt on the same machine ends the same way; name it where `escalate` gives
    more memory.
    """

    reasons: frozenset[FailureReason] = frozenset()
    exceptions: tuple[type[BaseException], ...] = ()

    ALL: ClassVar[RetryOn]
    TRANSIENT: ClassVar[RetryOn]

    def accepts(self, error: BaseException) -> bool:
        """Whether this error is worth another attempt."""
        return isinstance(error, self.exceptions) or classify(error) in self.reasons

    def __repr__(self) -> str:
        for name in ("ALL", "TRANSIENT"):
            if self == getattr(RetryOn, name):
                return f"RetryOn.{name}"
        reasons = sorted(self.reasons, key=lambda reason: reason.value)
        names = ", ".join(cls.__name__ for cls in self.exceptions)
        return f"RetryOn(reasons={reasons!r}, exceptions=({names}))"


RetryOn.ALL = RetryOn(frozenset(FailureReason) - {FailureReason.CANCELLED})
RetryOn.TRANSIENT = RetryOn(frozenset({FailureReason.TIMEOUT, FailureReason.INFRASTRUCTURE}))


def _retry_on(value: object) -> RetryOn:
    if value is None:
        return RetryOn.ALL
    if isinstance(value, RetryOn):
        return value
    parts = list(value) if isinstance(value, Iterable) and not isinstance(value, (str, type)) else [value]
    reasons: set[FailureReason] = set()
    exceptions: list[type[BaseException]] = []
    for part in parts:
        if isinstance(part, RetryOn):
            reasons |= part.reasons
            exceptions.extend(part.exceptions)
        elif isinstance(part, FailureReason):
            reasons.add(part)
        elif isinstance(part, type) and issubclass(part, BaseException):
            exceptions.append(part)
        else:
            raise ConfigurationError(
                f"RetryPolicy(retry_on=...): {part!r} is neither a RetryOn, a FailureReason nor an "
                "exception class; write RetryOn.TRANSIENT, FailureReason.TIMEOUT, ConnectionError or a "
                "tuple of such."
            )
    return RetryOn(frozenset(reasons), tuple(dict.fromkeys(exceptions)))


Escalation = (
    "Compute | Sequence[Compute] | Mapping[int, Compute] | Callable[[int, Compute | None], Compute | None]"
)


@dataclass(frozen=True, init=False)
class RetryPolicy:
    """How a failed step is tried again.

    Args:
        max_retries: Attempts after the first; 0 means none.
        backoff: The wait between attempts; none by default.
        retry_on: Which failures: a `RetryOn`, a `FailureReason`, an exception class, or several of these in
            a tuple, list or set. `RetryOn.ALL` by default.
        escalate: The `Compute` of later attempts, for executors that place steps on machines: one `Compute`
            for all retries; a sequence (first retry, second retry, ...; the last is repeated); a mapping
            from attempt number (2 is the first retry) to `Compute`, each valid until the next number; or a
            function `(attempt, compute) -> Compute` of the attempt about to start and the asset's own
            `Compute`.

    Raises:
        ConfigurationError: If an argument cannot be understood.

    Examples:
        >>> RetryPolicy(3, backoff=Backoff.exponential(1, max=30), retry_on=RetryOn.TRANSIENT)
        RetryPolicy(max_retries=3, backoff=Backoff.exponential(1.0, factor=2.0, max=30.0), retry_on=RetryOn.TRANSIENT)
    """

    max_retries: int
    backoff: Backoff | None
    retry_on: RetryOn
    escalate: tuple[tuple[int, Compute], ...] | Callable[[int, Compute | None], Compute | None]

    def __init__(
        self,
        max_retries: int = 1,
        *,
        backoff: Backoff | None = None,
        retry_on: (
            RetryOn
            | FailureReason
            | type[BaseException]
            | Iterable[RetryOn | FailureReason | type[BaseException]]
            | None
        ) = None,
        escalate: (
            Compute
            | Sequence[Compute]
            | Mapping[int, Compute]
            | Callable[[int, Compute | None], Compute | None]
            | None
        ) = None,
    ) -> None:
        if type(max_retries) is not int or max_retries < 0:
            raise ConfigurationError(
                f"RetryPolicy(max_retries={max_retries!r}): give a whole number, 0 or more."
            )
        wait: object = backoff
        if wait is not None and not isinstance(wait, Backoff):
            raise ConfigurationError(
                f"RetryPolicy(backoff={backoff!r}): give a Backoff, e.g. Backoff.constant(5)."
            )
        object.__setattr__(self, "max_retries", max_retries)
        object.__setattr__(self, "backoff", backoff)
        object.__setattr__(self, "retry_on", _retry_on(retry_on))
        object.__setattr__(self, "escalate", _escalation(escalate))

    def classify(self, error: BaseException) -> FailureReason:
        """Says why an attempt failed; see `classify`."""
        return classify(error)

    def should_retry(self, error: BaseException, attempt: int) -> FailureReason | None:
        """Decides about another attempt.

        Args:
            error: What the attempt raised.
            attempt: The attempt that failed, 1 for the first.

        Returns:
            The reason if there is to be another attempt (for the `StepRetry` event), else None.
        """
        if attempt > self.max_retries or not self.retry_on.accepts(error):
            return None
        return classify(error)

    def delay(self, attempt: int) -> float:
        """Returns the seconds to wait after this attempt failed (1 for the first)."""
        return 0.0 if self.backoff is None else self.backoff.delay(attempt)

    def compute_for(self, attempt: int, compute: Compute | None) -> Compute | None:
        """Returns what an attempt needs of a machine.

        Args:
            attempt: The attempt about to start, 1 for the first.
            compute: What the asset itself asks for.
        """
        if attempt <= 1:
            return compute
        if not isinstance(self.escalate, tuple):
            return self.escalate(attempt, compute)
        chosen = compute
        for start, escalated in self.escalate:
            if start <= attempt:
                chosen = escalated
        return chosen

    def __repr__(self) -> str:
        shown = f"max_retries={self.max_retries}"
        if self.backoff is not None:
            shown += f", backoff={self.backoff!r}"
        if self.retry_on != RetryOn.ALL:
            shown += f", retry_on={self.retry_on!r}"
        if self.escalate:
            shown += f", escalate={self.escalate if callable(self.escalate) else dict(self.escalate)!r}"
        return f"RetryPolicy({shown})"


def _escalation(value: object) -> object:
    from rivers.definitions.compute import Compute

    if value is None:
        return ()
    if isinstance(value, Compute):
        value = [value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = dict(enumerate(value, start=2))
    if isinstance(value, Mapping):
        if all(type(n) is int and n > 1 and isinstance(c, Compute) for n, c in value.items()):
            return tuple(sorted(value.items()))
    elif callable(value):
        return value
    raise ConfigurationError(
        f"RetryPolicy(escalate={value!r}): give a Compute, a list of them, {{attempt: Compute}} with "
        "attempts from 2, or a function (attempt, compute) -> Compute."
    )

"""Retries: how often, after what wait, for which failures, and with how much machine."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from rivers_core.exceptions import ConfigurationError, RiversError

if TYPE_CHECKING:
    from rivers.definitions.compute import Compute

__all__ = ["Backoff", "FailureReason", "RetryOn", "RetryPolicy"]


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

    An error may say so itself with an attribute `failure_reason` (executors do, for a worker that was killed). A
    `RiversError` that was raised from another error is judged by that one.

    Args:
        error: What the attempt raised.

    Returns:
        `OUT_OF_MEMORY` for `MemoryError`, `TIMEOUT` for `TimeoutError`, `CANCELLED` for cancellation and interrupts,
        `INFRASTRUCTURE` for `ConnectionError`, `EOFError` of a pipe and every other `OSError` that may pass by itself,
        `ERROR` for everything else.
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
    if isinstance(error, (asyncio.CancelledError, KeyboardInterrupt)):
        return FailureReason.CANCELLED
    if isinstance(error, OSError) and not isinstance(error, (RiversError, *_LASTING_OS_ERRORS)):
        return FailureReason.INFRASTRUCTURE
    return FailureReason.ERROR


@dataclass(frozen=True, slots=True)
class RetryOn:
    """Which failures are worth another attempt.

    Args:
        reasons: Failure reasons.
        exceptions: Exception classes; an error that is an instance of one is retried whatever its reason.

    `RetryOn.ALL` is every reason but `CANCELLED` (who cancels does not want another attempt); `RetryOn.TRANSIENT` is
    `TIMEOUT` and `INFRASTRUCTURE`: what may go away by itself. `OUT_OF_MEMORY` is not in it, since the same attempt
    on the same machine ends the same way; name it where `escalate` gives more memory.
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
                f"RetryPolicy(retry_on=...): {part!r} is neither a RetryOn, a FailureReason nor an exception class; "
                "write RetryOn.TRANSIENT, FailureReason.TIMEOUT, ConnectionError or a tuple of such."
            )
    return RetryOn(frozenset(reasons), tuple(dict.fromkeys(exceptions)))


@dataclass(frozen=True, slots=True, repr=False)
class Backoff:
    """How long to wait before the next attempt; made by `constant`, `linear`, `exponential` or `fixed`.

    All times are seconds.
    """

    kind: str
    base: float = 0.0
    factor: float = 2.0
    max: float | None = None
    jitter: float = 0.0
    delays: tuple[float, ...] = ()

    @staticmethod
    def constant(seconds: float) -> Backoff:
        """Waits the same time before every retry."""
        return Backoff("constant", base=_seconds("constant", seconds))

    @staticmethod
    def linear(step: float, max: float | None = None) -> Backoff:
        """Waits `step` before the first retry, `2 * step` before the second and so on, at most `max`."""
        return Backoff("linear", base=_seconds("linear", step), max=_limit("linear", max))

    @staticmethod
    def exponential(
        base: float,
        factor: float = 2,
        max: float | None = None,
        jitter: float | bool = 0.0,
    ) -> Backoff:
        """Waits `base`, `base * factor`, `base * factor**2`, ..., at most `max`.

        Args:
            base: Seconds before the first retry.
            factor: At least 1.
            max: Upper limit in seconds.
            jitter: Share of each wait that is left to chance, 0 to 1: with 0.25 a wait of 8 s becomes 6 to 8 s, so that
                many failed steps do not come back in one moment. True means 1.
        """
        if not math.isfinite(factor) or factor < 1:
            raise ConfigurationError(f"Backoff.exponential(factor={factor!r}): a factor is at least 1.")
        share = float(jitter)
        if not 0 <= share <= 1:
            raise ConfigurationError(
                f"Backoff.exponential(jitter={jitter!r}): jitter is a share between 0 and 1."
            )
        return Backoff(
            "exponential", _seconds("exponential", base), float(factor), _limit("exponential", max), share
        )

    @staticmethod
    def fixed(delays: Sequence[float]) -> Backoff:
        """Waits these seconds, one after the other; the last is repeated."""
        if isinstance(delays, (str, bytes)) or not isinstance(delays, Sequence) or not delays:
            raise ConfigurationError(f"Backoff.fixed({delays!r}): give at least one delay, e.g. [1, 10, 60].")
        return Backoff("fixed", delays=tuple(_seconds("fixed", delay) for delay in delays))

    def delay(self, attempt: int) -> float:
        """Returns the seconds to wait after an attempt failed.

        Args:
            attempt: The attempt that failed, 1 for the first.
        """
        if self.kind == "fixed":
            return self.delays[min(attempt, len(self.delays)) - 1]
        wait = self.base
        if self.kind == "linear":
            wait = self.base * attempt
        elif self.kind == "exponential":
            wait = self._grown(attempt)
        if self.max is not None:
            wait = min(wait, self.max)
        if self.jitter:
            wait -= wait * self.jitter * random.random()
        return wait

    def _grown(self, attempt: int) -> float:
        try:
            return self.base * self.factor ** (attempt - 1)
        except OverflowError:
            return self.max if self.max is not None else 86_400.0 * 365

    def __repr__(self) -> str:
        if self.kind == "fixed":
            return f"Backoff.fixed({list(self.delays)!r})"
        shown = f"{self.base!r}"
        if self.kind == "exponential":
            shown += f", factor={self.factor!r}"
        if self.max is not None:
            shown += f", max={self.max!r}"
        if self.jitter:
            shown += f", jitter={self.jitter!r}"
        return f"Backoff.{self.kind}({shown})"


def _seconds(kind: str, value: float) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or value < 0
    ):
        raise ConfigurationError(f"Backoff.{kind}({value!r}): give seconds, 0 or more.")
    return float(value)


def _limit(kind: str, value: float | None) -> float | None:
    return None if value is None else _seconds(kind, value)


Escalation = (
    "Compute | Sequence[Compute] | Mapping[int, Compute] | Callable[[int, Compute | None], Compute | None]"
)


@dataclass(frozen=True, slots=True, init=False)
class RetryPolicy:
    """How a failed step is tried again.

    Args:
        max_retries: Attempts after the first; 0 means none.
        backoff: The wait between attempts; none by default.
        retry_on: Which failures: a `RetryOn`, a `FailureReason`, an exception class, or several of these in a tuple, list
            or set. `RetryOn.ALL` by default.
        escalate: The `Compute` of later attempts, for executors that place steps on machines: one `Compute` for all
            retries; a sequence (first retry, second retry, ...; the last is repeated); a mapping from attempt number (2 is the
            first retry) to `Compute`, each valid until the next number; or a function `(attempt, compute) -> Compute` of the
            attempt about to start and the asset's own `Compute`.

    Raises:
        ConfigurationError: If an argument cannot be understood.

    Example:
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
        if backoff is not None and not isinstance(backoff, Backoff):
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
        f"RetryPolicy(escalate={value!r}): give a Compute, a list of them, {{attempt: Compute}} with attempts from 2, "
        "or a function (attempt, compute) -> Compute."
    )

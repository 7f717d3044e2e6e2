"""Backoff: how long to wait before another attempt."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from rivers_core.exceptions import ConfigurationError

__all__ = ["Backoff"]


@dataclass(frozen=True, repr=False)
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
    def linear(step: float, max: float | None = None) -> Backoff:  # noqa: A002 the word people look for
        """Waits `step` before the first retry, `2 * step` before the second and so on, at most `max`."""
        return Backoff("linear", base=_seconds("linear", step), max=_limit("linear", max))

    @staticmethod
    def exponential(
        base: float,
        factor: float = 2,
        max: float | None = None,  # noqa: A002 the word people look for
        jitter: float | bool = 0.0,
    ) -> Backoff:
        """Waits `base`, `base * factor`, `base * factor**2`, ..., at most `max`.

        Args:
            base: Seconds before the first retry.
            factor: At least 1.
            max: Upper limit in seconds.
            jitter: Share of each wait that is left to chance, 0 to 1: with 0.25 a wait of 8 s becomes 6 to
                8 s, so that many failed steps do not come back in one moment. True means 1.
        """
        growth: object = factor
        if not isinstance(growth, (int, float)) or not math.isfinite(growth) or growth < 1:
            raise ConfigurationError(f"Backoff.exponential(factor={factor!r}): a factor is at least 1.")
        share: object = jitter
        if not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise ConfigurationError(
                f"Backoff.exponential(jitter={jitter!r}): jitter is a share between 0 and 1."
            )
        return Backoff(
            "exponential",
            _seconds("exponential", base),
            float(factor),
            _limit("exponential", max),
            float(share),
        )

    @staticmethod
    def fixed(delays: Sequence[float]) -> Backoff:
        """Waits these seconds, one after the other; the last is repeated."""
        given: object = delays
        if isinstance(given, (str, bytes)) or not isinstance(given, Sequence) or not given:
            raise ConfigurationError(f"Backoff.fixed({given!r}): give at least one delay, e.g. [1, 10, 60].")
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


def _seconds(kind: str, value: object) -> float:
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

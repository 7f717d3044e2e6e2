"""Retries: which failures to retry, how often, after which delay, and with which machine resources."""

from __future__ import annotations

import math
import random
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, TypedDict

from rivers.exceptions import ConfigurationError, ConfigurationTypeError, RiversError, setting_error

__all__ = ["Backoff", "Compute", "ComputeEscalation", "FailureReason", "RetryOn", "RetryPolicy", "classify"]


class FailureReason(Enum):
    """Category of a failed attempt, derived from its error."""

    ERROR = "error"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    INFRASTRUCTURE = "infrastructure"
    CANCELLED = "cancelled"

    def __repr__(self) -> str:
        return f"FailureReason.{self.name}"


# OSErrors that depend on the file system's content, not on the state of a machine or network: a retry does not help.
_PERMANENT_OS_ERRORS = (
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


def classify(error: BaseException) -> FailureReason:
    """Return the category of a failed attempt.

    An error may carry it as attribute `failure_reason` (executors set it for a worker that was killed). A
    `RiversError` that was raised from another error is classified by its cause.

    Args:
        error: The error that the attempt raised.

    Returns:
        `OUT_OF_MEMORY` for `MemoryError`, `TIMEOUT` for `TimeoutError`, `CANCELLED` for cancellation and interrupts,
        `INFRASTRUCTURE` for `ConnectionError`, `EOFError` of a pipe and other temporary `OSError`s, else `ERROR`.
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
    if isinstance(error, OSError) and not isinstance(error, (RiversError, *_PERMANENT_OS_ERRORS)):
        return FailureReason.INFRASTRUCTURE
    return FailureReason.ERROR


def _is_cancellation(error: BaseException) -> bool:
    asyncio = sys.modules.get("asyncio")  # importing it costs 30 ms, and nothing was cancelled without it
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


@dataclass(frozen=True)
class RetryOn:
    """Failures that are retried.

    Args:
        reasons: Failure reasons.
        exceptions: Exception classes; an instance of one is retried whatever its reason.

    `RetryOn.ALL` is every reason but `CANCELLED`. `RetryOn.TRANSIENT` is `TIMEOUT` and `INFRASTRUCTURE`. It does not
    contain `OUT_OF_MEMORY`, because another attempt with the same memory ends the same way; add it where `escalate`
    gives more memory.
    """

    reasons: frozenset[FailureReason] = frozenset()
    exceptions: tuple[type[BaseException], ...] = ()

    ALL: ClassVar[RetryOn]
    TRANSIENT: ClassVar[RetryOn]

    def accepts(self, error: BaseException) -> bool:
        """Return whether this error is retried."""
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


@dataclass(frozen=True, repr=False)
class Backoff:
    """Delay before the next attempt in seconds, created by `constant`, `linear`, `exponential` or `fixed`.

    `jitter` is the random share of each delay, 0 to 1: with 0.25 a delay of 8 s becomes 6 to 8 s, so that steps that
    failed together do not retry at the same moment. True means 1. `max_delay` is the upper limit in seconds.
    """

    kind: str
    base: float = 0.0
    factor: float = 2.0
    max_delay: float | None = None
    jitter: float = 0.0
    delays: tuple[float, ...] = ()
    initial: float = 0.0

    @staticmethod
    def constant(delay: float, *, jitter: float | bool = 0.0, max_delay: float | None = None) -> Backoff:
        """Create a backoff with the same delay before every retry."""
        return Backoff("constant", _seconds("constant", delay), **_limits("constant", jitter, max_delay))

    @staticmethod
    def linear(
        step: float, *, initial: float = 0.0, jitter: float | bool = 0.0, max_delay: float | None = None
    ) -> Backoff:
        """Create a backoff of `initial + step`, `initial + 2 * step`, `initial + 3 * step`, ..."""
        limits = _limits("linear", jitter, max_delay)
        return Backoff("linear", _seconds("linear", step), initial=_seconds("linear", initial), **limits)

    @staticmethod
    def exponential(
        initial: float, *, factor: float = 2.0, jitter: float | bool = 0.0, max_delay: float | None = None
    ) -> Backoff:
        """Create a backoff of `initial`, `initial * factor`, `initial * factor**2`, ...; the factor is at least 1."""
        _check_number("exponential", "factor", factor, 1, math.inf)
        limits = _limits("exponential", jitter, max_delay)
        return Backoff("exponential", _seconds("exponential", initial), float(factor), **limits)

    @staticmethod
    def fixed(schedule: Sequence[float], *, jitter: float | bool = 0.0) -> Backoff:
        """Create a backoff of the given delays; the last one is repeated."""
        values: object = schedule
        if isinstance(values, (str, bytes)) or not isinstance(values, Sequence) or not values:
            raise ConfigurationTypeError(
                f"Backoff.fixed: schedule must be a non-empty list, got {values!r}. Use e.g. [1, 10, 60]."
            )
        delays = tuple(_seconds("fixed", delay) for delay in schedule)
        return Backoff("fixed", delays=delays, **_limits("fixed", jitter, None))

    def delay(self, attempt: int) -> float:
        """Return the seconds to wait after an attempt failed.

        Args:
            attempt: Number of the failed attempt, starting with 1.
        """
        seconds = self.base
        if self.kind == "fixed":
            seconds = self.delays[min(attempt, len(self.delays)) - 1]
        elif self.kind == "linear":
            seconds = self.initial + self.base * attempt
        elif self.kind == "exponential":
            seconds = self._exponential_delay(attempt)
        if self.max_delay is not None:
            seconds = min(seconds, self.max_delay)
        if self.jitter:
            seconds -= seconds * self.jitter * random.random()
        return seconds

    def _exponential_delay(self, attempt: int) -> float:
        try:
            return self.base * self.factor ** (attempt - 1)
        except OverflowError:
            return self.max_delay if self.max_delay is not None else 86_400.0 * 365

    def __setstate__(self, state: dict[str, Any]) -> None:
        limit = state.pop("max", None)  # its name in release 0.1
        self.__dict__.update({"max_delay": limit} | state)

    def __repr__(self) -> str:
        arguments = f"{list(self.delays)!r}" if self.kind == "fixed" else f"{self.base!r}"
        if self.initial:
            arguments += f", initial={self.initial!r}"
        if self.kind == "exponential":
            arguments += f", factor={self.factor!r}"
        if self.jitter:
            arguments += f", jitter={self.jitter!r}"
        if self.max_delay is not None:
            arguments += f", max_delay={self.max_delay!r}"
        return f"Backoff.{self.kind}({arguments})"


class _Limits(TypedDict):
    jitter: float
    max_delay: float | None


def _limits(kind: str, jitter: float | bool, max_delay: float | None) -> _Limits:
    _check_number(kind, "jitter", jitter, 0, 1)
    return {"jitter": float(jitter), "max_delay": None if max_delay is None else _seconds(kind, max_delay)}


def _check_number(kind: str, field: str, value: object, least: float, most: float) -> None:
    if not isinstance(value, (int, float)) or not math.isfinite(value) or not least <= value <= most:
        limits = f"at least {least}" if most == math.inf else f"between {least} and {most}"
        error = ConfigurationError if isinstance(value, (int, float)) else ConfigurationTypeError
        raise error(f"Backoff.{kind}: {field} must be a number {limits}, got {value!r}.")


def _seconds(kind: str, value: float) -> float:
    if isinstance(value, bool):
        raise ConfigurationTypeError(f"Backoff.{kind}: seconds must be a number at least 0, got {value!r}.")
    _check_number(kind, "seconds", value, 0, math.inf)
    return float(value)


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Machine resources of a step, for executors that place steps on machines.

    Args:
        cpu: Cores: `2`, `0.5`, `"500m"` (thousandths). Normalized to `"2"` or `"500m"`.
        memory: Bytes as an int, or `"512Mi"`, `"2Gi"`, `"1G"`. Normalized to the largest unit that divides it.
        gpu: Whole devices: `1` or `"1"`. Normalized to `"1"`.

    Raises:
        ConfigurationError: A quantity cannot be parsed or is not positive (`gpu=0` is allowed).

    Examples:
        >>> Compute(cpu=0.5, memory="2048Mi")
        Compute(cpu='500m', memory='2Gi')
    """

    cpu: str | float | None = None
    memory: str | int | None = None
    gpu: str | int | None = None

    def __post_init__(self) -> None:
        if self.cpu is not None:
            object.__setattr__(self, "cpu", _format_cpu(_millicores(self.cpu)))
        if self.memory is not None:
            object.__setattr__(self, "memory", _format_memory(_bytes(self.memory)))
        if self.gpu is not None:
            devices = str(self.gpu)
            if not (devices.isascii() and devices.isdigit()):
                error = setting_error(self.gpu, str, int)
                raise error(f"Compute: gpu must be a whole number, 0 or more, got {self.gpu!r}.")
            object.__setattr__(self, "gpu", str(int(devices)))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()  # release 0.1 kept `gpu` as a number

    def __repr__(self) -> str:
        given = [(name, getattr(self, name)) for name in ("cpu", "memory", "gpu")]
        return f"Compute({', '.join(f'{name}={value!r}' for name, value in given if value is not None)})"

    @property
    def millicores(self) -> int | None:
        """Thousandths of a core; None if not given."""
        return None if self.cpu is None else _millicores(self.cpu)

    @property
    def memory_bytes(self) -> int | None:
        """Memory in bytes; None if not given."""
        return None if self.memory is None else _bytes(self.memory)

    def scaled(self, *, cpu: float = 1, memory: float = 1) -> Compute:
        """Return these quantities multiplied, for `RetryPolicy(escalate=...)`.

        Args:
            cpu: Factor for cores.
            memory: Factor for memory.
        """
        cores, size = self.millicores, self.memory_bytes
        return Compute(
            cpu=None if cores is None else _format_cpu(max(1, round(cores * cpu))),
            memory=None if size is None else max(1, round(size * memory)),
            gpu=self.gpu,
        )


_QUANTITY = re.compile(r"(?P<number>\d+(?:\.\d+)?|\.\d+)(?P<unit>[A-Za-z]*)")
_CPU_UNITS = {"": 1000, "m": 1}
_BINARY_UNITS = {"Ti": 2**40, "Gi": 2**30, "Mi": 2**20, "Ki": 2**10}
_DECIMAL_UNITS = {"T": 10**12, "G": 10**9, "M": 10**6, "k": 10**3}
_MEMORY_UNITS = {"": 1, **_DECIMAL_UNITS, **_BINARY_UNITS}


def _millicores(value: str | float) -> int:
    amount = _amount("cpu", value, _CPU_UNITS, "2, 0.5 or '500m' (cores)")
    if amount < 1:
        raise _invalid_quantity("cpu", value, "at least '1m' (a thousandth of a core)")
    return round(amount)


def _bytes(value: str | int) -> int:
    return round(_amount("memory", value, _MEMORY_UNITS, "'512Mi', '2Gi' or a number of bytes"))


def _amount(field: str, value: object, units: Mapping[str, int], examples: str) -> float:
    amount: float = 0
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value.strip())
        if match is not None and match["unit"] in units:
            number = match["number"]
            amount = (float(number) if "." in number else int(number)) * units[match["unit"]]
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        amount = value * units[""]
    if amount <= 0:
        raise _invalid_quantity(field, value, examples)
    return amount


def _invalid_quantity(field: str, value: object, examples: str) -> ConfigurationError:
    error = setting_error(value, str, int, float)
    return error(f"Compute: {field} must be a positive quantity, got {value!r}. Use {examples}.")


def _format_cpu(millicores: int) -> str:
    return str(millicores // 1000) if millicores % 1000 == 0 else f"{millicores}m"


def _format_memory(size: int) -> str:
    for unit, factor in (*_BINARY_UNITS.items(), *_DECIMAL_UNITS.items()):
        if size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


@dataclass(frozen=True, kw_only=True, repr=False)
class ComputeEscalation:
    """More machine resources for each attempt after a failure, as the value of `RetryPolicy(escalate=...)`.

    Args:
        max_memory: Upper limit of the memory.
        factor: Growth of the memory per failure, at least 1.
        cpu_factor: Growth of the cores per failure; None keeps them.
        max_cpu: Upper limit of the cores.
        on: Failure reasons that count, one or several; by default `FailureReason.OUT_OF_MEMORY`.

    Raises:
        ConfigurationError: An argument is not valid.

    Examples:
        >>> ComputeEscalation(max_memory="8Gi").escalated(Compute(memory="2Gi"), 3)
        Compute(memory='8Gi')
    """

    max_memory: str | int
    factor: float = 2.0
    cpu_factor: float | None = None
    max_cpu: str | float | None = None
    on: FailureReason | Iterable[FailureReason] | None = None

    def __post_init__(self) -> None:
        reasons = (FailureReason.OUT_OF_MEMORY,) if self.on is None else self.on
        parsed = _parse_retry_on(reasons)
        for name, factor in (("factor", self.factor), ("cpu_factor", self.cpu_factor)):
            is_number = isinstance(factor, (int, float)) and not isinstance(factor, bool)
            if factor is not None and not (is_number and 1 <= factor < math.inf):
                raise ConfigurationError(
                    f"ComputeEscalation: {name} must be a number, at least 1, got {factor!r}."
                )
        object.__setattr__(self, "max_memory", _format_memory(_bytes(self.max_memory)))
        object.__setattr__(self, "on", frozenset(parsed.reasons))
        if self.max_cpu is not None:
            object.__setattr__(self, "max_cpu", _format_cpu(_millicores(self.max_cpu)))

    def counts(self, reason: FailureReason) -> bool:
        """Return whether a failure asks for more resources."""
        assert isinstance(self.on, frozenset)
        return reason in self.on

    def escalated(self, compute: Compute | None, failures: int) -> Compute | None:
        """Return the resources of the attempt after a number of failures that count.

        Args:
            compute: The resources that the asset declares; without memory there is nothing to multiply.
            failures: Number of failed attempts that count.
        """
        if compute is None or failures == 0:
            return compute
        memory, cores = compute.memory_bytes, compute.millicores
        if memory is not None:
            memory = max(memory, min(round(memory * self.factor**failures), _bytes(self.max_memory)))
        if cores is not None and self.cpu_factor is not None:
            limit = math.inf if self.max_cpu is None else _millicores(self.max_cpu)
            cores = max(cores, round(min(cores * self.cpu_factor**failures, limit)))
        cpu = None if cores is None else _format_cpu(cores)
        return Compute(cpu=cpu, memory=memory, gpu=compute.gpu)

    def __repr__(self) -> str:
        assert isinstance(self.on, frozenset)
        shown: dict[str, object] = {"max_memory": self.max_memory, "factor": self.factor}
        shown |= {"cpu_factor": self.cpu_factor, "max_cpu": self.max_cpu}
        if self.on != {FailureReason.OUT_OF_MEMORY}:
            shown["on"] = sorted(self.on, key=lambda reason: reason.value)
        given = ", ".join(f"{name}={value!r}" for name, value in shown.items() if value is not None)
        return f"ComputeEscalation({given})"


EscalateFunction = Callable[[int, Compute | None], Compute | None]


@dataclass(frozen=True, init=False)
class RetryPolicy:
    """Retries of a failed step.

    Args:
        max_retries: Attempts after the first; 0 means none.
        backoff: Delay between attempts; none by default.
        retry_on: Failures to retry: a `RetryOn`, a `FailureReason`, an exception class, or several of these in a
            tuple, list or set. `RetryOn.ALL` by default.
        escalate: The `Compute` of later attempts, for executors that place steps on machines: one `Compute` for all
            retries; a sequence (first retry, second retry, ...; the last is repeated); a mapping from attempt number
            (2 is the first retry) to `Compute`, each valid until the next number; a `ComputeEscalation`; or a function
            `(attempt, compute) -> Compute` of the next attempt and the asset's own `Compute`.

    Raises:
        ConfigurationError: An argument is not valid.

    Examples:
        >>> RetryPolicy(3, backoff=Backoff.linear(1, max_delay=30), retry_on=RetryOn.TRANSIENT)
        RetryPolicy(max_retries=3, backoff=Backoff.linear(1.0, max_delay=30.0), retry_on=RetryOn.TRANSIENT)
    """

    max_retries: int
    backoff: Backoff | None
    retry_on: RetryOn
    escalate: tuple[tuple[int, Compute], ...] | ComputeEscalation | EscalateFunction

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
            Compute | Sequence[Compute] | Mapping[int, Compute] | ComputeEscalation | EscalateFunction | None
        ) = None,
    ) -> None:
        if type(max_retries) is not int or max_retries < 0:
            raise setting_error(max_retries, int)(
                f"RetryPolicy: max_retries must be a whole number, 0 or more, got {max_retries!r}."
            )
        value: object = backoff
        if value is not None and not isinstance(value, Backoff):
            raise ConfigurationTypeError(
                f"RetryPolicy: backoff must be a Backoff, got {backoff!r}. Use e.g. Backoff.constant(5)."
            )
        object.__setattr__(self, "max_retries", max_retries)
        object.__setattr__(self, "backoff", backoff)
        object.__setattr__(self, "retry_on", _parse_retry_on(retry_on))
        object.__setattr__(self, "escalate", _parse_escalate(escalate))

    def classify(self, error: BaseException) -> FailureReason:
        """Return the category of a failed attempt; see `classify`."""
        return classify(error)

    def should_retry(self, error: BaseException, attempt: int) -> FailureReason | None:
        """Decide whether to start another attempt.

        Args:
            error: The error that the attempt raised.
            attempt: Number of the failed attempt, starting with 1.

        Returns:
            The failure reason (for the `StepRetry` event) if there is another attempt, else None.
        """
        if attempt > self.max_retries or not self.retry_on.accepts(error):
            return None
        return classify(error)

    def delay(self, attempt: int) -> float:
        """Return the seconds to wait after this attempt (1 for the first) failed."""
        return 0.0 if self.backoff is None else self.backoff.delay(attempt)

    def compute_for(
        self, attempt: int, compute: Compute | None, reasons: Sequence[FailureReason] | None = None
    ) -> Compute | None:
        """Return the machine resources of an attempt.

        Args:
            attempt: Number of the attempt about to start.
            compute: The resources that the asset declares.
            reasons: Why each earlier attempt failed, for a `ComputeEscalation`; None counts all of them.
        """
        if attempt <= 1:
            return compute
        if isinstance(self.escalate, ComputeEscalation):
            counted = attempt - 1 if reasons is None else sum(map(self.escalate.counts, reasons))
            return self.escalate.escalated(compute, counted)
        if not isinstance(self.escalate, tuple):
            return self.escalate(attempt, compute)
        return next((escalated for start, escalated in reversed(self.escalate) if start <= attempt), compute)

    def __repr__(self) -> str:
        arguments = f"max_retries={self.max_retries}"
        if self.backoff is not None:
            arguments += f", backoff={self.backoff!r}"
        if self.retry_on != RetryOn.ALL:
            arguments += f", retry_on={self.retry_on!r}"
        if self.escalate:
            escalate = dict(self.escalate) if isinstance(self.escalate, tuple) else self.escalate
            arguments += f", escalate={escalate!r}"
        return f"RetryPolicy({arguments})"


def _parse_retry_on(value: object) -> RetryOn:
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
            raise ConfigurationTypeError(
                f"RetryPolicy: retry_on must be RetryOn, FailureReason, an exception class or a tuple of these, "
                f"got {part!r}. Use e.g. RetryOn.TRANSIENT or ConnectionError."
            )
    return RetryOn(frozenset(reasons), tuple(dict.fromkeys(exceptions)))


def _parse_escalate(value: object) -> object:
    if value is None:
        return ()
    if isinstance(value, ComputeEscalation):
        return value
    if isinstance(value, Compute):
        value = [value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = dict(enumerate(value, start=2))
    if isinstance(value, Mapping):
        if all(type(number) is int and number > 1 and isinstance(c, Compute) for number, c in value.items()):
            return tuple(sorted(value.items()))
    elif callable(value):
        return value
    raise ConfigurationTypeError(
        "RetryPolicy: escalate must be a Compute, a list of Compute, {attempt: Compute} with attempts from 2, or a "
        f"function (attempt, compute) -> Compute, got {value!r}."
    )

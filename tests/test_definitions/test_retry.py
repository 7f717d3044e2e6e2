from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivers import (
    Backoff,
    Compute,
    FailureReason,
    RetryOn,
    RetryPolicy,
)
from rivers.definitions.retry import classify
from rivers.exceptions import (
    ConfigurationError,
    ExecutionError,
    IntegrityError,
    NotMaterializedError,
)


def double(attempt, compute):
    return compute.scaled(memory=2 ** (attempt - 1))


class Killed(Exception):
    failure_reason = FailureReason.OUT_OF_MEMORY


def caused(cause):
    error = ExecutionError("wrapped")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError(), FailureReason.ERROR),
        (MemoryError(), FailureReason.OUT_OF_MEMORY),
        (TimeoutError(), FailureReason.TIMEOUT),
        (ConnectionResetError(), FailureReason.INFRASTRUCTURE),
        (OSError(28, "no space left"), FailureReason.INFRASTRUCTURE),
        (FileNotFoundError(), FailureReason.ERROR),
        (PermissionError(), FailureReason.ERROR),
        (KeyboardInterrupt(), FailureReason.CANCELLED),
        (asyncio.CancelledError(), FailureReason.CANCELLED),
        (NotMaterializedError("a"), FailureReason.ERROR),
        (IntegrityError("bad"), FailureReason.ERROR),
        (Killed(), FailureReason.OUT_OF_MEMORY),
        (caused(ConnectionError()), FailureReason.INFRASTRUCTURE),
        (caused(None), FailureReason.ERROR),
    ],
    ids=repr,
)
def test_classify_derives_failure_reason(error, reason):
    assert classify(error) is RetryPolicy().classify(error) is reason


def test_retry_on_all_excludes_cancellation():
    assert all(
        RetryOn.ALL.accepts(error) for error in (ValueError(), MemoryError(), TimeoutError(), OSError())
    )
    assert not RetryOn.ALL.accepts(KeyboardInterrupt())


def test_retry_on_transient():
    assert [
        RetryOn.TRANSIENT.accepts(error) for error in (TimeoutError(), OSError(), ValueError(), MemoryError())
    ] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("retry_on", "retried"),
    [
        (None, [ValueError, OSError]),
        (RetryOn.TRANSIENT, [OSError]),
        (ValueError, [ValueError]),
        (FailureReason.ERROR, [ValueError]),
        ((RetryOn.TRANSIENT, ValueError), [ValueError, OSError]),
        ({FailureReason.TIMEOUT}, []),
    ],
)
def test_retry_policy_accepts_forms_of_retry_on(retry_on, retried):
    policy = RetryPolicy(retry_on=retry_on)
    assert [kind for kind in (ValueError, OSError) if policy.should_retry(kind(), 1)] == retried


def test_retry_policy_stops_after_max_retries():
    policy = RetryPolicy(2)
    assert [policy.should_retry(ValueError(), attempt) for attempt in (1, 2, 3)] == [
        FailureReason.ERROR,
        FailureReason.ERROR,
        None,
    ]
    assert RetryPolicy(0).should_retry(ValueError(), 1) is None
    assert RetryPolicy().max_retries == 1


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        (Backoff.constant(5), [5, 5, 5, 5]),
        (Backoff.linear(2), [2, 4, 6, 8]),
        (Backoff.linear(2, max_delay=5), [2, 4, 5, 5]),
        (Backoff.exponential(1), [1, 2, 4, 8]),
        (Backoff.exponential(1, factor=3, max_delay=10), [1, 3, 9, 10]),
        (Backoff.fixed([1, 10]), [1, 10, 10, 10]),
    ],
    ids=repr,
)
def test_backoff_delays(backoff, delays):
    assert [backoff.delay(attempt) for attempt in (1, 2, 3, 4)] == delays
    assert RetryPolicy(9, backoff=backoff).delay(2) == delays[1]


def test_retry_policy_without_backoff_has_no_delay():
    assert RetryPolicy().delay(1) == 0


@given(st.integers(1, 100_000), st.floats(0, 1), st.floats(0, 1000))
def test_backoff_jitter_stays_in_range(attempt, jitter, base):
    wait = Backoff.exponential(base, max_delay=60, jitter=jitter).delay(attempt)
    full = Backoff.exponential(base, max_delay=60).delay(attempt)
    assert full * (1 - jitter) * 0.999 <= wait <= full <= 60


@given(st.integers(1, 1_000_000))
def test_backoff_without_max_stays_finite(attempt):
    assert 0 <= Backoff.exponential(1).delay(attempt) < float("inf")


@pytest.mark.parametrize(
    ("escalate", "memory"),
    [
        (None, ["1Gi", "1Gi", "1Gi"]),
        (Compute(memory="2Gi"), ["1Gi", "2Gi", "2Gi"]),
        ([Compute(memory="2Gi"), Compute(memory="4Gi")], ["1Gi", "2Gi", "4Gi"]),
        ({3: Compute(memory="8Gi")}, ["1Gi", "1Gi", "8Gi"]),
        (double, ["1Gi", "2Gi", "4Gi"]),
    ],
)
def test_retry_policy_escalates_compute(escalate, memory):
    policy = RetryPolicy(3, escalate=escalate)
    assert [policy.compute_for(attempt, Compute(memory="1Gi")).memory for attempt in (1, 2, 3)] == memory


@pytest.mark.parametrize(
    "make",
    [
        lambda: RetryPolicy(-1),
        lambda: RetryPolicy(1.5),
        lambda: RetryPolicy(True),
        lambda: RetryPolicy(backoff=5),
        lambda: RetryPolicy(retry_on="all"),
        lambda: RetryPolicy(retry_on=[3]),
        lambda: RetryPolicy(escalate="2Gi"),
        lambda: RetryPolicy(escalate={1: Compute()}),
        lambda: RetryPolicy(escalate=[3]),
        lambda: Backoff.constant(-1),
        lambda: Backoff.constant("5"),
        lambda: Backoff.linear(float("nan")),
        lambda: Backoff.exponential(1, factor=0.5),
        lambda: Backoff.exponential(1, jitter=2),
        lambda: Backoff.fixed([]),
        lambda: Backoff.fixed(5),
        lambda: Backoff.fixed([1, -1]),
    ],
)
def test_retry_policy_rejects_invalid_argument(make):
    with pytest.raises(ConfigurationError, match=r"RetryPolicy|Backoff"):
        make()


@pytest.mark.parametrize(
    ("given", "kept"),
    [(2, "2"), (0.5, "500m"), ("500m", "500m"), ("0.25", "250m"), ("1000m", "1"), (1.5, "1500m")],
)
def test_compute_normalizes_cpu(given, kept):
    assert Compute(cpu=given).cpu == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2Gi", "2Gi"),
        ("2048Mi", "2Gi"),
        (1024, "1Ki"),
        ("1G", "1G"),
        ("1.5Gi", "1536Mi"),
        (1, "1"),
        ("500M", "500M"),
    ],
)
def test_compute_normalizes_memory(given, kept):
    assert Compute(memory=given).memory == kept


@given(st.integers(1, 2**50))
def test_compute_memory_round_trip(size):
    compute = Compute(memory=size)
    assert compute.memory_bytes == size
    assert Compute(memory=compute.memory) == compute


def test_compute_equality():
    assert Compute(cpu=1, memory="1024Mi") == Compute(cpu="1000m", memory="1Gi")
    assert Compute(cpu=2, memory="1Gi", gpu=1).scaled(cpu=0.5, memory=3) == Compute(
        cpu=1, memory="3Gi", gpu=1
    )


@pytest.mark.parametrize(
    "options",
    [
        {"cpu": 0},
        {"cpu": "0.0001"},
        {"cpu": "2 cores"},
        {"cpu": True},
        {"cpu": float("inf")},
        {"cpu": "1Gi"},
        {"memory": "2GB"},
        {"memory": -1},
        {"memory": "lots"},
        {"memory": ""},
        {"gpu": -1},
        {"gpu": 0.5},
        {"gpu": True},
    ],
    ids=repr,
)
def test_compute_rejects_invalid_quantity(options):
    name, value = next(iter(options.items()))
    with pytest.raises(ConfigurationError) as caught:
        Compute(**options)
    assert name in str(caught.value)
    assert repr(value) in str(caught.value)

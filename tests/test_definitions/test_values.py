from __future__ import annotations

import copy
import pickle

import pytest

from rivers import (
    Backoff,
    Compute,
    FailureReason,
    Hook,
    Materialization,
    Observation,
    Output,
    PartitionedOutput,
    PartitionMapping,
    RetryOn,
    RetryPolicy,
)


def double(attempt, compute):
    return compute.scaled(memory=2 ** (attempt - 1))


VALUES = [
    Output(1, output_name="a", metadata={"rows": 1}, data_version="v", tags={"k": "v"}),
    Materialization(metadata={"rows": 1}),
    Observation(data_version="v"),
    PartitionedOutput({"a": 1}),
    RetryPolicy(3, backoff=Backoff.fixed([1, 2]), retry_on=(ValueError, FailureReason.TIMEOUT)),
    RetryPolicy(escalate=Compute(cpu=2)),
    RetryPolicy(escalate=double),
    Backoff.exponential(1, max_delay=10, jitter=0.5),
    RetryOn.TRANSIENT,
    Compute(cpu=1, memory="1Gi", gpu=1),
    Hook.success(print, name="say"),
    PartitionMapping.identity(),
    PartitionMapping.static_({"a": ["b", "c"], "d": []}),
    PartitionMapping.multi({"x": PartitionMapping.subset(), "y": PartitionMapping.time_window(-1)}),
    PartitionMapping.multi_to_single("x", PartitionMapping.for_keys(["a"])),
    PartitionMapping.specific_partitions(["a", {"x": "1", "y": "2"}]),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value).partition(" at 0x")[0])
def test_value_is_comparable_picklable_immutable(value):
    again = pickle.loads(pickle.dumps(value))
    assert again == value == copy.deepcopy(value)
    assert hash(again) == hash(value)
    assert repr(again) == repr(value)
    assert value != object()
    with pytest.raises(AttributeError):
        value.anything = 1


def test_value_repr_is_its_constructor_call():
    policy = RetryPolicy(3, backoff=Backoff.linear(1, max_delay=30), retry_on=RetryOn.TRANSIENT)
    assert repr(policy) == (
        "RetryPolicy(max_retries=3, backoff=Backoff.linear(1.0, max_delay=30.0), retry_on=RetryOn.TRANSIENT)"
    )
    assert repr(PartitionMapping.static_({"a": ["b"]})) == "PartitionMapping.static_({'a': 'b'})"
    assert repr(PartitionMapping.subset(PartitionMapping.time_window(-1))) == (
        "PartitionMapping.subset(PartitionMapping.time_window(offset=-1))"
    )

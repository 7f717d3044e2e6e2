from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivers.partitions import PartitionKeyRange, PartitionsDefinition
from rivers_core.exceptions import PartitionDefinitionError, PartitionValidationError
from rivers_core.partitions import PartitionKey

DAYS = PartitionsDefinition.daily("2024-02-27", end="2024-03-03")
REGIONS = PartitionsDefinition.static_(["us", "eu", "asia"])
BY_DAY = PartitionsDefinition.multi({"day": DAYS, "region": REGIONS})
RANGES = [
    PartitionKeyRange.single("us", "asia"),
    PartitionKeyRange.multi({"region": ["eu"], "day": ("2024-02-28", "2024-03-01")}),
]


def text(keys):
    return [str(key) for key in keys]


@pytest.mark.parametrize("chosen", RANGES, ids=repr)
def test_range_round_trips_repr_and_pickle(chosen):
    for restored in (eval(repr(chosen)), pickle.loads(pickle.dumps(chosen))):
        assert restored == chosen
        assert hash(restored) == hash(chosen)
        assert isinstance(restored, PartitionKeyRange)


@given(st.integers(0, 4), st.integers(0, 4))
def test_range_includes_both_ends(first, last):
    keys = DAYS.get_partition_keys()
    chosen = PartitionKeyRange.single(str(keys[first]), str(keys[last]))

    if first <= last:
        assert chosen.resolve(DAYS) == keys[first : last + 1]
    else:
        with pytest.raises(PartitionValidationError, match="comes first"):
            chosen.resolve(DAYS)


def test_range_follows_definition_order():
    assert text(PartitionKeyRange.single("us", "eu").resolve(REGIONS)) == ["us", "eu"]
    customers = PartitionsDefinition.dynamic("customers")
    assert text(PartitionKeyRange.single("z", "a").resolve(customers, ["z", "m", "a"])) == ["z", "m", "a"]


def test_multi_range_accepts_ranges_and_lists():
    chosen = PartitionKeyRange.multi({"region": ["eu", "us"], "day": ("2024-02-28", "2024-02-29")})

    assert text(chosen.resolve(BY_DAY)) == [
        "day=2024-02-28|region=us",
        "day=2024-02-28|region=eu",
        "day=2024-02-29|region=us",
        "day=2024-02-29|region=eu",
    ]
    assert all(isinstance(key, PartitionKey.Multi) for key in chosen.resolve(BY_DAY))


@pytest.mark.parametrize(
    ("chosen", "definition", "message"),
    [
        (PartitionKeyRange.single("us", "mars"), REGIONS, "no partition key 'mars'"),
        (PartitionKeyRange.single("us", "eu"), BY_DAY, "has no dimensions"),
        (PartitionKeyRange.multi({"region": ["us"]}), BY_DAY, r"have \['day', 'region'\]"),
        (PartitionKeyRange.multi({"region": ["us"]}), REGIONS, "have none"),
        (
            PartitionKeyRange.multi({"region": ["mars"], "day": ("2024-02-28", "2024-02-28")}),
            BY_DAY,
            "no partition key 'mars'",
        ),
    ],
)
def test_range_rejects_other_definition(chosen, definition, message):
    with pytest.raises(PartitionValidationError, match=message):
        chosen.resolve(definition)


@pytest.mark.parametrize("bounds", [{}, {"a": "b"}, {"a": ("x", "y", "z")}, {"a=b": ["x"]}, {"a": []}, None])
def test_multi_range_rejects_malformed_bounds(bounds):
    with pytest.raises(PartitionDefinitionError):
        PartitionKeyRange.multi(bounds)


def test_range_rejects_empty_bound():
    with pytest.raises(PartitionDefinitionError):
        PartitionKeyRange.single("", "a")


def test_range_has_display_form():
    assert str(PartitionKeyRange.single("2024-01-01", "2024-01-31")) == "2024-01-01..2024-01-31"
    assert str(PartitionKeyRange.multi({"shop": ["a", "b"], "day": ("1", "7")})) == "day=1..7|shop=a,b"

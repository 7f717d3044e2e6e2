from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivers.partitions import PartitionsDefinition
from rivers_core.exceptions import PartitionDefinitionError, PartitionValidationError
from rivers_core.partitions import PartitionKey

P = PartitionsDefinition
DAYS = P.daily("2024-02-27", end="2024-03-03")
REGIONS = P.static_(["us", "eu", "asia"])
DEFINITIONS = [
    REGIONS,
    DAYS,
    P.hourly("2024-03-31", end="2024-04-01"),
    P.time_window("2024-01-01", cron_schedule="0 6 * * MON", end="2024-06-01"),
    P.time_window("2024-01-01", interval_seconds=900, end="2024-01-02"),
    P.multi({"region": REGIONS, "day": DAYS}),
]
EVERY_KIND = [*DEFINITIONS, P.daily("2024-01-01"), P.dynamic("customers")]


def text(keys):
    return [str(key) for key in keys]


@pytest.mark.parametrize("definition", EVERY_KIND, ids=repr)
def test_definition_round_trips_repr_and_pickle(definition):
    for restored in (eval(repr(definition)), pickle.loads(pickle.dumps(definition))):
        assert restored == definition
        assert hash(restored) == hash(definition)
        assert type(restored) is type(definition)


@pytest.mark.parametrize("definition", DEFINITIONS, ids=repr)
def test_definition_validates_and_orders_its_keys(definition):
    keys = definition.get_partition_keys()

    assert len(set(keys)) == len(keys) > 0
    assert all(definition.validate_partition_key(key) for key in keys)
    assert all(definition.validate_partition_key(str(key)) for key in keys)
    assert definition.ordered(reversed(keys)) == keys
    assert not definition.validate_partition_key("elsewhere")
    assert not definition.validate_partition_key(PartitionKey({"elsewhere": "a"}))


def test_get_partition_keys_returns_new_list():
    for definition in DEFINITIONS:
        definition.get_partition_keys().clear()
        assert definition.get_partition_keys()


def test_definition_variants_are_attributes():
    kinds = [P.Static, P.TimeWindow, P.Multi, P.Dynamic]
    examples = [REGIONS, DAYS, P.multi({"region": REGIONS}), P.dynamic("customers")]

    for kind, example in zip(kinds, examples, strict=True):
        assert isinstance(example, P)
        assert [isinstance(example, variant) for variant in kinds] == [variant is kind for variant in kinds]


def test_static_keys_keep_order_and_case():
    assert text(P.static_(["b", "a", "B"]).get_partition_keys()) == ["b", "a", "B"]
    assert P.static_(["a", "b"]) != P.static_(["b", "a"])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([], "no keys"),
        ([""], "empty"),
        (["a", "a"], r"twice: \['a'\]"),
        (["a|b"], "reserved"),
        (["a,b"], "reserved"),
        ([1], "Write '1'"),
        ("abc", "a list of keys"),
        (None, "a list of keys"),
    ],
)
def test_static_rejects_malformed_keys(keys, message):
    with pytest.raises(PartitionDefinitionError, match=message):
        P.static_(keys)


def test_multi_sorts_dimensions_and_varies_last_fastest():
    definition = P.multi({"region": P.static_(["us", "eu"]), "env": P.static_(["prod", "dev"])})

    assert text(definition.get_partition_keys()) == [
        "env=prod|region=us",
        "env=prod|region=eu",
        "env=dev|region=us",
        "env=dev|region=eu",
    ]
    assert definition == P.multi({"env": P.static_(["prod", "dev"]), "region": P.static_(["us", "eu"])})
    assert list(definition.dimensions) == ["env", "region"]


@pytest.mark.parametrize(
    ("dimensions", "message"),
    [
        ({}, "at least one"),
        ([], "at least one"),
        ({"a=b": REGIONS}, "reserved"),
        ({"a|b": REGIONS}, "reserved"),
        ({"a,b": REGIONS}, "reserved"),
        ({"": REGIONS}, "non-empty"),
        ({"a": P.multi({"b": REGIONS})}, "multi-dimensional itself"),
        ({"a": ["x", "y"]}, "a PartitionsDefinition, got"),
    ],
)
def test_multi_rejects_malformed_dimensions(dimensions, message):
    with pytest.raises(PartitionDefinitionError, match=message):
        P.multi(dimensions)


def test_validate_checks_each_of_several_keys():
    assert REGIONS.validate_partition_key(PartitionKey(["us", "eu"]))
    assert not REGIONS.validate_partition_key(PartitionKey(["us", "mars"]))
    by_day = P.multi({"region": REGIONS, "day": DAYS})
    assert by_day.validate_partition_key(PartitionKey({"region": ["us", "eu"], "day": "2024-02-29"}))
    assert not by_day.validate_partition_key(PartitionKey({"region": ["us", "eu"], "day": "2024-02-30"}))


@pytest.mark.parametrize(
    ("definition", "key", "message"),
    [
        (REGIONS, "ues", "no partition key 'ues'. Did you mean 'us'"),
        (REGIONS, PartitionKey(["x", "us", "y"]), "partition keys 'x', 'y'"),
        (REGIONS, PartitionKey({"region": "us"}), "have none.*PartitionKey.single"),
        (DAYS, "2024-03-03", "'2024-02-27' to '2024-03-02', in the format '%Y-%m-%d'"),
        (P.multi({"region": REGIONS}), PartitionKey("us"), "PartitionKey.multi with the dimensions"),
        (P.multi({"region": REGIONS}), PartitionKey({"day": "us"}), r"\['day'\]; these partitions have"),
        (P.multi({"region": REGIONS}), PartitionKey({"region": "mars"}), "In dimension 'region'"),
        (P.multi({"region": REGIONS}), "us", "write it as region="),
        (REGIONS, 3, "a PartitionKey or text, got 3"),
    ],
)
def test_check_partition_key_explains_rejection(definition, key, message):
    assert not definition.validate_partition_key(key)
    with pytest.raises(PartitionValidationError, match=message):
        definition.check_partition_key(key)


def test_parse_partition_key_reads_display_form():
    by_day = P.multi({"region": REGIONS, "day": DAYS})
    key = PartitionKey({"region": ["us", "eu"], "day": "2024-02-29"})

    assert by_day.parse_partition_key(str(key)) == key
    assert REGIONS.parse_partition_key("us,eu") == PartitionKey(["us", "eu"])
    assert P.static_(["a=1"]).parse_partition_key("a=1") == PartitionKey("a=1")
    assert P.static_(["a=1"]).parse_partition_key("a=1") == PartitionKey.single("a=1")


@given(st.lists(st.sampled_from(REGIONS.get_partition_keys()), max_size=6))
def test_ordered_returns_each_key_once_in_order(keys):
    ordered = REGIONS.ordered(keys)

    assert ordered == [key for key in REGIONS.get_partition_keys() if key in keys]


def test_ordered_splits_keys_of_several_values():
    assert text(REGIONS.ordered([PartitionKey(["asia", "us"]), "eu"])) == ["us", "eu", "asia"]
    with pytest.raises(PartitionValidationError, match="mars"):
        REGIONS.ordered(["mars"])


def test_dynamic_keys_come_from_storage():
    customers = P.dynamic("customers")

    assert customers.is_dynamic
    with pytest.raises(PartitionValidationError, match=r"storage\.get_dynamic_partitions\('customers'\)"):
        customers.get_partition_keys()
    assert text(customers.get_partition_keys(["b", "a"])) == ["b", "a"]
    assert text(customers.get_partition_keys({"customers": ["a"], "others": ["x"]})) == ["a"]
    assert customers.get_partition_keys([]) == []
    assert text(customers.ordered(["a", "b"], ["b", "a"])) == ["b", "a"]


def test_dynamic_accepts_any_key_without_dynamic_keys():
    customers = P.dynamic("customers")

    assert customers.validate_partition_key("anyone")
    assert not customers.validate_partition_key(PartitionKey({"a": "b"}))
    assert not customers.validate_partition_key("anyone", ["someone"])
    with pytest.raises(PartitionValidationError, match=r"add_dynamic_partitions\('customers'"):
        customers.check_partition_key("anyone", [])


@pytest.mark.parametrize("name", ["", "a|b", None])
def test_dynamic_needs_a_name(name):
    with pytest.raises(PartitionDefinitionError):
        P.dynamic(name)


def test_multi_accepts_dynamic_dimension():
    definition = P.multi({"region": P.static_(["us", "eu"]), "customer": P.dynamic("customers")})

    assert definition.is_dynamic
    assert text(definition.get_partition_keys({"customers": ["x"]})) == [
        "customer=x|region=us",
        "customer=x|region=eu",
    ]
    assert len(definition.get_partition_keys(["x", "y"])) == 4
    assert definition.validate_partition_key(PartitionKey({"customer": "new", "region": "us"}))
    with pytest.raises(PartitionValidationError, match="live in the storage"):
        definition.get_partition_keys()


def test_window_of_is_none_without_time_dimension():
    assert REGIONS.window_of("us") is None
    assert P.multi({"region": REGIONS}).window_of(PartitionKey({"region": "us"})) is None
    twice = P.multi({"seen": DAYS, "sold": DAYS})
    assert twice.window_of(PartitionKey({"seen": "2024-02-28", "sold": "2024-02-29"})) is None
    with pytest.raises(PartitionValidationError):
        REGIONS.window_of("mars")

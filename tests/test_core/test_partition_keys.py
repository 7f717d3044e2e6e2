from __future__ import annotations

import copy
import pickle
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivers.partitions import PartitionsDefinition
from rivers_core.exceptions import PartitionDefinitionError
from rivers_core.partitions import PartitionContext, PartitionKey

values = st.text(st.characters(exclude_characters="|,", exclude_categories=["Cs"]), min_size=1, max_size=8)
names = st.text(st.characters(exclude_characters="|,=", exclude_categories=["Cs"]), min_size=1, max_size=8)
several = values | st.lists(values, min_size=1, max_size=3, unique=True)
keys = several.map(PartitionKey.single) | st.dictionaries(names, several, min_size=1, max_size=3).map(
    PartitionKey.multi
)


@given(keys)
def test_key_round_trips_repr_json_and_pickle(key):
    assert eval(repr(key)) == key
    assert PartitionKey.from_json(key.to_json()) == key
    for restored in (pickle.loads(pickle.dumps(key)), copy.deepcopy(key)):
        assert restored == key
        assert hash(restored) == hash(key)
        assert type(restored) is type(key)


@given(keys)
def test_split_returns_distinct_single_keys(key):
    parts = key.split()

    assert all(part.is_single and type(part) is type(key) for part in parts)
    assert len(set(map(repr, parts))) == len(parts)
    assert key.is_single == (len(parts) == 1)


def test_repr_is_shortest_constructor_call():
    assert repr(PartitionKey.single("a")) == 'PartitionKey("a")'
    assert repr(PartitionKey.single(["a"])) == 'PartitionKey("a")'
    assert repr(PartitionKey.single(["a", "b"])) == 'PartitionKey(["a", "b"])'
    assert repr(PartitionKey.multi({"region": "us", "date": "d"})) == (
        'PartitionKey({"date": "d", "region": "us"})'
    )


def test_display_form_joins_values_and_sorts_dimensions():
    assert str(PartitionKey.single(["b", "a"])) == "b,a"
    assert str(PartitionKey.multi({"b": ["2", "1"], "a": "1"})) == "a=1|b=2,1"


def test_key_variants_are_attributes():
    single, multi = PartitionKey.single("a"), PartitionKey.multi({"a": "1"})

    assert isinstance(single, PartitionKey.Single)
    assert not isinstance(single, PartitionKey.Multi)
    assert isinstance(multi, PartitionKey.Multi)
    assert isinstance(single, PartitionKey)
    assert isinstance(multi, PartitionKey)
    assert single.key == ["a"]
    assert multi.keys == {"a": ["1"]}


def test_split_returns_all_combinations():
    key = PartitionKey.multi({"b": ["1", "2"], "a": ["x", "y"]})

    assert [str(part) for part in key.split()] == ["a=x|b=1", "a=x|b=2", "a=y|b=1", "a=y|b=2"]


def test_key_equals_its_display_form():
    loaded = {PartitionKey("2024-01-01"): 1, PartitionKey({"a": "1", "b": "2"}): 2}

    assert loaded["2024-01-01"] == 1
    assert loaded["a=1|b=2"] == 2
    assert "2024-01-02" not in loaded


def test_keys_of_different_shape_differ():
    assert PartitionKey.single("a=1") != PartitionKey.multi({"a": "1"})
    assert PartitionKey("a") != PartitionKey("A")
    assert PartitionKey("a") != 1


@pytest.mark.parametrize("key", [PartitionKey("a"), PartitionKey({"a": "1"})])
def test_key_is_immutable(key):
    with pytest.raises(AttributeError, match="immutable"):
        key.values = ("b",)
    (key.key if isinstance(key, PartitionKey.Single) else key.keys["a"]).append("b")
    assert key.is_single


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "empty"),
        ([], "No partition key"),
        ([""], "empty"),
        ("a|b", "reserved"),
        ("a,b", "reserved"),
        (["a", "a"], "given twice"),
        (3, "Write '3'"),
        (None, "must be text"),
        ({}, "at least one dimension"),
        ({"a": []}, "dimension 'a'"),
        ({"a": ""}, "dimension 'a'"),
        ({"a|b": "1"}, "reserved"),
        ({"a,b": "1"}, "reserved"),
        ({"a=b": "1"}, "reserved"),
        ({"": "1"}, "non-empty"),
        ({1: "1"}, "non-empty"),
    ],
)
def test_malformed_key_is_rejected(given, message):
    with pytest.raises(PartitionDefinitionError, match=message):
        PartitionKey(given)


@pytest.mark.parametrize("text", ["", "{", "3", "null", "[]", '{"a": 1}'])
def test_from_json_rejects_malformed_text(text):
    with pytest.raises(PartitionDefinitionError):
        PartitionKey.from_json(text)


def test_json_form_is_tagged():
    assert PartitionKey("a").to_json() == '{"single":["a"]}'
    assert PartitionKey({"region": "us"}).to_json() == '{"multi":{"region":["us"]}}'
    assert PartitionKey.from_json('{"single":["a"]}') == PartitionKey.single(["a"])
    assert PartitionKey.from_json('{"region": "us"}') == PartitionKey.multi({"region": "us"})


def test_key_of_text_enum_is_its_value():
    class Region(str, Enum):  # noqa: UP042 - StrEnum has another `__str__`
        EU = "eu"

    assert PartitionKey(Region.EU).values == ("eu",)
    assert str(PartitionKey({Region.EU: Region.EU})) == "eu=eu"


def test_repeated_dimension_is_rejected():
    regions = PartitionsDefinition.static_(["us", "eu"])
    both = PartitionsDefinition.multi({"region": regions, "d": PartitionsDefinition.static_(["1", "2"])})
    twice = "d=1|region=us|region=eu"
    with pytest.raises(PartitionDefinitionError, match=r"'region' is given twice.*region=a,b"):
        both.parse_partition_key(twice)
    assert not both.validate_partition_key(twice)
    with pytest.raises(PartitionDefinitionError, match="'region' is given twice"):
        PartitionKey.from_json('{"region": "us", "region": "eu"}')


@pytest.mark.parametrize("build", [str, lambda text: ["b", text], lambda text: {"day": text}])
def test_lone_surrogate_is_rejected(build):
    with pytest.raises(PartitionDefinitionError, match="surrogate"):
        PartitionKey(build("a\ud800"))
    with pytest.raises(PartitionDefinitionError, match="surrogate"):
        PartitionKey({"region\udfff": "us"})
    assert str(PartitionKey("\U00010400é")) == "\U00010400é"


def test_context_splits_keys():
    context = PartitionContext([PartitionKey.single(["a", "b"]), PartitionKey("c")])

    assert context.keys == ["a", "b", "c"]
    assert context.key == "a"
    assert context.definition is None
    assert context.time_window() is None
    assert not context.is_single
    assert PartitionContext(PartitionKey("a")).is_single


def test_context_returns_time_window_of_keys():
    days = PartitionsDefinition.daily("2024-02-27", end="2024-03-03")
    first, last = PartitionKey("2024-02-28"), PartitionKey("2024-02-29")

    assert [f"{moment:%d.%m.}" for moment in PartitionContext([first], days).time_window()] == [
        "28.02.",
        "29.02.",
    ]
    assert [f"{moment:%d.%m.}" for moment in PartitionContext([first, last], days).time_window()] == [
        "28.02.",
        "01.03.",
    ]
    by_region = PartitionsDefinition.multi({"day": days, "region": PartitionsDefinition.static_(["us"])})
    context = PartitionContext([PartitionKey({"day": "2024-02-29", "region": "us"})], by_region)
    assert [f"{moment:%d.%m.}" for moment in context.time_window()] == ["29.02.", "01.03."]


def test_contexts_compare_by_keys_and_pickle():
    context = PartitionContext([PartitionKey("a")], PartitionsDefinition.static_(["a"]))

    assert pickle.loads(pickle.dumps(context)) == context
    assert PartitionContext([PartitionKey("b")]) != context
    assert hash(PartitionContext([PartitionKey("b")])) == hash(PartitionContext([PartitionKey("b")]))

from __future__ import annotations

import random
import re
from itertools import product
from pathlib import PurePosixPath, PureWindowsPath
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivers_core.exceptions import PartitionValidationError
from rivers_core.keys import storage_key
from rivers_core.partitions import PartitionKey

DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]) *(\..*)?", re.IGNORECASE)


def assert_safe(key):
    for component in key.split("/"):
        assert component not in ("", ".", "..")
        assert len(component.encode()) <= 180
        assert not DEVICE.fullmatch(component)
        assert not set(component) & set('\\|:<>"?*#\x7f')
        assert min(component) >= " "
        assert component[0] not in " ."
        assert component[-1] not in " ."


def assert_distinct(keys):
    """No two equal, as a file system sees them that ignores case, and normalises one way or the other."""
    assert len(set(keys)) == len(keys)
    for form in ("NFC", "NFD"):
        assert len({normalize(form, key.casefold()) for key in keys}) == len(keys)
        assert len({normalize(form, key).casefold() for key in keys}) == len(keys)
    assert len({key.upper() for key in keys}) == len(keys)


@pytest.mark.parametrize(
    ("asset", "partition", "key"),
    [
        ("orders", None, "orders"),
        ("orders", "2024-01-01", "orders/2024-01-01"),
        ("raw_orders.v2", "us-east-1", "raw_orders.v2/us-east-1"),
        ("sales", {"region": "us", "env": "prod"}, "sales/env=prod/region=us"),
        ("graph/task", None, "graph%2Ftask"),
        ("orders", "a=b", "orders/a%3Db"),
        ("hourly", "2024-01-01T12:00", "hourly/2024-01-01T12%3A00~1"),
        ("Orders", "US", "Orders~1/US~3"),
        ("straße", "café", "stra%C3%9Fe/café"),
        ("..", ".", "%2E%2E/%2E"),
        ("con", "NUL.txt", "%63on/%4EUL.txt~7"),
        ("two words", " edge ", "two words/%20edge%20"),
        ("", None, "~empty"),
    ],
)
def test_storage_key_is_readable(asset, partition, key):
    assert storage_key(asset, None if partition is None else PartitionKey(partition)) == key


def test_storage_key_is_injective_over_short_names():
    alphabet = "abA/="
    texts = ["".join(letters) for size in (1, 2) for letters in product(alphabet, repeat=size)]
    singles = [storage_key(asset, PartitionKey(value)) for asset in texts for value in texts]
    names = [text for text in texts if "=" not in text]
    multis = [
        storage_key(asset, PartitionKey({dimension: value}))
        for asset in texts[:10]
        for dimension in names
        for value in texts
    ]
    two = [
        storage_key("a", PartitionKey({first: value, second: "a"}))
        for first, second in product(names, repeat=2)
        for value in texts
        if first < second
    ]
    keys = [*map(storage_key, texts), *singles, *multis, *two]

    assert len(keys) > 2_500
    assert_distinct(keys)
    for key in keys:
        assert_safe(key)


def test_storage_key_is_injective_over_generated_pairs():
    letters = [*"aAbBkKsSiIeE/=|~%:. \\\x00Z09-_", "\xe9", "e\u0301", "\xc9", "\xdf", "\u017f", "\u0130"]
    letters += ["\u0131", "\u212a", "\xc5", "\u212b", "\u03c2", "\u03c3", "\uac00", "\u1100\u1161", "\ufb01"]
    letters += [
        "\u01c6",
        "\u01c5",
        "\u65e5",
        "\xb9",
        "\u0301",
        "\u0345",
        "\U0001f600",
        "\ud800",
        "con",
        "nul.",
    ]
    chosen = random.Random(20_240_229)
    pairs = set()
    while len(pairs) < 50_000:
        asset, value = ("".join(chosen.choices(letters, k=chosen.choice((1, 2, 3, 3, 4)))) for _ in range(2))
        pairs.add((asset, value.replace("|", "p").replace("\ud800", "q")))
    keys = [storage_key(asset, PartitionKey(value)) for asset, value in pairs]

    assert_distinct(keys)
    for key in keys[:10_000]:
        assert_safe(key)


@given(st.text(), st.text(st.characters(exclude_characters="|,", exclude_categories=["Cs"]), min_size=1))
def test_storage_key_never_leaves_the_root(asset, value):
    key = storage_key(asset, PartitionKey(value))

    assert_safe(key)
    assert len(PurePosixPath(key).parts) == len(PureWindowsPath(key).parts) == 2
    assert not PureWindowsPath(key).is_absolute()
    assert not PureWindowsPath(key).drive


@given(st.lists(st.text(max_size=30), unique=True, min_size=2, max_size=6))
def test_storage_keys_of_different_names_differ(names):
    assert_distinct([storage_key(name) for name in names])


@given(st.lists(st.text("aA%/é가", min_size=170, max_size=260), unique=True, min_size=2, max_size=5))
def test_storage_keys_of_long_names_differ_within_limit(names):
    keys = [storage_key(name) for name in names]

    assert_distinct(keys)
    for key in keys:
        assert_safe(key)


def test_storage_key_of_long_name_keeps_its_head():
    key = storage_key("orders_" + "x" * 400)

    assert key.startswith("orders_xxx")
    assert re.fullmatch(r"[a-z_]+~h[0-9a-f]{32}", key)
    assert storage_key("a" * 180) == "a" * 180


def test_storage_key_limits_long_dimensions():
    key = storage_key("a", PartitionKey({"d" * 100: "v" * 100}))

    assert_safe(key)
    assert key != storage_key("a", PartitionKey({"d" * 101: "v" * 99}))


def test_storage_key_rejects_several_keys():
    for key in (PartitionKey(["a", "b"]), PartitionKey({"a": ["1", "2"]})):
        with pytest.raises(PartitionValidationError, match=r"several keys.*split\(\)"):
            storage_key("orders", key)

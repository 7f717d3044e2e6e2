from __future__ import annotations

import pytest

from rivers.mappings import PartitionMapping, check_mapping, default_mapping, upstream_keys
from rivers.partitions import PartitionsDefinition
from rivers_core.exceptions import PartitionValidationError
from rivers_core.partitions import PartitionKey

M, P = PartitionMapping, PartitionsDefinition

LETTERS = P.static_(["a", "b", "c"])
FEW = P.static_(["a", "b"])
DAYS = P.daily("2024-01-15", "2024-04-01")
LATER_DAYS = P.daily("2024-02-01", "2024-04-01")
HOURS = P.hourly("2024-01-15", "2024-01-20")
MONTHS = P.time_window("2024-01-01", cron_schedule="0 0 1 * *", end="2024-04-01")
WEEKS = P.time_window("2024-01-01", cron_schedule="0 0 * * 1", end="2024-04-01")
SLASHED = P.daily("2024-01-15", "2024-04-01", fmt="%d/%m/%Y")
REGIONS = P.static_(["us", "eu"])
SALES = P.multi({"day": DAYS, "region": REGIONS})
MONTHLY_SALES = P.multi({"day": MONTHS, "region": REGIONS})
SHOPS = P.multi({"region": REGIONS, "shop": LETTERS})
DYNAMIC = P.dynamic("customers")


def needs(mapping, down, up, *keys, dynamic=None):
    needed = upstream_keys(
        mapping,
        downstream=down,
        upstream=up,
        keys=[PartitionKey(key) for key in keys],
        upstream_all=lambda: up.get_partition_keys(dynamic),
    )
    return [str(key) for key in needed]


def days(month, first, last):
    return [f"2024-{month:02}-{day:02}" for day in range(first, last + 1)]


# the default mapping


@pytest.mark.parametrize(
    ("down", "up", "key", "needed"),
    [
        (LETTERS, LETTERS, "b", ["b"]),
        (FEW, LETTERS, "b", ["b"]),
        (None, FEW, None, ["a", "b"]),
        (DAYS, DAYS, "2024-02-29", ["2024-02-29"]),
        (DAYS, SLASHED, "2024-02-29", ["29/02/2024"]),
        (MONTHS, DAYS, "2024-02-01", days(2, 1, 29)),
        (MONTHS, DAYS, "2024-01-01", days(1, 15, 31)),
        (DAYS, MONTHS, "2024-02-29", ["2024-02-01"]),
        (DAYS, HOURS, "2024-01-16", [f"2024-01-16T{hour:02}:00" for hour in range(24)]),
        (HOURS, DAYS, "2024-01-16T23:00", ["2024-01-16"]),
        (WEEKS, DAYS, "2024-03-25", days(3, 25, 31)),
        (DAYS, SALES, "2024-01-20", ["day=2024-01-20|region=us", "day=2024-01-20|region=eu"]),
        (SALES, DAYS, {"day": "2024-01-20", "region": "us"}, ["2024-01-20"]),
        (SALES, REGIONS, {"day": "2024-01-20", "region": "us"}, ["us"]),
        (SALES, MONTHS, {"day": "2024-02-20", "region": "us"}, ["2024-02-01"]),
        (SHOPS, LETTERS, {"region": "us", "shop": "c"}, ["c"]),
        (
            MONTHLY_SALES,
            SALES,
            {"day": "2024-02-01", "region": "eu"},
            [f"day={day}|region=eu" for day in days(2, 1, 29)],
        ),
        (
            SHOPS,
            SALES,
            {"region": "us", "shop": "a"},
            [f"day={day}|region=us" for day in map(str, DAYS.get_partition_keys())],
        ),
    ],
)
def test_default_mapping(down, up, key, needed):
    assert needs(None, down, up, *([] if key is None else [key])) == needed
    mapping = default_mapping(down, up)
    assert needs(mapping, down, up, *([] if key is None else [key])) == needed
    assert check_mapping(mapping, downstream=down, upstream=up) == []
    assert check_mapping(None, downstream=down, upstream=up) == []


@pytest.mark.parametrize("down", [None, LETTERS, DAYS, SALES, DYNAMIC])
def test_mapping_to_unpartitioned_upstream_needs_no_key(down):
    for mapping in (None, M.identity(), M.all_partitions(), M.subset(), M.time_window(-1)):
        assert check_mapping(mapping, downstream=down, upstream=None) == []
        assert upstream_keys(mapping, downstream=down, upstream=None, keys=[], upstream_all=list) == []


@pytest.mark.parametrize(
    ("down", "up"),
    [
        (LETTERS, DAYS),
        (LETTERS, REGIONS),
        (DAYS, LETTERS),
        (WEEKS, MONTHS),
        (MONTHS, WEEKS),
        (LETTERS, DYNAMIC),
        (DYNAMIC, P.dynamic("others")),
        (LETTERS, SALES),
        (SALES, LETTERS),
        (P.multi({"x": LETTERS}), P.multi({"y": LETTERS})),
        (P.multi({"from": LETTERS, "to": LETTERS}), LETTERS),
    ],
)
def test_check_mapping_reports_missing_default(down, up):
    assert default_mapping(down, up) is None
    (finding,) = check_mapping(None, downstream=down, upstream=up)
    assert "no default mapping" in finding
    assert "PartitionMapping." in finding


def test_check_mapping_names_corresponding_dimensions():
    (finding,) = check_mapping(None, downstream=P.multi({"from": LETTERS, "to": LETTERS}), upstream=LETTERS)
    assert "['from', 'to'] all correspond" in finding
    assert "multi_to_single" in finding


# each mapping


@pytest.mark.parametrize(
    ("mapping", "down", "up", "key", "needed"),
    [
        (M.identity(), FEW, LETTERS, "a", ["a"]),
        (M.identity(), SALES, SALES, {"day": "2024-01-20", "region": "us"}, ["day=2024-01-20|region=us"]),
        (M.all_partitions(), LETTERS, FEW, "c", ["a", "b"]),
        (M.all_partitions(), None, REGIONS, None, ["us", "eu"]),
        (M.static_({"a": ["eu", "us"], "b": "us", "c": []}), LETTERS, REGIONS, "a", ["us", "eu"]),
        (M.static_({"a": ["eu", "us"], "b": "us", "c": []}), LETTERS, REGIONS, "b", ["us"]),
        (M.static_({"a": ["eu", "us"], "b": "us", "c": []}), LETTERS, REGIONS, "c", []),
        (M.static_({"us": {"region": "us", "shop": "a"}}), REGIONS, SHOPS, "us", ["region=us|shop=a"]),
        (M.specific_partitions(["c", "a"]), FEW, LETTERS, "b", ["a", "c"]),
        (M.specific_partitions(["c", "a"]), None, LETTERS, None, ["a", "c"]),
        (M.time_window(), DAYS, DAYS, "2024-02-01", ["2024-02-01"]),
        (M.time_window(-1), DAYS, DAYS, "2024-03-01", ["2024-02-29"]),
        (M.time_window(1), DAYS, DAYS, "2024-02-28", ["2024-02-29"]),
        (M.time_window(-1), LATER_DAYS, DAYS, "2024-02-01", ["2024-01-31"]),
        (M.time_window(-1), DAYS, SLASHED, "2024-03-01", ["29/02/2024"]),
        (M.time_window(-1), MONTHS, MONTHS, "2024-03-01", ["2024-02-01"]),
        (M.time_window(-1), MONTHS, DAYS, "2024-03-01", days(2, 1, 29)),
        (M.time_window(-1), DAYS, MONTHS, "2024-03-31", ["2024-02-01"]),
        (M.time_window(-1), DAYS, HOURS, "2024-01-16", [f"2024-01-15T{hour:02}:00" for hour in range(24)]),
        (M.time_window(), WEEKS, MONTHS, "2024-01-29", ["2024-01-01", "2024-02-01"]),
        (
            M.multi({"day": M.time_window(-1)}),
            SALES,
            SALES,
            {"day": "2024-01-20", "region": "us"},
            ["day=2024-01-19|region=us"],
        ),
        (
            M.multi({"region": M.all_partitions()}),
            SALES,
            SALES,
            {"day": "2024-01-20", "region": "us"},
            ["day=2024-01-20|region=us", "day=2024-01-20|region=eu"],
        ),
        (
            M.multi({"region": M.specific_partitions(["eu"]), "shop": M.for_keys(["b"])}),
            None,
            SHOPS,
            None,
            ["region=eu|shop=b"],
        ),
        (M.multi_to_single("region"), SHOPS, REGIONS, {"region": "us", "shop": "a"}, ["us"]),
        (M.multi_to_single("region"), REGIONS, SHOPS, "us", [f"region=us|shop={shop}" for shop in "abc"]),
        (
            M.multi_to_single("shop", M.static_({"us": "a", "eu": ["b", "c"]})),
            REGIONS,
            P.multi({"shop": LETTERS}),
            "eu",
            ["shop=b", "shop=c"],
        ),
        (
            M.multi_to_single("day", M.time_window(-1)),
            SALES,
            DAYS,
            {"day": "2024-01-20", "region": "us"},
            ["2024-01-19"],
        ),
        (
            M.multi_to_single("to"),
            P.multi({"from": LETTERS, "to": LETTERS}),
            LETTERS,
            {"from": "a", "to": "c"},
            ["c"],
        ),
        (M.for_keys(["c", "a"]), None, LETTERS, None, ["a", "c"]),
        (M.for_keys(["a"]), LETTERS, LETTERS, "a", ["a"]),
        (M.for_keys(["a"]), LETTERS, LETTERS, "b", []),
        (M.for_keys(["2024-02-29", "2024-03-01"]), MONTHS, DAYS, "2024-02-01", ["2024-02-29"]),
        (M.for_keys(["us"]), LETTERS, REGIONS, "a", ["us"]),
        (M.subset(), None, LETTERS, None, ["a", "b", "c"]),
        (M.subset(), LETTERS, LETTERS, "b", ["b"]),
        (M.subset(), LETTERS, FEW, "c", []),
        (M.subset(M.time_window(-1)), DAYS, DAYS, "2024-01-15", []),
        (M.subset(M.specific_partitions(["a", "b"])), None, LETTERS, None, ["a", "b"]),
    ],
)
def test_mapping_upstream_keys(mapping, down, up, key, needed):
    assert needs(mapping, down, up, *([] if key is None else [key])) == needed
    assert check_mapping(mapping, downstream=down, upstream=up) == []


def test_upstream_keys_of_several_keys():
    assert needs(M.time_window(-1), DAYS, DAYS, "2024-02-02", "2024-02-01") == ["2024-01-31", "2024-02-01"]
    assert needs(None, DAYS, MONTHS, "2024-02-02", "2024-02-01", "2024-01-31") == ["2024-01-01", "2024-02-01"]
    assert needs(None, DAYS, DAYS, ["2024-02-02", "2024-02-01"]) == ["2024-02-01", "2024-02-02"]
    assert needs(M.identity(), SHOPS, SHOPS, {"region": ["us", "eu"], "shop": "a"}) == [
        "region=us|shop=a",
        "region=eu|shop=a",
    ]


def test_upstream_keys_of_dynamic_definition():
    assert needs(None, None, DYNAMIC, dynamic=["z", "y"]) == ["z", "y"]
    assert needs(None, DYNAMIC, DYNAMIC, "y", dynamic=["z", "y"]) == ["y"]
    both = P.multi({"customer": DYNAMIC, "region": REGIONS})
    assert needs(None, REGIONS, both, "us", dynamic=["z", "y"]) == [
        "customer=z|region=us",
        "customer=y|region=us",
    ]
    with pytest.raises(PartitionValidationError, match="'x'"):
        needs(None, DYNAMIC, DYNAMIC, "x", dynamic=["z", "y"])


def test_upstream_keys_without_dynamic_keys():
    assert needs(None, None, DYNAMIC, dynamic=[]) == []
    with pytest.raises(PartitionValidationError, match="no partitions yet"):
        needs(M.identity(), LETTERS, DYNAMIC, "a", dynamic=[])


def test_time_window_mapping_ignores_daylight_saving():
    hours, days = P.hourly("2024-03-30", "2024-04-02"), P.daily("2024-03-30", "2024-04-02")
    assert len(needs(None, days, hours, "2024-03-31")) == 24


def test_time_window_mapping_of_shifted_grids_overlaps():
    noon = P.time_window("2024-01-01T12:00", interval_seconds=86_400, end="2024-01-10T12:00", fmt="%Y-%m-%d")
    midnight = P.daily("2024-01-01", "2024-01-10")
    assert default_mapping(midnight, noon) is None
    assert needs(M.time_window(), midnight, noon, "2024-01-03") == ["2024-01-02", "2024-01-03"]


def test_time_window_mapping_with_seconds_in_schedule():
    thirty = P.time_window("2024-01-01", cron_schedule="*/30 * * * * *", end="2024-01-01T00:05")
    minutes = P.time_window("2024-01-01", interval_seconds=60, end="2024-01-01T00:05")
    assert needs(None, minutes, thirty, "2024-01-01T00:01") == ["2024-01-01T00:01:00", "2024-01-01T00:01:30"]
    assert needs(None, thirty, minutes, "2024-01-01T00:01:30") == ["2024-01-01T00:01"]


# what is missing when it is run


@pytest.mark.parametrize(
    ("mapping", "down", "up", "key", "missing"),
    [
        (M.time_window(-1), DAYS, DAYS, "2024-01-15", "'2024-01-14'"),
        (M.time_window(1), DAYS, DAYS, "2024-03-31", "'2024-04-01'"),
        (M.time_window(-2), MONTHS, MONTHS, "2024-01-01", "'2023-11-01'"),
        (M.time_window(-1), MONTHS, DAYS, "2024-01-01", "'2023-12-01'"),
        (M.time_window(), DAYS, LATER_DAYS, "2024-01-15", "'2024-01-15'"),
        (M.identity(), DAYS, LATER_DAYS, "2024-01-15", "'2024-01-15'"),
        (
            M.multi({"day": M.time_window(-1)}),
            SALES,
            SALES,
            {"day": "2024-01-15", "region": "us"},
            "'2024-01-14'",
        ),
    ],
)
def test_upstream_keys_names_missing_window(mapping, down, up, key, missing):
    assert check_mapping(mapping, downstream=down, upstream=up) == []
    with pytest.raises(PartitionValidationError, match=missing) as caught:
        needs(mapping, down, up, key)
    assert f"PartitionMapping.subset({mapping!r})" in str(caught.value)
    assert needs(M.subset(mapping), down, up, key) == []


def test_static_mapping_names_unlisted_key():
    with pytest.raises(PartitionValidationError, match="'c'"):
        needs(M.static_({"a": "us"}), LETTERS, REGIONS, "c")


def test_upstream_keys_names_unknown_consumer_key():
    with pytest.raises(PartitionValidationError, match="2023-01-01"):
        needs(None, MONTHS, DAYS, "2023-01-01")


# what cannot map at all


@pytest.mark.parametrize(
    ("mapping", "down", "up", "fact"),
    [
        (M.identity(), LETTERS, FEW, "'c'"),
        (M.identity(), LETTERS, DAYS, "'a', 'b', 'c'"),
        (M.identity(), None, LETTERS, "starts from a partition of the consumer, which has none"),
        (M.identity(), LETTERS, SHOPS, "differ in their dimensions"),
        (M.identity(), SALES, SHOPS, "the upstream ['region', 'shop']"),
        (
            M.identity(),
            P.multi({"x": LETTERS}),
            P.multi({"x": FEW}),
            "in dimension 'x': the upstream does not have",
        ),
        (M.identity(), P.daily("2020-01-01", "2020-02-01"), DAYS, "2020-01-01"),
        (M.static_({"z": "us"}), LETTERS, REGIONS, "keys that the consumer does not have: 'z'"),
        (M.static_({"a": ["us", "uk"]}), LETTERS, REGIONS, "keys that the upstream does not have: 'uk'"),
        (M.static_({"a": "us"}), None, REGIONS, "starts from a partition of the consumer"),
        (M.static_({"a": "us"}), LETTERS, None, "the upstream has none"),
        (M.specific_partitions(["A", "x"]), LETTERS, LETTERS, "'A', 'x'. There is no partition key 'A'"),
        (M.specific_partitions(["a"]), LETTERS, None, "the upstream has none"),
        (M.for_keys(["x"]), LETTERS, LETTERS, "'x'"),
        (M.for_keys(["x"]), LETTERS, None, "'x'"),
        (M.for_keys(["x"]), None, None, "neither"),
        (M.for_keys(["a"], M.identity()), LETTERS, None, "inner mapping"),
        (M.for_keys(["2030-01-01"]), None, DAYS, "'2024-01-15' to '2024-03-31'"),
        (M.time_window(-1), LETTERS, LETTERS, "maps time windows"),
        (M.time_window(-1), None, DAYS, "starts from a partition of the consumer"),
        (M.time_window(-1), SALES, DAYS, "multi_to_single"),
        (M.time_window(-1000), DAYS, DAYS, "the first key needs '2021-04-20'"),
        (M.time_window(10**6), DAYS, DAYS, "needs '4761-12-12', but the upstream has '2024-01-15'"),
        (M.multi({"day": M.identity()}), DAYS, SALES, "multi_to_single"),
        (M.multi({"day": M.identity()}), SALES, DAYS, "multi_to_single"),
        (M.multi({"hour": M.identity()}), SALES, SALES, "names the dimension 'hour'"),
        (M.multi({"day": M.time_window(-1000)}), SALES, SALES, "in dimension 'day'"),
        (M.multi({"shop": M.identity()}), SALES, SHOPS, "in dimension 'shop'"),
        (M.multi({"day": M.identity()}), SALES, None, "the upstream has none"),
        (M.multi_to_single("shop"), DAYS, SALES, "names the dimension 'shop'"),
        (M.multi_to_single("day"), SALES, SALES, "PartitionMapping.multi({...})"),
        (M.multi_to_single("day"), DAYS, DAYS, "neither has"),
        (M.multi_to_single("region"), DAYS, SALES, "in dimension 'region': there is no default mapping"),
        (M.subset(M.specific_partitions(["x"])), None, LETTERS, "'x'"),
        (M.subset(M.identity()), LETTERS, REGIONS, "'a', 'b', 'c'"),
    ],
)
def test_check_mapping_finding(mapping, down, up, fact):
    findings = check_mapping(mapping, downstream=down, upstream=up)
    assert findings
    assert fact in "\n".join(findings)


def test_subset_mapping_accepts_other_lists():
    assert check_mapping(M.subset(M.identity()), downstream=LETTERS, upstream=FEW) == []
    assert check_mapping(M.subset(), downstream=LETTERS, upstream=FEW) == []


def test_check_mapping_ignores_dynamic_keys():
    for mapping in (M.specific_partitions(["x"]), M.for_keys(["x"]), M.identity(), M.all_partitions()):
        assert check_mapping(mapping, downstream=DYNAMIC, upstream=DYNAMIC) == []


def test_upstream_keys_of_ten_years_of_days():
    years = P.daily("2015-01-01", "2025-01-01")
    keys = years.get_partition_keys()
    needed = [
        upstream_keys(
            M.time_window(-1),
            downstream=years,
            upstream=years,
            keys=[key],
            upstream_all=years.get_partition_keys,
        )
        for key in keys[1:]
    ]
    assert [key for (key,) in needed] == keys[:-1]

"""Several partitions in one value."""

from __future__ import annotations

import asyncio
import sys

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_overlay import OverlayIOHandler
from tests.test_overlay.conftest import Batching, Shelf, WaitingForBatches, days

DAYS = [f"2024-01-0{number}" for number in range(1, 6)]


def asked(*keys, upstream=None):
    return InputContext("orders", "report", partition=days(*keys), upstream=upstream)


def fill(layer, values):
    for day, value in values.items():
        Shelf.handle_output(layer, OutputContext("orders", partition=days(day)), value)


@pytest.fixture
def top():
    return Batching(place="home")


@pytest.fixture
def base():
    return Batching(place="production")


@pytest.fixture
def overlay(top, base):
    return OverlayIOHandler(top=top, base=base)


def test_overlay_batches_partitions_if_both_layers_do(top, base):
    plain = Shelf(place="plain")
    assert OverlayIOHandler(top=top, base=base).partition_batches
    assert not OverlayIOHandler(top=top, base=plain).partition_batches
    assert not OverlayIOHandler(top=plain, base=base).partition_batches


@pytest.mark.parametrize("where", ["top", "base"])
def test_load_reads_batch_once_from_layer_that_has_all(overlay, where):
    layer = getattr(overlay, where)
    fill(layer, {day: [day] for day in DAYS})
    context = asked(*DAYS)
    assert overlay.load_input(context) == DAYS
    assert context.served_by == where
    assert layer.calls.count("read") == 1


def test_load_concatenates_lists_in_key_order(overlay, top, base):
    fill(base, {day: [f"theirs {day}"] for day in DAYS})
    fill(top, {day: [f"mine {day}"] for day in (DAYS[1], DAYS[2], DAYS[4])})
    context = asked(*DAYS)
    assert overlay.load_input(context) == [
        f"theirs {DAYS[0]}",
        f"mine {DAYS[1]}",
        f"mine {DAYS[2]}",
        f"theirs {DAYS[3]}",
        f"mine {DAYS[4]}",
    ]
    assert context.served_by == "top and base"
    assert (top.calls.count("read"), base.calls.count("read")) == (2, 2)


@pytest.mark.parametrize(
    ("make", "rows"),
    [
        (pl.DataFrame, lambda frame: frame["n"].to_list()),
        (pl.LazyFrame, lambda frame: frame.collect()["n"].to_list()),
        (pd.DataFrame, lambda frame: frame["n"].to_list()),
        (pa.table, lambda table: table["n"].to_pylist()),
    ],
)
def test_load_concatenates_tables(overlay, top, base, make, rows):
    for layer in (top, base):
        layer.as_one = lambda values: values[0] if len(values) == 1 else pytest.fail("one row for each key")
    fill(base, {DAYS[0]: make({"n": [1, 2]}), DAYS[1]: make({"n": [3]})})
    fill(top, {DAYS[1]: make({"n": [30]})})
    assert rows(overlay.load_input(asked(*DAYS[:2]))) == [1, 2, 30]


def test_load_reports_tables_that_do_not_fit(overlay, top, base):
    for layer in (top, base):
        layer.as_one = lambda values: values[0]
    fill(base, {DAYS[0]: pl.DataFrame({"n": [1]})})
    fill(top, {DAYS[1]: pl.DataFrame({"n": ["a"], "m": [1]})})
    with pytest.raises(RiversError, match="do not fit together") as caught:
        overlay.load_input(asked(*DAYS[:2]))
    assert isinstance(caught.value.__cause__, pl.exceptions.PolarsError)


def test_load_refuses_values_it_cannot_concatenate(overlay, top, base):
    for layer in (top, base):
        layer.as_one = sum
    fill(top, {DAYS[0]: 1})
    fill(base, {DAYS[1]: 2, DAYS[2]: 3})
    with pytest.raises(
        RiversError, match=r"3 partitions .* 1 are in the top layer \(2024-01-01\).*builtins\.int"
    ):
        overlay.load_input(asked(*DAYS[:3]))


@pytest.mark.parametrize("at_top", [[], [0], [0, 1]])
def test_load_reports_key_missing_in_both_layers(overlay, top, base, at_top):
    top.all_or_nothing = base.all_or_nothing = True
    fill(top, {DAYS[index]: [1] for index in at_top})
    fill(base, {DAYS[0]: [2]})
    with pytest.raises(NotMaterializedError, match="2024-01-03"):
        overlay.load_input(asked(*DAYS[:3]))
    assert not overlay.exists(asked(*DAYS[:3]))


def test_exists_requires_each_partition_in_a_layer(overlay, top, base):
    fill(top, {DAYS[0]: [1]})
    fill(base, {DAYS[1]: [2]})
    assert overlay.exists(asked(*DAYS[:2]))
    assert not overlay.exists(asked(*DAYS[:3]))


def test_load_splits_batch_across_nested_overlays(overlay, top, base):
    outer = OverlayIOHandler(top=Batching(place="mine"), base=overlay)
    fill(outer.top, {DAYS[0]: ["mine"]})
    fill(top, {DAYS[1]: ["ours"]})
    fill(base, {day: ["theirs"] for day in DAYS})
    context = asked(*DAYS[:3])
    assert outer.load_input(context) == ["mine", "ours", "theirs"]
    assert context.served_by == "top and base/top and base"


def test_load_awaits_async_layers_for_each_part(base):
    top = WaitingForBatches(place="home")
    overlay = OverlayIOHandler(top=top, base=base)
    fill(top, {DAYS[0]: ["mine"]})
    fill(base, {day: ["theirs"] for day in DAYS})
    context = asked(*DAYS[:3])
    assert asyncio.run(overlay.load_input(context)) == ["mine", "theirs", "theirs"]
    assert context.served_by == "top and base"


def test_split_contexts_keep_upstream_event(overlay, top, base):
    seen = []
    top.as_one = base.as_one = lambda values: values
    top.on_read = base.on_read = lambda context: seen.append(context.upstream)
    fill(top, {DAYS[0]: 1})
    fill(base, {DAYS[1]: 2})
    overlay.load_input(asked(*DAYS[:2], upstream="event"))
    assert seen == ["event", "event"]


def test_overlay_imports_no_table_library():
    import subprocess

    program = (
        "import sys, rivers_overlay.handler\n"
        "print([name for name in ('polars', 'pandas', 'pyarrow', 'rivers', 'obstore') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

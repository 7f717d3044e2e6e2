"""In-memory handler."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import ConflictError, NotMaterializedError, PartitionValidationError, RiversError
from rivers_core.partitions import PartitionContext, PartitionKey
from rivers_memory import InMemoryIOHandler


@pytest.fixture
def handler() -> InMemoryIOHandler:
    return InMemoryIOHandler()


def stored(handler, value, name="asset", keys=None):
    context = OutputContext(name, partition=partition(keys))
    handler.handle_output(context, value)
    return {key: fact.raw_value() for key, fact in context.output_metadata.items()}


def loaded(handler, name="asset", keys=None):
    return handler.load_input(InputContext(name, "next", partition=partition(keys)))


def partition(keys):
    return None if keys is None else PartitionContext([PartitionKey(keys)])


def test_load_returns_stored_object(handler):
    value = {"rows": [1, 2, 3]}
    stored(handler, value)
    assert loaded(handler) is value


def test_handlers_share_no_values(handler):
    stored(handler, 1)
    assert not InMemoryIOHandler().exists(InputContext("asset", "next"))


@given(
    st.dictionaries(
        st.tuples(
            st.text("ab/|=", min_size=1, max_size=3),
            st.one_of(
                st.none(),
                st.text("ab=", min_size=1, max_size=2),
                st.fixed_dictionaries({"a": st.text("ab", min_size=1, max_size=2)}),
            ).map(lambda keys: keys if not isinstance(keys, dict) else tuple(keys.items())),
        ),
        st.integers(),
        max_size=8,
    )
)
def test_assets_and_partitions_never_collide(values):
    handler = InMemoryIOHandler()
    displayed = {}
    for (name, keys), value in values.items():
        plain = dict(keys) if isinstance(keys, tuple) else keys
        stored(handler, value, name, plain)
        displayed[name, None if plain is None else str(PartitionKey(plain))] = (name, plain, value)
    for name, plain, value in displayed.values():
        assert loaded(handler, name, plain) == value


@pytest.mark.parametrize(
    "once",
    [(n for n in "ab"), iter([1, 2]), map(str, [1]), zip([1], [2], strict=True), io.StringIO("lines")],
    ids=lambda value: type(value).__name__,
)
def test_store_refuses_one_shot_values(handler, once):
    with pytest.raises(RiversError, match=r"'asset'.*one-shot value.*list\(\.\.\.\)"):
        stored(handler, once)
    assert not handler.exists(InputContext("asset", "next"))


def test_store_names_refused_partition(handler):
    with pytest.raises(RiversError, match=r"'asset' \(partition 'a'\)"):
        stored(handler, iter([]), keys="a")


@pytest.mark.parametrize(
    "again",
    [[1], range(3), "text", {1: 2}, {1}, b"bytes", pl.LazyFrame({"a": [1]})],
    ids=lambda value: type(value).__name__,
)
def test_store_accepts_repeatable_iterables(handler, again):
    stored(handler, again)
    assert loaded(handler) is again


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (np.zeros(1000), 8000),
        (pa.table({"a": pa.array([1] * 1000)}), 8000),
        (pl.DataFrame({"a": [1] * 1000}), 8000),
        (pd.DataFrame({"a": [1] * 1000}), 8132),
        (pd.Series([1] * 1000), 8000),
        ([1, 2, 3], sys.getsizeof([1, 2, 3])),
        ("text", sys.getsizeof("text")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_store_reports_storage_and_size(handler, value, size):
    assert stored(handler, value) == {"storage": "memory", "size_bytes": size}


def test_store_accepts_value_without_size(handler):
    class Moody:
        @property
        def nbytes(self):
            raise RuntimeError("not today")

    assert stored(handler, Moody())["size_bytes"] > 0


def test_not_materialized_names_nearest(handler):
    stored(handler, 1, "orders")
    stored(handler, 1, "daily", "2024-01-01")
    with pytest.raises(NotMaterializedError, match=r"asset 'orderz'.*InMemoryIOHandler.*asset 'orders'"):
        loaded(handler, "orderz")
    with pytest.raises(NotMaterializedError, match=r"'daily'.*'2024-01-09'.*partition '2024-01-01'"):
        loaded(handler, "daily", "2024-01-09")
    with pytest.raises(NotMaterializedError, match=r"asset 'daily'.*partition '2024-01-01'"):
        loaded(handler, "daily")


def test_empty_handler_has_no_nearest(handler):
    with pytest.raises(NotMaterializedError) as caught:
        loaded(handler)
    assert caught.value.nearest is None


def test_handler_refuses_several_partition_keys(handler):
    with pytest.raises(PartitionValidationError, match="one partition per call, got 2 keys of asset 'asset'"):
        stored(handler, 1, keys=["a", "b"])


@pytest.mark.parametrize(
    "travel", [copy.copy, copy.deepcopy, lambda handler: pickle.loads(pickle.dumps(handler))]
)
def test_handler_pickles_without_values(handler, travel):
    stored(handler, threading.Lock())
    rebuilt = travel(handler)
    assert isinstance(rebuilt, InMemoryIOHandler)
    assert not rebuilt.exists(InputContext("asset", "next"))
    stored(rebuilt, 1)
    assert loaded(handler) is not loaded(rebuilt)


def test_locality_is_process(handler):
    assert handler.locality == "process"
    assert (
        handler.describe_address(InputContext("orders", "next")) == "memory of this process, asset 'orders'"
    )


def test_package_imports_nothing_heavy():
    code = (
        "import sys, rivers_memory.plugin\n"
        "assert 'pydantic' not in sys.modules and 'rivers_memory.handler' not in sys.modules\n"
        "from rivers_memory import InMemoryIOHandler\n"
        "from rivers_core.contexts import OutputContext\n"
        "InMemoryIOHandler().handle_output(OutputContext('a'), [1])\n"
        "heavy = {'numpy', 'pandas', 'polars', 'pyarrow', 'obstore'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class InterruptedDict(dict):
    """Lets another thread store a value whenever one is taken out."""

    def pop(self, key, default=None):
        item = super().pop(key, default)
        self[key] = "from another thread", "v9"
        return item


def conditional_write(handler, value, expected):
    context = OutputContext("total")
    context.expected_version = expected
    handler.handle_output(context, value)


def test_conditional_write_keeps_concurrent_value(handler):
    handler.handle_output(OutputContext("total"), 1)
    loaded = InputContext("total", "total")
    handler.load_input(loaded)
    object.__setattr__(handler, "_values", InterruptedDict(handler._values))
    with pytest.raises(ConflictError, match="v9"):
        conditional_write(handler, 2, loaded.loaded_version)
    assert handler.load_input(loaded) == "from another thread"

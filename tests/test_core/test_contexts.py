"""Contexts are plain, cheap to build in a test, and say where a value belongs."""

from __future__ import annotations

import pickle

import pytest

from rivers.partitions import PartitionsDefinition
from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import AssetOutputValidationError, PartitionValidationError
from rivers_core.metadata import MetadataValue
from rivers_core.partitions import PartitionContext, PartitionKey

DAYS = PartitionsDefinition.daily("2024-01-01")


def partition(*keys):
    return PartitionContext([PartitionKey.single(key) for key in keys], DAYS)


def test_context_needs_only_a_name():
    context = OutputContext("orders")
    assert (context.asset_name, context.asset_metadata, context.partition, context.type_hint) == (
        "orders",
        None,
        None,
        None,
    )
    assert (context.run_id, context.attempt, context.step_name, context.data_version) == (
        None,
        1,
        "orders",
        None,
    )
    assert context.output_metadata is None
    context = InputContext("orders", "report")
    assert (context.asset_name, context.downstream_asset, context.upstream) == ("orders", "report", None)


@pytest.mark.parametrize(("name", "error"), [("", ValueError), (3, TypeError), (None, TypeError)])
def test_context_refuses_name_that_no_asset_has(name, error):
    with pytest.raises(error):
        OutputContext(name)
    with pytest.raises(error):
        InputContext(name, "report")


def test_context_accepts_positional_arguments():
    where = partition("2024-01-01")
    context = OutputContext("orders", {"a": 1}, where, int)
    assert (context.asset_metadata, context.partition, context.type_hint) == ({"a": 1}, where, int)
    context = InputContext("orders", "report", {"a": 1}, where, int)
    assert (context.asset_metadata, context.partition, context.type_hint) == ({"a": 1}, where, int)


@pytest.mark.parametrize("make", [OutputContext, lambda *a, **k: InputContext(a[0], "report", **k)])
def test_context_storage_key_uses_asset_and_partition(make):
    assert make("orders").storage_key == "orders"
    assert make("orders", partition=partition("2024-01-01")).storage_key == "orders/2024-01-01"
    assert make("orders", partition=partition("2024-01-01")).asset_storage_key == "orders"
    assert make("graph/task").storage_key == make("graph/task").asset_storage_key == "graph%2Ftask"


@pytest.mark.parametrize("keys", [("2024-01-01", "2024-01-02"), (["2024-01-01", "2024-01-02"],)])
def test_context_storage_key_rejects_several_keys(keys):
    context = OutputContext("orders", partition=partition(*keys))
    with pytest.raises(PartitionValidationError):
        _ = context.storage_key
    assert context.asset_storage_key == "orders"


def test_context_storage_key_rejects_bare_partition_key():
    with pytest.raises(TypeError, match=r"PartitionContext\(\[PartitionKey.single"):
        _ = OutputContext("orders", partition=PartitionKey("a")).storage_key


@pytest.mark.parametrize("keys", [[], ["2024-01-01"], "2024-01-01", None])
def test_partition_context_needs_keys(keys):
    with pytest.raises(PartitionValidationError, match="at least one PartitionKey"):
        PartitionContext(keys)


def test_output_metadata_is_coerced_and_merged():
    context = OutputContext("orders")
    context.add_output_metadata({"rows": 3, "note": "first"})
    context.add_output_metadata({"note": MetadataValue.md("*second*"), "empty": None})
    assert context.output_metadata == {
        "rows": MetadataValue.int(3),
        "note": MetadataValue.md("*second*"),
        "empty": MetadataValue.null(),
    }
    with pytest.raises(TypeError):
        context.add_output_metadata({"fine": 1, "bad": object()})
    assert "fine" not in context.output_metadata


def test_data_version_must_be_text():
    context = OutputContext("orders")
    context.register_data_version("v1")
    context.register_data_version("v2")
    assert context.data_version == "v2"
    for wrong in (3, "", None, b"v1"):
        with pytest.raises(TypeError, match="data version of asset 'orders'"):
            context.register_data_version(wrong)
    assert context.data_version == "v2"


def test_context_log_is_named_after_asset():
    assert OutputContext("orders").log.name == "rivers.handlers.orders"
    assert InputContext("orders", "report").log.name == "rivers.handlers.orders"


def test_upstream_event_is_looked_up_lazily_and_once():
    asked = []
    context = InputContext("orders", "report", upstream=lambda: asked.append(1) or "event")
    assert asked == []
    assert (context.upstream, context.upstream) == ("event", "event")
    assert asked == [1]
    assert InputContext("orders", "report", upstream="event").upstream == "event"


def test_contexts_are_slotted_readable_and_picklable():
    context = OutputContext("orders", {"a": 1}, run_id="r1")
    with pytest.raises(AttributeError):
        context.another = 1
    assert repr(context) == "OutputContext(asset_name='orders', asset_metadata={'a': 1}, run_id='r1')"
    assert repr(InputContext("orders", "report", type_hint=int)) == (
        "InputContext(asset_name='orders', downstream_asset='report', type_hint=<class 'int'>)"
    )
    assert pickle.loads(pickle.dumps(context)).asset_metadata == {"a": 1}


def test_input_context_records_served_by():
    context = InputContext("orders", "report")
    assert context.served_by is None
    context.served_by = "base"
    assert context.served_by == "base"


def test_register_partitions_keeps_the_written_keys():
    context = OutputContext("orders", partition=partition("2024-01-01", "2024-01-02"))
    assert context.registered_partitions is None
    context.register_partitions(context.partition.keys[:1])
    assert context.registered_partitions == {"2024-01-01"}


def test_register_partitions_refuses_foreign_keys():
    context = OutputContext("orders", partition=partition("2024-01-01"))
    with pytest.raises(PartitionValidationError, match="2024-01-09"):
        context.register_partitions([PartitionKey.single("2024-01-09")])


def test_register_partitions_refuses_empty_keys():
    keys = [f"2024-01-{day:02}" for day in range(1, 10)]
    context = OutputContext("orders", partition=partition(*keys))
    context.allows_empty_partitions = False
    with pytest.raises(AssetOutputValidationError, match=r"8 of the 9 .*2024-01-06 and 3 more") as caught:
        context.register_partitions(context.partition.keys[:1])
    assert "2024-01-07" not in str(caught.value)


def test_output_context_keeps_versions_of_keys():
    context = OutputContext("orders", partition=partition("a", "b"))
    assert context.content_versions == {}
    for key, version in zip(context.partition.keys, ("v1", "v2"), strict=True):
        context.offer_content_version(version, key=key)
    assert pickle.loads(pickle.dumps(context)).content_versions == {"a": "v1", "b": "v2"}
    assert context.content_version is None


def test_input_context_keeps_the_loaded_version():
    context = InputContext("orders", "report")
    assert context.loaded_version is None
    context.register_loaded_version("v1")
    assert context.loaded_version == "v1"


@pytest.mark.parametrize("version", ["", None, 3])
def test_input_context_rejects_an_invalid_loaded_version(version):
    context = InputContext("orders", "report")
    with pytest.raises(TypeError, match="orders"):
        context.register_loaded_version(version)
    assert context.loaded_version is None


def test_output_context_is_unconditional_by_default():
    assert OutputContext("orders").expected_version is None

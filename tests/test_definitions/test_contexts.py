from __future__ import annotations

import pytest

from rivers import (
    AssetExecutionContext,
    SelfDependency,
    TaskExecutionContext,
)
from rivers.definitions.error_text import error_text
from rivers.exceptions import (
    PartitionValidationError,
    ResultDefinitionError,
)
from rivers.partitions import PartitionsDefinition
from rivers_core.metadata import MetadataValue
from rivers_core.partitions import PartitionContext, PartitionKey


def test_self_dependency_none_if_never_stored():
    assert SelfDependency(None, False).get_inner() is None
    assert SelfDependency(3, True).get_inner() == 3
    assert SelfDependency(None, True).is_stored
    assert SelfDependency(0).get_inner() == 0


def partition(*keys):
    return PartitionContext(
        [PartitionKey(key) for key in keys], PartitionsDefinition.daily("2024-01-01", "2024-02-01")
    )


def test_context_needs_only_a_name():
    context = AssetExecutionContext("orders")
    assert (context.tags, context.kinds, context.group, context.is_multi_asset) == (None, [], None, False)
    assert context.config is None
    assert context.output_selection == []
    assert context.output_metadata is None
    assert context.log.name == "rivers.assets.orders"
    assert TaskExecutionContext("clean").log.name == "rivers.tasks.clean"


def test_context_partition_key_display_form():
    context = AssetExecutionContext("orders", partition=partition("2024-01-02"))
    assert context.has_partition_key
    assert context.partition_key == "2024-01-02"
    start, end = context.partition_time_window
    assert (str(start), str(end)) == ("2024-01-02 00:00:00", "2024-01-03 00:00:00")


@pytest.mark.parametrize("attribute", ["partition_key", "partition_time_window"])
def test_context_of_several_partition_keys(attribute):
    several = partition("2024-01-02", "2024-01-03")
    multi = PartitionContext([PartitionKey({"a": "1", "b": ["x", "y"]})])
    for context in (
        TaskExecutionContext("t", partition=several),
        AssetExecutionContext("a", partition=multi),
    ):
        with pytest.raises(PartitionValidationError, match="2 partition keys"):
            getattr(context, attribute)


@pytest.mark.parametrize("attribute", ["partition_key", "partition_time_window"])
def test_context_without_partition(attribute):
    for context in (AssetExecutionContext("orders"), TaskExecutionContext("orders")):
        assert not context.has_partition_key
        with pytest.raises(PartitionValidationError, match=f"'orders' has no {attribute}"):
            getattr(context, attribute)


def test_context_without_time_window():
    definition = PartitionsDefinition.static_(["eu", "us"])
    context = AssetExecutionContext(
        "orders", partition=PartitionContext([PartitionKey.single("eu")], definition)
    )
    with pytest.raises(PartitionValidationError, match="'eu'"):
        _ = context.partition_time_window


def test_context_merges_output_metadata():
    context = AssetExecutionContext("orders")
    context.add_output_metadata({"rows": 1, "a": "x"})
    context.add_output_metadata({"rows": 2})
    assert context.output_metadata == {"rows": MetadataValue.int(2), "a": MetadataValue.text("x")}


def test_context_rejects_invalid_data_version():
    context = AssetExecutionContext("orders")
    context.register_data_version("v1")
    assert context.registered_data_version == "v1"
    with pytest.raises(ResultDefinitionError, match="'orders'"):
        context.register_data_version(3)


def test_asset_context_takes_partition_by_position():
    context = AssetExecutionContext("orders", [], [], None, None, None, partition("2024-01-02"))
    assert context.partition_key == "2024-01-02"
    assert context.is_multi_asset is False


def test_error_text_lists_members_of_groups():
    group = ExceptionGroup("writes failed", [ValueError("a"), ExceptionGroup("nested", [KeyError("b")])])
    text = error_text(group)
    assert "ValueError: a" in text
    assert "KeyError: 'b'" in text
    many = error_text(ExceptionGroup("many", [ValueError(str(number)) for number in range(12)]))
    assert many.endswith("ValueError: 4; and 7 more]")

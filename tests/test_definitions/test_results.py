from __future__ import annotations

import pytest

from rivers import (
    Materialization,
    Observation,
    Output,
    PartitionedOutput,
)
from rivers.exceptions import (
    ResultDefinitionError,
)
from rivers_core.metadata import MetadataValue
from rivers_core.partitions import PartitionKey


def test_result_coerces_metadata():
    output = Output([1], metadata={"rows": 1, "note": MetadataValue.md("*")})
    assert output.value == [1]
    assert output.metadata == {"rows": MetadataValue.int(1), "note": MetadataValue.md("*")}
    assert Output().metadata is None
    assert Output().tags is None


@pytest.mark.parametrize("kind", [Output, Materialization, Observation])
@pytest.mark.parametrize(
    "options", [{"output_name": ""}, {"output_name": 3}, {"data_version": 3}, {"metadata": [1]}]
)
def test_result_error_names_invalid_argument(kind, options):
    with pytest.raises(ResultDefinitionError, match=f"{kind.__name__}.*{next(iter(options))}"):
        kind(**options)


def test_result_rejects_unstorable_metadata():
    with pytest.raises(TypeError):
        Output(1, metadata={"x": object()})


@pytest.mark.parametrize("tags", ["a", ["a", 1], [("a", 1)], 3])
def test_result_rejects_invalid_tags(tags):
    with pytest.raises(ResultDefinitionError, match="tags"):
        Output(1, tags=tags)


def test_result_accepts_tags_as_mapping_or_pairs():
    assert Output(1, tags={"a": "b"}).tags == {"a": "b"}
    assert Output(1, tags=[("a", "b")]).tags == [("a", "b")]


def test_output_rejects_nested_result():
    with pytest.raises(ResultDefinitionError, match="Output.*Materialization"):
        Output(Materialization())


def test_partitioned_output_is_keyed_by_partition():
    multi = PartitionKey.multi({"a": "1", "b": "2"})
    output = PartitionedOutput({"x": 1, PartitionKey.single("y"): 2, "a=1|b=2": 3})
    assert list(output.values) == [PartitionKey.single("x"), PartitionKey.single("y"), multi]
    assert output.values["x"] == 1


@pytest.mark.parametrize("values", [{}, [1], {3: 1}, {PartitionKey.single(["a", "b"]): 1}])
def test_partitioned_output_rejects_invalid_keys(values):
    with pytest.raises(ResultDefinitionError, match="PartitionedOutput"):
        PartitionedOutput(values)

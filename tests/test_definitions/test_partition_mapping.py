from __future__ import annotations

import pytest

from rivers import (
    PartitionMapping,
)
from rivers.exceptions import (
    PartitionDefinitionError,
    PartitionValidationError,
)
from rivers_core.partitions import PartitionKey


def test_mapping_only_subset_allows_missing_keys():
    m = PartitionMapping
    assert m.subset().allows_missing
    assert m.multi({"x": m.subset()}).allows_missing
    assert m.multi_to_single("x", m.subset()).allows_missing
    assert m.for_keys(["a"], m.subset()).allows_missing
    for other in (
        m.identity(),
        m.all_partitions(),
        m.for_keys(["a"]),
        m.multi_to_single("x"),
        m.time_window(-1),
    ):
        assert not other.allows_missing


@pytest.mark.parametrize(
    "make",
    [
        lambda: PartitionMapping.static_({}),
        lambda: PartitionMapping.static_([("a", "b")]),
        lambda: PartitionMapping.static_({"a": 3}),
        lambda: PartitionMapping.time_window("-1"),
        lambda: PartitionMapping.time_window(True),
        lambda: PartitionMapping.specific_partitions([]),
        lambda: PartitionMapping.specific_partitions([3]),
        lambda: PartitionMapping.specific_partitions(["a,b"]),
        lambda: PartitionMapping.multi({}),
        lambda: PartitionMapping.multi({"x": "identity"}),
        lambda: PartitionMapping.multi_to_single(""),
        lambda: PartitionMapping.multi_to_single("x", "identity"),
        lambda: PartitionMapping.for_keys([]),
        lambda: PartitionMapping.subset("identity"),
    ],
)
def test_mapping_rejects_empty_arguments(make):
    with pytest.raises((PartitionDefinitionError, PartitionValidationError)):
        make()


def test_mapping_accepts_forms_of_keys():
    multi = PartitionKey.multi({"x": "1"})
    mapping = PartitionMapping.static_({multi: {"y": ["2", "3"]}, "a": PartitionKey.single(["b", "c"])})
    assert mapping.mapping == {multi: [PartitionKey({"y": "2"}), PartitionKey({"y": "3"})], "a": ["b", "c"]}


def test_mapping_rejects_duplicate_dimension_in_key():
    with pytest.raises(PartitionDefinitionError, match="'region' is given twice"):
        PartitionMapping.specific_partitions("d=1|region=us|region=eu")

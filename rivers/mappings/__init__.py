"""Partition mappings: relate the partitions of a consumer to those of its upstream.

Each kind is one class that checks itself against two definitions and computes the upstream keys. A new kind
is one module, and one entry in the table below.
"""

from __future__ import annotations

from rivers.mappings.all_partitions import AllPartitionsMapping
from rivers.mappings.base import PartitionMapping
from rivers.mappings.common import common_partitions, first_without_common_key
from rivers.mappings.defaults import check_mapping, default_mapping
from rivers.mappings.identity import IdentityMapping
from rivers.mappings.multi import MultiMapping, MultiToSingleMapping
from rivers.mappings.narrowing import ForKeysMapping, SubsetMapping
from rivers.mappings.specific import SpecificPartitionsMapping
from rivers.mappings.static import StaticMapping
from rivers.mappings.time_window import TimeWindowMapping
from rivers.mappings.upstream import upstream_keys

__all__ = [
    "PartitionMapping",
    "check_mapping",
    "common_partitions",
    "default_mapping",
    "first_without_common_key",
    "upstream_keys",
]

_VARIANTS: dict[str, type[PartitionMapping]] = {
    "AllPartitions": AllPartitionsMapping,
    "ForKeys": ForKeysMapping,
    "Identity": IdentityMapping,
    "Multi": MultiMapping,
    "MultiToSingle": MultiToSingleMapping,
    "SpecificPartitions": SpecificPartitionsMapping,
    "Static": StaticMapping,
    "Subset": SubsetMapping,
    "TimeWindow": TimeWindowMapping,
}
for _name, _variant in _VARIANTS.items():
    setattr(PartitionMapping, _name, _variant)

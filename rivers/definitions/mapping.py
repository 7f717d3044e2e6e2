"""Names under which release 0.1 pickled partition mappings, so that these pickles are still read."""

from rivers.mappings.all_partitions import AllPartitionsMapping as AllPartitions
from rivers.mappings.identity import IdentityMapping as Identity
from rivers.mappings.multi import MultiMapping as Multi
from rivers.mappings.multi import MultiToSingleMapping as MultiToSingle
from rivers.mappings.narrowing import ForKeysMapping as ForKeys
from rivers.mappings.narrowing import SubsetMapping as Subset
from rivers.mappings.specific import SpecificPartitionsMapping as SpecificPartitions
from rivers.mappings.static import StaticMapping as Static
from rivers.mappings.time_window import TimeWindowMapping as TimeWindow

__all__ = [
    "AllPartitions",
    "ForKeys",
    "Identity",
    "Multi",
    "MultiToSingle",
    "SpecificPartitions",
    "Static",
    "Subset",
    "TimeWindow",
]

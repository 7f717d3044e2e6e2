"""Asset records: one line of a listing per asset that events tell of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rivers.storage.events import Event


@dataclass(frozen=True, slots=True)
class AssetRecord:
    """What the events say about one asset.

    Attributes:
        asset_key: Name of the asset.
        last_event: The newest event of any kind.
        last_materialization: The newest materialization, whatever partition; None if there is none.
        materialization_count: How often it was materialized, all partitions counted.
        partition_count: How many different partitions were materialized.
    """

    asset_key: str
    last_event: Event
    last_materialization: Event | None
    materialization_count: int
    partition_count: int

    @property
    def last_run_id(self) -> str:
        """The run that last had to do with the asset."""
        return self.last_event.run_id

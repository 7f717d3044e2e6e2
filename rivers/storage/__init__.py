"""Storage of events: what was materialized, observed and run, and what went in.

`Storage.memory()` and `Storage.embedded(path)` make one.
"""

from __future__ import annotations

from rivers.storage.base import EventStorage
from rivers.storage.events import Event
from rivers.storage.records import AssetRecord, RunRecord

Storage = EventStorage

__all__ = ["AssetRecord", "Event", "EventStorage", "RunRecord", "Storage"]

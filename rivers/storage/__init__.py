"""Event storage: materializations, observations and runs, with the data versions of their inputs.

Create one with `Storage.memory()` or `Storage.embedded(path)`.
"""

from __future__ import annotations

from rivers.storage.base import EventStorage
from rivers.storage.events import Event
from rivers.storage.pruning import PrunedRuns
from rivers.storage.records import AssetRecord, LogRecord, RunningStep, RunRecord

Storage = EventStorage

__all__ = [
    "AssetRecord",
    "Event",
    "EventStorage",
    "LogRecord",
    "PrunedRuns",
    "RunRecord",
    "RunningStep",
    "Storage",
]

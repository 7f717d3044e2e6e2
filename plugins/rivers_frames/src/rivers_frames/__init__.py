"""Data frames of any library as Arrow batches and back, for IO handlers that store tables.

Every public name is imported when it is first used, so `import rivers_frames` loads no frame library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.authoring import lazy_exports

if TYPE_CHECKING:
    from rivers_frames.adapter import FrameAdapter, ScanColumn, TableScan
    from rivers_frames.hooks import FrameTypeSpec, hookimpl
    from rivers_frames.registry import FrameTypeRegistry, get_frame_types

__version__ = "0.1.0"

__all__ = [
    "FrameAdapter",
    "FrameTypeRegistry",
    "FrameTypeSpec",
    "ScanColumn",
    "TableScan",
    "get_frame_types",
    "hookimpl",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "FrameAdapter": "rivers_frames.adapter",
        "FrameTypeRegistry": "rivers_frames.registry",
        "FrameTypeSpec": "rivers_frames.hooks",
        "ScanColumn": "rivers_frames.adapter",
        "TableScan": "rivers_frames.adapter",
        "get_frame_types": "rivers_frames.registry",
        "hookimpl": "rivers_frames.hooks",
    },
)

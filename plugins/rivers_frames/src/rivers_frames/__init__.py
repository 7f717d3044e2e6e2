"""Data frames of any library as Arrow batches and back, for IO handlers that store tables.

Every public name is imported when it is first used, so `import rivers_frames` loads no frame library.
"""

from __future__ import annotations

from rivers_core.authoring import lazy_exports

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_frames.adapter import Frame as Frame
    from rivers_frames.adapter import FrameAdapter as FrameAdapter
    from rivers_frames.adapter import ScanColumn as ScanColumn
    from rivers_frames.adapter import TableScan as TableScan
    from rivers_frames.hooks import FrameTypeSpec as FrameTypeSpec
    from rivers_frames.hooks import hookimpl as hookimpl
    from rivers_frames.registry import FrameTypeRegistry as FrameTypeRegistry
    from rivers_frames.registry import get_frame_types as get_frame_types
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "rivers_frames.adapter": ["Frame", "FrameAdapter", "ScanColumn", "TableScan"],
            "rivers_frames.hooks": ["FrameTypeSpec", "hookimpl"],
            "rivers_frames.registry": ["FrameTypeRegistry", "get_frame_types"],
        },
    )

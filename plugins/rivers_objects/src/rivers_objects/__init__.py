"""Objects in a folder or any object store, put atomically, for IO handlers that keep one object per value.

Every public name is imported when it is first used, so `import rivers_objects` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.authoring import lazy_exports

if TYPE_CHECKING:
    from rivers_objects.bucket import Bucket
    from rivers_objects.folder import Folder
    from rivers_objects.handler import ObjectIOHandler
    from rivers_objects.targets import Staged, Target, Writable

__version__ = "0.1.0"

__all__ = ["Bucket", "Folder", "ObjectIOHandler", "Staged", "Target", "Writable"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Bucket": "rivers_objects.bucket",
        "Folder": "rivers_objects.folder",
        "ObjectIOHandler": "rivers_objects.handler",
        "Staged": "rivers_objects.targets",
        "Target": "rivers_objects.targets",
        "Writable": "rivers_objects.targets",
    },
)

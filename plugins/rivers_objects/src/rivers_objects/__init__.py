"""Library for IO handlers that store one object per value, atomically, in a folder or any object store.

Every public name is imported when it is first used, so `import rivers_objects` costs nothing.
"""

from __future__ import annotations

from rivers_core.authoring import lazy_exports

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_objects.bucket import Bucket as Bucket
    from rivers_objects.folder import Folder as Folder
    from rivers_objects.handler import ObjectIOHandler as ObjectIOHandler
    from rivers_objects.targets import Condition as Condition
    from rivers_objects.targets import History as History
    from rivers_objects.targets import Leftover as Leftover
    from rivers_objects.targets import ReplacedError as ReplacedError
    from rivers_objects.targets import Staged as Staged
    from rivers_objects.targets import Target as Target
    from rivers_objects.targets import Writable as Writable
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "rivers_objects.bucket": ["Bucket"],
            "rivers_objects.folder": ["Folder"],
            "rivers_objects.handler": ["ObjectIOHandler"],
            "rivers_objects.targets": [
                "Condition",
                "History",
                "Leftover",
                "ReplacedError",
                "Staged",
                "Target",
                "Writable",
            ],
        },
    )

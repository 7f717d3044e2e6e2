"""Paths and `file:` URLs that are relative to a configuration file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

# A URL without its colon (`s3//bucket`) is not a relative path: the handler has to see it as written to report it.
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:|(?:file|s3a?|gs|az|abfss?|https?)//")
_RELATIVE_FILE_URL: Final = re.compile(r"file:(?!/)|file://(?=\.{1,2}(?:/|$))", re.IGNORECASE)


def resolve_location(value: Any, root: Path) -> Any:
    """Make a location independent of the working folder.

    Args:
        value: A path or URL; a value of another type is returned unchanged.
        root: Folder that relative locations are relative to.

    Returns:
        An absolute path for a path, an absolute `file:` URL for a relative one; other URLs unchanged.
    """
    if isinstance(value, os.PathLike):
        return Path(resolve_location(os.fspath(value), root))
    if not isinstance(value, str) or not value:
        return value
    relative = _RELATIVE_FILE_URL.match(value)
    if relative is not None:
        return Path(os.path.normpath(root / unquote(value[relative.end() :]))).as_uri()
    if _SCHEME.match(value):
        return value
    return os.path.normpath(root / Path(value).expanduser())

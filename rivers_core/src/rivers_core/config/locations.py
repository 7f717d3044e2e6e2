"""Paths and `file:` URLs that are relative to the configuration."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

# a URL without its colon is no relative path either: its handler has to see what was written
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:|(?:file|s3a?|gs|az|abfss?|https?)//")
_FILE: Final = re.compile(r"file:(?!/)|file://(?=\.{1,2}(?:/|$))", re.IGNORECASE)


def anchored(value: Any, root: Path) -> Any:
    """Make a location independent of the working folder.

    Args:
        value: A path or URL; anything else stays as it is.
        root: What relative ones are relative to.

    Returns:
        An absolute path for a path, an absolute `file:` URL for a relative one; other URLs as they are.
    """
    if isinstance(value, os.PathLike):
        return Path(anchored(os.fspath(value), root))
    if not isinstance(value, str) or not value:
        return value
    relative = _FILE.match(value)
    if relative is not None:
        return Path(os.path.normpath(root / unquote(value[relative.end() :]))).as_uri()
    if _SCHEME.match(value):
        return value
    return os.path.normpath(root / Path(value).expanduser())

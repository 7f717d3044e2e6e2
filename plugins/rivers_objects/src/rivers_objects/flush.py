"""Flush files and folders to the disk."""

from __future__ import annotations

import os
from contextlib import suppress


def flush_file(path: str) -> None:
    """Flush the content of a file; a file that was removed meanwhile needs none.

    Args:
        path: The file.
    """
    with suppress(FileNotFoundError):
        # Windows flushes only files that are open for writing
        descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def flush_folder(path: str) -> None:
    """Flush the names in a folder: files that were created, renamed or removed.

    Args:
        path: The folder; one that was removed meanwhile needs none.
    """
    if os.name != "nt":  # folders cannot be opened there; their changes are journalled
        flush_file(path)

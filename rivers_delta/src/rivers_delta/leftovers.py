"""Leftovers: staging files of killed writers in local tables, which a vacuum does not see."""

from __future__ import annotations

import os
import re
import time
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# object_store, the file layer of deltalake, writes `<name>#<number>` and renames it when it is complete
_STAGING: Final = re.compile(r"(?:part-.+\.parquet|\d{20}\..+|_last_checkpoint)#\d+")
_AGE_S: Final = 24 * 3600
_SWEPT_AT_FIRST_USE: Final = 20_000
_swept: Final[set[tuple[int, str]]] = set()


def sweep_once(root: str) -> None:
    """Remove leftovers at the first use of a local root by this process; of a large root only a part is examined."""
    if (os.getpid(), root) not in _swept:
        _swept.add((os.getpid(), root))
        for path, _ in leftovers(root, limit=_SWEPT_AT_FIRST_USE):
            remove(path)


def leftovers(folder: str, *, limit: int | None = None) -> Iterator[tuple[str, int]]:
    """Yield path and size of each staging file that nobody has written to for a day: its writer is not known.

    Args:
        folder: A local table, or a folder of tables.
        limit: The number of files to examine; all if None.
    """
    paths = (os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names)
    for path in islice(paths, limit):
        if _STAGING.fullmatch(os.path.basename(path)):
            try:
                status = os.stat(path)
            except OSError:
                continue  # renamed or removed meanwhile
            if time.time() - status.st_mtime > _AGE_S:
                yield path, status.st_size


def remove(path: str) -> bool:
    """Remove a leftover, and return whether it could be removed."""
    try:
        os.unlink(path)
    except OSError:
        return False
    return True

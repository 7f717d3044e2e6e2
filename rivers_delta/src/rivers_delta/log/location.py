"""Where tables lie: one folder per asset right under `table_uri`, named from the asset's storage key."""

from __future__ import annotations

import os
import re
from collections import deque
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from rivers_core import storage_key
from rivers_core.authoring import redact_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DISCARDED: Final = ".rivers-deleted"
"""The folder beside tables into which a deleted one is moved: no reader takes what lies in there for a table."""

_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_KEPT: Final = re.compile(r"[A-Za-z0-9._~=+@,-]")
_LONGEST: Final = 200
_LOG: Final = "_delta_log"
_S3_ALIAS: Final = re.compile(r"^s3[an]://", re.IGNORECASE)
_MOST_LOOKED_AT: Final = 1_000
_REFUSED: Final = "%[]^|"


def table_root(table_uri: str) -> str:
    """The folder or URL under which tables lie, in the form that deltalake, polars and pyarrow agree on.

    Args:
        table_uri: What the user wrote: a path, `file:` and a path, or a URL.

    Returns:
        An absolute path, or a URL; without a slash at the end.

    Raises:
        ValueError: It is empty, inside of a table's log, or a path with characters that the Delta libraries mistake
            for others.
    """
    if not table_uri.strip():
        raise ValueError("table_uri is empty; give a folder, or a URL such as s3://bucket/folder")
    if _LOG in re.split(r"[/\\]", table_uri):
        raise ValueError(
            f"table_uri {shown(table_uri)!r} is in {_LOG!r}, where a table keeps its log; leave that out"
        )
    if table_uri.startswith("file:"):
        path = table_uri.removeprefix("file:")
        table_uri = unquote(path.removeprefix("//") if path.startswith("///") else path)
    if _SCHEME.match(table_uri):
        return table_uri.rstrip("/")
    path = os.path.abspath(os.path.expanduser(table_uri))
    wrong = sorted({character for character in path if character in _REFUSED or character < " "})
    if wrong or (os.sep == "/" and "\\" in path):
        listed = ", ".join(map(repr, wrong or ["\\"]))
        raise ValueError(
            f"table_uri {path!r} contains {listed}, which the Delta libraries do not tell from an escape; "
            "use a folder without"
        )
    return path


def is_local(root: str) -> bool:
    """Whether a table root or table is a path of this machine's file system.

    Args:
        root: As `table_root` gives it.
    """
    return _SCHEME.match(root) is None


def folder_name(asset_name: str, root_name: str | None) -> str:
    """The name of an asset's folder: its storage key, in characters that every Delta library leaves alone.

    What the key has beyond letters, digits and `._~=+@,-` becomes `~_XX` per byte, which no storage key
    contains: so folders of two assets never are the same, and never lie inside one another. The name of the folder
    in which a table keeps its log is escaped too: with such a folder, what is above would look like a table.

    Args:
        asset_name: The asset.
        root_name: The option `delta/root_name`, which stands in for the asset's name.

    Source: deltalake reads `%2F` in a location as a slash, and polars does not find `%20`.
    """
    key = storage_key(root_name or asset_name)
    if key == _LOG:
        return _escaped(key[0]) + key[1:]
    name = "".join(char if _KEPT.match(char) else _escaped(char) for char in key.replace("%", "~_"))
    if len(name) <= _LONGEST:
        return name
    return f"{name[:150].rstrip('.~')}~h{blake2b(key.encode(), digest_size=16).hexdigest()}"


def table_address(root: str, asset_name: str, root_name: str | None) -> str:
    """The path or URL of an asset's table.

    Args:
        root: As `table_root` gives it.
        asset_name: The asset.
        root_name: The option `delta/root_name`.
    """
    return f"{root}/{folder_name(asset_name, root_name)}"


def compared(address: str) -> str:
    """An address that is the same for the same place: links followed, small letters, one name of each scheme.

    Args:
        address: Where a table is.
    """
    place = os.path.realpath(address) if is_local(address) else _S3_ALIAS.sub("s3://", address)
    return shown(place).casefold()


def neighbour_in_the_way(address: str, storage_options: Mapping[str, str] | None) -> str | None:
    """A table that a new table would lie in; on this machine also one that would lie in the new one.

    Tables of one handler never do, but the `table_uri` of another may be the table of an asset. Of what is below, only
    the first thousand entries are looked at; in an object store that would mean to list it, and nothing is.

    Args:
        address: Where a table is about to be made.
        storage_options: For the object store.
    """
    if is_local(address):
        above = (folder for folder in _above(address) if os.path.isdir(os.path.join(folder, _LOG)))
        return next(above, None) or _table_below(address)
    options = dict(storage_options) if storage_options else None
    return next((folder for folder in _above(address) if _is_remote_table(folder, options)), None)


def _above(address: str) -> Iterator[str]:
    """The folders that an address lies in, the nearest first."""
    scheme = _SCHEME.match(address)
    start = scheme.end() if scheme else 0
    end = address.rfind("/", start)
    while end > start:
        yield address[:end]
        end = address.rfind("/", start, end)


def _is_remote_table(address: str, storage_options: dict[str, str] | None) -> bool:
    """Whether there is a table; False also if these credentials may not look there."""
    from deltalake import DeltaTable

    try:
        return DeltaTable.is_deltatable(address, storage_options)
    except Exception:
        return False


def _table_below(folder: str) -> str | None:
    """A table somewhere inside of a folder, which usually is not there or empty."""
    pending, left = deque([folder]), _MOST_LOOKED_AT
    while pending and left > 0:
        current = pending.popleft()
        for entry in islice(_folders(current), left):
            left -= 1
            if entry.name != _LOG:
                pending.append(entry.path)
            elif current != folder:
                return current
    return None


def _folders(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = (entry for entry in entries if entry.is_dir(follow_symlinks=False))
            yield from (entry for entry in found if entry.name != DISCARDED)
    except OSError:
        return


def shown(address: str) -> str:
    """An address without the credentials that a URL may carry.

    Args:
        address: A path or URL.
    """
    return str(redact_value(address))


def _escaped(character: str) -> str:
    return "".join(f"~_{byte:02X}" for byte in character.encode(errors="surrogatepass"))

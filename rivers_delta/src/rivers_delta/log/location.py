"""Location of tables: one folder per asset in `table_uri`, named after the storage key of the asset."""

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
"""The folder next to tables into which a deleted table is moved before its files are removed."""

_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_BROKEN_URL: Final = re.compile(
    r"(?P<scheme>s3[an]?|gs|gcs|az|azure|adl|abfss?|https?|hdfs|memory):(?!//)", re.IGNORECASE
)
_CHANGED: Final = re.compile(r"[^A-Za-z0-9._~=+@,-]")
_MAX_NAME: Final = 200
_LOG: Final = "_delta_log"
_S3_ALIAS: Final = re.compile(r"^s3[an]://", re.IGNORECASE)
_MAX_ENTRIES: Final = 1_000
_MISREAD: Final = "%[]^|"


def table_root(table_uri: str) -> str:
    """Return the folder or URL that contains tables, in the form that deltalake, polars and pyarrow agree on.

    Args:
        table_uri: A path, `file:` and a path, or a URL.

    Returns:
        An absolute path or a URL, without a trailing slash.

    Raises:
        ValueError: It is empty, a URL without a host, inside a table's log, or a path with characters that the Delta
            libraries misread.
    """
    if not table_uri.strip():
        raise ValueError("table_uri must not be empty; use a folder, or a URL such as s3://bucket/folder")
    if _LOG in re.split(r"[/\\]", table_uri):
        raise ValueError(
            f"table_uri {shown(table_uri)!r} is inside {_LOG!r}, the log of a table; use another folder"
        )
    if table_uri.startswith("file:"):
        path = table_uri.removeprefix("file:")
        table_uri = unquote(path.removeprefix("//") if path.startswith("///") else path)
    if _SCHEME.match(table_uri):
        return table_uri.rstrip("/")
    broken = _BROKEN_URL.match(table_uri)
    if broken is not None:
        scheme = broken["scheme"]
        raise ValueError(
            f"table_uri {shown(table_uri)!r} does not name a bucket or host; write {scheme}:// followed by its name, "
            f"or ./{scheme}: for a folder of that name"
        )
    path = os.path.abspath(os.path.expanduser(table_uri))
    misread = sorted({character for character in path if character in _MISREAD or character < " "})
    if misread or (os.sep == "/" and "\\" in path):
        listed = ", ".join(map(repr, misread or ["\\"]))
        raise ValueError(
            f"table_uri {path!r} contains {listed}, which Delta libraries take for an escape sequence; "
            "use a folder without it"
        )
    return path


def is_local(root: str) -> bool:
    """Return whether a root or table is in the local file system.

    Args:
        root: As `table_root` gives it.
    """
    return _SCHEME.match(root) is None


def folder_name(asset_name: str, root_name: str | None) -> str:
    """Return the name of an asset's folder: its storage key, in characters that no Delta library changes.

    Other characters than letters, digits and `._~=+@,-` become `~_XX` per byte, which no storage key contains: folders
    of two assets are never equal or nested. `_delta_log` is escaped too, because its parent would look like a table.

    Args:
        asset_name: The asset.
        root_name: The option `delta/root_name`, which replaces the asset's name.

    Source: deltalake (up to 1.6) reads `%2F` in a location as a slash, and polars (up to 2.1) does not find `%20`.
    """
    key = storage_key(root_name or asset_name)
    if key == _LOG:
        return _escaped(key[0]) + key[1:]
    name = _CHANGED.sub(lambda match: _escaped(match[0]), key.replace("%", "~_"))
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[:150].rstrip('.~')}~h{blake2b(key.encode(), digest_size=16).hexdigest()}"


def table_address(root: str, asset_name: str, root_name: str | None) -> str:
    """Return the path or URL of an asset's table.

    Args:
        root: As `table_root` gives it.
        asset_name: The asset.
        root_name: The option `delta/root_name`.
    """
    return f"{root}/{folder_name(asset_name, root_name)}"


def normalized(address: str) -> str:
    """Return an address that is equal for equal places: links resolved, lower case, one name of each scheme.

    Args:
        address: The path or URL of a table.
    """
    place = os.path.realpath(address) if is_local(address) else _S3_ALIAS.sub("s3://", address)
    return shown(place).casefold()


def conflicting_table(address: str, storage_options: Mapping[str, str] | None) -> str | None:
    """Return a table that a new table would be nested in; of local tables also one that would be nested in it.

    Tables of one handler are never nested, but the `table_uri` of another handler may be the table of an asset. Only
    the first 1,000 entries below the address are examined, and none in an object store, where that means to list it.

    Args:
        address: The path or URL of the new table.
        storage_options: For the object store.
    """
    if is_local(address):
        above = (folder for folder in _above(address) if os.path.isdir(os.path.join(folder, _LOG)))
        return next(above, None) or _table_below(address)
    options = dict(storage_options) if storage_options else None
    return next((folder for folder in _above(address) if _is_remote_table(folder, options)), None)


def _above(address: str) -> Iterator[str]:
    """Yield the parent folders of an address, the nearest first."""
    scheme = _SCHEME.match(address)
    start = scheme.end() if scheme else 0
    end = address.rfind("/", start)
    while end > start:
        yield address[:end]
        end = address.rfind("/", start, end)


def _is_remote_table(address: str, storage_options: dict[str, str] | None) -> bool:
    """Return whether a table exists; False also if the credentials do not permit access."""
    from rivers_delta.log.remote_files import is_table

    try:
        return is_table(address, storage_options)
    except Exception:
        return False


def _table_below(folder: str) -> str | None:
    """Return a table nested in a folder, which usually does not exist or is empty."""
    pending, left = deque([folder]), _MAX_ENTRIES
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
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and entry.name != DISCARDED:
                    yield entry
    except OSError:
        return


def shown(address: str) -> str:
    """Return an address without the credentials of a URL.

    Args:
        address: A path or URL.
    """
    return address if is_local(address) else str(redact_value(address))


def _escaped(character: str) -> str:
    return "".join(f"~_{byte:02X}" for byte in character.encode(errors="surrogatepass"))

"""Where tables lie: one folder per asset right under `table_uri`, named from the asset's storage key."""

from __future__ import annotations

import os
import re
from hashlib import blake2b
from typing import Final
from urllib.parse import unquote

from rivers_core.handler import masked
from rivers_core.keys import storage_key

_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_KEPT: Final = re.compile(r"[A-Za-z0-9._~=+@,-]")
_LONGEST: Final = 200
_LOG: Final = "_delta_log"
_REFUSED: Final = "%[]^|"


def table_root(table_uri: str) -> str:
    """The folder or URL under which tables lie, in the form that deltalake, polars and pyarrow agree on.

    Args:
        table_uri: What the user wrote: a path, `file:` and a path, or a URL.

    Returns:
        An absolute path, or a URL; without a slash at the end.

    Raises:
        ValueError: It is empty, or a path with characters that the Delta libraries mistake for others.
    """
    if not table_uri.strip():
        raise ValueError("table_uri is empty; give a folder, or a URL such as s3://bucket/folder")
    if table_uri.startswith("file:"):
        path = table_uri.removeprefix("file:")
        table_uri = unquote(path.removeprefix("//") if path.startswith("///") else path)
    if _SCHEME.match(table_uri):
        return table_uri.rstrip("/")
    path = os.path.abspath(os.path.expanduser(table_uri))
    wrong = sorted({character for character in path if character in _REFUSED or character < " "})
    if wrong or (os.sep == "/" and "\\" in path):
        shown = ", ".join(map(repr, wrong or ["\\"]))
        raise ValueError(
            f"table_uri {path!r} contains {shown}, which the Delta libraries do not tell from an escape; "
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
    contains: so folders of two assets never are the same, and never lie inside one another.

    Args:
        asset_name: The asset.
        root_name: The option `delta/root_name`, which stands in for the asset's name.

    Source: deltalake reads `%2F` in a location as a slash, and polars does not find `%20`.
    """
    key = storage_key(root_name or asset_name)
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


def neighbour_in_the_way(address: str) -> str | None:
    """A table that a new table would lie in, or that would lie in the new one; only looked for on this machine.

    Tables of one handler never do, but the `table_uri` of another may be the table of an asset.

    Args:
        address: Where a table is about to be made.
    """
    if not is_local(address):
        return None
    above = os.path.dirname(address)
    while above != os.path.dirname(above):
        if os.path.isdir(os.path.join(above, _LOG)):
            return above
        above = os.path.dirname(above)
    inside = [os.path.join(address, name) for name in os.listdir(address)] if os.path.isdir(address) else []
    return next((folder for folder in inside if os.path.isdir(os.path.join(folder, _LOG))), None)


def shown(address: str) -> str:
    """An address without the credentials that a URL may carry.

    Args:
        address: A path or URL.
    """
    return str(masked(address))


def _escaped(character: str) -> str:
    return "".join(f"~_{byte:02X}" for byte in character.encode(errors="surrogatepass"))

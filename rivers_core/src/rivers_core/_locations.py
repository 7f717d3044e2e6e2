"""Paths and URLs of stores: made absolute, and in a canonical form."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

# A URL without its colon (`s3//bucket`) is not a relative path: the handler has to see it as written to report it.
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:|(?:file|s3a?|gs|az|abfss?|https?)//")
_RELATIVE_FILE_URL: Final = re.compile(r"file:(?!/)|file://(?=\.{1,2}(?:/|$))", re.IGNORECASE)

_URL: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):(?://)?(?P<host>[^/]*)(?P<path>.*)", re.IGNORECASE)
_SCHEMES: Final = {
    **dict.fromkeys(("s3a", "s3n"), "s3"),
    "gcs": "gs",
    **dict.fromkeys(("abfs", "abfss", "adl", "azure", "wasb", "wasbs"), "az"),
}
_SERVICE: Final = re.compile(r"(account)_name|(endpoint)(?:_url)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StoreRoot:
    """Canonical root of a store; equal for two handlers that write to one place.

    Args:
        address: The root as the handler spells it, for messages.
        store: Scheme and bucket, such as `s3://bucket`; `file` for the file system.
        folders: Folders from the root of the store down.
        services: `account` and `endpoint` of the store, as far as they are known.
    """

    address: str = field(compare=False)
    store: str
    folders: tuple[str, ...] = ()
    services: Mapping[str, str] = field(default_factory=dict, compare=False)

    def path_to(self, other: StoreRoot) -> tuple[str, ...] | None:
        """Return the folders that lead from this root down to another.

        Args:
            other: The other root.

        Returns:
            Empty if both are the same place; None if the other is not below this one.
        """
        known = self.services.keys() & other.services.keys()
        if self.store != other.store or any(self.services[kind] != other.services[kind] for kind in known):
            return None
        depth = len(self.folders)
        return other.folders[depth:] if other.folders[:depth] == self.folders else None


def locate_store(address: str, options: Mapping[str, str] | None = None) -> StoreRoot:
    """Return the canonical root of a store: links are followed, and names of schemes and services unified.

    Args:
        address: Path or URL of the root.
        options: Options of the store; account and endpoint are taken from them.
    """
    shown = address.rstrip("/\\") or address
    url = _URL.fullmatch(address)
    if url is None or url["scheme"].lower() == "file":
        path = os.path.expanduser(address) if url is None else unquote(url["path"])
        return StoreRoot(shown, "file", Path(os.path.realpath(path)).parts)
    services = {
        match[1] or match[2]: _service_name(value)
        for name, value in (options or {}).items()
        if (match := _SERVICE.search(name)) and isinstance(value, str)
    }
    scheme = _SCHEMES.get(url["scheme"].lower(), url["scheme"].lower())
    user, at, host = url["host"].lower().rpartition("@")
    if at and scheme == "az":  # container@account.dfs.core.windows.net
        services, host = {"account": host.partition(".")[0], **services}, user
    return StoreRoot(shown, f"{scheme}://{host}", tuple(filter(None, url["path"].split("/"))), services)


def _service_name(text: str) -> str:
    name = re.sub(r"^[a-z]+://", "", text.lower()).rstrip("/")
    return "amazonaws.com" if name.endswith("amazonaws.com") else name


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

"""Paths and URLs of stores: made absolute, in a canonical form, and the variables that their libraries read."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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

_PREFIXES: Final = {"s3": "AWS_", "az": "AZURE_", "gs": "GOOGLE_"}
_CREDENTIALS: Final = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    "gs": "GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS",
}
_OPTION_PREFIX: Final = re.compile(r"^(?:aws_|azure_storage_|azure_|google_)")
# Names of one option in the Rust crate `object_store`, on which obstore, deltalake and polars are built.
_ALIASES: Final = {
    "default_region": "region",
    "endpoint_url": "endpoint",
    "endpoint_url_s3": "endpoint",
    "session_token": "token",
    "bearer_token": "token",
    "access_key": "account_key",
    "master_key": "account_key",
    "authority_id": "tenant_id",
    "sas_token": "sas_key",
    "service_account_path": "service_account",
}
# Without credentials the libraries ask the metadata service of a cloud machine, and report that it does not answer.
_NO_CREDENTIALS: Final = re.compile(
    r"169\.254\.\d+\.\d+|metadata\.google\.internal|\bIMDS\b|loading credentials|Account must be specified",
    re.IGNORECASE,
)


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


def store_variables(
    address: str, variables: Mapping[str, str], options: Iterable[str] = ()
) -> dict[str, str]:
    """Return the variables that the library of a store would read if they were in the environment.

    Args:
        address: URL of the store, which decides on the prefix: `AWS_`, `AZURE_` or `GOOGLE_`.
        variables: The variables, such as those of a `.env`.
        options: Names of the options that the handler has.

    Returns:
        One variable per option of the store, without options that the handler or the environment of the process sets
        under any of their names.

    Examples:
        >>> store_variables("s3://bucket", {"AWS_REGION": "eu", "AWS_ENDPOINT_URL": "x", "PATH": "y"}, ["endpoint"])
        {'AWS_REGION': 'eu'}
    """
    prefix = _PREFIXES.get(_kind_of(address))
    if prefix is None:
        return {}
    given = {_option(name) for name in options}
    given |= {_option(name) for name in os.environ if name.upper().startswith(prefix)}
    result: dict[str, str] = {}
    for name in sorted(
        variables, key=len
    ):  # AWS_REGION before AWS_DEFAULT_REGION, as the libraries prefer it
        if name.upper().startswith(prefix) and _option(name) not in given:
            given.add(_option(name))
            result[name] = variables[name]
    return result


def missing_credentials(address: str, text: str) -> str:
    """Return what to do about a store's error that means that it found no credentials.

    Args:
        address: URL of the store.
        text: Text of the error.

    Returns:
        Two sentences; empty if the error has another cause.
    """
    credentials = _CREDENTIALS.get(_kind_of(address))
    if credentials is None or not _NO_CREDENTIALS.search(text):
        return ""
    return (
        f"No credentials were found. Set {credentials}, in the environment or in the .env next to rivers.toml, or pass "
        "them as `storage_options`."
    )


def _kind_of(address: str) -> str:
    return locate_store(address).store.partition(":")[0]


def _option(name: str) -> str:
    plain = _OPTION_PREFIX.sub("", name.lower())
    return _ALIASES.get(plain, plain)

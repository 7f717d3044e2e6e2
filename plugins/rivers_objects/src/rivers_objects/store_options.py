"""Store options in environment variables: those that a library would read, and advice on missing credentials."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from rivers_core.authoring import locate_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    "bucket_name": "bucket",
    "sas_token": "sas_key",
    "service_account_path": "service_account",
}
# Without credentials the libraries ask the metadata service of a cloud machine, and report that it does not answer.
_NO_CREDENTIALS: Final = re.compile(
    r"169\.254\.\d+\.\d+|metadata\.google\.internal|\bIMDS\b|loading credentials|Account must be specified",
    re.IGNORECASE,
)


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
    given = {option_name(name) for name in options}
    given |= {option_name(name) for name in os.environ if name.upper().startswith(prefix)}
    result: dict[str, str] = {}
    # by length: AWS_REGION before AWS_DEFAULT_REGION, as the libraries prefer it
    for name in sorted(variables, key=len):
        if name.upper().startswith(prefix) and option_name(name) not in given:
            given.add(option_name(name))
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


def option_name(name: str) -> str:
    """Return the name of an option that all its spellings have in common.

    Args:
        name: Such as `AWS_DEFAULT_REGION` or `endpoint_url`.
    """
    plain = _OPTION_PREFIX.sub("", name.lower())
    return _ALIASES.get(plain, plain)

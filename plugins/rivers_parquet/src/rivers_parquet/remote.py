"""Remote stores as polars opens them, so that a lazy frame requests only the bytes that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_NATIVE: Final = ("S3Store", "GCSStore", "AzureStore")
_SCHEMES: Final = ("s3", "s3a", "gs", "az", "abfs", "abfss")


def scan_options(store: object, options: Mapping[str, str]) -> dict[str, str] | None:
    """Return the options with which polars opens a store; both libraries have the same names for them.

    Args:
        store: A checked store: a URL or an obstore store.
        options: The storage options of a URL.

    Returns:
        The options; None if polars cannot open the store as obstore does.
    """
    if isinstance(store, str):
        return dict(options) if store.partition(":")[0].lower() in _SCHEMES else None
    given: Any = store
    if type(store).__name__ not in _NATIVE or getattr(given, "credential_provider", None) is not None:
        return None
    client = {name: str(value) for name, value in (getattr(given, "client_options", None) or {}).items()}
    return {**client, **(given.config or {})}

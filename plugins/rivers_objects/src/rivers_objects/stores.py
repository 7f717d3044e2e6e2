"""Object stores: from settings to a connected store, and back to an address that can be shown."""

from __future__ import annotations

import difflib
import os
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from rivers_core.authoring import option_secrets, redact_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obstore.store import ObjectStore

    from rivers_core.authoring import Locality

_SCHEME: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?P<rest>.*)", re.DOTALL)
_CLOUD: Final = re.compile(r"^(aws|azure|google)_")
_REMOTE: Final = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl", "http", "https")
_LOST_COLON: Final = re.compile(rf"(file|memory|{'|'.join(_REMOTE)})//", re.IGNORECASE)
_USER_IS_CONTAINER: Final = ("abfs", "abfss")
_STORE_CLASSES: Final = ("AzureStore", "GCSStore", "HTTPStore", "LocalStore", "MemoryStore", "S3Store")

_CLIENT_OPTIONS: Final = frozenset(
    {
        "allow_http",
        "allow_invalid_certificates",
        "connect_timeout",
        "default_content_type",
        "http1_only",
        "http2_only",
        "pool_idle_timeout",
        "pool_max_idle_per_host",
        "proxy_ca_certificate",
        "proxy_excludes",
        "proxy_url",
        "randomize_addresses",
        "read_timeout",
        "root_certificate",
        "timeout",
        "user_agent",
    }
)


# A store that accepts connections and never answers is given up after about a minute.
_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "client_options": {"connect_timeout": "5s", "timeout": "60s"},
    "retry_config": {"max_retries": 3, "retry_timeout": timedelta(seconds=60)},
}


def checked_store(value: object) -> object:
    """Validate the setting `store`, and make it independent of the working folder.

    Args:
        value: An obstore store, a URL, or a path.

    Returns:
        The store itself, a URL, or the absolute path of a folder.

    Raises:
        ValueError: The value is of another kind, or a URL with credentials in it.
    """
    if isinstance(value, (str, os.PathLike)):
        return _checked_url(os.fspath(value))
    if type(value).__name__ in _STORE_CLASSES and type(value).__module__.partition(".")[0] == "obstore":
        return value
    raise ValueError(
        f"`store` must be a URL, a path, or an obstore store ({', '.join(_STORE_CLASSES)}); "
        f"got a {type(value).__module__}.{type(value).__qualname__}."
    )


def is_local(store: object) -> bool:
    """Return whether a checked store is on the local file system."""
    if isinstance(store, str):
        return _scheme(store) is None
    return type(store).__name__ == "LocalStore"


def is_memory(store: object) -> bool:
    """Return whether a checked store is in the memory of this process."""
    if isinstance(store, str):
        return _scheme(store) == "memory"
    return type(store).__name__ == "MemoryStore"


def is_web_server(store: object) -> bool:
    """Return whether a checked store is a web server, whose responses need no ETag and whose errors are web pages."""
    if isinstance(store, str):
        return (_scheme(store) or "").startswith("http")
    return type(store).__name__ == "HTTPStore"


def locality_of(store: object) -> Locality:
    """Return the locality of a checked store."""
    if is_memory(store):
        return "process"
    return "host" if is_local(store) else "shared"


def connected(store: object, options: Mapping[str, str]) -> ObjectStore:
    """Return an obstore store, which connects on first use.

    Args:
        store: Result of `checked_store`, not on the local file system.
        options: Options of the store and its client, with obstore's names.

    Raises:
        Exception: Error of obstore for an unknown or malformed option.
    """
    from obstore.store import from_url

    if not isinstance(store, str):
        return store  # type: ignore[return-value]
    settings: dict[str, Any] = (
        {} if is_memory(store) else {name: {**values} for name, values in _DEFAULTS.items()}
    )
    for name, value in options.items():
        group, option, setting = _option(name, value)
        settings.setdefault(group, {})[option] = setting
    try:
        return from_url(store, **settings)
    except BaseException as error:
        # obstore panics on some malformed options; a Rust panic is not an Exception
        if type(error).__name__ == "PanicException":
            raise ValueError(str(error)) from None
        raise


def address_of(store: object) -> str:
    """Return the address of a checked store, without credentials.

    Args:
        store: Result of `checked_store`.

    Returns:
        An absolute path or a URL, to which `/` and the path of an object can be appended.
    """
    if is_memory(store):
        return "memory:/"
    if isinstance(store, str):
        return store.rstrip("/")
    given: Any = store
    kind = type(store).__name__
    if kind == "LocalStore":
        return str(given.prefix or "").rstrip("/")
    if kind == "HTTPStore":
        return str(redact_value(given.url)).rstrip("/")
    scheme, holder = {
        "S3Store": ("s3", "bucket"),
        "GCSStore": ("gs", "bucket"),
        "AzureStore": ("az", "container_name"),
    }[kind]
    return "/".join(part for part in (f"{scheme}://{given.config.get(holder, '')}", given.prefix) if part)


def options_as_text(options: object) -> object:
    """Return storage options with numbers and booleans as text that obstore reads."""
    if not isinstance(options, dict):
        return options
    return {
        name: str(value).lower() if isinstance(value, (bool, int, float)) else value
        for name, value in options.items()
    }


def is_option(url: str, name: str, value: str) -> bool:
    """Return whether a store has an option; an invalid value is reported when it connects.

    Args:
        url: URL of the store.
        name: Name of the option, such as `AWS_REGION`.
        value: Its value.
    """
    from obstore.exceptions import UnknownConfigurationKeyError

    try:
        connected(url, {name: value})
    except UnknownConfigurationKeyError:
        return False
    except Exception:
        return True
    return True


def client_options_from_environment() -> dict[str, str]:
    """Return the client options in variables of a cloud, such as `AWS_ALLOW_HTTP`, which obstore does not read."""
    return {
        name.lower(): value
        for name, value in os.environ.items()
        if _CLOUD.match(name.lower()) and _CLOUD.sub("", name.lower()) in _CLIENT_OPTIONS
    }


def secrets_of(store: object, options: Mapping[str, str]) -> list[str]:
    """Return the secrets that no error may show.

    Args:
        store: Result of `checked_store`.
        options: The storage options.
    """
    config: dict[str, object] = {} if isinstance(store, str) else getattr(store, "config", None) or {}
    return option_secrets(
        {name: text for name, text in config.items() if isinstance(text, str)} | dict(options)
    )


def folder_of(store: object) -> str:
    """Return the folder of a store on the local file system.

    Args:
        store: A checked store for which `is_local` holds.
    """
    if isinstance(store, str):
        return store
    given: Any = store
    return os.path.abspath(given.prefix or os.sep)


def _option(name: str, value: str) -> tuple[str, str, object]:
    lowered = name.lower()
    plain = _CLOUD.sub("", lowered)
    if plain in _CLIENT_OPTIONS:
        return "client_options", plain, value
    if plain == "max_retries":
        return "retry_config", plain, int(_number(name, value))
    if plain == "retry_timeout":
        return "retry_config", plain, timedelta(seconds=_number(name, value.removesuffix("s")))
    return "config", lowered, value


def _number(option: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"the storage option {option!r} must be a number, got {value!r}") from None


def _checked_url(text: str) -> str:
    scheme = _scheme(text)
    if scheme is None:
        lost = _LOST_COLON.match(text)
        if lost:
            raise ValueError(
                f"`store` looks like a URL without its colon; write {lost[1]}:// instead of {lost[0]}."
            )
        return _absolute(text)
    if scheme == "file":
        return _absolute(_path_of_file_url(text))
    if scheme == "memory":
        return "memory://"
    if scheme not in _REMOTE:
        known = ("file", "memory", *_REMOTE)
        close = difflib.get_close_matches(scheme, known, n=1)
        nearest = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(
            f"`store` has the unknown scheme {scheme!r}{nearest}. Use {', '.join(known)}, or a plain path."
        )
    parts = urlsplit(text)
    if not parts.hostname:
        raise ValueError(f"`store` does not name a bucket or host. Write {scheme}:// followed by its name.")
    # in abfss://container@account the part before the '@' is not a credential
    if parts.password or parts.query or (parts.username and scheme not in _USER_IS_CONTAINER):
        raise ValueError(
            "`store` must not contain credentials or options, because logs show it. "
            "Pass them as `storage_options`, or in the environment variables of the cloud."
        )
    return text


def _scheme(text: str) -> str | None:
    # one letter before a colon is a Windows drive
    match = _SCHEME.fullmatch(text)
    return match["scheme"].lower() if match else None


def _path_of_file_url(text: str) -> str:
    rest = text.partition(":")[2]
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host in ("", "localhost"):
            rest = slash + path
        elif host in (".", ".."):
            rest = f"{host}{slash}{path}"
        else:
            raise ValueError(
                f"`store` is a file URL for the host {host!r}; write file:./{host}{slash}{path} for a "
                f"relative path, file:///{host}{slash}{path} for an absolute one."
            )
    return unquote(rest)


def _absolute(path: str) -> str:
    if not path.strip():
        raise ValueError("`store` must not be empty. Use a folder such as './data', or a URL.")
    return os.path.abspath(os.path.expanduser(path))

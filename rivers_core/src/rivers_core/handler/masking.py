"""Values as they may be shown: credentials replaced, everything else as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

MASK: Final = "**********"

_SECRET_NAME: Final = re.compile(
    r"secret|passw|passphrase|token|credential|signature|api_?key|access_?key|account_?key|private_?key|"
    r"signing_?key|encryption_?key|shared_?key|(^|_)(key|sas|pwd|auth)$",
    re.IGNORECASE,
)
# what says where a store is and how it is asked; without it nobody can tell why it does not answer
_PLAIN_NAME: Final = re.compile(
    r"((aws|azure|google)_)?(endpoint(_url)?|(default_)?region|allow_http|allow_invalid_certificates|bucket(_name)?|"
    r"container_name|account_name|max_retries|retry_timeout|timeout|connect_timeout|skip_signature|use_emulator|"
    r"virtual_hosted_style_request|proxy_url)",
    re.IGNORECASE,
)
_SHORTEST_SECRET: Final = 4
_URL_PASSWORD: Final = re.compile(r"(?P<start>[a-z][a-z0-9+.-]*://[^/?#\s:@]*:)[^/?#\s]*(?=@)", re.IGNORECASE)
# a token instead of a user; with other schemes that place is for a name or a container
_URL_USER: Final = re.compile(r"(?P<start>https?://)[^/?#\s:@]+(?=@)", re.IGNORECASE)
# in the query of a URL, in a connection string
_NAMED: Final = re.compile(
    r"(?P<start>(?:[?&;\s]|^)(?:[^=?&#;\s]*(?:secret|token|passw|sig|credential|key)[^=&#;\s]*)=)[^&#;\s]+",
    re.IGNORECASE,
)


def looks_secret(name: str) -> bool:
    """Whether a setting of this name is likely to hold a credential.

    Args:
        name: The name of a field or the key of an option.

    Returns:
        True for names such as `password`, `aws_secret_access_key` or `sas_token`.
    """
    return _SECRET_NAME.search(name.replace("-", "_")) is not None


def _is_plain(name: object) -> bool:
    return _PLAIN_NAME.fullmatch(str(name).replace("-", "_")) is not None


def masked(value: Any, name: str = "", *, all_of_it: bool = False) -> Any:
    """The value with every credential in it replaced by asterisks.

    Pydantic secrets, entries of a mapping whose key names a credential, and the password or signature
    inside a URL are replaced, at any depth.

    Args:
        value: What is to be shown.
        name: The field or key the value belongs to; a name that looks secret masks the whole value.
        all_of_it: Whether every text in it is a secret, but for entries that only say where a store is and how it
            is asked, such as `endpoint` and `region`; of those too, passwords inside a URL are.

    Returns:
        A value of the same shape that can be printed.
    """
    if isinstance(value, (Secret, SecretStr, SecretBytes)):
        return MASK if value.get_secret_value() else value
    if isinstance(value, (str, bytes)):
        if value and (all_of_it or (name and looks_secret(name))):
            return MASK
        return _without_passwords(value) if isinstance(value, str) else value
    if isinstance(value, Mapping):
        return {
            key: masked(item, str(key), all_of_it=all_of_it and not _is_plain(key))
            for key, item in value.items()
        }
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(masked(item, name, all_of_it=all_of_it) for item in value)
    if isinstance(value, BaseModel) and not hasattr(value, "handle_output"):
        return {field: masked(getattr(value, field), field) for field in type(value).model_fields}
    return value


def shown(value: Any, name: str) -> Any:
    """The value of a field as a repr may show it: secrets of pydantic as they show themselves, the rest masked.

    Args:
        value: The value.
        name: The field.

    Returns:
        A value to show; it stands in for an object whose own repr would show a credential.
    """
    if isinstance(value, (Secret, SecretStr, SecretBytes)):
        return value
    safe = masked(value, name)
    text = repr(safe)
    return (
        safe
        if isinstance(safe, str) or text == _without_passwords(text)
        else _Shown(_without_passwords(text))
    )


class _Shown(str):
    """A text that is a repr already."""

    __slots__ = ()
    __repr__ = str.__str__


def _without_passwords(text: str) -> str:
    for credential in (_URL_USER, _URL_PASSWORD, _NAMED):
        text = credential.sub(rf"\g<start>{MASK}", text)
    return text


def scrubbed(text: str, secrets: Iterable[str] = ()) -> str:
    """A message of somebody else without credentials.

    Args:
        text: The message.
        secrets: What must not be shown; what is shorter than four characters would take half of the text along.

    Returns:
        The text with asterisks in their place.
    """
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return _without_passwords(text)


def holds_secret(annotation: Any) -> bool:
    """Whether a field of this type holds a credential.

    Args:
        annotation: The type of the field.

    Returns:
        True for pydantic's secret types and for unions and containers of them.
    """
    kind = get_origin(annotation) or annotation
    if isinstance(kind, type) and issubclass(kind, (Secret, SecretStr, SecretBytes)):
        return True
    return any(map(holds_secret, get_args(annotation)))


def secrets_in(value: Any, name: str = "", *, all_of_it: bool = False) -> list[str]:
    """The texts inside a value that must not be shown.

    Args:
        value: What was given for a field.
        name: The field or key.
        all_of_it: Whether every text in it is a secret, with the exceptions of `masked`.

    Returns:
        Credentials as plain text, to be cut out of messages that others wrote.
    """
    if isinstance(value, (Secret, SecretStr, SecretBytes)):
        return secrets_in(value.get_secret_value(), name, all_of_it=True)
    if isinstance(value, bytes):
        return secrets_in(value.decode("utf-8", "replace"), name, all_of_it=all_of_it)
    if isinstance(value, str):
        return [value] if value and (all_of_it or masked(value, name) != value) else []
    if isinstance(value, Mapping):
        return [secret for key, item in value.items() for secret in _entry(str(key), item, all_of_it)]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [secret for item in value for secret in secrets_in(item, name, all_of_it=all_of_it)]
    return []


def _entry(key: str, value: Any, all_of_it: bool) -> list[str]:
    """The secrets of one entry of a mapping: the type says that each is one, the name that some are none."""
    if not _is_plain(key):
        return secrets_in(value, key, all_of_it=all_of_it)
    is_secret = isinstance(value, (SecretStr, SecretBytes))
    return secrets_in(value.get_secret_value() if is_secret else value, key)


def secrets_of(handler: Any) -> list[str]:
    """The credentials that a handler holds, and those of handlers in its fields.

    Args:
        handler: A `BaseIOHandler`.

    Returns:
        Credentials as plain text, to be cut out of messages that others wrote.
    """
    kind, values = handler.configuration()
    found: list[str] = []
    for name, value in values.items():
        if hasattr(value, "handle_output"):
            found += secrets_of(value)
            continue
        field = kind.model_fields.get(name)
        found += secrets_in(value, name, all_of_it=field is not None and holds_secret(field.annotation))
    return found

"""Values as they may be shown: credentials replaced, everything else as it is."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from rivers_core.handler.annotations import Types, class_of, fields_of, kinds_of, of_entry, of_item

REDACTED: Final = "**********"

_SECRETS: Final = (Secret, SecretStr, SecretBytes)
_CERTAIN_NAME: Final = re.compile(
    r"secret|passw|passphrase|token|credential|signature|api_?key|access_?key|account_?key|private_?key|"
    r"signing_?key|encryption_?key|shared_?key|(^|_)(sas|pwd|auth|authorization|cookies?)$",
    re.IGNORECASE,
)
# such as `sort_key`, which as often names a column
_LIKELY_NAME: Final = re.compile(r"(^|_)key$", re.IGNORECASE)
# what says where a store is and how it is asked; without it nobody can tell why it does not answer
_PLAIN_NAME: Final = re.compile(
    r"((aws|azure|google)_)?(endpoint(_url)?|(default_)?region|allow_http|allow_invalid_certificates|bucket(_name)?|"
    r"container_name|account_name|max_retries|retry_timeout|timeout|connect_timeout|skip_signature|use_emulator|"
    r"virtual_hosted_style_request|proxy_url)",
    re.IGNORECASE,
)
_SHORTEST_SECRET: Final = 4
# a password may hold a slash if it does not begin like a port or a path
_URL_PASSWORD: Final = re.compile(
    r"(?P<start>[a-z][a-z0-9+.-]*://[^/?#\s:@\[]*:)"
    r"(?P<secret>[^/?#\s]*|(?!\d{1,5}[/?#]|[/\\])[^\s@'\"<>]*)(?=@)",
    re.IGNORECASE,
)
# a token instead of a user; with other schemes that place is for a name or a container
_URL_USER: Final = re.compile(r"(?P<start>https?://)(?P<secret>[^/?#\s:@]+)(?=@)", re.IGNORECASE)
# in the query of a URL, in a connection string
_NAMED: Final = re.compile(
    r"(?P<start>(?:[?&;\s]|^)(?:[^=?&#;\s]*(?:secret|token|passw|pwd|sig|credential|key)[^=&#;\s]*)=)"
    r"(?P<secret>[^&#;\s]+)",
    re.IGNORECASE,
)
_CREDENTIALS: Final = (_URL_USER, _URL_PASSWORD, _NAMED)


def is_secret_name(name: str) -> bool:
    """Whether a setting of this name is likely to hold a credential.

    Args:
        name: The name of a field or the key of an option.

    Returns:
        True for names such as `password`, `aws_secret_access_key` or `sas_token`.
    """
    return any(names.search(name.replace("-", "_")) for names in (_CERTAIN_NAME, _LIKELY_NAME))


def _is_plain(name: object) -> bool:
    return _PLAIN_NAME.fullmatch(str(name).replace("-", "_")) is not None


def redact_value(value: Any, name: str = "", *, all_of_it: bool = False, annotation: Any = None) -> Any:
    """The value with every credential in it replaced by asterisks.

    Pydantic secrets, entries of a mapping whose key names a credential, and the password or signature
    inside a URL are replaced, at any depth.

    Args:
        value: What is to be shown.
        name: The field or key the value belongs to; a name that looks secret masks the whole value.
        all_of_it: Whether every text in it is a secret, but for entries that only say where a store is and how it
            is asked, such as `endpoint` and `region`; of those too, passwords inside a URL are.
        annotation: The type of the field, which says what in a value that is not validated yet is a secret.

    Returns:
        A value of the same shape that can be printed.
    """
    return _masked(value, name, _types(all_of_it, annotation))


def _types(all_of_it: bool, annotation: Any) -> Types:
    if all_of_it:
        return (SecretStr,)
    return () if annotation is None else (annotation,)


def _masked(value: Any, name: str, types: Types) -> Any:
    if isinstance(value, _SECRETS):
        return REDACTED if value.get_secret_value() else value
    if isinstance(value, (str, bytes)):
        if value and (_holds(types) or (name and is_secret_name(name))):
            return REDACTED
        return _without_passwords(value) if isinstance(value, str) else value
    if _is_number(value):
        return REDACTED if _holds(types) else value
    if isinstance(value, Mapping):
        return {key: _masked(item, str(key), _of_entry(types, str(key))) for key, item in value.items()}
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(_masked(item, name, _of_item(types)) for item in value)
    if isinstance(value, BaseModel) and not hasattr(value, "handle_output"):
        return {field: _masked(item, field, of_field) for field, item, of_field in _fields(value)}
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
    safe = redact_value(value, name)
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
    for credential in _CREDENTIALS:
        text = credential.sub(rf"\g<start>{REDACTED}", text)
    return text


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """A message of somebody else without credentials.

    Args:
        text: The message.
        secrets: What must not be shown; what is shorter than four characters is cut where it is a word of its own,
            for else it would take half of the text along.

    Returns:
        The text with asterisks in their place.
    """
    for secret in secret_spellings(secrets):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, REDACTED)
        elif secret:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", REDACTED, text)
    return _without_passwords(text)


def secret_spellings(secrets: Iterable[str]) -> list[str]:
    """Credentials as messages spell them: as they are, in a `repr`, in JSON.

    Args:
        secrets: The credentials.

    Returns:
        The longest first: cut after one that it begins with, the rest of a longer one would stay.
    """
    found = {spelt for secret in secrets for spelt in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1])}
    return sorted(found, key=len, reverse=True)


def holds_secret(annotation: Any) -> bool:
    """Whether a field of this type holds a credential.

    Args:
        annotation: The type of the field.

    Returns:
        True for pydantic's secret types, for unions and containers of them, and for models with such a field.
    """
    return _holds((annotation,))


def _holds(types: Types, within: frozenset[Any] = frozenset()) -> bool:
    for kind in kinds_of(types):
        owner = class_of(kind)
        if isinstance(owner, type) and issubclass(owner, _SECRETS):
            return True
        fields = fields_of(kind)
        if fields is None:
            inside: Types = get_args(kind)
        else:  # another handler is meant by its name
            inside = () if owner in within or hasattr(owner, "handle_output") else tuple(fields.values())
        if inside and _holds(inside, within | {owner}):
            return True
    return False


def _of_entry(types: Types, key: str) -> Types:
    """The types of an entry. What a type with secrets does not know, such as a misspelt field, is taken for one."""
    found = of_entry(types, key)
    is_field = any(key in (fields_of(kind) or ()) for kind in kinds_of(types))
    if _is_plain(key) and not is_field:
        return ()
    return found or ((SecretStr,) if _holds(types) else ())


def _of_item(types: Types) -> Types:
    return of_item(types) or ((SecretStr,) if _holds(types) else ())


def _fields(value: Any) -> Iterator[tuple[str, Any, Types]]:
    """Name, value and types of each field of a model or dataclass."""
    annotations = fields_of(type(value)) or {}
    if isinstance(value, BaseModel):
        names = [*type(value).model_fields, *(value.model_extra or ())]
    else:
        names = [field.name for field in dataclasses.fields(value)]
    for name in names:
        if hasattr(value, name):
            yield name, getattr(value, name), (annotations[name],) if name in annotations else ()


def collect_secrets(
    value: Any, name: str = "", *, all_of_it: bool = False, annotation: Any = None
) -> list[str]:
    """The texts inside a value that must not be shown.

    Args:
        value: What was given for a field; or a handler, a resource, a configuration, which hold more.
        name: The field or key.
        all_of_it: Whether every text in it is a secret, with the exceptions of `masked`.
        annotation: The type of the field, which says what in a value that is not validated yet is a secret.

    Returns:
        Credentials as plain text, to be cut out of messages that others wrote.
    """
    return list(_secrets_in(value, name, _types(all_of_it, annotation)))


def secrets_of(holder: Any) -> list[str]:
    """The credentials that a handler, a resource or a configuration holds, and those of handlers in its fields.

    Args:
        holder: A model, a dataclass or a secret; anything else holds nothing that is known.

    Returns:
        Credentials as plain text, to be cut out of messages that others wrote.
    """
    return collect_secrets(holder) if _has_fields(holder) or isinstance(holder, _SECRETS) else []


def _secrets_in(value: Any, name: str, types: Types) -> Iterator[str]:
    if isinstance(value, _SECRETS):
        yield from _secrets_in(value.get_secret_value(), name, (SecretStr,))
    elif isinstance(value, bytes):
        yield from _secrets_in(value.decode("utf-8", "replace"), name, types)
    elif isinstance(value, str):
        yield from _secret_texts(value, name, _holds(types))
    elif _is_number(value):
        if _holds(types):
            yield str(value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            # the type says that each is a secret, the name that some are none
            bare = _is_plain(key) and isinstance(item, _SECRETS)
            yield from _secrets_in(
                item.get_secret_value() if bare else item, str(key), _of_entry(types, str(key))
            )
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _secrets_in(item, name, _of_item(types))
    elif _has_fields(value):
        for field, item, of_field in _fields(value):
            yield from _secrets_in(item, field, of_field)


def _secret_texts(text: str, name: str, is_secret: bool) -> Iterator[str]:
    """A text that is a secret, as its type or its name says, and the credentials inside of an address."""
    if text and (is_secret or (len(text) >= _SHORTEST_SECRET and _names_secret(name, text))):
        yield text
    for match in (match for pattern in _CREDENTIALS for match in pattern.finditer(text)):
        secret, is_named = match["secret"], match.re is _NAMED
        if len(secret) >= _SHORTEST_SECRET and (
            not is_named or _names_secret(match["start"].strip("=?&; "), secret)
        ):
            yield secret


def _names_secret(name: str, text: str) -> bool:
    """Whether a text is to be cut out of messages because of its name; a column's name would take much along."""
    return is_secret_name(name) and (
        _CERTAIN_NAME.search(name.replace("-", "_")) is not None or not text.isidentifier()
    )


def _has_fields(value: object) -> bool:
    return isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

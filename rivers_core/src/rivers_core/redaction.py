"""Redaction of credentials: known secrets in any text, secret fields in values, passwords and tokens in addresses.

A secret is what a type declares (`SecretStr`, `SecretBytes`, `Secret`), the value of a field or key whose name says
so (`password`, `api_key`), and the password, token or signature inside a URL, a connection string or a header.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, get_args
from urllib.parse import quote, quote_plus, unquote, urlsplit

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from rivers_core._annotations import Types, fields_of, kinds_of, of_entry, of_item
from rivers_core._hints import class_of

REDACTED: Final = "**********"
"""Replacement for a secret, the same as pydantic's for a `SecretStr`."""

_SECRETS: Final = (Secret, SecretStr, SecretBytes)
# A value of a field that is not declared as secret is redacted in messages only from this length on.
_SHORTEST_NAMED: Final = 4
# A shorter secret is replaced only where it is a word: as a part of words, paths and hosts it is ordinary text.
_SHORTEST_ANYWHERE: Final = 6
# A shorter line of a secret, such as a bracket of JSON, is ordinary text.
_SHORTEST_LINE: Final = 8
# The arguments of an error hold the repr of a request, whose body is JSON.
_QUOTATIONS: Final = 3
_CERTAIN_NAME: Final = re.compile(
    r"secret|passw|passphrase|token|credential|signature|api_?key|access_?key|account_?key|private_?key|"
    r"signing_?key|encryption_?key|shared_?key|(^|_)(sas|pwd|auth|authorization|cookies?)$",
    re.IGNORECASE,
)
# Names such as `sort_key` refer to a column as often as to a credential.
_LIKELY_NAME: Final = re.compile(r"(^|_)key$", re.IGNORECASE)
# Options that say where a store is and how to reach it: a failed connection cannot be diagnosed without them.
_PLAIN_NAME: Final = re.compile(
    r"((aws|azure|google)_)?(endpoint(_url)?|(default_)?region|allow_http|allow_invalid_certificates|bucket(_name)?|"
    r"container_name|account_name|max_retries|retry_timeout|timeout|connect_timeout|skip_signature|use_emulator|"
    r"virtual_hosted_style_request|proxy_url)",
    re.IGNORECASE,
)
_URL_NAME: Final = re.compile(r"(endpoint|url|uri)$", re.IGNORECASE)

# Each pattern starts at a fixed text or behind a delimiter and never backtracks over a word, so that searching a
# text takes time linear in its length.
_URL_REST: Final = re.compile(r"(?<=[a-z0-9+.-]://)(?:(?!://)\S)++", re.IGNORECASE)
_USER: Final = r"(?P<user>[^/?#:@\[]*+)"
# A password may contain a slash unless it starts like a port or a path.
_PASSWORD: Final = re.compile(
    rf"{_USER}:(?P<secret>[^/?#]*(?=@)|(?!\d{{1,5}}[/?#]|[/\\])[^@'\"<>]*+(?=@))", re.IGNORECASE
)
# HTTP has no user without a password there, but a token; in other schemes it is a user or a container.
_TOKEN: Final = re.compile(r"(?P<secret>[^/?#:@]++)(?=@)")
_PARAMETER: Final = re.compile(r"(?:^|(?<=[?&;\s]))(?P<name>[^=?&#;\s]++)=(?P<secret>[^&#;\s]++)")
_PARAMETER_NAME: Final = re.compile(r"secret|token|passw|pwd|sig|credential|key", re.IGNORECASE)
_HEADER: Final = re.compile(
    r"\b(?:authorization|x-api-key|x-auth-token)['\"]?\s*+[:=]\s*+['\"]?(?:[a-z]++\s++)?+(?P<secret>[^\s'\",}]++)",
    re.IGNORECASE,
)


def is_secret_name(name: str) -> bool:
    """Return whether a setting of this name is likely to hold a credential.

    Args:
        name: Name of a field, or key of an option, such as `password` or `aws_secret_access_key`.
    """
    name = name.replace("-", "_")
    return _CERTAIN_NAME.search(name) is not None or _LIKELY_NAME.search(name) is not None


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without credentials: neither the given ones nor those in URLs, parameters and headers.

    Args:
        text: A message or any other text.
        secrets: Known secrets, see `collect_secrets`.
    """
    return redact_patterns(redact_secrets(text, secrets))


def redact_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return a text without the given secrets, in every spelling of `secret_spellings`.

    Args:
        text: A message or any other text.
        secrets: Known secrets, see `collect_secrets`.
    """
    for secret in secret_spellings(secrets):
        if len(secret) >= _SHORTEST_ANYWHERE:
            text = text.replace(secret, REDACTED)
        else:
            text = re.sub(rf"(?<![\w./-]){re.escape(secret)}(?![\w.-]*\w)", REDACTED, text)
    return text


class _Spellings(tuple[str, ...]):
    """Secrets in every spelling."""

    __slots__ = ()


def secret_spellings(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return secrets as messages spell them: plain, in a `repr`, in JSON, in both, quoted in a URL, in Base64.

    The other functions take the result in place of plain secrets, which saves computing it for every text.

    Args:
        secrets: Plain secrets.

    Returns:
        Longest first, so that a secret that is a prefix of another does not leave its tail visible.
    """
    if isinstance(secrets, _Spellings):
        return secrets
    spellings: set[str] = set()
    for secret in secrets:
        spellings |= _quoted(secret)
        if "\n" in secret:  # a traceback indents the lines of a private key
            spellings |= {line for line in map(str.strip, secret.splitlines()) if len(line) >= _SHORTEST_LINE}
        if len(secret) >= _SHORTEST_ANYWHERE:
            spellings |= {quote(secret, safe=""), quote(secret), quote_plus(secret), *_in_base64(secret)}
    return _Spellings(sorted(spellings - {""}, key=len, reverse=True))


def _quoted(secret: str) -> set[str]:
    """Return a secret as `repr` and JSON spell it, also inside other texts that are quoted in turn."""
    spellings = latest = {secret}
    for _ in range(_QUOTATIONS):
        quoted = {text for item in latest for text in _quotations(item)}
        spellings, latest = spellings | quoted, quoted - spellings
        if not latest:
            break
    return spellings


def _quotations(text: str) -> Iterator[str]:
    yield repr(text)[1:-1]
    yield repr(f"{text}'\"")[1:-4]  # in a text with both quotation marks, `repr` escapes one of them
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]


def redact_value(value: Any, name: str = "", *, annotation: Any = None) -> Any:
    """Return a value that can be shown, with every credential in it replaced by asterisks.

    Args:
        value: The value.
        name: The field or key that holds it.
        annotation: The type of the field, which says what is secret in a value that is not validated yet.

    Returns:
        A value of the same shape. Handlers in it stay; their `repr` shows no secret.
    """
    return _redacted(value, name, _types(annotation), [])


def collect_secrets(value: Any, name: str = "", *, annotation: Any = None) -> list[str]:
    """Return the secrets inside a value, to redact them in texts.

    Args:
        value: The value of a field, a handler, a resource or a configuration.
        name: The field or key that holds it.
        annotation: The type of the field, which says what is secret in a value that is not validated yet.
    """
    secrets: list[str] = []
    _redacted(value, name, _types(annotation), secrets)
    return secrets


def secrets_of(holder: Any) -> list[str]:
    """Return the secrets of a handler, a resource or a configuration, handlers in its fields included.

    Args:
        holder: A model, a dataclass or a secret; nothing is known about other objects.
    """
    return collect_secrets(holder) if _has_fields(holder) or isinstance(holder, _SECRETS) else []


def option_secrets(options: Mapping[str, str]) -> list[str]:
    """Return the secrets among the options of an object store.

    Every value may be a secret, except those of options that say where the store is and how to reach it. Of a URL
    these are scheme, host and port. A short value such as `true` counts only if its option has a secret name.

    Args:
        options: Options as plain text.
    """
    secrets: list[str] = []
    for name, value in options.items():
        if _URL_NAME.search(name) and "://" in value:
            url = urlsplit(value)
            parts = (url.password or "", url.query)
            secrets += [text for part in parts for text in dict.fromkeys((part, unquote(part))) if text]
        elif value and not _is_plain(name) and (len(value) >= _SHORTEST_ANYWHERE or is_secret_name(name)):
            secrets.append(value)
    return secrets


def redacted_field(value: Any, name: str) -> Any:
    """Return the value of a field for the `repr` of its owner.

    Args:
        value: The value.
        name: The field.
    """
    if isinstance(value, _SECRETS):
        return value
    safe = redact_value(value, name)
    text = repr(safe)
    shown = redact_patterns(text)
    return safe if isinstance(safe, str) or shown == text else _Repr(shown)


class _Repr(str):
    """Text that replaces the `repr` of an object."""

    __slots__ = ()
    __repr__ = str.__str__


def _types(annotation: Any) -> Types:
    return () if annotation is None else (annotation,)


def _redacted(value: Any, name: str, types: Types, secrets: list[str]) -> Any:
    """Return the value without its secrets, and add these to `secrets`."""
    if isinstance(value, _SECRETS):
        plain = value.get_secret_value()
        _redacted(plain, name, (SecretStr,), secrets)
        return REDACTED if plain else value
    if isinstance(value, (str, bytes)):
        text = value if isinstance(value, str) else value.decode("utf-8", "replace")
        shown = _redacted_text(text, name, types, secrets)
        return value if shown == text else shown
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not _holds(types):
            return value
        secrets.append(str(value))
        return REDACTED
    if isinstance(value, Mapping):
        return {key: _redacted_entry(item, str(key), types, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        of_items = of_item(types) or ((SecretStr,) if _holds(types) else ())
        items = [_redacted(item, name, of_items, secrets) for item in value]
        return type(value)(items) if type(value) in (list, tuple, set, frozenset) else value
    if _has_fields(value):
        fields = {
            field: _redacted(item, field, of_field, secrets) for field, item, of_field in _fields(value)
        }
        return fields if isinstance(value, BaseModel) and not hasattr(value, "handle_output") else value
    return value


def _redacted_entry(value: Any, key: str, types: Types, secrets: list[str]) -> Any:
    if _is_plain(key) and isinstance(
        value, _SECRETS
    ):  # the type says secret, the name of the option says not
        plain = value.get_secret_value()
        _redacted(plain, key, (), secrets)
        return REDACTED if plain else value
    is_field = any(key in (fields_of(kind) or ()) for kind in kinds_of(types))
    if _is_plain(key) and not is_field:
        return _redacted(value, key, (), secrets)
    # a key that a type with secrets does not know, such as a misspelled field, may hold one of them
    return _redacted(value, key, of_entry(types, key) or ((SecretStr,) if _holds(types) else ()), secrets)


def _redacted_text(text: str, name: str, types: Types, secrets: list[str]) -> str:
    is_declared = _holds(types)
    if text and (is_declared or (len(text) >= _SHORTEST_NAMED and _is_certain(name, text))):
        secrets.append(text)
    for start, end, parameter in _credentials(text):
        secret = text[start:end]
        if len(secret) >= _SHORTEST_NAMED and (parameter is None or _is_certain(parameter, secret)):
            secrets += dict.fromkeys(
                (secret, unquote(secret))
            )  # a driver may show the password that it decoded
    return REDACTED if text and (is_declared or is_secret_name(name)) else redact_patterns(text)


def _is_certain(name: str, text: str) -> bool:
    """Return whether a name makes a text a secret; the name of a column under `sort_key` is not one."""
    name = name.replace("-", "_")
    return _CERTAIN_NAME.search(name) is not None or (
        _LIKELY_NAME.search(name) is not None and not text.isidentifier()
    )


def _is_plain(name: str) -> bool:
    return _PLAIN_NAME.fullmatch(name.replace("-", "_")) is not None


def redact_patterns(text: str, *, in_urls: bool = False) -> str:
    """Return a text without the credentials in URLs, parameters and headers.

    Args:
        text: A message or any other text.
        in_urls: Whether only URLs are searched: `token=3` may be a data version.
    """
    if in_urls and "://" not in text:
        return text
    parts: list[str] = []
    position = 0
    starts = [url.start() for url in _URL_REST.finditer(text)] if in_urls else []
    ends = [url.end() for url in _URL_REST.finditer(text)] if in_urls else []
    for start, end, _ in sorted(_credentials(text, with_user=True), key=lambda span: span[:2]):
        url = bisect_right(starts, start) - 1
        if start >= position and (not in_urls or (url >= 0 and end <= ends[url])):
            parts += text[position:start], REDACTED
            position = end
    return "".join((*parts, text[position:])) if parts else text


def _credentials(text: str, *, with_user: bool = False) -> Iterator[tuple[int, int, str | None]]:
    """Yield start and end of each credential in a text, and the name of the parameter that holds it."""
    if "://" in text:
        for url in _URL_REST.finditer(text):
            is_http = text[max(0, url.start() - 8) : url.start()].lower().endswith(("http://", "https://"))
            match = _PASSWORD.match(text, url.start(), url.end())
            if match is None and is_http:
                match = _TOKEN.match(text, url.start(), url.end())
            if match is not None:
                start = "user" if with_user and is_http and match.re is _PASSWORD else "secret"
                yield match.start(start), match.end("secret"), None
    if "=" in text:
        for match in _PARAMETER.finditer(text):
            if _PARAMETER_NAME.search(match["name"]):
                yield *match.span("secret"), match["name"]
    for match in _HEADER.finditer(text):
        yield *match.span("secret"), None


def _in_base64(secret: str) -> Iterator[str]:
    """Yield the characters that a secret is encoded to, alone and behind another text such as `user:`."""
    data = secret.encode("utf-8", "surrogatepass")
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + data).decode().rstrip("=")
        # characters at the edges also hold bits of the neighboring bytes
        inner = encoded[(0, 2, 3)[offset] : len(encoded) - bool((offset + len(data)) % 3)]
        if len(inner) >= _SHORTEST_ANYWHERE:
            yield inner
            yield inner.translate({ord("+"): "-", ord("/"): "_"})


def _holds(types: Types, parents: frozenset[Any] = frozenset()) -> bool:
    for kind in kinds_of(types):
        owner = class_of(kind)
        if isinstance(owner, type) and issubclass(owner, _SECRETS):
            return True
        fields = fields_of(kind)
        if fields is None:
            inner: Types = get_args(kind)
        else:  # a field that takes a handler is given its name
            inner = () if owner in parents or hasattr(owner, "handle_output") else tuple(fields.values())
        if inner and _holds(inner, parents | {owner}):
            return True
    return False


def _has_fields(value: object) -> bool:
    return isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type))


def _fields(value: Any) -> Iterator[tuple[str, Any, Types]]:
    """Yield name, value and types of each field of a model or dataclass."""
    annotations = fields_of(type(value)) or {}
    if isinstance(value, BaseModel):
        names = [*type(value).model_fields, *(value.model_extra or ())]
    else:
        names = [field.name for field in dataclasses.fields(value)]
    for name in names:
        if hasattr(value, name):
            yield name, getattr(value, name), (annotations[name],) if name in annotations else ()

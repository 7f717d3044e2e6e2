"""Credentials: which texts of the storage options are some, and how they are cut out of what libraries say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from rivers_core.authoring import REDACTED, collect_secrets, is_secret_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LONG: Final = 6
_URL_NAME: Final = re.compile(r"(endpoint|url|uri)$", re.IGNORECASE)
_HTTP_USER: Final = re.compile(r"(https?://)[^/?#\s@]+(?=@)", re.IGNORECASE)


def secrets_among(options: Mapping[str, str]) -> list[str]:
    """The texts in storage options that must not appear in any message.

    Whatever an option holds may be a secret, but for those that say where a store is and how it is asked: without
    them nobody can tell why it does not answer. Of a URL, scheme, host and port are of that kind. A short text is one
    only if the name of the option says so: `true` is none.

    Args:
        options: As deltalake takes them.
    """
    found: list[str] = []
    for name, value in options.items():
        if _URL_NAME.search(name) and "://" in value:
            found += _secrets_in_url(value)
        elif collect_secrets({name: SecretStr(value)}) and (len(value) >= _LONG or is_secret_name(name)):
            found.append(value)
    return found


def without(text: str, secrets: Iterable[str]) -> str:
    """A message with asterisks instead of secrets.

    Args:
        text: What a library said.
        secrets: As `secrets_among` gives them. One of five characters or fewer is cut out where it is a word of its
            own: as part of other words, paths and hosts it is ordinary text.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _LONG:
            text = text.replace(secret, REDACTED)
        else:
            text = re.sub(rf"(?<![\w./-]){re.escape(secret)}(?![\w.-]*\w)", REDACTED, text)
    return _HTTP_USER.sub(rf"\g<1>{REDACTED}", text)


def _secrets_in_url(url: str) -> list[str]:
    parts = urlsplit(url)
    given = [parts.password or "", parts.query]
    return [text for one in given for text in {one, unquote(one)} if text]

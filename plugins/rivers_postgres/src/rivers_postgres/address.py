"""Address of a storage: a URL of libpq, and the schema in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from rivers.exceptions import StorageError
from rivers_core.authoring import redact

DEFAULT_SCHEMA: Final = "rivers"
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")

# A connection that is gone without a word is noticed within half a minute; what the URL says takes precedence.
_TIMEOUTS: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


@dataclass(frozen=True, slots=True)
class Address:
    """Location of the tables.

    Attributes:
        url: URL for libpq, with credentials.
        schema: Schema of the tables.
        shown: Address without credentials, for messages.
        settings: Connection settings.
    """

    url: str = field(repr=False)
    schema: str
    shown: str
    settings: dict[str, str | int] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse the URL of a storage.

        Raises:
            StorageError: It is not valid.
        """
        parts = urlsplit(text)
        query = parse_qsl(parts.query, keep_blank_values=True)
        schema = dict(query).get("schema", DEFAULT_SCHEMA)
        rest = urlencode([pair for pair in query if pair[0] != "schema"], quote_via=quote, safe="/")
        url = urlunsplit((parts.scheme, parts.netloc, parts.path, rest, ""))
        if not parts.netloc and text.startswith(f"{parts.scheme}:///"):
            url = url.replace(":/", ":///", 1)
        if not _SCHEMA.fullmatch(schema):
            raise StorageError(
                f"{redact(text)}: schema must be a name of lower-case letters, digits and '_', got {schema!r}."
            )
        try:
            values = conninfo_to_dict(url)
        except psycopg.Error:
            # libpq repeats parts of the URL, which may be those of a password
            raise StorageError(
                f"{redact(text)} is not a valid URL of PostgreSQL. Use postgresql://user@host/database, with "
                "reserved characters percent-encoded."
            ) from None
        database = values.get("dbname") or "(default database)"
        place = f"{values.get('host', 'localhost')}:{values.get('port', 5432)}"
        shown = f"postgresql://{place}/{database} (schema {schema})"
        settings: dict[str, str | int] = {k: v for k, v in _TIMEOUTS.items() if k not in values}
        return cls(url, schema, shown, settings)

    def redact(self, text: str) -> str:
        """Return a text without the password of this address."""
        password = conninfo_to_dict(self.url).get("password")
        return redact(text, [str(password)] if password else [])

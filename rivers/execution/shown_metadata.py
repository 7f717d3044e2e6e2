"""Metadata as it may be recorded: without the credentials of the handlers of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers_core.authoring import redact, secret_spellings
from rivers_core.exceptions import RiversError
from rivers_core.metadata import MetadataValue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def without_secrets(
    metadata: Mapping[str, MetadataValue], secrets: Sequence[str]
) -> Mapping[str, MetadataValue]:
    """Take credentials out of metadata.

    Args:
        metadata: What functions and handlers said about a value.
        secrets: The credentials.

    Returns:
        The same values of the same variants, with asterisks in place of credentials.
    """
    secrets = secret_spellings(secrets)
    return {name: _clean(value, secrets) for name, value in metadata.items()}


def text_without_secrets(text: str, secrets: Sequence[str]) -> str:
    """Take credentials out of a text that somebody gave for the record, such as a tag or a data version.

    Args:
        text: The text.
        secrets: The credentials.

    Returns:
        The text; as it is if it holds none of them.
    """
    return str(_replaced(text, secret_spellings(secrets)))


def _clean(value: MetadataValue, secrets: Sequence[str]) -> MetadataValue:
    plain = value.to_plain()
    clean = _replaced(plain, secrets)
    if clean == plain:
        return value
    try:
        return MetadataValue.from_plain(clean)
    except (RiversError, TypeError, ValueError):  # a variant that asterisks do not fit
        return MetadataValue.text(redact(value.to_text(), secrets))


def _replaced(plain: Any, secrets: Sequence[str]) -> Any:
    if isinstance(plain, str):
        return redact(plain, secrets) if any(secret in plain for secret in secrets) else plain
    if isinstance(plain, dict):
        return {key: _replaced(item, secrets) for key, item in plain.items()}
    if isinstance(plain, list):
        return [_replaced(item, secrets) for item in plain]
    return plain

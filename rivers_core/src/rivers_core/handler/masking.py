"""Values as they may be shown: credentials replaced, everything else as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

MASK: Final = "**********"

_SECRET_NAME: Final = re.compile(
    r"secret|passw|passphrase|token|credential|signature|api_?key|access_?key|account_?key|private_?key|"
    r"signing_?key|encryption_?key|shared_?key|(^|_)(key|sas|pwd|auth)$",
    re.IGNORECASE,
)
_URL_PASSWORD: Final = re.compile(r"(?P<start>[a-z][a-z0-9+.-]*://[^/?#\s:@]*:)[^/?#\s]*(?=@)", re.IGNORECASE)
_URL_QUERY: Final = re.compile(
    r"(?P<start>[?&;](?:[^=&#;\s]*(?:secret|token|passw|sig|credential|key)[^=&#;\s]*)=)[^&#;\s]+",
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


def masked(value: Any, name: str = "") -> Any:
    """The value with every credential in it replaced by asterisks.

    Pydantic secrets, entries of a mapping whose key names a credential, and the password or signature
    inside a URL are replaced, at any depth.

    Args:
        value: What is to be shown.
        name: The field or key the value belongs to; a name that looks secret masks the whole value.

    Returns:
        A value of the same shape that can be printed.
    """
    if isinstance(value, (Secret, SecretStr, SecretBytes)):
        return MASK if value.get_secret_value() else value
    if name and isinstance(value, (str, bytes)) and value and looks_secret(name):
        return MASK
    if isinstance(value, str):
        return _URL_QUERY.sub(rf"\g<start>{MASK}", _URL_PASSWORD.sub(rf"\g<start>{MASK}", value))
    if isinstance(value, Mapping):
        return {key: masked(item, str(key)) for key, item in value.items()}
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(masked(item, name) for item in value)
    if isinstance(value, BaseModel) and not hasattr(value, "handle_output"):
        return {field: masked(getattr(value, field), field) for field in type(value).model_fields}
    return value

"""Storage keys: the relative path of an asset and partition, safe on every file system and object store.

The mapping is injective: no two (asset, partition) pairs share a key, not even where names are compared
case-insensitively or after Unicode normalization. Ordinary names are unchanged (`orders/2024-01-01`); others are
encoded component by component:

- `%XX`: UTF-8 bytes of characters that some file system, object store or URL treats specially. Letters and digits
  beyond ASCII are kept if neither case conversion nor normalization changes them.
- `US~3`: a component with capitals is followed by a hexadecimal bitmap of its ASCII letters, in which capitals are 1
  (the lowest bit is the first letter).
- `head~h<32 hex>`: a component over 180 bytes is replaced by its head and the BLAKE2b digest of the whole.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Final
from unicodedata import is_normalized

from rivers_core.exceptions import PartitionValidationError
from rivers_core.partitions.keys import MultiPartitionKey, PartitionKey, SinglePartitionKey

_LONGEST: Final = 180
_DIGEST_BYTES: Final = 16
_HEAD: Final = _LONGEST - len("~h") - 2 * _DIGEST_BYTES
_ORDINARY: Final = re.compile(r"[a-z0-9_-](?:[a-z0-9._-]{0,178}[a-z0-9_-])?")
_DEVICES: Final = frozenset(
    ["con", "conin$", "conout$", "prn", "aux", "nul"]
    + [port + number for port in ("com", "lpt") for number in "0123456789¹²³"]
)
# Beyond what file systems refuse, `#[]{}^` and the backtick: object stores and URLs rewrite them.
_ENCODED: Final = frozenset('/\\%|=:~<>"?*#[]{}^`\x7f')


def storage_key(asset_name: str, partition: PartitionKey | None = None) -> str:
    """Return the relative key under which a handler stores a value.

    Args:
        asset_name: The asset; one component of the key, so that a `/` in it is encoded.
        partition: The partition key, if the asset is partitioned; one component, or one component `dimension=value`
            per dimension, sorted by dimension.

    Returns:
        Components joined with `/`; never absolute, never empty, never with `.` or `..` as a component.

    Raises:
        PartitionValidationError: `partition` identifies several keys.
        TypeError: `partition` is not a partition key.

    Examples:
        >>> from rivers_core.partitions import PartitionKey
        >>> storage_key("sales", PartitionKey.multi({"region": "us", "env": "prod"}))
        'sales/env=prod/region=us'
    """
    if partition is None:
        return _component(asset_name)
    if isinstance(partition, SinglePartitionKey) and len(partition.values) == 1:
        return f"{_component(asset_name)}/{_component(partition.values[0])}"
    if isinstance(partition, MultiPartitionKey) and partition.is_single:
        return f"{_component(asset_name)}/{_components(partition.dimensions)}"
    if not isinstance(partition, PartitionKey):
        raise TypeError(
            f"The partition of asset {asset_name!r} must be a PartitionKey, got {partition!r}. A context needs "
            "PartitionContext([PartitionKey.single(...)])."
        )
    raise PartitionValidationError(
        f"Partition {str(partition)!r} of asset {asset_name!r} identifies several keys, and a storage key is for "
        "one. Use the storage key of each key in partition.split()."
    )


@lru_cache(maxsize=16_384)
def _component(name: str) -> str:
    return _shortened(_encoded(name))


@lru_cache(maxsize=16_384)
def _components(dimensions: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    return "/".join(_shortened(f"{_encoded(name)}={_encoded(value)}") for name, (value,) in dimensions)


def _encoded(name: str) -> str:
    if _ORDINARY.fullmatch(name) and not _is_device(name):
        return name
    if not name:
        return "~empty"
    body = name.translate(_ESCAPES)
    if not body.isascii() and not is_normalized("NFC", body):
        body = "".join(c if c.isascii() else _escaped(c) for c in body)
    if name[0] in " .":
        body = _escaped(name[0]) + body[1:]
    if len(name) > 1 and name[-1] in " .":
        body = body[:-1] + _escaped(name[-1])
    if _is_device(body):
        body = _escaped(body[0]) + body[1:]
    return body + _capitals(name)


def _capitals(name: str) -> str:
    bitmap = 0
    letters = (c for c in name if c.isascii() and c.isalpha())
    for position, letter in enumerate(letters):
        bitmap |= letter.isupper() << position
    return f"~{bitmap:x}" if bitmap else ""


def _shortened(component: str) -> str:
    full = component.encode()
    if len(full) <= _LONGEST:
        return component
    head = full[:_HEAD].decode(errors="ignore")
    cut = head.rfind("%", -2)
    head = (head if cut < 0 else head[:cut]).rstrip(" .")
    return f"{head}~h{blake2b(full, digest_size=_DIGEST_BYTES).hexdigest()}"


def _is_device(text: str) -> bool:
    return text.partition(".")[0].rstrip(" ").lower() in _DEVICES


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogatepass"))


class _Escapes(dict[int, str]):
    """Cache of the encoded form of each character."""

    __slots__ = ()

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = text = character if _is_kept(character) else _escaped(character)
        return text


_ESCAPES: Final = _Escapes()


def _is_kept(character: str) -> bool:
    if character.isascii():
        return character >= " " and character not in _ENCODED
    return (
        character.isalnum()
        and character.casefold() == character
        and character.upper().lower() == character
        and is_normalized("NFC", character)
    )

"""Parse command-line values: pairs, literals, partition keys and ranges."""

from __future__ import annotations

import json
from ast import literal_eval
from typing import TYPE_CHECKING, Any, Final

from rivers_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.execution.keys import KeyRequest

_RANGE: Final = ".."


def parse_pair(text: str, option: str, form: str) -> tuple[str, str]:
    """Split `key=value`.

    Args:
        text: The value of the option.
        option: Name of the option, for the message.
        form: Expected form, for the message.

    Raises:
        UsageError: There is no `=`, or no key.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"{option} must be {form}, got {text!r}.")
    return key, value


def parse_value(text: str) -> Any:
    """Return the value of a text: JSON, else a Python literal, else the text itself."""
    for read in (json.loads, literal_eval):
        try:
            return read(text)
        except (
            ValueError,
            SyntaxError,
            RecursionError,
            MemoryError,
        ):  # the latter two of deeply nested texts
            continue
    return text


def parse_partitions(texts: Sequence[str] | None) -> KeyRequest | None:
    """Return the partition keys that `--partition` selects.

    Args:
        texts: Display forms of keys (`2024-01-01`, `a,b`, `date=d|region=us`), or one range
            (`2024-01-01..2024-01-31`, `date=a..b|region=us`).

    Raises:
        UsageError: A range is combined with other keys, or names a dimension twice.
    """
    if not texts:
        return None
    if len(texts) == 1:
        return _parse_range(texts[0]) if _RANGE in texts[0] else texts[0]
    if any(_RANGE in text for text in texts):
        raise UsageError(f"--partition: a range cannot be combined with other keys: {', '.join(texts)}.")
    if not any("=" in text for text in texts):
        return ",".join(texts)
    return list(texts)


def _parse_range(text: str) -> KeyRequest:
    from rivers.partitions import PartitionKeyRange

    if "=" not in text:
        first, _, last = text.partition(_RANGE)
        return PartitionKeyRange.single(first, last)
    dimensions: dict[str, tuple[str, str] | list[str]] = {}
    for part in text.split("|"):
        name, equals, values = part.partition("=")
        if not equals:
            raise UsageError(f"--partition {text}: {part!r} has no dimension. Use name=value.")
        if name in dimensions:
            raise UsageError(
                f"--partition {text}: dimension {name!r} is given twice. List its keys together: {name}=a,b."
            )
        first, dots, last = values.partition(_RANGE)
        dimensions[name] = (first, last) if dots else values.split(",")
    return PartitionKeyRange.multi(dimensions)

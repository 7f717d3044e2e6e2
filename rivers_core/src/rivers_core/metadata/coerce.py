"""Plain Python values become metadata values."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, Final

from rivers_core.exceptions import MetadataTypeError
from rivers_core.metadata.values import MetadataValue

__all__ = ["coerce", "coerce_mapping"]

_BETTER: Final = {
    "dict": "json",
    "list": "json",
    "tuple": "json",
    "bytes": "bytes",
    "datetime": "timestamp",
    "Timestamp": "timestamp",
    "date": "text",
    "timedelta": "duration",
    "PosixPath": "path",
    "WindowsPath": "path",
    "Decimal": "float_",
}


def coerce(value: object) -> MetadataValue:
    """The metadata value for a plain value; a metadata value is given back as it is.

    Args:
        value: Text, a whole number, a number, a boolean, None, or a `MetadataValue`.

    Raises:
        MetadataTypeError: (a `TypeError`) for anything else; it says what can be stored.
    """
    if isinstance(value, MetadataValue):
        return value
    if isinstance(value, str):
        return MetadataValue.text(value)
    if isinstance(value, bool):
        return MetadataValue.bool_(value)
    if isinstance(value, (int, Integral)):
        return MetadataValue.int(int(value))
    if isinstance(value, (float, Real)):
        return MetadataValue.float_(float(value))
    if value is None:
        return MetadataValue.null()
    raise MetadataTypeError(_refusal(value))


def coerce_mapping(values: Mapping[str, Any]) -> dict[str, MetadataValue]:
    """The metadata values for a dictionary of plain ones.

    Raises:
        MetadataTypeError: (a `TypeError`) when it is no dictionary, a name is not text, or a value cannot be
            stored; it names it.
    """
    if not isinstance(values, Mapping):
        raise MetadataTypeError(
            f"Metadata is a dictionary of names and values, got {values!r} ({type(values).__name__})."
        )
    coerced: dict[str, MetadataValue] = {}
    for name, value in values.items():
        if not isinstance(name, str):
            raise MetadataTypeError(f"Metadata is named by text, got {name!r} ({type(name).__name__}).")
        try:
            coerced[name] = coerce(value)
        except MetadataTypeError as error:
            raise MetadataTypeError(f"Metadata {name!r}: {error}") from None
    return coerced


def _refusal(value: object) -> str:
    kind = type(value).__name__
    constructor = _BETTER.get(kind)
    if constructor is None and hasattr(value, "__arrow_c_schema__"):
        constructor = "schema"
    hint = f" For this one there is MetadataValue.{constructor}(...)." if constructor else ""
    return (
        f"a value of type {kind} cannot be stored as it is. Stored are str, int, float, bool, None "
        f"and every MetadataValue.{hint}"
    )

"""Names that came from variables, which are written in capitals, as the class of the handler spells them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rivers_core._annotations import fields_of, kinds_of, of_entry
from rivers_core.config.variables import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rivers_core._annotations import Types
    from rivers_core.config.layers import HandlerTable, Path


def spelt_by(table: HandlerTable, cls: type) -> HandlerTable:
    """A handler's table with names as its class spells them, at any depth.

    Args:
        table: What is configured.
        cls: The handler class.

    Returns:
        A table of its own; names that nothing in the class resembles, and those that are right, stay as they are.
    """
    names: dict[Path, Path] = {}
    values = _spelt(table.values, (cls,), (), (), names)
    return replace(
        table, values=values, origins={names.get(path, path): of for path, of in table.origins.items()}
    )


def _spelt(
    values: Mapping[str, Any], types: Types, above: Path, spelt_above: Path, names: dict[Path, Path]
) -> dict[str, Any]:
    known = sorted({name for kind in kinds_of(types) for name in fields_of(kind) or ()})
    found: dict[str, Any] = {}
    for key, value in values.items():
        spelt = key
        if key not in known and isinstance(value, (Text, dict)):
            spelt = next((name for name in known if name.lower() == key.lower()), key)
        path, spelt_path = (*above, key), (*spelt_above, spelt)
        names[path] = spelt_path
        if isinstance(value, dict):
            value = _spelt(value, of_entry(types, spelt), path, spelt_path, names)
        found[spelt] = value
    return found

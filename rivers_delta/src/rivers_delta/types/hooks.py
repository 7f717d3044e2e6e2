"""The hook of rivers_delta: any package may teach the handler a further type of table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

PROJECT: Final = "rivers_delta"
GROUP: Final = "rivers_delta"

hookspec: Final = pluggy.HookspecMarker(PROJECT)
hookimpl: Final = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a module, announced by an entry point of the group `rivers_delta`, as a hook."""

_DOTTED: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
_TARGET: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class TypeSpec:
    """Teaches the handler a type of table.

    Args:
        type_name: The type as its users import it, such as `geopandas.GeoDataFrame`.
        target: Where the `TypeAdapter` is found, `package.module:Class`; imported on first use.
        requires: Distributions that the adapter needs, beyond the one that brings the type.
        aliases: Further dotted names under which the very same class is known.

    Raises:
        ValueError: A name is not dotted, or the target is not of the form `package.module:Class`.
    """

    type_name: str
    target: str
    requires: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.type_name, *self.aliases):
            if not _DOTTED.fullmatch(name):
                raise ValueError(f"TypeSpec needs a dotted name such as 'polars.DataFrame', got {name!r}.")
        if not _TARGET.fullmatch(self.target):
            raise ValueError(
                f"TypeSpec {self.type_name!r} needs a target such as 'package.module:Class', "
                f"got {self.target!r}."
            )


@hookspec
def rivers_delta_types() -> Iterable[TypeSpec]:  # type: ignore[empty-body]
    """Yield the types of tables that a package adds.

    Of several that match a value, the most specific class wins; a class of one's own therefore goes before
    the class it inherits from.
    """

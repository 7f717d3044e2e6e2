"""Colours of handlers: the same one for the same handler in every picture of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from rivers_cli.lineage.model import Lineage


class Colour(NamedTuple):
    """One colour: of the box, and of its edge."""

    fill: str
    line: str


# Told apart by people who see colours differently, too (after Okabe and Ito, 2008), and light enough for dark text.
_PALETTE: Final = (
    Colour("#cfe5f5", "#0072b2"),
    Colour("#fbe3bd", "#b87700"),
    Colour("#c9ece1", "#00795a"),
    Colour("#f3d3e4", "#a8487f"),
    Colour("#f8d5c3", "#b34700"),
    Colour("#f4efb0", "#7d7400"),
    Colour("#d9d5f0", "#5a4fa3"),
    Colour("#dcdcdc", "#555555"),
)


def colours_of(lineage: Lineage) -> dict[str, Colour]:
    """A colour for each handler; the last one for all beyond the palette."""
    return {
        handler: _PALETTE[min(index, len(_PALETTE) - 1)] for index, handler in enumerate(lineage.handlers)
    }

"""Plugin of this package. Light to import: the command is imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.hooks import CommandSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def rivers_cli_commands() -> Iterator[CommandSpec]:
    """Register `rivers ui`."""
    yield CommandSpec(
        name="ui",
        target="rivers_ui.command:ui",
        summary="Show assets, lineage and runs in the browser.",
    )

"""Tidying up what a handler keeps, for handlers that can: those with a method `maintain`.

Such a method is called as `maintain(contexts, dry_run=True, **options)`, where `contexts` are the `InputContext`s of
the assets that are meant (none for all), and returns one dictionary per action, of plain values, for people to read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rivers_cli import amounts
from rivers_cli.handlers import handler_named, usage_in
from rivers_cli.problems import UsageProblemError
from rivers_cli.typed import pair, value_of
from rivers_core.authoring import resolve_awaitable
from rivers_core.contexts import InputContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers_cli.project import Project


def maintained(
    project: Project, name: str, assets: Sequence[str], settings: Sequence[str], *, dry_run: bool
) -> list[dict[str, Any]]:
    """Let a handler tidy up.

    Args:
        project: The project.
        name: The handler.
        assets: Whose values are meant; none for all that it keeps.
        settings: `option=value` each, for the handler.
        dry_run: Only tell what would be done.

    Returns:
        What was, or would be done: one dictionary per action.

    Raises:
        UsageProblemError: The handler has nothing to maintain, or does not keep an asset, or has no such option.
    """
    usage = usage_in(project)
    handler = handler_named(project, usage, name)
    maintain = getattr(handler, "maintain", None)
    if not callable(maintain):
        raise UsageProblemError(f"{name} ({type(handler).__name__}) has nothing to maintain.")
    kept = {output.name: output for output in usage.of(name)}
    for asset in assets:
        if asset not in kept:
            there = ", ".join(kept) or "none"
            raise UsageProblemError(f"{name} does not keep an asset {asset!r}. It keeps: {there}.")
    contexts = [
        InputContext(asset, "maintain", kept[asset].metadata, None, kept[asset].type_hint)
        for asset in assets or kept
    ]
    options = {key: value_of(text) for key, text in (pair(one, "--set", "option=value") for one in settings)}
    try:
        return [dict(row) for row in resolve_awaitable(maintain(contexts, dry_run=dry_run, **options)) or ()]
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise UsageProblemError(f"--set: {name} does not take that: {error}.") from error


def cell(title: str, value: Any) -> str:
    """A value of an action as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and title.endswith("bytes"):
        return amounts.size(value)
    return str(value)

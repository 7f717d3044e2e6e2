"""`rivers assets`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from rivers_cli.options import AsJson, Assets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rivers_cli.inventory import Item


def assets(context: typer.Context, assets: Assets = None, as_json: AsJson = False) -> None:
    """List assets: their handler, when they were last stored, and whether that is fresh.

    An asset is stale when its code, its handler or the data version of an input is no longer what it was when it
    was stored.

    Examples:
      $ rivers assets
      $ rivers assets orders report --json
    """
    from rivers_cli.inventory import document_of, inventory
    from rivers_cli.output import Column, is_terminal, others_to_stderr, print_document, print_table

    with others_to_stderr(as_json):
        items = inventory(context.obj.project.looked_at(), assets)
    if as_json:
        print_document([document_of(item) for item in items])
        return
    columns = [
        Column("Asset"), Column("Handler"), Column("Stored"), Column("Size", right=True, spare=1),
        Column("State", wraps=True),
    ]  # fmt: skip
    if is_terminal() and any(item.group for item in items):
        print_table(columns, list(_tree(items)))
    else:
        print_table([Column("Group"), *columns], [(item.group or "", *item.row()) for item in items])


def _tree(items: list[Item]) -> Iterator[tuple[str, ...]]:
    groups = list(dict.fromkeys(item.group for item in items))
    for group in groups:
        members = [item for item in items if item.group == group]
        if group is None:
            yield from (item.row() for item in members)
            continue
        yield (f"{group}/", " ", " ", " ", " ")
        for item in members:
            branch = "└─" if item is members[-1] else "├─"
            name, *rest = item.row()
            yield (f"{branch} {name}", *rest)

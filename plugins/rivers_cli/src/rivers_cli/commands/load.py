"""`rivers load`."""

from __future__ import annotations

from typing import Annotated

import typer

from rivers_cli.options import AsJson, Asset, Partitions


def load(
    context: typer.Context,
    asset: Asset,
    partition: Partitions = None,
    head: Annotated[int, typer.Option("--head", "-n", min=1, help="How many rows, items or lines.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show the beginning of the stored value of an asset, whatever it is.

    The value is loaded by the asset's own handler; `graph/task` names a node of a graph asset.

    Exit codes: 0, 1 nothing is stored or it cannot be loaded, 2 there is no such asset or partition.

    Examples:
      $ rivers load orders
      $ rivers load orders --partition 2024-01-01 --head 3
      $ rivers load orders --env prod --json
    """
    from rivers_cli.output import others_to_stderr, print_document, printable
    from rivers_cli.partitions import requested
    from rivers_cli.peeking import peek
    from rivers_cli.problems import HandlerFailedError
    from rivers_core.exceptions import RiversError

    with others_to_stderr(as_json):
        repository = context.obj.project.looked_at()
        try:
            value = repository.load_node(asset, partition_key=requested(partition))
            handler = repository.handler_binding(asset).label
            seen = peek(value, head)
        except RiversError:
            raise
        except Exception as error:
            handler = repository.handler_binding(asset).label
            raise HandlerFailedError(f"asset {asset!r} cannot be loaded with {handler!r}", error) from error
    if as_json:
        print_document(
            {
                "asset": asset,
                "partition": partition or None,
                "handler": handler,
                "type": seen.kind,
                "extent": seen.extent,
                "head": seen.head,
            }
        )
        return
    about = [f"{asset} [{', '.join(partition)}]" if partition else asset, seen.kind]
    about += [seen.extent] if seen.extent else []
    print(printable(f"{', '.join(about)} (from {handler})\n\n{seen.text}"))

"""`rivers load`: show the stored value of an asset."""

from __future__ import annotations

from shutil import get_terminal_size
from typing import Annotated

import typer

from rivers.inspection.errors import HandlerFailedError
from rivers_cli.options import AsJson, Asset, Partitions
from rivers_cli.output import escape_control, is_terminal, print_document, project_output_to_stderr
from rivers_cli.parsing import parse_partitions
from rivers_core.exceptions import RiversError


def load(
    context: typer.Context,
    asset: Asset,
    partition: Partitions = None,
    head: Annotated[int, typer.Option("--head", "-n", min=1, help="Number of rows, items or lines.")] = 10,
    version: Annotated[
        str | None,
        typer.Option(
            "--version", metavar="VERSION", help="An earlier version; `rivers versions` lists them."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the beginning of the stored value of an asset, of any type.

    The value is loaded with the asset's handler. `graph/task` is a node of a graph asset.

    Exit codes: 0, 1 nothing is stored or loading failed, 2 the asset or partition does not exist.

    Examples:
      $ rivers load orders
      $ rivers load orders --partition 2024-01-01 --head 3
      $ rivers load orders --version 3f2a91c0
      $ rivers load orders --env prod --json
    """
    from rivers.inspection.preview import preview_value, type_name

    with project_output_to_stderr(as_json):
        repository = context.obj.project.inspect()
        try:
            value = repository.load_node(asset, partition_key=parse_partitions(partition), version=version)
            preview = preview_value(value, head, get_terminal_size().columns if is_terminal() else None)
        except RiversError:
            raise
        except Exception as error:
            handler = repository.handler_binding(asset).label
            raise HandlerFailedError(
                f"Could not load asset {asset!r} with handler {handler!r}", error
            ) from error
        handler = repository.handler_binding(asset).label
    if as_json:
        print_document(
            {
                "asset": asset,
                "partition": partition or None,
                "version": version,
                "handler": handler,
                "type": type_name(value),
                "extent": preview.extent,
                "head": preview.head,
            }
        )
        return
    parts = [f"{asset} [{', '.join(partition)}]" if partition else asset, type_name(value)]
    parts += [preview.extent] if preview.extent else []
    print(escape_control(f"{', '.join(parts)} (from {handler})\n\n{preview.text}"))

"""`rivers delete`: delete stored values of an asset."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rivers_cli.options import AsJson, Asset, Partition
from rivers_cli.output import print_document, project_output_to_stderr


def delete(
    context: typer.Context,
    asset: Asset,
    partition: Partition = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete the stored value of an asset, or those of all its partitions.

    On a terminal, it asks first. The events of earlier runs stay; the deletion is recorded, and the status of the asset
    is missing. Of a graph asset also the values of its nodes are deleted. Where nothing is stored, nothing is recorded.

    Exit codes: 0, 1 the handler does not support deletion or the store failed, 2 the asset or partition does not exist.

    Examples:
      $ rivers delete orders
      $ rivers delete orders --partition 2024-01-01
    """
    with project_output_to_stderr(as_json):
        repository = context.obj.project.open()
        repository.io_handler_for_output(asset)
        where = asset if partition is None else f"{asset} [{partition}]"
        if not yes and sys.stdin.isatty():
            typer.confirm(f"Delete {where}?", abort=True, err=True)
        deleted = repository.delete(asset, partition_key=partition)
    if as_json:
        print_document([{"asset": name, "partition": key} for name, key in deleted])
        return
    for name, key in deleted:
        print(f"{name}: deleted." if key is None else f"{name} [{key}]: deleted.")
    if not deleted:
        print(f"{where}: nothing is stored.")

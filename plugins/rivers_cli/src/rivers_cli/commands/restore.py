"""`rivers restore`: make an earlier version of a value the current one."""

from __future__ import annotations

from typing import Annotated

import typer

from rivers_cli.options import AsJson, Asset, Partition
from rivers_cli.output import print_document, project_output_to_stderr


def restore(
    context: typer.Context,
    asset: Asset,
    version: Annotated[
        str, typer.Option("--version", metavar="VERSION", help="The version; `rivers versions` lists them.")
    ],
    partition: Partition = None,
    as_json: AsJson = False,
) -> None:
    """Make an earlier version of a stored value the current one.

    Recorded as a new materialization with the tag rivers/restored; assets computed from the replaced value become
    stale. With a partition, other partitions stay as they are.

    Exit codes: 0, 1 the version is not stored or the store failed, 2 the asset or partition does not exist.

    Examples:
      $ rivers restore orders --version 3f2a91c0
      $ rivers restore orders --partition 2024-01-01 --version 17
    """
    with project_output_to_stderr(as_json):
        repository = context.obj.project.open()
        event = repository.restore(asset, version=version, partition_key=partition)
    if as_json:
        print_document(
            {
                "asset": asset,
                "partition": partition,
                "restored": version,
                "data_version": event.data_version,
                "run_id": event.run_id,
            }
        )
        return
    where = asset if partition is None else f"{asset} [{partition}]"
    print(f"{where}: {event.message}. Its data version is {event.data_version}.")

"""Deleting: a partition in one commit, or a whole table."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from rivers_core.exceptions import RiversError
from rivers_delta.errors import named
from rivers_delta.loading import find
from rivers_delta.location import is_local, shown
from rivers_delta.options import read_options
from rivers_delta.partitions import partition_predicate, presence_id
from rivers_delta.presence import DELETED
from rivers_delta.read import all_columns
from rivers_delta.settings import Mark, build_commit_properties

if TYPE_CHECKING:
    from rivers_core.contexts import InputContext
    from rivers_delta.handler import DeltaIOHandler


def delete(handler: DeltaIOHandler, context: InputContext) -> None:
    """Delete what a context means.

    Args:
        handler: Where tables lie.
        context: Which asset and partition.

    Raises:
        NotMaterializedError: There is nothing to delete.
        RiversError: It is a whole table in an object store.
    """
    table = find(handler, context)
    address = handler.address(context.asset_name, context.asset_metadata)
    if context.partition is None:
        if not is_local(address):
            raise RiversError(
                f"{named(context)}: deltalake cannot remove a whole table from an object store; delete the folder "
                f"{shown(address)!r} with the store's own tool. Nothing was deleted."
            )
        shutil.rmtree(address)
        return
    expr = read_options(context.asset_name, context.asset_metadata).partition_expr
    assert expr is not None
    predicate = partition_predicate(context.asset_name, context.partition, expr, all_columns(table))
    marks = [Mark(presence_id(context.asset_name, key), DELETED) for key in context.partition.keys]
    facts = {
        "rivers.asset": context.asset_name,
        "rivers.partition": ",".join(map(str, context.partition.keys)),
    }
    table.delete(
        predicate.sql(), commit_properties=build_commit_properties(handler.commit_properties, facts, marks)
    )

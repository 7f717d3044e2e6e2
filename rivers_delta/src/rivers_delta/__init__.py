"""Delta Lake tables as an IO handler of rivers.

Every public name is imported when it is first used, so `import rivers_delta` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.authoring import lazy_exports, register_former_module

if TYPE_CHECKING:
    from rivers_delta.config.merge_config import (
        MergeConfig,
        MergeOperationsConfig,
        WhenMatchedDelete,
        WhenMatchedUpdate,
        WhenMatchedUpdateAll,
        WhenNotMatchedBySourceDelete,
        WhenNotMatchedBySourceUpdate,
        WhenNotMatchedInsert,
        WhenNotMatchedInsertAll,
    )
    from rivers_delta.config.partition_expr import PartitionExpr
    from rivers_delta.config.properties import HandlerConfig
    from rivers_delta.handler import DeltaIOHandler

__version__ = "0.1.0"

_MERGE = [
    "MergeConfig",
    "MergeOperationsConfig",
    "WhenMatchedDelete",
    "WhenMatchedUpdate",
    "WhenMatchedUpdateAll",
    "WhenNotMatchedBySourceDelete",
    "WhenNotMatchedBySourceUpdate",
    "WhenNotMatchedInsert",
    "WhenNotMatchedInsertAll",
]

__all__ = [
    "DeltaIOHandler",
    "HandlerConfig",
    "MergeConfig",
    "MergeOperationsConfig",
    "PartitionExpr",
    "WhenMatchedDelete",
    "WhenMatchedUpdate",
    "WhenMatchedUpdateAll",
    "WhenNotMatchedBySourceDelete",
    "WhenNotMatchedBySourceUpdate",
    "WhenNotMatchedInsert",
    "WhenNotMatchedInsertAll",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "DeltaIOHandler": "rivers_delta.handler",
        "HandlerConfig": "rivers_delta.config.properties",
        "PartitionExpr": "rivers_delta.config.partition_expr",
        **dict.fromkeys(_MERGE, "rivers_delta.config.merge_config"),
    },
)

# Handlers, options and merge configurations that release 0.1.0 pickled name these modules.
register_former_module("rivers_delta.settings", {"HandlerConfig": "rivers_delta.config.properties"})
register_former_module("rivers_delta.partition_expr", {"PartitionExpr": "rivers_delta.config.partition_expr"})
register_former_module(
    "rivers_delta.merge",
    dict.fromkeys([*_MERGE, "_Assignments", "_Items"], "rivers_delta.config.merge_config"),
)

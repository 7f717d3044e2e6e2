"""Delta Lake tables as an IO handler of rivers.

Every public name is imported when it is first used, so `import rivers_delta` costs nothing.
"""

from __future__ import annotations

from rivers_core.authoring import lazy_exports, register_former_module

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers_delta.config.merge_config import MergeConfig as MergeConfig
    from rivers_delta.config.merge_config import MergeOperationsConfig as MergeOperationsConfig
    from rivers_delta.config.merge_config import WhenMatchedDelete as WhenMatchedDelete
    from rivers_delta.config.merge_config import WhenMatchedUpdate as WhenMatchedUpdate
    from rivers_delta.config.merge_config import WhenMatchedUpdateAll as WhenMatchedUpdateAll
    from rivers_delta.config.merge_config import WhenNotMatchedBySourceDelete as WhenNotMatchedBySourceDelete
    from rivers_delta.config.merge_config import WhenNotMatchedBySourceUpdate as WhenNotMatchedBySourceUpdate
    from rivers_delta.config.merge_config import WhenNotMatchedInsert as WhenNotMatchedInsert
    from rivers_delta.config.merge_config import WhenNotMatchedInsertAll as WhenNotMatchedInsertAll
    from rivers_delta.config.partition_expr import PartitionExpr as PartitionExpr
    from rivers_delta.config.properties import HandlerConfig as HandlerConfig
    from rivers_delta.handler import DeltaIOHandler as DeltaIOHandler
else:
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
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "rivers_delta.config.merge_config": _MERGE,
            "rivers_delta.config.partition_expr": ["PartitionExpr"],
            "rivers_delta.config.properties": ["HandlerConfig"],
            "rivers_delta.handler": ["DeltaIOHandler"],
        },
    )
    # Handlers, options and merge configurations that release 0.1.0 pickled name these modules.
    register_former_module("rivers_delta.settings", {"rivers_delta.config.properties": ["HandlerConfig"]})
    register_former_module(
        "rivers_delta.partition_expr", {"rivers_delta.config.partition_expr": ["PartitionExpr"]}
    )
    register_former_module(
        "rivers_delta.merge", {"rivers_delta.config.merge_config": [*_MERGE, "_Assignments", "_Items"]}
    )

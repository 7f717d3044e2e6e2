"""Delta Lake tables as an IO handler of rivers.

Every public name is imported when it is first used, so `import rivers_delta` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rivers_core.authoring import register_former_module

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
    from rivers_delta.types.base import TypeAdapter
    from rivers_delta.types.hooks import TypeSpec, hookimpl

__version__ = "0.1.0"

__all__ = [
    "DeltaIOHandler",
    "HandlerConfig",
    "MergeConfig",
    "MergeOperationsConfig",
    "PartitionExpr",
    "TypeAdapter",
    "TypeSpec",
    "WhenMatchedDelete",
    "WhenMatchedUpdate",
    "WhenMatchedUpdateAll",
    "WhenNotMatchedBySourceDelete",
    "WhenNotMatchedBySourceUpdate",
    "WhenNotMatchedInsert",
    "WhenNotMatchedInsertAll",
    "hookimpl",
]

_HOMES = {
    "DeltaIOHandler": "handler",
    "HandlerConfig": "config.properties",
    "PartitionExpr": "config.partition_expr",
    "TypeAdapter": "types.base",
    "TypeSpec": "types.hooks",
    "hookimpl": "types.hooks",
}

# Handlers and merge configurations that release 0.1.0 pickled name these modules.
register_former_module("rivers_delta.settings", {"HandlerConfig": "rivers_delta.config.properties"})
register_former_module(
    "rivers_delta.merge",
    dict.fromkeys(
        [
            "MergeConfig",
            "MergeOperationsConfig",
            "WhenMatchedDelete",
            "WhenMatchedUpdate",
            "WhenMatchedUpdateAll",
            "WhenNotMatchedBySourceDelete",
            "WhenNotMatchedBySourceUpdate",
            "WhenNotMatchedInsert",
            "WhenNotMatchedInsertAll",
            "_Assignments",
            "_Items",
        ],
        "rivers_delta.config.merge_config",
    ),
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}."
        )
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'config.merge_config')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Delta Lake tables as an IO handler of rivers.

Every public name is imported when it is first used, so `import rivers_delta` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

"""Types of tables: one adapter per type, found through the hook `rivers_delta_types`."""

from __future__ import annotations

from rivers_delta.types.base import TableScan, TypeAdapter
from rivers_delta.types.registry import TypeRegistry, get_types

__all__ = ["TableScan", "TypeAdapter", "TypeRegistry", "get_types"]

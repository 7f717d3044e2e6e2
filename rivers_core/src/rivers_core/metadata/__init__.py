"""Metadata: typed facts about stored values."""

from __future__ import annotations

from rivers_core.metadata import rich as _rich
from rivers_core.metadata import scalars as _scalars
from rivers_core.metadata.coerce import coerce, coerce_mapping
from rivers_core.metadata.values import MetadataValue
from rivers_core.schema import Schema

__all__ = ["MetadataValue", "Schema", "coerce", "coerce_mapping"]

del _rich, _scalars  # imported for their variants, which are attributes of MetadataValue now

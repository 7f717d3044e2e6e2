"""Hook and record with which a package adds a frame type; all that a plugin module imports."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

GROUP: Final = "rivers.frame_types"
"""Entry-point group of modules that implement `rivers_frame_types`."""

PROJECT: Final = "rivers_frames"

hookspec: Final = pluggy.HookspecMarker(PROJECT)
"""Marks the specification of the hook; used by this package only."""

hookimpl: Final = pluggy.HookimplMarker(PROJECT)
"""Marks the function `rivers_frame_types` of a plugin module."""

_DOTTED: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
_TARGET: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class FrameTypeSpec:
    """Frame type that a plugin provides.

    Args:
        type_name: The class as users import it, such as `geopandas.GeoDataFrame`.
        target: The `FrameAdapter`, as `package.module:Class`; imported on first use.
        requires: Distributions that the adapter needs besides the one of the type.
        aliases: Other dotted names of the same class.

    Raises:
        ValueError: A name is not dotted, or the target does not have the form `package.module:Class`.
    """

    type_name: str
    target: str
    requires: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.type_name, *self.aliases):
            if not _DOTTED.fullmatch(name):
                raise ValueError(
                    f"FrameTypeSpec needs a dotted name such as 'polars.DataFrame', got {name!r}."
                )
        if not _TARGET.fullmatch(self.target):
            raise ValueError(
                f"FrameTypeSpec {self.type_name!r} needs a target such as 'package.module:Class', got {self.target!r}."
            )


@hookspec
def rivers_frame_types() -> Iterable[FrameTypeSpec]:  # type: ignore[empty-body]
    """Provide frame types. If several types match a value, the most specific class is used.

    Returns:
        Records; yield them. A target is imported when a value of its type is first stored or loaded.
    """


def builtin_types() -> Iterator[FrameTypeSpec]:
    """Yield the frame types of this package."""
    here = __name__.rpartition(".")[0]
    yield FrameTypeSpec("polars.DataFrame", f"{here}.polars_frames:PolarsDataFrameAdapter", ("polars",))
    yield FrameTypeSpec("polars.LazyFrame", f"{here}.polars_frames:LazyFrameAdapter", ("polars",))
    yield FrameTypeSpec("pyarrow.Table", f"{here}.pyarrow_tables:PyarrowTableAdapter")
    yield FrameTypeSpec("pyarrow.RecordBatchReader", f"{here}.pyarrow_tables:PyarrowReaderAdapter")
    yield FrameTypeSpec("pyarrow.dataset.Dataset", f"{here}.pyarrow_tables:PyarrowDatasetAdapter")
    yield FrameTypeSpec("pandas.DataFrame", f"{here}.pandas_frames:PandasDataFrameAdapter", ("pandas",))
    yield FrameTypeSpec("arro3.core.Table", f"{here}.arrow_streams:Arro3TableAdapter")
    yield FrameTypeSpec("arro3.core.RecordBatchReader", f"{here}.arrow_streams:Arro3ReaderAdapter")
    yield FrameTypeSpec("duckdb.DuckDBPyRelation", f"{here}.arrow_streams:RelationAdapter", ("duckdb",))

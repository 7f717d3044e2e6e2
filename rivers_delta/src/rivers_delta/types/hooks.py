"""Hook and record with which a package adds a frame type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP: Final = "rivers_delta"
"""Entry-point group of packages that add frame types, and name of the hook project."""

hookimpl: Final = pluggy.HookimplMarker(GROUP)
"""Mark `rivers_delta_types`, the function that yields a `TypeSpec` for each frame type a package adds.

Its module is announced by an entry point of the group `rivers_delta`. If several types match a value, the most specific
class wins, so a subclass takes precedence over its base class.
"""

_DOTTED: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
_TARGET: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class TypeSpec:
    """Record that announces a frame type.

    Args:
        type_name: The type as users import it, such as `geopandas.GeoDataFrame`.
        target: Where the `TypeAdapter` is, `package.module:Class`; imported on first use.
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
                raise ValueError(f"TypeSpec needs a dotted name such as 'polars.DataFrame', got {name!r}.")
        if not _TARGET.fullmatch(self.target):
            raise ValueError(
                f"TypeSpec {self.type_name!r} needs a target such as 'package.module:Class', got {self.target!r}."
            )


def builtin_types() -> Iterator[TypeSpec]:
    """Yield the frame types of this package."""
    here = __name__.rpartition(".")[0]
    yield TypeSpec("polars.DataFrame", f"{here}.polars_frames:PolarsDataFrameAdapter", ("polars",))
    yield TypeSpec("polars.LazyFrame", f"{here}.polars_frames:LazyFrameAdapter", ("polars",))
    yield TypeSpec("pyarrow.Table", f"{here}.pyarrow_tables:PyarrowTableAdapter")
    yield TypeSpec("pyarrow.RecordBatchReader", f"{here}.pyarrow_tables:PyarrowReaderAdapter")
    yield TypeSpec("pandas.DataFrame", f"{here}.pandas_frames:PandasDataFrameAdapter", ("pandas",))
    yield TypeSpec("arro3.core.Table", f"{here}.arrow_streams:Arro3TableAdapter")
    yield TypeSpec("arro3.core.RecordBatchReader", f"{here}.arrow_streams:Arro3ReaderAdapter")
    yield TypeSpec("duckdb.DuckDBPyRelation", f"{here}.arrow_streams:RelationAdapter", ("duckdb",))

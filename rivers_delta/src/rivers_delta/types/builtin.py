"""The types this package brings, announced like anybody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_delta.types.hooks import TypeSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = "rivers_delta.types"


@hookimpl
def rivers_delta_types() -> Iterator[TypeSpec]:
    """Offer polars, pyarrow, pandas, arro3 and DuckDB."""
    yield TypeSpec("polars.DataFrame", f"{_HERE}.polars_frames:DataFrameAdapter", ("polars",))
    yield TypeSpec("polars.LazyFrame", f"{_HERE}.polars_frames:LazyFrameAdapter", ("polars",))
    yield TypeSpec("pyarrow.Table", f"{_HERE}.pyarrow_tables:TableAdapter", ("pyarrow",))
    yield TypeSpec("pyarrow.RecordBatchReader", f"{_HERE}.pyarrow_tables:ReaderAdapter", ("pyarrow",))
    yield TypeSpec("pandas.DataFrame", f"{_HERE}.pandas_frames:DataFrameAdapter", ("pandas", "pyarrow"))
    yield TypeSpec("arro3.core.Table", f"{_HERE}.arrow_streams:TableAdapter")
    yield TypeSpec("arro3.core.RecordBatchReader", f"{_HERE}.arrow_streams:ReaderAdapter")
    yield TypeSpec("duckdb.DuckDBPyRelation", f"{_HERE}.arrow_streams:RelationAdapter", ("duckdb",))

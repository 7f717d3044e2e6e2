"""What the events say about every table: typed metadata that anybody can look up later."""

from __future__ import annotations

import polars as pl

import rivers as rs


def as_markdown(table: pl.DataFrame) -> str:
    """The table as Markdown."""
    with pl.Config(
        tbl_formatting="MARKDOWN",
        tbl_hide_column_data_types=True,
        tbl_hide_dataframe_shape=True,
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=-1,
        float_precision=2,
    ):
        return str(table)


def describe(context: rs.AssetExecutionContext, table: pl.DataFrame) -> pl.DataFrame:
    """Add rows, columns and a first look to the event of the asset; the table itself is given back."""
    context.add_output_metadata(
        {
            "rows": table.height,
            "columns": rs.MetadataValue.schema(table.schema),
            "preview": rs.MetadataValue.md(as_markdown(table.head())),
        }
    )
    return table

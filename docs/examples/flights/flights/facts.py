"""Typed metadata for every table, which the events record."""

from __future__ import annotations

import polars as pl

import rivers as rs


def as_markdown(table: pl.DataFrame) -> str:
    """Return a table as Markdown."""
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
    """Add row count, columns and a preview to the metadata of the asset, and return the table."""
    context.add_output_metadata(
        {
            "rows": table.height,
            "columns": rs.MetadataValue.schema(table.schema),
            "preview": rs.MetadataValue.md(as_markdown(table.head())),
        }
    )
    return table

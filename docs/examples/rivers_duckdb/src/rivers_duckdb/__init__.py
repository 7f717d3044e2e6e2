"""Data frames as tables of a DuckDB file, for rivers."""

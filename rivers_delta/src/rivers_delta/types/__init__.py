"""Frame types: adapters from polars, pandas, pyarrow, arro3 and DuckDB to Arrow batches and back."""

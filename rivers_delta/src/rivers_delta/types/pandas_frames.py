"""pandas, through pyarrow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from rivers_delta.types.pyarrow_tables import TableAdapter

if TYPE_CHECKING:
    from arro3.core import RecordBatchReader

    from rivers_delta.types.base import TableScan

_OWN_METADATA = "pandas"


class DataFrameAdapter(TableAdapter):
    """`pandas.DataFrame`; its columns, that is: an index that says something is refused rather than lost."""

    def prepare(self, value: Any) -> Any:
        """Convert to Arrow."""
        return _table(value)

    def extras(self, value: Any, reader: RecordBatchReader) -> dict[str, dict[str, str]]:
        """Which of pandas' own types a column has, where Arrow's alone would give another."""
        extras = super().extras(value, reader)
        default = value.slice(0, 0).replace_schema_metadata(None).to_pandas().dtypes
        for column in value.schema.pandas_metadata["columns"]:
            name, dtype = column["field_name"], column["numpy_type"]
            is_own = isinstance(pd.api.types.pandas_dtype(dtype), pd.api.extensions.ExtensionDtype)
            if is_own and dtype != "category" and str(default[name]) != dtype:
                extras.setdefault(name, {})[_OWN_METADATA] = dtype
        return extras

    def from_reader(self, reader: RecordBatchReader) -> Any:
        """Convert from Arrow."""
        return super().from_reader(reader).to_pandas()

    def read(self, scan: TableScan) -> Any:
        """Read with pyarrow, then give columns pandas' own types back."""
        if scan.is_feed:
            return self.from_reader(scan.reader())
        table = super().read(scan)
        frame = table.to_pandas()
        for column in scan.columns:
            told = json.loads(column.hint).get("metadata", {}) if column.hint else {}
            if _OWN_METADATA in told:
                dtype = pd.api.types.pandas_dtype(told[_OWN_METADATA])
                frame[column.name] = table.column(column.name).to_pandas(types_mapper=lambda _, d=dtype: d)
        return frame


def _table(frame: Any) -> Any:
    names = [name for name in frame.columns if not isinstance(name, str)]
    if names:
        raise TypeError(f"column {names[0]!r} is not named by text; rename it to {str(names[0])!r}")
    index = frame.index
    if not (isinstance(index, pd.RangeIndex) and index.name is None and index.start == 0 and index.step == 1):
        called = f" {index.names!r}" if any(name is not None for name in index.names) else ""
        raise TypeError(
            f"the index{called} of the frame would be lost; make it a column with .reset_index(), or drop it "
            "with .reset_index(drop=True)"
        )
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except pa.ArrowException as error:
        raise TypeError(f"the frame cannot be said in Arrow: {'; '.join(map(str, error.args))}") from error

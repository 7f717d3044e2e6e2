"""The Parquet handler passes the conformance kit, on a folder and on an S3 server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from rivers_parquet import ParquetIOHandler
from rivers_testkit import IOHandlerTests, Sample
from tests.s3_server import faulty_store_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rivers_core import BaseIOHandler, PartitionContext
    from tests.s3_server import S3Server


class Frames(IOHandlerTests):
    __test__ = False

    samples = (
        Sample("polars", lambda: pl.DataFrame({"a": [1, None], "b": ["x", "ä"]})),
        Sample("pyarrow", lambda: pl.DataFrame({"a": [1.5, 2.5]}).to_arrow()),
        Sample("pandas", lambda: pl.DataFrame({"a": [1, 2]}).to_pandas()),
        Sample("no rows", lambda: pl.DataFrame(schema={"a": pl.Int64, "b": pl.String})),
    )

    def make_value(
        self, number: int, *, rows: int = 1, partition: PartitionContext | None = None
    ) -> pl.DataFrame:
        return pl.DataFrame(super().make_value(number, rows=rows, partition=partition))

    def asset_metadata(self, dimensions: Sequence[str]) -> Mapping[str, Any] | None:
        if not dimensions:
            return None
        columns: Any = "key" if dimensions == ["key"] else {name: name for name in dimensions}
        return {"parquet/partition_expr": columns}

    def same_value(self, loaded: Any, stored: Any) -> bool:
        return type(loaded) is type(stored) and pl.DataFrame(loaded).equals(pl.DataFrame(stored))


class TestFolder(Frames):
    __test__ = True

    @pytest.fixture
    def handler(self, tmp_path: Path) -> ParquetIOHandler:
        return ParquetIOHandler(tmp_path / "tables")


@pytest.mark.server
class TestS3(Frames):
    __test__ = True
    model_examples = 4

    @pytest.fixture
    def handler(self, s3_server: S3Server, s3_url: str) -> ParquetIOHandler:
        return ParquetIOHandler(s3_url, storage_options=s3_server.options())

    def handler_for_endpoint(self, handler: BaseIOHandler, url: str) -> ParquetIOHandler:
        return ParquetIOHandler("s3://bucket", storage_options=faulty_store_options(url))

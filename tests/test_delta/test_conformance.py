"""The Delta handler passes the conformance kit, on a folder and on an S3 server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from rivers_delta import DeltaIOHandler
from rivers_testkit import IOHandlerTests, Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rivers_core import BaseIOHandler, PartitionContext
    from tests.s3_server import S3Server


class TableTests(IOHandlerTests):
    samples = (
        Sample("polars", lambda: pl.DataFrame({"a": [1, None], "b": ["x", "ä"]})),
        Sample("pyarrow", lambda: pl.DataFrame({"a": [1.5, 2.5]}).to_arrow()),
        Sample("no rows", lambda: pl.DataFrame(schema={"a": pl.Int64, "b": pl.String})),
    )
    versions_are_digests = False
    model_examples = 4

    def make_value(
        self, number: int, *, rows: int = 1, partition: PartitionContext | None = None
    ) -> pl.DataFrame:
        return pl.DataFrame(super().make_value(number, rows=rows, partition=partition))

    def same_value(self, loaded: Any, stored: Any) -> bool:
        if type(loaded) is not type(stored):
            return False
        left, right = (pl.DataFrame(table) for table in (loaded, stored))
        return left.columns == right.columns and left.sort(left.columns).equals(right.sort(right.columns))

    def asset_metadata(self, dimensions: Sequence[str]) -> Mapping[str, Any] | None:
        if not dimensions:
            return None
        columns: Any = "key" if dimensions == ["key"] else {name: name for name in dimensions}
        return {"delta/partition_expr": columns}


class TestFolder(TableTests):
    @pytest.fixture
    def handler(self, tmp_path: Path) -> DeltaIOHandler:
        return DeltaIOHandler(table_uri=str(tmp_path / "lake"))


@pytest.mark.server
class TestS3(TableTests):
    samples = TableTests.samples[:1]
    model_examples = 2

    @pytest.fixture
    def handler(self, s3_server: S3Server, s3_url: str) -> DeltaIOHandler:
        return DeltaIOHandler(table_uri=s3_url, storage_options=s3_server.options())

    def handler_for_endpoint(self, handler: BaseIOHandler, url: str) -> DeltaIOHandler:
        options = {
            "aws_endpoint_url": url,
            "aws_allow_http": "true",
            "aws_skip_signature": "true",
            "aws_region": "us-east-1",
            "max_retries": "0",
            "timeout": "200ms",
        }
        return DeltaIOHandler(table_uri="s3://bucket/lake", storage_options=options)

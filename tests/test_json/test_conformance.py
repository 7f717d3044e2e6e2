"""The JSON handler passes the conformance kit, on a folder and on an S3 server."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from rivers_json import JsonIOHandler
from rivers_testkit import JSON_SAMPLES, IOHandlerTests, Sample
from rivers_testkit.samples import Color, Point
from tests.s3_server import faulty_store_options

if TYPE_CHECKING:
    from pathlib import Path

    from rivers_core import BaseIOHandler
    from tests.s3_server import S3Server

SAMPLES = (
    *JSON_SAMPLES,
    Sample.of("large integer", 2**100),
    Sample.of("date", date(2024, 2, 29)),
    Sample.of("datetime", datetime(2024, 2, 29, 12, tzinfo=UTC)),
    Sample.of("timedelta", timedelta(days=1, microseconds=1)),
    Sample.of("decimal", Decimal("1.10")),
    Sample.of("uuid", UUID(int=5)),
    Sample.of("enumeration", Color.RED),
    Sample.of("dataclass", Point(1, "a")),
    Sample.of("dataclasses", [Point(1, "a"), Point(2, "b")], list[Point]),
    Sample.of("tuple", (1, "a"), tuple[int, str]),
    Sample.of("set", {1, 2}, set[int]),
    Sample.of("number keys", {1: "a"}, dict[int, str]),
)


class TestFolder(IOHandlerTests):
    samples = SAMPLES

    @pytest.fixture
    def handler(self, tmp_path: Path) -> JsonIOHandler:
        return JsonIOHandler(tmp_path / "documents", indent=2)


@pytest.mark.server
class TestS3(IOHandlerTests):
    samples = SAMPLES[:2]
    model_examples = 3

    @pytest.fixture
    def handler(self, s3_server: S3Server, s3_url: str) -> JsonIOHandler:
        return JsonIOHandler(s3_url, storage_options=s3_server.options())

    def handler_for_endpoint(self, handler: BaseIOHandler, url: str) -> JsonIOHandler:
        return JsonIOHandler("s3://bucket", storage_options=faulty_store_options(url))

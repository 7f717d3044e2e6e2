"""The pickle handler passes the conformance kit, on a folder and on an S3 server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rivers_pickle import PickleIOHandler
from rivers_testkit import PYTHON_SAMPLES, IOHandlerTests
from tests.s3_server import faulty_store_options

if TYPE_CHECKING:
    from pathlib import Path

    from rivers_core import BaseIOHandler
    from tests.s3_server import S3Server


class TestFolder(IOHandlerTests):
    samples = PYTHON_SAMPLES

    @pytest.fixture
    def handler(self, tmp_path: Path) -> PickleIOHandler:
        return PickleIOHandler(tmp_path / "lake", keep_versions=2)


@pytest.mark.server
class TestS3(IOHandlerTests):
    samples = PYTHON_SAMPLES
    model_examples = 5

    @pytest.fixture
    def handler(self, s3_server: S3Server, s3_url: str) -> PickleIOHandler:
        return PickleIOHandler(s3_url, keep_versions=2, storage_options=s3_server.options())

    def handler_for_endpoint(self, handler: BaseIOHandler, url: str) -> PickleIOHandler:
        return PickleIOHandler("s3://bucket", storage_options=faulty_store_options(url))

"""The pickle handler passes the conformance kit, on a folder, an S3 server and an Azure server."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from rivers_pickle import PickleIOHandler
from rivers_testkit import PYTHON_SAMPLES, IOHandlerTests
from tests.azure_server import CONTAINER, azure_server
from tests.s3_server import faulty_store_options

if TYPE_CHECKING:
    from pathlib import Path

    from rivers_core import BaseIOHandler
    from tests.azure_server import AzureServer
    from tests.s3_server import S3Server

__all__ = ["azure_server"]


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


@pytest.mark.server
class TestAzure(IOHandlerTests):
    samples = PYTHON_SAMPLES[:3]
    model_examples = 3

    @pytest.fixture
    def handler(self, azure_server: AzureServer) -> PickleIOHandler:
        url = f"az://{CONTAINER}/{uuid4().hex}"
        return PickleIOHandler(url, keep_versions=2, storage_options=azure_server.endpoint_options())

    def handler_for_endpoint(self, handler: BaseIOHandler, url: str) -> PickleIOHandler:
        options = faulty_store_options(url) | {"account_name": "unknown"}
        return PickleIOHandler("az://container", storage_options=options)

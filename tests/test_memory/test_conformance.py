"""The memory handler passes the conformance kit."""

from __future__ import annotations

import pytest

from rivers_memory import InMemoryIOHandler
from rivers_testkit import PYTHON_SAMPLES, IOHandlerTests


class TestMemory(IOHandlerTests):
    samples = PYTHON_SAMPLES
    versions_are_digests = False

    @pytest.fixture
    def handler(self) -> InMemoryIOHandler:
        return InMemoryIOHandler()

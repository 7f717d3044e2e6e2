"""The handlers that the broken ones derive from pass the kit: one derives from the other."""

from __future__ import annotations

import pytest

from rivers_testkit import PYTHON_SAMPLES, IOHandlerTests
from tests.test_testkit.broken_handlers import VersionedFileIOHandler


class TestCorrect(IOHandlerTests):
    samples = tuple(sample for sample in PYTHON_SAMPLES if sample.name != "complex")
    model_examples = 3

    @pytest.fixture
    def handler(self, tmp_path):
        return VersionedFileIOHandler(folder=str(tmp_path / "files"))

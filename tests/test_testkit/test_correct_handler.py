"""The handlers that the broken ones derive from pass the kit: together they have all capabilities."""

from __future__ import annotations

import pytest

from rivers_testkit import PYTHON_SAMPLES, IOHandlerTests
from tests.test_testkit.broken_handlers import CompleteFileIOHandler, VersionedFileIOHandler


def test_random_sequences_run_last(request):
    """The checks that name one fault run before those that combine everything."""
    module = request.node.getparent(pytest.Module)
    items = pytest.Class.from_parent(module, name="TestCorrect").collect()
    assert items[0].originalname == "test_value_round_trips"
    assert items[-1].originalname == "test_handler_behaves_like_a_dictionary"


class TestCorrect(IOHandlerTests):
    samples = tuple(sample for sample in PYTHON_SAMPLES if sample.name != "complex")
    model_examples = 3

    @pytest.fixture
    def handler(self, tmp_path):
        return VersionedFileIOHandler(folder=str(tmp_path / "files"))


class TestComplete(IOHandlerTests):
    samples = PYTHON_SAMPLES[:2]
    model_examples = 3

    @pytest.fixture
    def handler(self, tmp_path):
        return CompleteFileIOHandler(folder=str(tmp_path / "files"))

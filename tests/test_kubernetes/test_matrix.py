"""The pipelines of every executor in pods: the same values and events as in process."""

import pytest

import rivers as rs
from tests.test_executors.pipelines import ShelfIOHandler, run

pytestmark = pytest.mark.server


@pytest.fixture
def handler_of(tmp_path, request):
    """Return a function that makes the handler of a name, with an empty store."""

    def make(name, place):
        folder = tmp_path / place
        folder.mkdir()
        match name:
            case "pickle":
                return rs.PickleIOHandler(f"file:{folder}")
            case "delta":
                return rs.DeltaIOHandler(str(folder))
            case "s3":
                server, url = request.getfixturevalue("s3_server"), request.getfixturevalue("s3_url")
                return rs.PickleIOHandler(url, prefix=place, storage_options=server.options())
        return ShelfIOHandler(folder=str(folder))

    return make


@pytest.mark.timeout(900)  # about twenty pods
@pytest.mark.parametrize("name", ["pickle", "s3", "delta", "shelf"])
def test_cell_equals_in_process(name, executor, handler_of, tmp_path):
    expected = run(handler_of(name, "in_process"), rs.Executor.in_process(), tmp_path / "notes-0")
    assert run(handler_of(name, "kubernetes"), executor(), tmp_path / "notes-1") == expected

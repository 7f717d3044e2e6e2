"""One pipeline under every executor and handler: the same values and the same events, or a refusal before it starts."""

from __future__ import annotations

import pytest

import rivers as rs
from rivers.exceptions import GraphValidationError
from tests.test_executors.pipelines import ShelfIOHandler, run


@pytest.fixture
def handlers(tmp_path, request):
    """Return a function that makes the handler of a name, with an empty store."""

    def make(name, place):
        folder = tmp_path / place
        folder.mkdir()
        if name == "s3":
            server, url = request.getfixturevalue("s3_server"), request.getfixturevalue("s3_url")
            return rs.PickleIOHandler(url, prefix=place, storage_options=server.options())
        return {
            "memory": lambda: rs.InMemoryIOHandler(),
            "pickle": lambda: rs.PickleIOHandler(f"file:{folder}"),
            "delta": lambda: rs.DeltaIOHandler(str(folder)),
            "shelf": lambda: ShelfIOHandler(folder=str(folder)),
        }[name]()

    return make


@pytest.mark.parametrize("executor", ["parallel", "dask"])
@pytest.mark.parametrize("name", ["pickle", pytest.param("s3", marks=pytest.mark.server), "delta", "shelf"])
def test_cell_equals_in_process(name, executor, request, handlers, tmp_path):
    elsewhere = request.getfixturevalue(executor)
    expected = run(handlers(name, "in_process"), rs.Executor.in_process(), tmp_path / "notes-0")
    assert run(handlers(name, executor), elsewhere, tmp_path / "notes-1") == expected


def test_memory_under_parallel_equals_in_process(parallel, handlers, tmp_path):
    expected = run(handlers("memory", "in_process"), rs.Executor.in_process(), tmp_path / "notes-0")
    assert run(handlers("memory", "parallel"), parallel, tmp_path / "notes-1") == expected


REFUSED = {
    "memory under dask": ("memory", rs.Executor.dask("tcp://127.0.0.1:9", shared_filesystem=True)),
    "memory under kubernetes": ("memory", rs.Executor.kubernetes("image:1", run_store="s3://bucket/runs")),
    "folder under remote dask": ("pickle", rs.Executor.dask("tcp://127.0.0.1:9")),
    "folder under kubernetes": ("pickle", rs.Executor.kubernetes("image:1", run_store="s3://bucket/runs")),
    "local table under kubernetes": (
        "delta",
        rs.Executor.kubernetes("image:1", run_store="s3://bucket/runs"),
    ),
    "undeclared under remote dask": ("shelf", rs.Executor.dask("tcp://127.0.0.1:9")),
    "undeclared under kubernetes": ("shelf", rs.Executor.kubernetes("image:1", run_store="s3://bucket/runs")),
}


@pytest.mark.parametrize("cell", REFUSED)
def test_unsupported_cell_is_refused_before_the_first_step(cell, handlers, tmp_path):
    name, executor = REFUSED[cell]
    handler = handlers(name, "unused")
    with pytest.raises(GraphValidationError) as caught:
        run(handler, executor, tmp_path / "notes")
    for asset in ("one", "diamond", "split"):
        assert f"asset {asset!r}: handler {type(handler).__name__!r}" in str(caught.value)
    assert list((tmp_path / "notes").iterdir()) == []
    assert list((tmp_path / "unused").iterdir()) == []

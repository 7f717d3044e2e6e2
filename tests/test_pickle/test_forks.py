"""Handlers in forked processes, which have no native threads."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import traceback

import pytest

import rivers as rs
from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_pickle import PickleIOHandler

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def in_fork(function, *arguments):
    """Return the result of a function in a forked process, which must not hang."""
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe(duplex=False)

    def run():
        try:
            there.send((True, function(*arguments)))
        except BaseException as error:
            there.send((False, f"{type(error).__name__}: {error}\n{traceback.format_exc()}"))

    process = fork.Process(target=run)
    process.start()
    there.close()
    try:
        assert here.poll(60), "the forked process hangs"
        succeeded, result = here.recv()
    finally:
        process.kill()
        process.join()
    return result if succeeded else pytest.fail(result)


def round_trip(handler, value, name="forked"):
    handler.handle_output(OutputContext(name), value)
    assert handler.exists(InputContext(name, "next"))
    loaded = handler.load_input(InputContext(name, "next"))
    handler.delete(InputContext(name, "next"))
    return loaded


def error_of(function, *arguments):
    try:
        function(*arguments)
    except RiversError as error:
        return str(error)
    return None


@pytest.mark.parametrize("is_new", [False, True])
@pytest.mark.parametrize("size", [10, 20_000_000])
def test_local_store_works_in_forked_process(lake, size, is_new):
    lake.store("of the parent")
    round_trip(PickleIOHandler("memory://"), "native threads of obstore run")
    handler = PickleIOHandler(lake.folder) if is_new else lake.handler
    assert in_fork(lambda: len(round_trip(handler, b"x" * size))) == size
    assert in_fork(lambda: handler.load_input(lake.asked())) == "of the parent"


def test_missing_value_is_reported_in_forked_process(lake):
    lake.store(1, "orders")
    round_trip(PickleIOHandler("memory://"), 1)

    def missing():
        try:
            lake.load("order")
        except NotMaterializedError as error:
            return str(error)

    assert "orders.pkl" in in_fork(missing)


@pytest.mark.server
@pytest.mark.parametrize("action", ["handle_output", "load_input", "exists", "delete"])
def test_remote_store_is_refused_in_forked_process(action, s3_server, s3_url):
    handler = PickleIOHandler(s3_url, storage_options=s3_server.options())
    handler.handle_output(OutputContext("asset"), 1)

    def call(handler):
        context = OutputContext("asset") if action == "handle_output" else InputContext("asset", "next")
        getattr(handler, action)(context, *([2] if action == "handle_output" else []))

    for other in (handler, pickle.loads(pickle.dumps(handler))):
        message = in_fork(error_of, call, other)
        assert "spawn" in message
        assert "asset 'asset'" in message


def test_pool_inside_asset_uses_local_store(tmp_path):
    handler = PickleIOHandler(tmp_path)

    @rs.Asset(io_handler=handler)
    def numbers() -> list[int]:
        return [1, 2, 3]

    @rs.Asset(io_handler=handler)
    def total(numbers: list[int]) -> int:
        return in_fork(lambda: sum(handler.load_input(InputContext("numbers", "total"))))

    with rs.CodeRepository([numbers, total]) as repo:
        repo.resolve(storage=rs.Storage.memory())
        repo.materialize()
        assert repo.load_node("total") == 6


FRAMES = textwrap.dedent("""
    import multiprocessing, sys, tempfile
    import polars as pl, pyarrow as pa
    from rivers_core import InputContext, OutputContext
    from rivers_pickle import PickleIOHandler

    part = pl.DataFrame({f"c{n}": [f"{n} {row}" for row in range(5000)] for n in range(40)})
    chunked = pl.concat([part, part, part], rechunk=False)
    categories = part.select(pl.all().cast(pl.Categorical))
    arrow = pa.concat_tables([part.to_arrow()] * 3)
    value = {"chunked": chunked, "categories": [categories], "arrow": arrow, "slice": arrow.slice(7, 9000)}
    handler = PickleIOHandler(tempfile.mkdtemp())
    handler.handle_output(OutputContext("frames"), value)
    chunked.lazy().group_by("c0").len().collect()  # starts the threads of polars

    def child(results):
        loaded = handler.load_input(InputContext("frames", "next"))
        handler.handle_output(OutputContext("copy"), loaded)
        results.put("stored")

    fork = multiprocessing.get_context("fork")
    results = fork.Queue()
    process = fork.Process(target=child, args=(results,))
    process.start()
    try:
        print(results.get(timeout=60))
    finally:
        process.kill()
    copy = handler.load_input(InputContext("copy", "next"))
    print(copy["chunked"].equals(chunked), copy["categories"][0].equals(categories), copy["arrow"] == arrow,
          copy["slice"] == value["slice"])
""")


def test_frames_in_pickled_values_work_in_forked_process():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FRAMES],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout.split() == ["stored", *["True"] * 4], done.stderr

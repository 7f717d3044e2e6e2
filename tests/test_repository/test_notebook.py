"""Progress of runs in notebooks, in the kernel of a notebook."""

from __future__ import annotations

import re

import pytest
from jupyter_client.manager import start_new_kernel

PIPELINE = """
import rivers as rs

letters = rs.PartitionsDefinition.static_(["a", "b"])

@rs.Asset
def orders() -> list[int]:
    return [1, 2]

@rs.Asset(partitions_def=letters)
def region(context: rs.AssetExecutionContext, orders: list[int]) -> int:
    return len(orders)

@rs.Asset
def broken() -> int:
    raise ValueError("<b>")

repo = rs.CodeRepository([orders, region, broken], config=False)
"""


class Notebook:
    """A kernel that runs cells.

    Attributes:
        outputs: Data of the outputs that the last cell displayed or replaced, in order.
        ids: Identifiers of these outputs.
        error: Name of the exception of the last cell, if any.
        stderr: What the last cell wrote to stderr.
    """

    def __init__(self, client):
        self._client = client
        self.outputs, self.ids, self.error, self.stderr = [], [], None, ""

    def run(self, source):
        self.outputs, self.ids, self.error, self.stderr = [], [], None, ""
        self._client.execute_interactive(source, output_hook=self._receive, timeout=None, store_history=False)

    def texts(self):
        return [data["text/plain"] for data in self.outputs]

    def _receive(self, message):
        content = message["content"]
        if message["msg_type"] in ("display_data", "update_display_data"):
            self.outputs.append(content["data"])
            self.ids.append(content["transient"]["display_id"])
        elif message["msg_type"] == "error":
            self.error = content["ename"]
        elif message["msg_type"] == "stream" and content["name"] == "stderr":
            self.stderr += content["text"]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    manager, client = start_new_kernel(cwd=str(folder), startup_timeout=100)
    try:
        notebook = Notebook(client)
        notebook.run(PIPELINE)
        assert notebook.error is None
        yield notebook
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_materialize_shows_one_progress_bar(notebook):
    notebook.run("result = repo.materialize(['orders', 'region'], partition_key=['a', 'b'])")
    assert notebook.error is None
    assert notebook.stderr == ""
    assert len(set(notebook.ids)) == 1
    assert "0 of 3 " in notebook.texts()[1]
    assert "3 of 3 " in notebook.texts()[-1]
    assert re.search(r'<progress value="3" max="3"', notebook.outputs[-1]["text/html"])


def test_progress_bar_needs_no_widgets(notebook):
    notebook.run(
        "import sys; sys.modules['ipywidgets'] = sys.modules['rich'] = None\nrepo.materialize(['orders'])"
    )
    assert notebook.error is None
    assert notebook.stderr == ""
    assert "1 of 1 " in notebook.texts()[-1]


def test_progress_bar_counts_failures(notebook):
    notebook.run("repo.materialize(['broken', 'orders'], raise_on_error=False)")
    assert notebook.error is None
    assert "2 of 2 steps, 1 failed" in notebook.texts()[-1]
    assert notebook.outputs[-1]["text/html"].count("<") == 2


def test_progress_bar_ends_before_the_error(notebook):
    notebook.run("repo.materialize(['broken'])")
    assert notebook.error is not None
    assert "1 failed" in notebook.texts()[-1]


def test_progress_bar_leaves_out_skipped_steps(notebook):
    notebook.run("repo.materialize(['orders']); repo.materialize(['orders'], only_stale=True)")
    assert "0 of 0 steps" in notebook.texts()[-1]


def test_progress_bar_works_with_worker_processes(notebook):
    notebook.run(
        "disk = rs.CodeRepository([rs.Asset(io_handler=rs.PickleIOHandler('./data'))(orders.function)], config=False)\n"
        "disk.materialize(executor=rs.Executor.parallel(1))"
    )
    assert notebook.error is None
    assert "1 of 1 steps" in notebook.texts()[-1]


def test_progress_bar_is_switched_off_by_a_variable(notebook):
    notebook.run("import os; os.environ['RIVERS_PROGRESS'] = '0'\nresult = repo.materialize(['orders'])")
    assert notebook.error is None
    assert notebook.outputs == []
    notebook.run("del os.environ['RIVERS_PROGRESS']")

"""Previews of values of every type, and of handlers that fail, hang or end the process."""

from __future__ import annotations

import pytest

from rivers_ui import app, worker
from tests.test_ui.conftest import serve

DEFINITIONS = """
import os
import threading
import rivers as rs

class Shelf(rs.BaseIOHandler):
    locality = "host"

    def handle_output(self, context, obj):
        pass

    def load_input(self, context):
        import pandas, polars, pyarrow
        values = {
            "polars_frame": lambda: polars.DataFrame({"x": [1, 2], "y": ["a", None]}),
            "polars_lazy": lambda: polars.LazyFrame({"x": range(1_000)}),
            "pandas_frame": lambda: pandas.DataFrame({"x": [1, 2], "y": ["a", "b"]}),
            "arrow_table": lambda: pyarrow.table({"x": range(1_000)}),
            "arrow_reader": lambda: pyarrow.table({"x": range(1_000)}).to_reader(max_chunksize=100),
            "wide_frame": lambda: polars.DataFrame({f"c{number}": [number] for number in range(300)}),
            "long_cell": lambda: polars.DataFrame({"x": ["y" * 5_000]}),
            "mapping": lambda: {"x": 1, "secret": "hunter2"},
            "content": lambda: bytes(range(256)),
            "text": lambda: "<b>text</b>" * 200_000,
            "endless": lambda: iter(int, 1),
            "nothing": lambda: None,
            "fails": lambda: int("no such number"),
            "hangs": lambda: threading.Event().wait(),
            "ends": lambda: os._exit(3),
        }
        return values[context.asset_name]()

def asset(name):
    @rs.Asset(name=name, io_handler=Shelf())
    def function() -> object:
        return None
    return function

NAMES = "polars_frame polars_lazy pandas_frame arrow_table arrow_reader wide_frame long_cell mapping content text"
NAMES += " endless nothing fails hangs ends"
repo = rs.CodeRepository([asset(name) for name in NAMES.split()])
"""


@pytest.fixture(scope="module")
def shelf_server(tmp_path_factory, program_server):
    for name in ("polars", "pandas", "pyarrow"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "definitions.py").write_text(DEFINITIONS)
    (folder / "rivers.toml").write_text('repository = "definitions:repo"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with serve(folder, programs=program_server) as server:
            server.command("materialize")
            yield server


TABLES = {
    "polars_frame": (["x", "y"], [[1, "a"], [2, None]]),
    "pandas_frame": (["x", "y"], [[1, "a"], [2, "b"]]),
    "polars_lazy": (["x"], [[number] for number in range(worker.MAX_ROWS)]),
    "arrow_table": (["x"], [[number] for number in range(worker.MAX_ROWS)]),
    "arrow_reader": (["x"], [[number] for number in range(worker.MAX_ROWS)]),
}


@pytest.mark.parametrize("name", TABLES)
def test_preview_shows_the_first_rows_of_a_frame(shelf_server, name):
    value = shelf_server.get(f"assets/{name}/preview")
    assert (value["columns"], value["rows"]) == TABLES[name]


TEXTS = {"mapping": "****", "content": "256", "text": "<b>text</b>", "endless": "0", "nothing": "None"}


@pytest.mark.parametrize("name", TEXTS)
def test_preview_shows_another_value_as_text(shelf_server, name):
    value = shelf_server.get(f"assets/{name}/preview")
    assert TEXTS[name] in f"{value['text']} {value['extent']}"
    assert "hunter2" not in value["text"]
    assert len(value["text"]) <= worker.MAX_PREVIEW


def test_preview_limits_columns_and_cells(shelf_server):
    wide = shelf_server.get("assets/wide_frame/preview")
    assert (len(wide["columns"]), len(wide["rows"][0]), wide["hidden"]) == (200, 200, 100)
    [[cell]] = shelf_server.get("assets/long_cell/preview")["rows"]
    assert len(cell) == worker.MAX_CELL


FAULTS = {"fails": "no such number", "hangs": "did not answer 'preview' within 0.5 s", "ends": "exit code 3"}


@pytest.mark.parametrize("name", FAULTS)
def test_preview_reports_a_handler_that_fails_and_the_page_goes_on(shelf_server, monkeypatch, name):
    with monkeypatch.context() as patch:
        if name == "hangs":
            patch.setattr(app, "PREVIEW_TIMEOUT", 0.5)
        answer = shelf_server.request(f"/api/v1/assets/{name}/preview")
    assert answer.status == 500
    assert FAULTS[name] in f"{answer.document['message']} {answer.document['detail']}"
    assert shelf_server.get("assets/mapping/preview")["type"] == "dict"

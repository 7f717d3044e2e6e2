"""Cost of a write in Python: how many functions and files a small append touches."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

import rivers_core
import rivers_delta
import rivers_frames
import rivers_objects

MAX_CALLS = 195
MAX_FILES = 23
OURS = tuple(
    str(Path(package.__file__).parent)
    for package in (rivers_core, rivers_delta, rivers_frames, rivers_objects)
)


def test_append_of_one_row_touches_few_functions_and_files(lake):
    calls = []

    def count(frame, event, argument):
        del argument
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            calls.append((frame.f_code.co_filename, frame.f_code.co_qualname))

    row = pl.DataFrame({"n": [1]})
    lake.store(row, mode="append")
    lake.store(row, mode="append")
    context = lake.output(row, mode="append")
    sys.setprofile(count)
    try:
        lake.handler.handle_output(context, row)
    finally:
        sys.setprofile(None)
    files = {file for file, _ in calls}
    assert len(calls) <= MAX_CALLS, sorted(calls)
    assert len(files) <= MAX_FILES, sorted(files)

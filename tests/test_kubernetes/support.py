"""Helpers of the tests that run steps in pods."""

from __future__ import annotations

import time
from pathlib import Path

import rivers as rs

PROJECT = Path(__file__).parent / "project"
"""Folder of the modules that pods import."""


def repository(assets, folder, executor=None, storage=None, **resources):
    """Return a repository of steps whose values and traces are in a folder."""
    from pod_steps import Traces

    resources = {
        "store": rs.PickleIOHandler(str(folder / "values")),
        "traces": Traces(folder=str(folder)),
        **resources,
    }
    repo = rs.CodeRepository(assets, default_executor=executor, resources=resources)
    repo.resolve(storage or rs.Storage.memory())
    return repo


def eventually(condition, seconds=120):
    """Return the first true result of a function."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.05)

"""Executors: decide where and when the steps of a run are executed."""

from __future__ import annotations

from rivers.executors.base import Executor, executor_class
from rivers.executors.in_process import InProcess
from rivers.executors.scheduler import run_overlapping

__all__ = ["Executor", "InProcess", "executor_class", "run_overlapping"]

# The engine's own executor is an attribute like any other; only names that are not attributes go to the registry.
Executor.InProcess = Executor.in_process = InProcess

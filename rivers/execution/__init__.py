"""Execution of steps: load inputs, call, store, record (floor 7)."""

from __future__ import annotations

from rivers.execution.run import Run
from rivers.execution.step import execute_step

__all__ = ["Run", "execute_step"]

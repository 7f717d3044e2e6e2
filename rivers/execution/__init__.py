"""Execute steps: load inputs, call the function, store outputs, record events."""

from __future__ import annotations

from rivers.execution.run import Run
from rivers.execution.step import execute_step, run_step

__all__ = ["Run", "execute_step", "run_step"]

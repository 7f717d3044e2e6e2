"""The face of rivers: repositories and the results of their runs (floor 9)."""

from __future__ import annotations

from rivers.repository.code_repository import CodeRepository
from rivers.repository.run_result import RunResult

__all__ = ["CodeRepository", "RunResult"]

"""Repositories: the public entry point, and the results of runs."""

from __future__ import annotations

from rivers.repository.code_repository import CodeRepository
from rivers.repository.run_preview import RunPlan
from rivers.repository.runner import RunResult

__all__ = ["CodeRepository", "RunPlan", "RunResult"]

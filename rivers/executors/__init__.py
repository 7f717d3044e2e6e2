"""Executors: where and when the steps of a run are executed (floor 8)."""

from __future__ import annotations

from rivers.executors.base import Executor

__all__ = ["Executor"]

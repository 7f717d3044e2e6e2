"""All that a plugin module needs: the `hookimpl` marker and the records. Imports pluggy and nothing heavy."""

from __future__ import annotations

from rivers_core.hooks.markers import PROJECT, hookimpl, hookspec
from rivers_core.plugins.spec import CommandSpec, ExecutorSpec, HandlerSpec

__all__ = ["PROJECT", "CommandSpec", "ExecutorSpec", "HandlerSpec", "hookimpl", "hookspec"]

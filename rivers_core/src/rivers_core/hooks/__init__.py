"""Hooks: the `hookimpl` marker and the records, which is all that a plugin module imports.

Importing this package loads pluggy and nothing else; a plugin module is imported whenever plugins are listed.
"""

from __future__ import annotations

from rivers_core.hooks.records import CommandSpec, ExecutorSpec, HandlerSpec
from rivers_core.hooks.specs import PROJECT, hookimpl, hookspec

__all__ = ["PROJECT", "CommandSpec", "ExecutorSpec", "HandlerSpec", "hookimpl", "hookspec"]

"""The decorators that make a function a hook of rivers."""

from __future__ import annotations

from typing import Final

import pluggy

PROJECT: Final = "rivers"

hookspec: Final = pluggy.HookspecMarker(PROJECT)
"""Marks the definition of a hook; for rivers itself."""

hookimpl: Final = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin module that implements the hook of the same name."""

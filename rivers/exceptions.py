"""Every error of rivers; the classes live in `rivers_core.exceptions`."""

from __future__ import annotations

from rivers_core.exceptions import *  # noqa: F403 - the same names, under the engine's roof
from rivers_core.exceptions import __all__ as __all__

"""Where the history of a configured project is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_core.keys import storage_key

if TYPE_CHECKING:
    from pathlib import Path

    from rivers_core.config import Config


def history_of(config: Config) -> Path:
    """The folder for the events of a project: `.rivers` beside the file, below it one for each environment.

    What was stored in one environment is not stored in another, so that each has a history of its own.

    Args:
        config: The configuration, for one environment.
    """
    folder = config.root / ".rivers"
    return folder if config.environment is None else folder / storage_key(config.environment)

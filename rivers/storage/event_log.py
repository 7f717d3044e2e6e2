"""Event log of a project: which folder or server its configuration names."""

# imported before anything else of the engine by a command that only has to know where the event log is

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers.storage.base import connect
from rivers_core.keys import storage_key

if TYPE_CHECKING:
    from pathlib import Path

    from rivers.storage.base import EventStorage
    from rivers_core.config import Config


def open_event_log(config: Config, *, read_only: bool = False) -> EventStorage:
    """Return the event log of a project; it is opened on first use.

    Args:
        config: The configuration of one environment.
        read_only: Only read an existing event log.

    Raises:
        ConfigurationError: `[storage]` is not valid.
        HandlerNotFoundError: No plugin provides storages with the scheme of its URL.
        StorageError: The URL is not valid.
    """
    url = config.storage_url if event_log_folder(config) is None else str(event_log_folder(config))
    return connect(url or "", config.registry, read_only=read_only, durable=config.storage_durable)


def event_log_folder(config: Config) -> Path | None:
    """Return the folder of a project's event log: `.rivers` beside the configuration file, or that of `[storage] url`.

    Each environment has a folder below it, because a value stored in one environment is missing in the others.

    Args:
        config: The configuration of one environment.

    Returns:
        The folder; None if the event log is not a file.

    Raises:
        ConfigurationError: `[storage]` is not valid.
    """
    url = config.storage_url or ".rivers"
    if "://" in url and not url.startswith("file:"):
        return None
    folder = config.root / url.removeprefix("file:").removeprefix("//")
    return folder if config.environment is None else folder / storage_key(config.environment)

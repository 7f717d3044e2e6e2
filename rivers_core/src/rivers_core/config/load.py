"""Loads a configuration: file, environment section, `.env` and variables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rivers_core.config import find, variables
from rivers_core.config.config import Config
from rivers_core.config.document import Document
from rivers_core.plugins import get_registry

if TYPE_CHECKING:
    import os

    from rivers_core.plugins import PluginRegistry


def load_config(
    path: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *,
    environment: str | None = None,
    root: str | os.PathLike[str] | None = None,
    registry: PluginRegistry | None = None,
) -> Config:
    """Load a configuration for one environment.

    Settings of a handler come from, the first wins: arguments of `Config.handler`, variables
    `RIVERS_IO_HANDLERS__<NAME>__<FIELD>`, the same in the `.env` beside the file, the file, defaults.

    Args:
        path: A file, its folder, or the tables themselves as a mapping; None looks for the file from the
            current folder upwards, and gives an empty configuration if there is none.
        environment: A name under `[environments]`; None asks `RIVERS_ENV`.
        root: What relative locations are relative to; None is the folder of the file.
        registry: Where handler classes are looked up; None is the registry of the process. The configuration does
            so under its own rules of `[plugins]`; who asks the registry itself meets those of the configuration with
            such rules that was loaded last.

    Returns:
        The configuration. What is wrong with its values shows in `Config.findings` and when it is used.

    Raises:
        ConfigurationError: The file does not exist, is not TOML, or has no such environment.

    Examples:
        >>> config = load_config({"io_handlers": {"scratch": {"use": "memory"}}})
        >>> config.handler("scratch")
        InMemoryIOHandler()
    """
    file, tables = _source(path)
    folder = Path(root).expanduser().absolute() if root is not None else file.parent if file else Path.cwd()
    dotenv = variables.read_dotenv(folder)
    chosen = (environment, "asked for") if environment else variables.chosen_environment(dotenv)
    if chosen and file is None and not tables and not environment:
        chosen = None
    name, chosen_by = chosen or (None, "")
    document = _document(file)
    document.take(tables, name, chosen_by)
    unfit = list(variables.override(document.handlers, dotenv, document.elsewhere | set(document.instances)))
    if file is not None or tables:
        document.findings.extend(unfit)
    registry = registry or get_registry()
    ruled = registry.with_policy(**document.plugin_rules, source=document.label)
    registry.adopt_policy(ruled)
    return Config(document, folder, ruled, file, name)


def _source(path: str | os.PathLike[str] | Mapping[str, Any] | None) -> tuple[Path | None, Mapping[str, Any]]:
    if isinstance(path, Mapping):
        return None, path
    file = find.find_config() if path is None else find.located(path)
    return file, {} if file is None else find.read(file)


def _document(file: Path | None) -> Document:
    if file is None:
        return Document("the configuration", kind="code")
    return Document(file.name, "tool.rivers." if file.name == find.PYPROJECT else "")

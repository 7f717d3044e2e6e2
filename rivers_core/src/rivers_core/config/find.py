"""Where the configuration is, and what stands in the file."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Final

from rivers_core.exceptions import ConfigurationError

FILE: Final = "rivers.toml"
PYPROJECT: Final = "pyproject.toml"
VARIABLE: Final = "RIVERS_CONFIG"


def find_config(start: str | os.PathLike[str] | None = None) -> Path | None:
    """Find the configuration: what `RIVERS_CONFIG` names, else the nearest one from a folder upwards.

    Args:
        start: The folder to start from; None is the current one, and only then `RIVERS_CONFIG` is asked.

    Returns:
        A `rivers.toml`, a `pyproject.toml` that has a table `[tool.rivers]`, or None.

    Raises:
        ConfigurationError: `RIVERS_CONFIG` names nothing.
    """
    named = os.environ.get(VARIABLE)
    if start is None and named:
        return located(named, f" ({VARIABLE})")
    folder = Path.cwd() if start is None else Path(start).expanduser().absolute()
    return next((found for parent in (folder, *folder.parents) if (found := _in_folder(parent))), None)


def located(path: str | os.PathLike[str], reason: str = "") -> Path:
    """The configuration file that somebody names, directly or by its folder.

    Args:
        path: A file or a folder.
        reason: Who named it, for the message.

    Returns:
        The file, as an absolute path.

    Raises:
        ConfigurationError: There is none.
    """
    place = Path(path).expanduser().absolute()
    if place.is_file():
        return place
    found = _in_folder(place) if place.is_dir() else None
    if found is not None:
        return found
    what = f"there is no {FILE} in it" if place.is_dir() else "the file does not exist"
    raise ConfigurationError(f"No configuration at {str(path)!r}{reason}: {what}.")


def read(path: Path) -> dict[str, Any]:
    """Read the tables of rivers from a file.

    Args:
        path: A TOML file; of a `pyproject.toml` the table `[tool.rivers]`.

    Returns:
        The tables.

    Raises:
        ConfigurationError: It cannot be read, or is not TOML; says where.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: this is not TOML: {error}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}.") from error
    if path.name != PYPROJECT:
        return tables
    table = tables.get("tool", {}).get("rivers", {})
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path}: [tool.rivers] has to be a table, got {table!r}.")
    return table


def _in_folder(folder: Path) -> Path | None:
    own, project = folder / FILE, folder / PYPROJECT
    if own.is_file():
        return own
    return project if project.is_file() and _has_table(project) else None


def _has_table(project: Path) -> bool:
    try:
        text = project.read_text(encoding="utf-8-sig")
        return "rivers" in text and "rivers" in tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError:
        # somebody else's broken file is not our business, ours is
        return "[tool.rivers" in text
    except (OSError, UnicodeDecodeError):
        return False

"""Fields that say where something lies, and paths and `file:` URLs in them that are relative to the configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from rivers_core.handler.annotations import class_of, kinds_of, of_entry, of_item

if TYPE_CHECKING:
    from rivers_core.handler import BaseIOHandler
    from rivers_core.handler.annotations import Types

# a URL without its colon is no relative path either: its handler has to see what was written
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:|(?:file|s3a?|gs|az|abfss?|https?)//")
_FILE: Final = re.compile(r"file:(?!/)|file://(?=\.{1,2}(?:/|$))", re.IGNORECASE)


def located(cls: type[BaseIOHandler], name: str, value: Any, root: Path) -> Any:
    """Make the locations in a field's value independent of the working folder.

    Args:
        cls: The handler class. Its `location_fields` are locations, and so is what is annotated as a path: alone,
            optional, or in a container or model.
        name: The field.
        value: What is configured for it.
        root: What relative locations are relative to.

    Returns:
        A value of the same shape.
    """
    if name in cls.location_fields:
        return resolve_location(value, root)
    field = cls.model_fields.get(name)
    return value if field is None else _with_paths(value, (field.annotation,), root)


def _with_paths(value: Any, types: Types, root: Path) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_paths(item, of_entry(types, str(key)), root) for key, item in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(_with_paths(item, of_item(types), root) for item in value)
    return resolve_location(value, root) if _is_path(types) else value


def _is_path(types: Types) -> bool:
    """Whether a text is meant as a path: among the types is one, and none that gives it another meaning."""
    kinds = {class_of(kind) for kind in kinds_of(types)} - {type(None), str}
    return bool(kinds) and all(isinstance(kind, type) and issubclass(kind, os.PathLike) for kind in kinds)


def resolve_location(value: Any, root: Path) -> Any:
    """Make a location independent of the working folder.

    Args:
        value: A path or URL; anything else stays as it is.
        root: What relative ones are relative to.

    Returns:
        An absolute path for a path, an absolute `file:` URL for a relative one; other URLs as they are.
    """
    if isinstance(value, os.PathLike):
        return Path(resolve_location(os.fspath(value), root))
    if not isinstance(value, str) or not value:
        return value
    relative = _FILE.match(value)
    if relative is not None:
        return Path(os.path.normpath(root / unquote(value[relative.end() :]))).as_uri()
    if _SCHEME.match(value):
        return value
    return os.path.normpath(root / Path(value).expanduser())

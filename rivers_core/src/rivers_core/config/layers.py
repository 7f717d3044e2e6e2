"""One handler's table as it grows layer by layer; every value in it knows where it was written."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written.

    Args:
        kind: `"file"`, `"file (prod)"`, `".env"`, `"environment"` or `"code"`.
        place: The same for a reader who wants to go there: `"rivers.toml [io_handlers.lake]"`.
    """

    kind: str
    place: str

    def key(self, *path: object) -> str:
        """The place of one key.

        Args:
            path: The key, and keys below it.

        Returns:
            The place, with the key unless the place itself says it.
        """
        shown = ".".join(str(part) for part in path)
        return f"{self.place} {shown}" if shown and self.is_in_file else self.place

    @property
    def is_in_file(self) -> bool:
        """Whether the place is a table with keys, not a variable."""
        return self.kind not in (".env", "environment")


@dataclass(slots=True)
class HandlerTable:
    """The settings of one configured handler.

    Args:
        name: Its name in the configuration.
        origin: Where it is first mentioned.
        use: The plugin that is to provide it; None if nobody said.
    """

    name: str
    origin: Origin
    use: Any = None
    use_origin: Origin | None = None
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Path, Origin] = field(default_factory=dict)

    def lay(self, table: Mapping[str, Any], origin: Origin) -> None:
        """Put further settings over those that are there.

        Settings belong to the handler class they were written for: a table that names another one with `use`
        starts from nothing.

        Args:
            table: The settings; tables inside are merged key by key.
            origin: Where they stand.
        """
        use = table.get("use")
        if use is not None:
            if self.use is not None and use != self.use:
                self.values.clear()
                self.origins.clear()
            self.use, self.use_origin = use, origin
        self._merge(self.values, {key: value for key, value in table.items() if key != "use"}, origin, ())

    def copy(self) -> HandlerTable:
        """A table of its own with the same settings."""
        return replace(self, values=deepcopy(self.values), origins=dict(self.origins))

    def put(self, path: Path, value: Any, origin: Origin) -> None:
        """Set one value.

        Args:
            path: The field, and keys below it.
            value: What it is set to.
            origin: Where that is written.
        """
        for key in reversed(path):
            value = {key: value}
        self.lay(value, origin)

    def origin_of(self, path: tuple[object, ...]) -> Origin:
        """Where a value was written.

        Args:
            path: The field, and keys below it.

        Returns:
            The origin of the value or of what contains it, else that of the table.
        """
        keys = tuple(map(str, path))
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.origins:
                return self.origins[keys[:length]]
        inside = [origin for key, origin in self.origins.items() if keys and key[: len(keys)] == keys]
        return inside[-1] if inside else self.use_origin or self.origin

    def where(self, *path: object) -> str:
        """The place of a field for messages, also of one that nobody wrote.

        Args:
            path: The field, and keys below it.

        Returns:
            A variable, or file, table and key.
        """
        origin = self.origin_of(path)
        if any(origin is known for known in self.origins.values()) or origin.is_in_file:
            return origin.key(*path)
        return f"{self.origin.place} {'.'.join(map(str, path))}"

    def _merge(self, into: dict[str, Any], table: Mapping[str, Any], origin: Origin, above: Path) -> None:
        for key, value in table.items():
            path = (*above, key)
            if isinstance(value, Mapping) and value:
                below = into.get(key)
                into[key] = dict(below) if isinstance(below, Mapping) else {}
                self.origins.pop(path, None)
                self._merge(into[key], value, origin, path)
            else:
                into[key] = value
                for known in [known for known in self.origins if known[: len(path)] == path]:
                    del self.origins[known]
                self.origins[path] = origin

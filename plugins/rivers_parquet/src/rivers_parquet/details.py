"""Details: what a file records of its value beyond the Parquet schema, as JSON in the metadata of its footer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEY: Final = "rivers"


@dataclass(frozen=True, slots=True)
class Details:
    """Details of a value.

    Args:
        key: Storage key of the value; a file with another key is misplaced.
        type_name: Name of its frame type.
        extras: Per column, what the adapter needs to restore the type of its library.
        categories: Per column, its categories in their order, as text.
    """

    key: str
    type_name: str
    extras: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    categories: Mapping[str, Sequence[str | None]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the details as text, equal for equal details."""
        data: dict[str, Any] = {"key": self.key, "type": self.type_name}
        if self.extras:
            data["extras"] = {name: dict(extra) for name, extra in self.extras.items()}
        if self.categories:
            data["categories"] = {name: list(values) for name, values in self.categories.items()}
        return json.dumps(data, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Details:
        """Return the details that `to_json` wrote; unknown ones are ignored.

        Args:
            text: The text.
        """
        data = json.loads(text)
        return cls(data["key"], data["type"], data.get("extras", {}), data.get("categories", {}))

"""Expand `${NAME}` and `${NAME:-default}` in the values of a configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Lookup = Callable[[str], str | None]
"""Returns the value of a variable; None if it is not set."""

# A default does not contain braces: a nested reference is reported, and not cut at its first brace.
_REFERENCE: Final = re.compile(
    r"(?P<escape>\$\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\}|\$\{"
)


class ExpansionError(ValueError):
    """Raised for a value that cannot be expanded.

    Args:
        path: Keys and indices from the value down to the text.
        problem: The end of a sentence about the text, which may be a secret and is not quoted.
    """

    def __init__(self, path: tuple[object, ...], problem: str) -> None:
        super().__init__(problem)
        self.path = path
        self.problem = problem


def expand(value: Any, lookup: Lookup, path: tuple[object, ...] = ()) -> Any:
    """Return a value with all references in its texts replaced. The replacement is not expanded again.

    Args:
        value: A text, or a list or mapping with texts; other values are returned unchanged.
        lookup: Source of the variables.
        path: Where the value is, for the error.

    Raises:
        ExpansionError: A variable without a default is not set, or a reference is malformed.
    """
    if isinstance(value, str):
        return _expand_text(value, lookup, path) if "${" in value else value
    if isinstance(value, Mapping):
        return {key: expand(item, lookup, (*path, key)) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(expand(item, lookup, (*path, index)) for index, item in enumerate(value))
    return value


def _expand_text(text: str, lookup: Lookup, path: tuple[object, ...]) -> str:
    unset: dict[str, None] = {}

    def replacement(match: re.Match[str]) -> str:
        if match["escape"]:
            return "${"
        name, default = match["name"], match["default"]
        if name is None:
            raise ExpansionError(
                path, "'${' must start '${NAME}' or '${NAME:-default}'; write '$${' for the characters '${'"
            )
        value = lookup(name)
        if default is not None:
            return value or default
        if value is None:
            unset[name] = None
        return value or ""

    expanded = _REFERENCE.sub(replacement, text)
    if unset:
        names = " and ".join(unset)
        raise ExpansionError(
            path,
            f"{names} {'is' if len(unset) == 1 else 'are'} not set. Set {names} in the environment or in .env, or "
            f"write a default: ${{{next(iter(unset))}:-default}}",
        )
    return expanded

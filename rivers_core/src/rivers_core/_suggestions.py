"""Suggestions for misspelled names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return a sentence that suggests the known name closest to a misspelled one, ignoring case.

    The sentence starts with a space, so that it can follow the sentence that states the problem.

    Args:
        name: The name that was not found.
        known: The names that exist.
        cutoff: Similarity that a known name must reach, from 0 to 1.

    Returns:
        `" Did you mean 'x'?"`, or an empty string if no known name is similar.

    Examples:
        >>> print(f"Unknown option 'tabel'.{did_you_mean('tabel', ['table', 'schema'])} Use one of: schema, table.")
        Unknown option 'tabel'. Did you mean 'table'? Use one of: schema, table.
    """
    # imported here because only error messages need it, and every process would pay for it
    from difflib import get_close_matches

    by_lower_case = {candidate.lower(): candidate for candidate in sorted(known)}
    matches = get_close_matches(name.lower(), by_lower_case, n=1, cutoff=cutoff)
    return f" Did you mean {by_lower_case[matches[0]]!r}?" if matches else ""

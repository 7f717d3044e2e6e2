"""Parts of messages: suggestions for misspelled names, and lists that stay short."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_SHOWN: Final = 5


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


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, for a message.

    Args:
        count: The number.
        noun: The noun, whose plural ends in `s`.

    Examples:
        >>> counted(1, "row"), counted(2, "row")
        ('1 row', '2 rows')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def shown_keys(keys: Collection[object]) -> str:
    """Return partition keys as text for a message: at most five, and the number of the others.

    Args:
        keys: The keys, or their display forms.

    Examples:
        >>> shown_keys(["a", "b"])
        'a, b'
        >>> shown_keys(range(45))
        '0, 1, 2, 3, 4 and 40 more'
    """
    few = ", ".join(str(key) for key, _ in zip(keys, range(_SHOWN), strict=False))
    return few if len(keys) <= _SHOWN else f"{few} and {len(keys) - _SHOWN} more"

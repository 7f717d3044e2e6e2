"""Lists in messages: a few items, and the number of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_SHOWN = 5


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

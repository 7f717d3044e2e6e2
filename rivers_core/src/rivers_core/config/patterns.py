"""Patterns of asset names, the most specific first."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from rivers_core.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_WILDCARD: Final = re.compile(r"\*|\?|\[[^]]+\]")


def specificity(pattern: str) -> tuple[bool, int, int, int]:
    """How specific a pattern is; greater is more.

    A name without wildcards goes before everything, then the pattern with more literal characters, then the one
    with fewer `*`, then the one with fewer other wildcards.

    Args:
        pattern: A name with `*`, `?` and `[...]`.

    Returns:
        A key to compare.
    """
    wildcards = _WILDCARD.findall(pattern)
    stars = wildcards.count("*")
    literals = len(_WILDCARD.sub("", pattern))
    return not wildcards, literals, -stars, stars - len(wildcards)


def most_specific(rules: Mapping[str, str], asset_name: str, place: str) -> tuple[str, str] | None:
    """The rule that decides about an asset.

    Args:
        rules: Pattern to handler name.
        asset_name: The asset.
        place: Where the rules stand, for the message.

    Returns:
        Pattern and handler name; None if no pattern matches.

    Raises:
        ConfigurationError: Two patterns that are equally specific name different handlers.
    """
    matching = sorted(pattern for pattern in rules if fnmatchcase(asset_name, pattern))
    if not matching:
        return None
    best = max(map(specificity, matching))
    winners = [pattern for pattern in matching if specificity(pattern) == best]
    if len({rules[pattern] for pattern in winners}) > 1:
        claims = " and ".join(f"{pattern!r} = {rules[pattern]!r}" for pattern in winners)
        raise ConfigurationError(
            f"{place}: {claims} match asset {asset_name!r} and neither is more specific. "
            f"Write a pattern with more of the name, or the name itself."
        )
    return winners[0], rules[winners[0]]

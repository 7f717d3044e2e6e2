"""Patterns of asset names, and which of them is the most specific."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, TypeVar

from rivers_core.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

ValueT = TypeVar("ValueT")

_WILDCARD: Final = re.compile(r"\*|\?|\[[^]]+\]")


def specificity(pattern: str) -> tuple[bool, int, int, int]:
    """Return how specific a pattern is, as a key to compare; greater is more specific.

    A name without wildcards takes precedence, then the pattern with more literal characters, then the one with
    fewer `*`, then the one with fewer other wildcards.

    Args:
        pattern: A name with `*`, `?` and `[...]`.
    """
    wildcards = _WILDCARD.findall(pattern)
    stars = wildcards.count("*")
    literals = len(_WILDCARD.sub("", pattern))
    return not wildcards, literals, -stars, stars - len(wildcards)


def most_specific(rules: Mapping[str, ValueT], asset_name: str, place: str) -> tuple[str, ValueT] | None:
    """Return pattern and value of the rule that applies to an asset; None if no pattern matches.

    Args:
        rules: Pattern to value, such as the name of a handler.
        asset_name: The asset.
        place: File and table of the rules, for the message.

    Raises:
        ConfigurationError: Two equally specific patterns have different values.
    """
    matches = sorted(pattern for pattern in rules if fnmatchcase(asset_name, pattern))
    if not matches:
        return None
    best = max(map(specificity, matches))
    winners = [pattern for pattern in matches if specificity(pattern) == best]
    if any(rules[pattern] != rules[winners[0]] for pattern in winners):
        conflict = " and ".join(f"{pattern!r} = {rules[pattern]!r}" for pattern in winners)
        raise ConfigurationError(
            f"{place}: {conflict} match asset {asset_name!r} and are equally specific. "
            f"Use a pattern with more literal characters, or the name."
        )
    return winners[0], rules[winners[0]]

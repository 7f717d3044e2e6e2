"""Partition keys as they are typed: one, several, or a range."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivers_cli.problems import UsageProblemError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rivers.execution.keys import KeyRequest

RANGE = ".."


def requested(texts: Sequence[str] | None) -> KeyRequest | None:
    """What `--partition` asks for.

    Args:
        texts: Each the display form of keys (`2024-01-01`, `a,b`, `date=d|region=us`), or a range
            (`2024-01-01..2024-01-31`, `date=a..b|region=us`), which stands alone.

    Raises:
        UsageProblemError: A range stands beside something else, or names a dimension twice.
    """
    if not texts:
        return None
    if len(texts) == 1:
        return _range(texts[0]) if RANGE in texts[0] else texts[0]
    if any(RANGE in text for text in texts):
        raise UsageProblemError(
            f"--partition: a range cannot be combined with other keys: {', '.join(texts)}."
        )
    if not any("=" in text for text in texts):
        return ",".join(texts)
    return list(texts)


def _range(text: str) -> KeyRequest:
    from rivers_core.partitions import PartitionKeyRange

    if "=" not in text:
        first, _, last = text.partition(RANGE)
        return PartitionKeyRange.single(first, last)
    dimensions: dict[str, tuple[str, str] | list[str]] = {}
    for part in text.split("|"):
        name, equals, values = part.partition("=")
        if not equals:
            raise UsageProblemError(
                f"--partition {text}: {part!r} names no dimension; write it as name=value."
            )
        if name in dimensions:
            raise UsageProblemError(
                f"--partition {text}: it names the dimension {name!r} twice; write its keys together, {name}=a,b."
            )
        first, dots, last = values.partition(RANGE)
        dimensions[name] = (first, last) if dots else values.split(",")
    return PartitionKeyRange.multi(dimensions)

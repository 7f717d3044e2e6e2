"""SingleAsset: a function with one output."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rivers.definitions.asset import Asset

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["SingleAsset"]


class SingleAsset(Asset):
    """What `@Asset` makes: a function with one output."""

    is_single: ClassVar[bool] = True
    function: Callable[..., Any]

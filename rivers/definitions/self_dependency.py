"""SelfDependency: what an asset stored the last time."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["SelfDependency"]

T = TypeVar("T")


class SelfDependency(Generic[T]):
    """The asset's own stored value, as a parameter `self: SelfDependency[T]` of its function.

    `T` reaches the handler as `type_hint` when the value is loaded.

    Args:
        value: What was stored; None if nothing was.
        is_stored: Whether anything was ever stored; a stored None is told apart from a first run by this.
            Left out, a value other than None counts as stored.

    Examples:
        >>> def total(self: SelfDependency[int], new: int) -> int:
        ...     return (self.get_inner() or 0) + new
        >>> total(SelfDependency(3), 4)
        7
    """

    __slots__ = ("_value", "is_stored")

    def __init__(self, value: T | None = None, is_stored: bool | None = None) -> None:
        self._value = value
        self.is_stored = value is not None if is_stored is None else is_stored

    def get_inner(self) -> T | None:
        """Returns the stored value; None only if nothing was ever stored (or None was: see `is_stored`)."""
        return self._value if self.is_stored else None

    def __repr__(self) -> str:
        return f"SelfDependency({self._value!r}, is_stored={self.is_stored})"

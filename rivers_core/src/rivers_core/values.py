"""What the value classes share: immutable, comparable, hashable, picklable, a repr that builds them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Value", "source", "variant_of"]

_Class = TypeVar("_Class", bound=type)


class Value:
    """An immutable slotted object that is compared by its fields.

    A subclass names its fields in `_fields`, in the order of its constructor, and fills its slots with
    `self._set(...)`. Slots that are no fields are caches: they are neither compared nor pickled.
    """

    __slots__ = ()
    _fields: ClassVar[tuple[str, ...]] = ()

    def _set(self, **slots: Any) -> None:
        for name, value in slots.items():
            object.__setattr__(self, name, value)

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self._fields])

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._values()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__qualname__} is immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__qualname__} is immutable: cannot delete {name!r}")


def variant_of(base: type, name: str) -> Callable[[_Class], _Class]:
    """Make a class appear (and be pickled) as `base.name`, though it is a subclass of `base`.

    Args:
        base: The class that gets the attribute.
        name: The variant's name, as in `PartitionKey.Single`.
    """

    def nest(cls: _Class) -> _Class:
        cls.__name__ = name
        cls.__qualname__ = f"{base.__qualname__}.{name}"
        cls.__module__ = base.__module__
        setattr(base, name, cls)
        return cls

    return nest


def source(value: object) -> str:
    """The Python source of a plain value, with text in double quotes as formatters write it."""
    if type(value) is str and '"' not in value:
        return '"' + repr("'" + value)[2:]
    if type(value) is list:
        return f"[{', '.join(map(source, value))}]"
    if type(value) is dict:
        return "{" + ", ".join(f"{source(key)}: {source(item)}" for key, item in value.items()) + "}"
    return repr(value)

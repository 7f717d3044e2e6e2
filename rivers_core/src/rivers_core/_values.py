"""Base class of the immutable value classes: partition keys, definitions, metadata values, schemas."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn


class Value:
    """An immutable slotted object that is compared by its fields.

    A subclass names its fields in `_fields`, in the order of its constructor, and fills its slots with `_set`. Other
    slots are caches: they are neither compared nor pickled. Frozen dataclasses are as fast (measured with text
    metadata), but nearly all that they generate would have to be overridden: constructors convert their arguments,
    some fields are stored in another form, and a pickle calls the constructor with the fields.

    Subclasses that are variants of a class are attributes of it: `class SinglePartitionKey(PartitionKey,
    variant="Single")` is `PartitionKey.Single`.
    """

    __slots__ = ()
    _fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, *, variant: str | None = None, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if variant is not None:
            base = cls.__mro__[cls.__mro__.index(Value) - 1]
            setattr(base, variant, cls)

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


def plain_text(value: object) -> str:
    """Return a value as a plain `str`; of a text enum its value, where `str()` returns the name of its member."""
    return str.__str__(value) if isinstance(value, str) else str(value)


def source(value: object) -> str:
    """Return the Python source of a plain value, with strings in double quotes."""
    if type(value) is str and '"' not in value:
        return '"' + repr("'" + value)[2:]
    if type(value) is list:
        return f"[{', '.join(map(source, value))}]"
    if type(value) is dict:
        return "{" + ", ".join(f"{source(key)}: {source(item)}" for key, item in value.items()) + "}"
    return repr(value)

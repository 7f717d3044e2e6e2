"""Schemas in and out through the Arrow C data interface, without any Arrow library.

Source: https://arrow.apache.org/docs/format/CDataInterface.html and its PyCapsule protocol.
"""

from __future__ import annotations

import ctypes
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from rivers_core.exceptions import MetadataTypeError
from rivers_core.metadata.schema import ArrowField

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["export_schema", "read_schema"]

_NAME: Final = b"arrow_schema"


class _ArrowSchema(ctypes.Structure):
    pass


_Release: Final = ctypes.CFUNCTYPE(None, ctypes.POINTER(_ArrowSchema))
_ArrowSchema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_void_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowSchema))),
    ("dictionary", ctypes.POINTER(_ArrowSchema)),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]

_pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_new_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)


def read_schema(capsule: object) -> ArrowField:
    """Copy what a capsule describes; the capsule stays whole and its owner releases it.

    Args:
        capsule: What `__arrow_c_schema__()` gave.

    Raises:
        MetadataTypeError: (a `TypeError`) It is no capsule of a schema, or was consumed before.
    """
    try:
        address = _pointer_of(capsule, _NAME)
    except (ValueError, ctypes.ArgumentError) as error:
        raise MetadataTypeError(
            f"__arrow_c_schema__ must give a PyCapsule named 'arrow_schema', got {type(capsule).__name__}."
        ) from error
    structure = _ArrowSchema.from_address(address)
    if not structure.release:
        raise MetadataTypeError("This Arrow schema was already handed over to somebody else.")
    return _read(structure)


def _read(structure: Any) -> ArrowField:
    return ArrowField(
        (structure.name or b"").decode(),
        structure.format.decode(),
        structure.flags,
        tuple(_read(structure.children[i].contents) for i in range(structure.n_children)),
        _read(structure.dictionary.contents) if structure.dictionary else None,
    )


def export_schema(root: ArrowField) -> object:
    """A capsule that describes a schema.

    Args:
        root: The schema; its columns are the children of a struct.
    """
    return _new_capsule(ctypes.addressof(_build(root)), _NAME, None)


# A consumer may move the structure, or children of it, and free each later, from any thread. What they refer
# to therefore lives here until it is released; an export that nobody reads stays, small as its column names.
_KEPT: Final[dict[int, Any]] = {}

# A consumer looks once more at the root that it has just released in place, so none is freed at once: the
# root goes in last, whatever the number of its columns.
_RELEASED: Final[deque[Any]] = deque(maxlen=4096)


def _release(pointer: Any) -> None:
    for part in reversed(list(_parts(pointer.contents))):
        part.release = None
        _RELEASED.append(_KEPT.pop(part.private_data, None))


def _parts(structure: Any) -> Iterator[Any]:
    yield structure
    for i in range(structure.n_children):
        if structure.children[i].contents.release:
            yield from _parts(structure.children[i].contents)
    if structure.dictionary and structure.dictionary.contents.release:
        yield from _parts(structure.dictionary.contents)


_RELEASE: Final = _Release(_release)


def _build(field: ArrowField) -> Any:
    children = [_build(child) for child in field.children]
    structure = _ArrowSchema(
        format=field.format.encode(),
        name=field.name.encode(),
        flags=field.flags,
        n_children=len(children),
        release=ctypes.cast(_RELEASE, ctypes.c_void_p),
    )
    if children:
        structure.children = (ctypes.POINTER(_ArrowSchema) * len(children))(*map(ctypes.pointer, children))
    if field.dictionary is not None:
        structure.dictionary = ctypes.pointer(_build(field.dictionary))
    structure.private_data = ctypes.addressof(structure)
    _KEPT[structure.private_data] = structure
    return structure

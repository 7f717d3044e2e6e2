"""Decimals whose bounds in the log are not true: left out when files are written, and not believed when read.

deltalake writes the least and the greatest decimal of a file as a 64-bit float, and every reader passes over files
by them. Beyond 15 digits such a bound is another number, and rows are not found. An unsigned 64-bit integer is stored
as a decimal of 20 digits.

Source: deltalake 1.6 writes `9007199254740993` of a decimal(20, 0) as `9007199254740992` into minValues and maxValues.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from arro3.core import ChunkedArray
    from arro3.core import Table as ArrowTable
    from deltalake import DeltaTable

    from rivers_core.metadata.schema import ArrowField
    from rivers_delta.partitions.predicates import Predicate

_BOUNDS: Final = ("min", "max")
_NONE: Final = {"statistics_enabled": "NONE"}
_USUAL_LEVEL: Final = "PAGE"


def is_rounded(stored: ArrowField) -> bool:
    """Whether deltalake rounds the bounds of a column, or of a field inside of it.

    Args:
        stored: The column as the table has it.
    """
    if stored.format.startswith("d:"):
        return int(stored.format[2:].split(",")[0]) > sys.float_info.dig
    return stored.format == "+s" and any(map(is_rounded, stored.children))


def without_rounded(properties: Mapping[str, Any], columns: Iterable[ArrowField]) -> dict[str, Any]:
    """Writer properties that leave out the statistics of columns whose bounds would be rounded.

    Fields of structs cannot be named there. If one of them is rounded, those of all structs are left out.

    Args:
        properties: The user's own, as `read_writer_properties` gives them.
        columns: The columns that are written, as the table has them.
    """
    by_name = {column.name: column for column in columns}
    rounded = [column for column in by_name.values() if is_rounded(column)]
    if not rounded:
        return dict(properties)
    own = dict(properties.get("column_properties") or {})
    default = properties.get("default_column_properties") or {}
    made = dict(properties)
    if any(column.children for column in rounded):
        level = {"statistics_enabled": default.get("statistics_enabled") or _USUAL_LEVEL}
        own |= {name: level | own.get(name, {}) for name, column in by_name.items() if not column.children}
        made["default_column_properties"] = default | _NONE
    own |= {column.name: own.get(column.name, {}) | _NONE for column in rounded if not column.children}
    return made | {"column_properties": own}


def without_bounds(actions: ArrowTable, names: Collection[str]) -> ArrowTable:
    """The files of a table without the least and greatest values of some columns.

    Args:
        actions: As `DeltaTable.get_add_actions` gives them.
        names: The columns.
    """
    for bound in _BOUNDS:
        if bound not in actions.column_names:
            continue
        fields = actions.column(bound).type.fields
        kept = [number for number, field in enumerate(fields) if field.name not in names]
        if not kept:
            actions = actions.drop_columns([bound])
        elif len(kept) < len(fields):
            place = actions.column_names.index(bound)
            actions = actions.set_column(place, bound, _fields(actions.column(bound), kept))
    return actions


def trusted_dataset(table: DeltaTable, predicate: Predicate | None) -> Any:
    """A pyarrow dataset of a table, in which no file is passed over by bounds that may be rounded.

    Args:
        table: At the version that is meant.
        predicate: The rows that are asked for.
    """
    from rivers_delta.types.pyarrow_files import dataset_of

    dataset = dataset_of(table)
    if predicate is None or not predicate.is_rounded:
        return dataset
    from pyarrow.dataset import FileSystemDataset

    fragments = [
        dataset.format.make_fragment(one.path, one.filesystem, _of_folders(dataset.schema, one))
        for one in dataset.get_fragments()
    ]
    return FileSystemDataset(fragments, dataset.schema, dataset.format, dataset.filesystem)


def _fields(structs: ChunkedArray, kept: list[int]) -> ChunkedArray:
    from arro3.core import ChunkedArray, struct_array, struct_field

    made = []
    for chunk in structs.chunks:
        fields = [chunk.type.fields[number] for number in kept]
        made.append(struct_array([struct_field(chunk, [number]) for number in kept], fields=fields))
    return ChunkedArray(made)


def _of_folders(schema: Any, fragment: Any) -> Any:
    """What the folders of a file say about its rows; bounds say `>=` and `<=`, folders say what is equal."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow.dataset import get_partition_keys

    known = pc.scalar(True)
    for name, value in get_partition_keys(fragment.partition_expression).items():
        field = pc.field(name)
        is_value = field.is_null() if value is None else field == pa.scalar(value, schema.field(name).type)
        known = known & is_value
    return known

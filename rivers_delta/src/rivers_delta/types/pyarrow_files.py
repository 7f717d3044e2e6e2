"""How pyarrow gets at the files of a table, so that none of its threads needs the interpreter when that ends.

pyarrow reads ahead in threads of its own, and these let go of a file some time after the last row was given. Where
files come through a file system written in Python, that takes the interpreter: a program that ends meanwhile is
aborted, or never ends (seen with pyarrow 26 and deltalake 1.6).
"""

from __future__ import annotations

import atexit
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow import fs

from rivers_delta.log.location import is_local

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyarrow.dataset import Dataset

_FILE: Final = "file://"
_LONGEST_WAIT_S: Final = 2.0

_file_systems: weakref.WeakSet[Any] = weakref.WeakSet()
_readers: weakref.WeakSet[Any] = weakref.WeakSet()


def dataset_of(table: DeltaTable) -> Dataset:
    """A table as a pyarrow dataset: on this machine through pyarrow's own file system, elsewhere through deltalake's.

    Args:
        table: At the version that is meant.
    """
    path = table.table_uri.removeprefix(_FILE)
    if is_local(path):
        return table.to_pyarrow_dataset(filesystem=fs.SubTreeFileSystem(path, fs.LocalFileSystem()))
    dataset = table.to_pyarrow_dataset()
    _file_systems.add(dataset.filesystem.handler)
    return dataset


def closed_at_exit(reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """A reader that stops reading ahead when the program ends, if nobody read it to its end.

    Args:
        reader: Over a dataset.
    """
    _readers.add(reader)
    return reader


@atexit.register
def _let_go() -> None:
    """Close what is still open, and wait for the threads that read it."""
    for reader in list(_readers):
        reader.close()
    until = time.monotonic() + _LONGEST_WAIT_S
    while len(_file_systems) and time.monotonic() < until:
        time.sleep(0.005)

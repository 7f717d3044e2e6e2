"""Large objects of a local folder, which are verified and unpickled in their file."""

from __future__ import annotations

import os

import pytest

from rivers_core.exceptions import IntegrityError, NotMaterializedError
from rivers_pickle import handler as handler_module


@pytest.fixture(autouse=True)
def _all_large(monkeypatch):
    monkeypatch.setattr(handler_module, "_LARGE", 0)


class Touched:
    """Changes the file that it is loaded from."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.utime, (str(self.file), (1, 1))


class Replaced:
    """Renames another file over the one that it is loaded from."""

    def __init__(self, other, file):
        self.files = str(other), str(file)

    def __reduce__(self):
        return os.replace, self.files


def test_load_reports_file_that_changes_meanwhile(lake):
    lake.store(Touched(lake.folder / "asset.pkl"))
    with pytest.raises(IntegrityError, match="asset"):
        lake.load()


def test_load_is_not_disturbed_by_later_write(lake, tmp_path):
    later = tmp_path / "later"
    later.write_bytes(b"another object")
    lake.store([Replaced(later, lake.folder / "asset.pkl"), b"x" * 100_000])
    assert lake.load() == [None, b"x" * 100_000]
    assert (lake.folder / "asset.pkl").read_bytes() == b"another object"


@pytest.mark.parametrize("allow", [None, ()])
def test_load_returns_equal_large_values(lake, allow):
    value = {
        "bytes": os.urandom(2_000_000),
        "array": bytearray(700_000),
        "text": ["é"] * 50_000,
        "none": None,
    }
    lake.store(value)
    lake.handler = lake.handler.model_copy(update={"allow": allow})
    assert lake.load() == value


def test_load_reports_version_of_large_object(lake):
    written = lake.store(list(range(1000)))
    context = lake.asked()
    lake.handler.load_input(context)
    assert context.loaded_version == written.content_version


def test_load_of_missing_large_object_is_not_materialized(lake):
    with pytest.raises(NotMaterializedError):
        lake.load()

"""Objects in a store that other processes write to at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import obstore
import pytest
from obstore.store import MemoryStore

from rivers_objects.bucket import Bucket
from rivers_objects.targets import History

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = b"a" * 200_000
SHORT = b"b" * 10


def name_of(tail: bytes, is_whole: bool) -> str:
    return chr(tail[-1])


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def bucket(store: MemoryStore) -> Bucket:
    return Bucket(store, {})


@pytest.fixture
def replace_after(monkeypatch: pytest.MonkeyPatch, store: MemoryStore) -> Callable[[str, list[bytes]], None]:
    """Replace the object `x` after requests of one kind, as another process would."""

    def arrange(request: str, values: list[bytes]) -> None:
        send = getattr(obstore, request)

        def send_and_replace(*args: object, **options: object) -> object:
            response = send(*args, **options)
            if values:
                obstore.put(store, "x", values.pop(0))
            return response

        monkeypatch.setattr(obstore, request, send_and_replace)

    return arrange


@pytest.mark.parametrize(("before", "after"), [(LONG, SHORT), (SHORT, LONG), (LONG, LONG[:-1] + b"c")])
def test_tail_is_of_one_object_that_is_replaced_meanwhile(
    bucket: Bucket,
    store: MemoryStore,
    replace_after: Callable[[str, list[bytes]], None],
    before: bytes,
    after: bytes,
) -> None:
    obstore.put(store, "x", before)
    replace_after("head", [after])
    assert bucket.tail("x", 8) == (after[-8:], len(after))


def test_tail_of_a_missing_object_is_an_error(bucket: Bucket) -> None:
    with pytest.raises(FileNotFoundError):
        bucket.tail("x")


def test_keep_version_names_a_copy_after_the_object_that_was_copied(
    bucket: Bucket, store: MemoryStore, replace_after: Callable[[str, list[bytes]], None]
) -> None:
    obstore.put(store, "x", LONG)
    replace_after("get", [SHORT])
    bucket.keep_version("x", History("kept", 5, name_of))
    kept = {path: obstore.get(store, path).bytes().to_bytes() for path in bucket.all_paths("kept")}
    assert kept == {"kept/b": SHORT}

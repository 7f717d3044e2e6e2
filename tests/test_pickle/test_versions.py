"""Earlier versions: kept, listed, loaded, restored and pruned."""

from __future__ import annotations

import os
import pickle
import threading
from datetime import timedelta

import obstore
import pytest
from obstore.store import MemoryStore

from rivers_core.contexts import InputContext, OutputContext
from rivers_core.exceptions import IntegrityError, VersionNotFoundError
from rivers_pickle import PickleIOHandler

ASKED = InputContext("asset", "next")


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.server)])
def handler(request, tmp_path):
    if request.param == "folder":
        return PickleIOHandler(tmp_path, prefix="area", keep_versions=2)
    if request.param == "memory":
        return PickleIOHandler("memory://", prefix="area", keep_versions=2)
    server = request.getfixturevalue("s3_server")
    return PickleIOHandler(
        request.getfixturevalue("s3_url"), keep_versions=2, storage_options=server.options()
    )


def store(handler, value, expected=None):
    context = OutputContext("asset")
    context.expected_version = expected
    handler.handle_output(context, value)
    return context.content_version


def load(handler, version=None):
    return handler.load_input(InputContext("asset", "next", version=version))


def listed(handler):
    return [version.version for version in handler.versions(ASKED)]


def test_last_versions_stay_loadable(handler):
    versions = [store(handler, value) for value in range(4)]
    assert listed(handler) == versions[:0:-1]
    assert [load(handler, version) for version in versions[1:]] == [1, 2, 3]
    assert load(handler) == 3
    with pytest.raises(VersionNotFoundError, match=versions[3][:12]):
        load(handler, versions[0])


@pytest.mark.parametrize("size", [10, 5 << 20])
def test_conditional_write_keeps_the_replaced_version(handler, size):
    first = store(handler, b"1" * size, expected="")
    second = store(handler, b"2" * size, expected=first)
    assert listed(handler) == [second, first]
    assert load(handler, first) == b"1" * size


def test_abbreviated_version_is_found(handler):
    first, _ = store(handler, 1), store(handler, 2)
    assert load(handler, first[:8]) == 1
    with pytest.raises(VersionNotFoundError):
        load(handler, first[:7])


def test_restored_version_is_current_and_replaced_one_is_kept(handler):
    first, second = store(handler, 1), store(handler, 2)
    context = OutputContext("asset")
    handler.restore(context, first)
    assert load(handler) == 1
    assert context.content_version == first
    assert listed(handler)[:2] == [first, second]
    with pytest.raises(VersionNotFoundError):
        handler.restore(context, "f" * 64)


def test_prune_removes_by_count_and_age(handler):
    versions = [store(handler, value) for value in range(3)]
    assert handler.prune(ASKED, older_than=timedelta(days=1), dry_run=False) == []
    (planned,) = handler.prune(ASKED, keep=1)
    assert planned.version == versions[0]
    assert listed(handler) == versions[::-1]
    assert handler.prune(ASKED, keep=1, dry_run=False) == [planned]
    assert listed(handler) == versions[:0:-1]
    handler.prune(ASKED, keep=0, older_than=timedelta(0), dry_run=False)
    assert listed(handler) == versions[2:]


def test_versions_are_not_kept_by_default(tmp_path):
    handler = PickleIOHandler(tmp_path)
    versions = [store(handler, 1), store(handler, 2)]
    assert listed(handler) == versions[1:]


def test_process_that_ends_before_the_replacement_loses_nothing(tmp_path, monkeypatch):
    handler = PickleIOHandler(tmp_path, keep_versions=2)
    first = store(handler, 1)

    def replace(source, target):
        raise OSError(28, "No space left on device", target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        with pytest.raises(Exception, match="No space"):
            store(handler, 2)
    assert load(handler) == 1
    assert listed(handler) == [first]
    second = store(handler, 2)
    assert listed(handler) == [second, first]


def test_folder_without_links_keeps_copies(tmp_path, monkeypatch):
    def link(source, target):
        raise PermissionError(1, "Operation not permitted", source)

    monkeypatch.setattr(os, "link", link)
    handler = PickleIOHandler(tmp_path, keep_versions=1, fsync=True)
    first, second = store(handler, 1), store(handler, 2)
    assert listed(handler) == [second, first]
    assert load(handler, first) == 1


def test_foreign_object_is_kept_under_its_digest(tmp_path):
    handler = PickleIOHandler(tmp_path, keep_versions=1)
    (tmp_path / "asset.pkl").write_bytes(pickle.dumps("x" * 10_000))
    (foreign,) = listed(handler)
    second = store(handler, 2)
    assert listed(handler) == [second, foreign]
    assert load(handler, foreign) == "x" * 10_000


def test_footer_cannot_name_a_path(tmp_path, monkeypatch):
    """A forged data version does not lead out of the folder of versions."""
    from rivers_pickle import format as pickle_format

    handler = PickleIOHandler(tmp_path / "store", keep_versions=1)
    monkeypatch.setattr(pickle_format, "_values_in_tail", lambda tail: {
        "data_version": "../../../../escaped", "created": "2024-01-01T00:00:00+00:00"
    })  # fmt: skip
    store(handler, 1)
    store(handler, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_swapped_versions_are_refused(tmp_path):
    handler = PickleIOHandler(tmp_path, keep_versions=2)
    versions = [store(handler, value) for value in range(3)]
    newer, older = sorted((tmp_path / ".versions" / "asset.pkl").iterdir(), reverse=True)
    newer.write_bytes(older.read_bytes())
    assert load(handler, versions[0]) == 0
    with pytest.raises(IntegrityError, match=r"version"):
        load(handler, versions[1])


def test_nearest_object_is_not_an_earlier_version(tmp_path):
    handler = PickleIOHandler(tmp_path, keep_versions=2)
    store(handler, 1)
    store(handler, 2)
    with pytest.raises(FileNotFoundError) as missing:
        handler.load_input(InputContext("asset2", "next"))
    assert "'asset.pkl'" in str(missing.value)


REQUESTS = ["put", "get", "head", "list_with_delimiter", "delete", "copy", "open_writer"]
"""Functions of obstore that a write may call."""


class Died(BaseException):
    """End of a process."""


@pytest.fixture
def before_request(monkeypatch):
    """Call a function before the n-th request from now, as another process would run there."""
    state = {"left": 0, "action": None}

    def arrange(number, action):
        state.update(left=number, action=action)
        return state

    def counted(request):
        def send(*args, **options):
            state["left"] -= 1
            if state["left"] == 0 and state["action"] is not None:
                state["action"]()
            return request(*args, **options)

        return send

    for name in REQUESTS:
        monkeypatch.setattr(obstore, name, counted(getattr(obstore, name)))
    return arrange


@pytest.mark.parametrize("size", [10, 5 << 20])
@pytest.mark.parametrize("kept_before", [0, 9])
@pytest.mark.parametrize("number", range(1, 12))
def test_concurrent_writers_of_a_bucket_keep_each_version(before_request, size, kept_before, number):
    objects = MemoryStore()
    first = store(PickleIOHandler(objects, keep_versions=kept_before), b"0" * size)
    one, two = (PickleIOHandler(objects, keep_versions=9) for _ in range(2))
    stored = [first]
    before_request(number, lambda: stored.append(store(two, b"2" * size)))
    stored.append(store(one, b"1" * size))
    before_request(0, None)
    assert sorted(listed(one)) == sorted(stored)
    assert {load(one, version)[:1] for version in stored} == {
        value[:1] for value in (b"0", b"1", b"2")[: len(stored)]
    }


@pytest.mark.parametrize("size", [10, 5 << 20])
@pytest.mark.parametrize("number", range(1, 12))
def test_writer_of_a_bucket_that_dies_loses_no_version(before_request, size, number):
    handler = PickleIOHandler(MemoryStore(), keep_versions=9)
    stored = [store(handler, value * size) for value in (b"0", b"1")]

    def die():
        raise Died

    before_request(number, die)
    try:
        stored.append(store(handler, b"2" * size))
    except Died:
        assert load(handler) in (b"1" * size, b"2" * size)
    before_request(0, None)
    assert {*stored} <= {*listed(handler)}
    stored = [*listed(handler), store(handler, b"3" * size)]
    assert sorted(listed(handler)) == sorted(stored)
    assert all(load(handler, version) for version in stored)


@pytest.mark.server
def test_concurrent_writers_of_s3_keep_each_version(s3_server, s3_url):
    writers = [
        PickleIOHandler(s3_url, keep_versions=99, storage_options=s3_server.options()) for _ in range(4)
    ]
    stored = []

    def write(number):
        stored.extend(store(writers[number], (number, turn)) for turn in range(5))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(writers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(listed(writers[0])) == sorted(stored)
    assert len({load(writers[0], version) for version in stored}) == 20

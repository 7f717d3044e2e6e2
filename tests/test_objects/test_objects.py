"""Objects of a folder and of a bucket: what both promise to handlers, and the base class of such handlers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from obstore.store import MemoryStore

import rivers_objects
from rivers_core import InputContext, OutputContext, PartitionContext, PartitionKey
from rivers_core.exceptions import ConflictError, NotMaterializedError, PartitionValidationError
from rivers_objects import Bucket, Condition, Folder, History, ObjectIOHandler, ReplacedError
from rivers_objects.errors import readable, store_failed


class BytesIOHandler(ObjectIOHandler):
    suffix: ClassVar[str] = ".bin"
    conditional_writes: ClassVar[bool] = True

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        path, expected = self.object_path(context), context.expected_version
        condition = None if expected is None else Condition(expected, version_of)
        try:
            self.objects.target(path, condition).put(obj)
        except Exception as error:
            self.fail("store", context, path, error)

    def load_input(self, context: InputContext) -> Any:
        return bytes(self.read_object(context, self.object_path(context)))


def version_of(tail: bytes, is_whole: bool) -> str | None:
    """Return the content as version, and ask for the whole of a long object."""
    return tail.decode() if is_whole else None


@pytest.fixture(params=["folder", "bucket"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Folder | Bucket:
    return Folder(str(tmp_path)) if request.param == "folder" else Bucket(MemoryStore(), {})


@pytest.fixture(params=["folder", "bucket"])
def handler(request: pytest.FixtureRequest, tmp_path: Path) -> BytesIOHandler:
    return BytesIOHandler(tmp_path if request.param == "folder" else "memory://", prefix="values")


def put(objects: Folder | Bucket, path: str, data: bytes, **settings: Any) -> None:
    objects.target(path, **settings).put(data)


def test_public_names_are_exported() -> None:
    for name in rivers_objects.__all__:
        assert getattr(rivers_objects, name).__name__ == name


def test_object_is_read_back(objects: Folder | Bucket) -> None:
    assert not objects.exists("a/b.bin")
    put(objects, "a/b.bin", b"first")
    put(objects, "a/b.bin", b"second value")
    assert objects.exists("a/b.bin")
    assert bytes(objects.read("a/b.bin")) == b"second value"
    assert objects.tail("a/b.bin") == (b"second value", 12)
    assert objects.entries("a") == [("b.bin", 12)]


def test_absent_object_is_file_not_found(objects: Folder | Bucket) -> None:
    for ask in (objects.read, objects.tail):
        with pytest.raises(FileNotFoundError):
            ask("absent.bin")
    objects.delete("absent.bin")
    assert objects.entries("absent") == []


def test_paths_list_objects_of_a_folder(objects: Folder | Bucket) -> None:
    for path in ("a/1.bin", "a/b/2.bin", "ab/3.bin"):
        put(objects, path, b"x")
    assert sorted(objects.all_paths("a")) == sorted(objects.paths("a")) == ["a/1.bin", "a/b/2.bin"]
    objects.delete("a/1.bin")
    assert list(objects.all_paths("a")) == ["a/b/2.bin"]


def test_object_written_in_pieces_is_published_at_the_end(objects: Folder | Bucket) -> None:
    put(objects, "x", b"old")
    with objects.target("x").open() as file:
        file.write(b"new ")
        assert bytes(objects.read("x")) == b"old"
        file.write(memoryview(b"value"))
    assert bytes(objects.read("x")) == b"new value"


@pytest.mark.parametrize("way", ["open", "stage"])
def test_failed_write_keeps_the_object(objects: Folder | Bucket, way: str) -> None:
    put(objects, "x", b"old")

    def write() -> None:
        with getattr(objects.target("x"), way)() as target:
            if way == "open":
                target.write(b"half")
            else:
                Path(target.path).write_bytes(b"half")
            raise ValueError("the value is wrong")

    with pytest.raises(ValueError, match="is wrong"):
        write()
    assert bytes(objects.read("x")) == b"old"
    assert list(objects.all_paths("")) == ["x"]


def test_staged_file_becomes_the_object(objects: Folder | Bucket) -> None:
    with objects.target("a/x").stage() as staged:
        Path(staged.path).write_bytes(b"content")
    assert bytes(objects.read("a/x")) == b"content"


@pytest.mark.parametrize(("expected", "stored"), [("", b"v1"), ("v0", b"v1"), ("v0", None)])
def test_condition_that_fails_keeps_the_object(
    objects: Folder | Bucket, expected: str, stored: bytes | None
) -> None:
    if stored is not None:
        put(objects, "x", stored)
    with pytest.raises(ReplacedError) as caught:
        put(objects, "x", b"v2", condition=Condition(expected, version_of))
    assert caught.value.version == (stored or b"").decode()
    assert objects.exists("x") == (stored is not None)


def test_condition_that_holds_replaces_the_object(objects: Folder | Bucket) -> None:
    put(objects, "x", b"v1", condition=Condition("", version_of))
    put(objects, "x", b"v2", condition=Condition("v1", version_of))
    assert bytes(objects.read("x")) == b"v2"


def test_history_keeps_replaced_objects(objects: Folder | Bucket) -> None:
    history = History("kept", 2, version_of)
    for number in range(5):
        put(objects, "x", f"v{number}".encode(), history=history)
    own = ["v4"] if isinstance(objects, Bucket) else []
    assert sorted(name for name, _ in objects.entries("kept")) == ["v2", "v3", *own]
    assert bytes(objects.read("kept/v3")) == b"v3"


def test_history_keeps_the_greatest_names() -> None:
    history = History("kept", 2, version_of)
    assert history.obsolete(["c", "a", "b"]) == ["a"]
    assert history.obsolete(["a"]) == []


def test_leftover_of_a_killed_writer_is_removed(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    put(folder, "x", b"value")
    with folder.target("x").stage() as staged:
        assert list(folder.leftovers()) == []
        (tmp_path / "copy").write_bytes(b"half")
        name = Path(staged.path).name
    (tmp_path / "copy").rename(tmp_path / name)
    (leftover,) = folder.leftovers()
    assert (Path(leftover.address).name, leftover.size) == (name, 4)
    assert leftover.remove()
    assert list(folder.all_paths("")) == ["x"]


@pytest.mark.skipif(sys.platform == "win32", reason="creating links needs a privilege")
def test_leftovers_behind_links_are_found_once(tmp_path: Path) -> None:
    disk = tmp_path / "bigger-disk"
    disk.mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "asset").symlink_to(disk, target_is_directory=True)
    (disk / "loop").symlink_to(tmp_path / "root", target_is_directory=True)
    folder = Folder(str(tmp_path / "root"))
    put(folder, "asset/x", b"value")
    with folder.target("asset/x").stage() as staged:
        name = Path(staged.path).name
    (disk / name).write_bytes(b"half")
    assert [Path(leftover.address).name for leftover in folder.leftovers()] == [name]
    put(Folder(str(tmp_path / "root")), "asset/y", b"value")
    assert sorted(folder.all_paths("")) == sorted(folder.paths("")) == ["asset/x", "asset/y"]
    assert [leftover.remove() for leftover in folder.leftovers()] == [True]
    assert sorted(path.name for path in disk.iterdir()) == ["loop", "x", "y"]


def test_handler_places_objects_by_asset_and_partition(handler: BytesIOHandler) -> None:
    day = PartitionContext([PartitionKey("2024-01-01")])
    handler.handle_output(OutputContext("orders"), b"all")
    handler.handle_output(OutputContext("orders", partition=day), b"day")
    assert sorted(handler.objects.all_paths("")) == ["values/orders.bin", "values/orders/2024-01-01/data.bin"]
    context = InputContext("orders", "total", partition=day)
    assert handler.load_input(context) == b"day"
    assert handler.describe_address(context).endswith("values/orders/2024-01-01/data.bin")
    both = PartitionContext([PartitionKey("a"), PartitionKey("b")])
    with pytest.raises(PartitionValidationError):
        handler.object_path(InputContext("orders", "total", partition=both))


def test_handler_reports_absence_with_the_nearest_object(handler: BytesIOHandler) -> None:
    handler.handle_output(OutputContext("orders"), b"all")
    context = InputContext("order", "total")
    with pytest.raises(NotMaterializedError, match=r"values/orders\.bin"):
        handler.load_input(context)
    assert not handler.exists(context)
    handler.delete(context)
    handler.delete(InputContext("orders", "total"))
    assert not handler.exists(InputContext("orders", "total"))


def test_handler_reports_lost_condition_as_conflict(handler: BytesIOHandler) -> None:
    handler.handle_output(OutputContext("orders"), b"v1")
    context = OutputContext("orders")
    context.expected_version = "v0"
    with pytest.raises(ConflictError, match="'orders'"):
        handler.handle_output(context, b"v2")
    assert handler.load_input(InputContext("orders", "total")) == b"v1"


def test_handler_locality_follows_the_store(tmp_path: Path) -> None:
    stores = {"host": tmp_path, "process": "memory://", "shared": "s3://bucket"}
    assert {name: BytesIOHandler(store).locality for name, store in stores.items()} == {
        name: name for name in stores
    }


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"store": "memory://", "fsync": True}, "fsync"),
        ({"store": MemoryStore(), "storage_options": {"region": "x"}}, "storage_options"),
        ({"store": "memory://", "prefix": "a/../b"}, "prefix"),
    ],
)
def test_handler_refuses_settings_that_do_not_fit(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        BytesIOHandler(**settings)


@pytest.mark.parametrize(
    "text",
    [
        "Unable to extract metadata from headers: ETag Header missing from response",
        "Got invalid multipart response: missing field `ETag`",
        "Error performing DELETE http://store/x - HTTP error: error following redirect",
    ],
)
def test_part_answered_by_something_else_is_not_transient(text: str) -> None:
    error = readable(OSError(text), ())
    assert not isinstance(error, OSError)
    assert "sign-in page" in str(store_failed("store", OutputContext("orders"), "s3://bucket/orders", error))

"""Hostile names of assets and keys of partitions, and symbolic links, for every handler and event storage."""

from __future__ import annotations

import os
import random
import sys
import unicodedata
from contextlib import suppress

import pyarrow as pa
import pytest

import rivers as rs
from rivers.storage import Event
from rivers_core import InputContext, OutputContext, PartitionContext, PartitionKey
from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_delta import DeltaIOHandler
from rivers_json import JsonIOHandler
from rivers_memory import InMemoryIOHandler
from rivers_overlay import OverlayIOHandler
from rivers_parquet import ParquetIOHandler
from rivers_pickle import PickleIOHandler

FULL = bool(os.environ.get("FULL"))
PIECES = [
    "..",
    ".",
    "/",
    "\\",
    "%",
    "%2F",
    "%2e%2e",
    "~",
    "~_2F",
    "$HOME",
    "`id`",
    ";",
    "&",
    "*",
    "?",
    "[a]",
    "'",
    '"',
    " ",
    "\t",
    "\n",
    "\r",
    "\x00",
    "\x7f",
    "\u200b",
    "\u202e",
    "\ufeff",
    "é",
    "e\u0301",
    "ß",
    "\u0130",
    "\u0131",
    "\u017f",
    "漢",
    "😀",
    "CON",
    "nul.pkl",
    "a" * 120,
    "A",
    "a",
    ":",
    "C:",
    "://",
    "s3://x",
    "@",
    "#",
    "=",
    "__HIVE_DEFAULT_PARTITION__",
    ".pkl",
    ".versions",
    ".rivers-signed",
    "_delta_log",
    "data",
    "--help",
    "-x",
    "{0}",
    "%s",
    "<script>",
    "${SECRET}",
    "OR 1=1 --",
    "NULL",
    "0",
    "-1",
    "1e999",
    "True",
    "\\\\host\\share",
    "trailing.",
    "trailing ",
    "🏳️‍🌈",
]


def hostile_names(count):
    """Return different texts, the same for each run."""
    chance, names = random.Random(14), dict.fromkeys(PIECES)
    while len(names) < count:
        names["".join(chance.choices(PIECES, k=chance.randint(2, 4)))] = None
    return list(names)[:count]


def handlers(root):
    return {
        "pickle": PickleIOHandler(root / "pickle", keep_versions=1),
        "json": JsonIOHandler(store=root / "json"),
        "parquet": ParquetIOHandler(store=root / "parquet"),
        "delta": DeltaIOHandler(str(root / "delta")),
        "memory": InMemoryIOHandler(),
        "overlay": OverlayIOHandler(top=PickleIOHandler(root / "top"), base=PickleIOHandler(root / "base")),
    }


def value_of(kind, name, number):
    columns = {"key": [name], "n": [number]}
    return columns if kind == "json" else pa.table(columns)


def number_in(kind, handler, asked):
    value = handler.load_input(asked)
    return value["n"][0] if kind == "json" else value["n"][0].as_py()


def context_of(kind, asset, metadata, partition):
    return InputContext(asset, "next", metadata, partition, dict if kind == "json" else pa.Table)


def outside(root):
    return sorted(path.name for path in root.parent.iterdir() if path != root)


@pytest.mark.parametrize("kind", ["pickle", "json", "parquet", "delta", "memory", "overlay"])
@pytest.mark.parametrize("place", ["asset", "partition"])
def test_handlers_keep_hostile_names_apart(tmp_path, kind, place):
    root = tmp_path / "root"
    root.mkdir()
    handler, before = handlers(root)[kind], outside(root)
    names = hostile_names(500 if FULL or kind == "memory" else 50)
    if kind == "delta" and not FULL:
        names = names[::2]  # a commit for each
    stored = {}
    for number, name in enumerate(names):
        asset, partition = name, None
        metadata = {}
        if place == "partition":
            asset, metadata = "asset", {"delta/partition_expr": "key"} if kind == "delta" else {}
            try:
                partition = PartitionContext([PartitionKey(name)])
            except RiversError:
                continue  # keys with a reserved character are refused where they are made
        try:
            handler.handle_output(OutputContext(asset, metadata, partition), value_of(kind, name, number))
        except RiversError:
            continue
        stored[name] = (asset, metadata, partition, number)
    assert len(stored) > len(names) * 0.7
    for asset, metadata, partition, number in stored.values():
        context = context_of(kind, asset, metadata, partition)
        assert number_in(kind, handler, context) == number
    assert outside(root) == before
    for asset, metadata, partition, _ in list(stored.values())[::10]:
        context = context_of(kind, asset, metadata, partition)
        handler.delete(context)
        with pytest.raises(NotMaterializedError):
            handler.load_input(context)


@pytest.fixture(params=["memory", "embedded", pytest.param("postgres", marks=pytest.mark.server)])
def event_storage(request, tmp_path):
    if request.param == "memory":
        return rs.Storage.memory()
    if request.param == "embedded":
        return rs.Storage.embedded(tmp_path / "log")
    return rs.Storage.connect(request.getfixturevalue("postgres_url"))


def test_event_storages_keep_hostile_names_apart(event_storage):
    storage = event_storage
    names = [name for name in hostile_names(500 if FULL else 100) if _is_recordable(name)]
    with storage:
        accepted = []
        for name in names:
            try:
                storage.add_dynamic_partitions("hostile", [name])
            except RiversError:
                continue
            accepted.append(name)
        assert sorted(storage.get_dynamic_partitions("hostile")) == sorted(accepted)
        assert len(accepted) > len(names) * 0.7
        storage.delete_dynamic_partition("hostile", accepted[0])
        assert not storage.has_dynamic_partition("hostile", accepted[0])
        assert all(storage.has_dynamic_partition("hostile", name) for name in accepted[1:])


def test_event_storages_keep_events_of_hostile_names_apart(event_storage):
    names = [name for name in hostile_names(500) if "\x00" not in name]
    with event_storage as storage:
        storage.start_run("run")
        for number, name in enumerate(names):
            event = Event(
                "Materialization",
                run_id="run",
                asset_key=name,
                partition_key=name,
                data_version=str(number),
                tags=((name, name),),
            )
            storage.record(event)
        storage.finish_run("run", "success")
        for number, name in enumerate(names):
            event = storage.get_latest_materialization(name)
            assert (event.asset_key, event.partition_key, event.data_version) == (name, name, str(number))
        assert len(storage.get_events_for_run("run")) >= len(names)


def _is_recordable(name):
    return unicodedata.normalize("NFC", name) == name and "\x00" not in name


STORED = ["pickle", "json", "parquet", "delta", "overlay-top", "overlay-base"]
"""Handlers that keep values in folders, and the folder of an overlay that has a link."""


def linked_handler(root, stored, link):
    """Create a handler; its root, the folder of the asset, or both are links to folders on another disk."""
    kind, _, layer = stored.partition("-")
    folder, disk = root / (layer or kind), root.parent / "bigger-disk"
    (disk / "root").mkdir(parents=True)
    (disk / "asset").mkdir()
    root.mkdir()
    if "root" in link:
        folder.symlink_to(disk / "root", target_is_directory=True)
    else:
        folder.mkdir()
    if "asset" in link:
        (folder / "asset").symlink_to(disk / "asset", target_is_directory=True)
    if kind != "overlay":
        return handlers(root)[kind], kind
    layers = {name: DeltaIOHandler(str(root / name)) for name in ("top", "base")}
    # the other layer has no value: reading takes the linked one
    return (OverlayIOHandler(**layers) if layer == "top" else layers["base"]), "delta"


@pytest.mark.skipif(sys.platform == "win32", reason="creating links needs a privilege")
@pytest.mark.parametrize("link", ["root", "asset", "root and asset"])
@pytest.mark.parametrize("stored", STORED)
def test_linked_folder_works_like_a_folder(tmp_path, stored, link):
    root = tmp_path / "root"
    handler, kind = linked_handler(root, stored, link)
    metadata = {"delta/partition_expr": "key"} if kind == "delta" else {}
    context = OutputContext("asset", metadata, PartitionContext([PartitionKey("a")]))
    asked = context_of(kind, "asset", metadata, context.partition)
    for number in range(2):
        handler.handle_output(context, value_of(kind, "a", number))
        assert number_in(kind, handler, asked) == number
    if stored == "overlay-base":
        layers = {"top": DeltaIOHandler(str(root / "top")), "base": handler}
        assert number_in(kind, OverlayIOHandler(**layers), asked) == 1
    assert any(path.is_file() for path in (tmp_path / "bigger-disk").rglob("*"))
    links = [path for path in [*root.iterdir(), *root.glob("*/asset")] if path.is_symlink()]
    assert len(links) == link.count("root") + link.count("asset")
    handler.delete(asked)
    assert not handler.exists(asked)
    handler.handle_output(context, value_of(kind, "a", 2))
    # all partitions: for Delta, the whole table
    handler.delete(InputContext("asset", "next", metadata) if kind == "delta" else asked)
    assert not handler.exists(asked)
    assert all(path.is_symlink() for path in links)


@pytest.mark.skipif(sys.platform == "win32", reason="creating links needs a privilege")
@pytest.mark.parametrize("kind", ["pickle", "json", "parquet"])
def test_link_in_place_of_a_file_is_never_written_through(tmp_path, kind):
    root, victim = tmp_path / "root", tmp_path / "victim"
    handler = handlers(root)[kind]
    handler.handle_output(OutputContext("asset"), value_of(kind, "a", 1))
    (file,) = (path for path in (root / kind).rglob("asset.*") if path.is_file())
    victim.write_bytes(b"precious")
    file.unlink()
    file.symlink_to(victim)
    handler.handle_output(OutputContext("asset"), value_of(kind, "a", 2))
    assert victim.read_bytes() == b"precious"
    assert not file.is_symlink()
    assert number_in(kind, handler, context_of(kind, "asset", {}, None)) == 2
    file.unlink()
    file.symlink_to(victim)
    handler.delete(InputContext("asset", "next"))
    assert victim.read_bytes() == b"precious"


@pytest.mark.skipif(sys.platform == "win32", reason="creating links needs a privilege")
@pytest.mark.parametrize(
    "name", [f"{2:020d}.json", f"{2:020d}.json#1", "_last_checkpoint", f"{2:020d}.checkpoint.parquet"]
)
def test_link_in_log_of_delta_table_is_never_written_through(tmp_path, name):
    handler = DeltaIOHandler(str(tmp_path / "lake"), table_config={"delta.checkpointInterval": "2"})
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for number in range(2):
        handler.handle_output(OutputContext("asset"), value_of("delta", "a", number))
    link = tmp_path / "lake" / "asset" / "_delta_log" / name
    link.unlink(missing_ok=True)
    link.symlink_to(victim)
    for number in range(2, 4):
        with suppress(RiversError):
            handler.handle_output(OutputContext("asset"), value_of("delta", "a", number))
    assert victim.read_bytes() == b"precious"
    with suppress(RiversError):
        handler.delete(InputContext("asset", "next"))
    assert victim.read_bytes() == b"precious"

"""Stored values and event logs that another party changed: refused or reported, and nothing else is touched."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import sqlite3
from contextlib import closing, suppress
from typing import Any, Final

import pytest
from obstore.store import MemoryStore

import rivers as rs
from rivers.exceptions import StorageError
from rivers_core import InputContext, OutputContext, PartitionContext, PartitionKey
from rivers_core.exceptions import IntegrityError, RiversError, VersionNotFoundError
from rivers_pickle import PickleIOHandler
from tests.robustness.payloads import FIRED, disguises, payloads

SHARES: Final = {"tenth": 0.1, "full": 1.0}
SHARE: Final = SHARES.get(os.environ.get("TORTURE", ""), 0.02)
KEY: Final = "a key of enough characters"
SETTINGS: Final = {"unsigned": {}, "signed": {"signing_key": KEY}}
PLACES: Final = [(name, key) for name in ("orders", "daily", "Daily") for key in (None, "a", "b")]


def number_of(full: int) -> int:
    return max(20, round(full * SHARE))


def content(store: MemoryStore, path: str) -> bytes:
    return bytes(store.get(path).bytes())


def context_of(kind: Any, name: str, key: str | None, **more: Any) -> Any:
    partition = None if key is None else PartitionContext([PartitionKey(key)])
    arguments = (name,) if kind is OutputContext else (name, "next")
    return kind(*arguments, partition=partition, **more)


def refuse(handler: PickleIOHandler, context: InputContext) -> None:
    """Check that a value is neither loaded nor verified, and that asking about it raises errors of rivers only."""
    for read in (handler.load_input, handler.verify):
        with pytest.raises(IntegrityError):
            read(context)
    for ask in (handler.stored_version, handler.versions, handler.exists):
        with suppress(RiversError):
            ask(context)


@pytest.mark.parametrize("name", SETTINGS)
def test_flipped_bits_are_refused(name):
    store, rng = MemoryStore(), random.Random(11)
    handler = PickleIOHandler(store, **SETTINGS[name])
    handler.handle_output(OutputContext("asset"), {"rows": list(range(50)), "blob": b"x" * 500})
    whole, asked = content(store, "asset.pkl"), InputContext("asset", "next")
    for _ in range(number_of(5_000)):
        changed, position = bytearray(whole), rng.randrange(len(whole))
        changed[position] ^= 1 << rng.randrange(8)
        store.put("asset.pkl", bytes(changed))
        refuse(handler, asked)


@pytest.mark.parametrize("name", SETTINGS)
def test_truncations_are_refused(name):
    store = MemoryStore()
    handler = PickleIOHandler(store, **SETTINGS[name])
    handler.handle_output(OutputContext("asset"), [1, 2])
    whole, asked = content(store, "asset.pkl"), InputContext("asset", "next")
    for length in range(len(whole)):
        store.put("asset.pkl", whole[:length])
        refuse(handler, asked)


@pytest.mark.parametrize("name", SETTINGS)
def test_swapped_objects_are_refused(name):
    store = MemoryStore()
    handler = PickleIOHandler(store, **SETTINGS[name])
    objects = {}
    for asset, key in PLACES:
        handler.handle_output(context_of(OutputContext, asset, key), f"{asset}/{key}")
        path = handler.object_path(context_of(InputContext, asset, key))
        objects[asset, key] = (path, content(store, path))
    for place, (path, own) in objects.items():
        asked = context_of(InputContext, *place)
        for origin, (_, whole) in objects.items():
            if origin != place:
                store.put(path, whole)
                refuse(handler, asked)
        store.put(path, own)
        assert handler.load_input(asked) == f"{place[0]}/{place[1]}"


@pytest.mark.parametrize("name", SETTINGS)
def test_swapped_versions_are_refused(name):
    store = MemoryStore()
    handler = PickleIOHandler(store, keep_versions=5, **SETTINGS[name])
    for number in range(4):
        handler.handle_output(OutputContext("asset"), number)
    asked = InputContext("asset", "next")
    versions = [version.version for version in handler.versions(asked)]
    paths = {
        path.rpartition("-")[2].removesuffix(".pkl"): path for path in handler.objects.all_paths(".versions")
    }
    for version in versions[1:]:
        own = content(store, paths[version])
        for origin in ({*paths} - {version}, [content(store, "asset.pkl")]):
            for whole in [content(store, paths[item]) if isinstance(item, str) else item for item in origin]:
                store.put(paths[version], whole)
                with pytest.raises((IntegrityError, VersionNotFoundError)):
                    handler.load_input(InputContext("asset", "next", version=version))
        store.put(paths[version], own)


def test_payloads_run_without_signature():
    for stream in payloads():
        FIRED.clear()
        pickle.loads(stream)
        assert FIRED, stream


def test_disguised_payloads_never_run():
    store = MemoryStore()
    handler = PickleIOHandler(store, keep_versions=1, signing_key=KEY)
    for number in range(2):
        handler.handle_output(OutputContext("asset"), list(range(number, 40)))
    asked, good = InputContext("asset", "next"), content(store, "asset.pkl")
    earlier = min(handler.objects.all_paths(".versions"))
    version = handler.versions(asked)[1].version
    streams = payloads()
    assert len(streams) == 100
    FIRED.clear()
    for stream in streams:
        for whole in disguises(stream, good).values():
            store.put("asset.pkl", whole)
            refuse(handler, asked)
    for whole in disguises(streams[0], good).values():
        store.put(earlier, whole)
        with pytest.raises(RiversError):
            handler.load_input(InputContext("asset", "next", version=version))
        with pytest.raises(RiversError):
            handler.restore(OutputContext("asset"), version)
    assert handler.resign(dry_run=False)["resigned"] == 0
    assert FIRED == []


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The folder of an event log with two runs, and files beside it that belong to somebody else."""
    folder = tmp_path_factory.mktemp("log")

    @rs.Asset(code_version="1", tags=["a"], kinds=["k"])
    def orders() -> int:
        return 1

    @rs.Asset(partitions_def=rs.PartitionsDefinition.static_(["a", "b"]))
    def daily(context: rs.AssetExecutionContext, orders: int) -> int:
        context.log.info("summed up")
        context.add_output_metadata({"rows": 5, "by": rs.MetadataValue.json({"a": [1]})})
        return orders

    with rs.CodeRepository([orders, daily], config=False) as repo:
        repo.resolve(rs.Storage.embedded(folder / "log"))
        repo.materialize(["orders"], run_id_override="first")
        repo.materialize(["daily"], partition_key="a", run_id_override="second")
        repo.storage.add_dynamic_partitions("region", ["eu"])
        repo.storage.close()
    (folder / "victim.owner").write_text("not of rivers")
    (folder / "rivers.db").write_text("not of rivers")
    return folder


@pytest.fixture
def copied(recorded, tmp_path):
    """Return a function that copies the folder, and returns the copy of the event log."""
    target = tmp_path / "copy"

    def copy() -> Any:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(recorded, target)
        return target / "log"

    return copy


def use(folder: Any) -> None:
    """Ask an event log everything, and write a run to it."""
    with rs.Storage.embedded(folder) as storage:
        for name in ("orders", "daily"):
            for event in storage.get_events_for_asset(name):
                repr((event, event.metadata, event.tags, event.input_data_versions))
            storage.get_asset_record(name)
            storage.get_latest_materialization(name)
            storage.get_materialized_partitions(name)
        storage.get_asset_records()
        for run in storage.get_runs():
            storage.get_events_for_run(run.run_id)
            storage.get_run_logs(run.run_id)
        storage.get_dynamic_partitions("region")
        storage.start_run("third")
        storage.finish_run("third", "success")
        storage.prune_runs(keep=1, dry_run=False)


def check_reported(folder: Any) -> bool:
    """Use an event log, and return whether it was reported as damaged; nothing outside its folder may change."""
    message = None
    try:
        use(folder)
    except StorageError as error:
        message = str(error)
    assert message is None or "rivers.db" in message or "event log" in message
    assert message is None or "\n" not in message
    outside = {path.name: path.read_text() for path in folder.parent.iterdir() if path.is_file()}
    assert outside == {"victim.owner": "not of rivers", "rivers.db": "not of rivers"}
    return message is not None


def test_event_log_with_flipped_bits_is_read_or_reported(copied):
    rng = random.Random(14)
    for _ in range(number_of(5_000)):
        folder = copied()
        data = bytearray((folder / "rivers.db").read_bytes())
        used = [position for position in rng.sample(range(len(data)), 200) if data[position]]
        position = rng.choice(used)
        data[position] ^= 1 << rng.randrange(8)
        (folder / "rivers.db").write_bytes(data)
        check_reported(folder)


def test_truncated_event_log_is_reported(copied):
    size = (copied() / "rivers.db").stat().st_size
    rng = random.Random(15)
    for length in [0, 1, 99, 100, 511, 4095, *rng.sample(range(size), number_of(1_000))]:
        folder = copied()
        os.truncate(folder / "rivers.db", length)
        assert check_reported(folder), length


def change(folder: Any, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(folder / "rivers.db")) as connection, connection:
        connection.execute(statement, values)


TABLES: Final = (
    "events",
    "runs",
    "materialized",
    "dynamic_partitions",
    "logs",
    "running_steps",
    "cancellations",
)


DAMAGED_COLUMNS: Final = (
    "runs SET status = '3uccess'",
    "runs SET start_time = 'x'",
    "runs SET job = x'00'",
    "events SET metadata = 5",
    f"events SET metadata = '{'[' * 2_000}'",
    "events SET timestamp = x'31'",
    "events SET asset_key = x'6f7264657273' WHERE run_id = 'second'",
    "logs SET message = x'00'",
)


@pytest.mark.parametrize("assignment", DAMAGED_COLUMNS)
def test_event_log_with_damaged_column_is_reported(copied, assignment):
    folder = copied()
    change(folder, f"UPDATE {assignment}")
    assert check_reported(folder)


@pytest.mark.parametrize("table", TABLES)
def test_event_log_without_table_is_reported(copied, table):
    folder = copied()
    change(folder, f"DROP TABLE {table}")
    assert check_reported(folder)


@pytest.mark.parametrize("version", [-1, -(2**31), 99, 2**31 - 1])
def test_event_log_of_unknown_schema_is_reported(copied, version):
    folder = copied()
    change(folder, f"PRAGMA user_version = {version}")
    assert check_reported(folder)


@pytest.mark.parametrize(
    "owner", ["../../victim", "{folder}/victim", "", "a\0b", "../" * 50, "x" * 5_000, "%s"]
)
def test_owner_of_run_names_no_file_elsewhere(copied, owner):
    folder = copied()
    owner = owner.replace("{folder}", str(folder.parent))
    change(
        folder,
        "UPDATE runs SET status = 'running', end_time = NULL, owner = ? WHERE run_id = 'second'",
        owner,
    )
    assert not check_reported(folder)
    with rs.Storage.embedded(folder) as storage:
        assert storage.get_runs(status="Started") == []

"""Acknowledged writes of handlers with `fsync` survive an immediate power cut; those without may not."""

from __future__ import annotations

import sys

import polars as pl
import pytest

from rivers_core import InputContext, OutputContext, PartitionContext, PartitionKey
from rivers_core.exceptions import NotMaterializedError, RiversError
from rivers_delta import DeltaIOHandler
from rivers_pickle import PickleIOHandler
from tests.robustness.power_cut import FlushedFolder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MERGE = {"delta/mode": "merge", "delta/merge_predicate": "s.n = t.n"}
DELTA_OPTIONS = {
    "overwrite": {}, "append": {"delta/mode": "append"}, "merge": MERGE,
    "create_or_replace": {"delta/mode": "create_or_replace"}, "error": {"delta/mode": "error"},
    "ignore": {"delta/mode": "ignore"}, "partition": {"delta/partition_expr": "r"},
    "feed": {"delta/table_configuration": {"delta.enableChangeDataFeed": "true"}},
}  # fmt: skip


@pytest.fixture
def disk(tmp_path, monkeypatch):
    root = tmp_path / "disk"
    root.mkdir()
    return FlushedFolder(root, monkeypatch), root, tmp_path


def partition_of(metadata):
    return PartitionContext([PartitionKey("a b")]) if "delta/partition_expr" in metadata else None


def frame(number):
    return pl.DataFrame({"r": ["a b"], "n": [number]})


def numbers(handler, metadata):
    context = InputContext("asset", "next", metadata, partition_of(metadata), pl.DataFrame)
    return sorted(handler.load_input(context)["n"])


@pytest.mark.parametrize("mode", DELTA_OPTIONS)
def test_each_acknowledged_delta_write_survives(disk, mode):
    flushed, root, tmp_path = disk
    metadata = DELTA_OPTIONS[mode]
    handler = DeltaIOHandler(
        str(root / "lake"), fsync=True, handler_config={"checkpoint_interval": 2, "digests": mode == "append"}
    )
    for number in range(1 if mode == "error" else 4):
        handler.handle_output(OutputContext("asset", metadata, partition_of(metadata)), frame(number))
        survivor = DeltaIOHandler(str(flushed.survive(tmp_path / f"after-{number}") / "lake"))
        assert numbers(survivor, metadata) == numbers(handler, metadata)
        assert survivor.verify(InputContext("asset", "next", metadata))["files"]


def test_delta_deletion_restore_and_maintenance_survive(disk):
    flushed, root, tmp_path = disk
    handler = DeltaIOHandler(str(root), fsync=True)
    for number in range(3):
        handler.handle_output(OutputContext("asset", {"delta/mode": "append"}), frame(number))
    handler.maintain([InputContext("asset", "next")], dry_run=False)
    assert numbers(DeltaIOHandler(str(flushed.survive(tmp_path / "maintained"))), {}) == [0, 1, 2]
    handler.restore(OutputContext("asset"), "0")
    assert numbers(DeltaIOHandler(str(flushed.survive(tmp_path / "restored"))), {}) == [0]
    handler.delete(InputContext("asset", "next"))
    with pytest.raises(NotMaterializedError):
        numbers(DeltaIOHandler(str(flushed.survive(tmp_path / "deleted"))), {})


def test_delta_writer_flushes_log_of_earlier_writers(disk):
    flushed, root, tmp_path = disk
    for number in range(2):
        DeltaIOHandler(str(root)).handle_output(OutputContext("asset"), frame(number))
    DeltaIOHandler(str(root), fsync=True).handle_output(OutputContext("asset"), frame(2))
    assert numbers(DeltaIOHandler(str(flushed.survive(tmp_path / "after"))), {}) == [2]


@pytest.mark.parametrize("settings", [{}, {"keep_versions": 2}, {"signing_key": "0123456789abcdef"}])
@pytest.mark.parametrize("size", [1, 20_000_000])
def test_each_acknowledged_pickle_write_survives(disk, settings, size):
    flushed, root, tmp_path = disk
    handler = PickleIOHandler(root / "values", fsync=True, **settings)
    asked, expected = InputContext("asset", "next"), None
    for number in range(3):
        context = OutputContext("asset")
        context.expected_version = expected if number % 2 else None
        handler.handle_output(context, [number, b"x" * size])
        expected = context.content_version
        survivor = PickleIOHandler(flushed.survive(tmp_path / f"after-{number}") / "values", **settings)
        assert survivor.load_input(asked)[0] == number
        assert len(survivor.versions(asked)) == min(number, settings.get("keep_versions", 0)) + 1
    handler.delete(asked)
    survivor = PickleIOHandler(flushed.survive(tmp_path / "deleted") / "values", **settings)
    assert not survivor.exists(asked)


@pytest.mark.parametrize("kind", [DeltaIOHandler, PickleIOHandler])
def test_simulation_loses_what_is_not_flushed(disk, kind):
    flushed, root, tmp_path = disk
    kind(str(root / "values")).handle_output(OutputContext("asset"), frame(1))
    with pytest.raises((NotMaterializedError, RiversError)):
        numbers(kind(str(flushed.survive(tmp_path / "after") / "values")), {})


@pytest.mark.parametrize("uri", ["s3://bucket/lake", "az://container/lake"])
def test_fsync_of_remote_tables_is_refused(uri):
    with pytest.raises(ValueError, match="local"):
        DeltaIOHandler(uri, fsync=True)

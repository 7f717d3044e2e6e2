"""Versions that handlers report for loaded values, and the event log."""

from __future__ import annotations

import logging
import shutil

import pytest

import rivers as rs
from rivers.exceptions import ExecutionError, IntegrityError

KEY = "0123456789abcdef"


@pytest.fixture
def storage(tmp_path):
    with rs.Storage.embedded(tmp_path / "events") as storage:
        yield storage


def pipeline(folder, value, **settings):
    """Return a repository of `source`, which returns a value, and `report`, which loads it."""
    handler = rs.PickleIOHandler(folder, **settings)

    @rs.Asset(io_handler=handler)
    def source() -> str:
        return value

    @rs.Asset(io_handler=handler)
    def report(source: str) -> str:
        return f"report of {source}"

    return rs.CodeRepository([source, report], config=False)


class Killed(BaseException):
    pass


def store_without_event(repo, storage, monkeypatch):
    """Run `source` in a process that ends after the write and before the event."""

    def killed(event):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(storage, "record", killed)
        with pytest.raises(Killed):
            repo.resolve(storage).materialize("source")


def inputs_of(storage, asset="report"):
    return dict(storage.get_latest_materialization(asset).input_data_versions)


def test_lineage_records_the_version_that_was_loaded(tmp_path, storage):
    repo = pipeline(tmp_path / "values", "v1").resolve(storage)
    repo.materialize()
    assert inputs_of(storage)["source"] == storage.get_latest_materialization("source").data_version


def test_data_version_of_the_author_takes_precedence(tmp_path, storage):
    handler = rs.PickleIOHandler(tmp_path / "values")

    @rs.Asset(io_handler=handler)
    def source():
        return rs.Output(1, data_version="mine")

    @rs.Asset(io_handler=handler)
    def report(source: int) -> int:
        return source

    repo = rs.CodeRepository([source, report], config=False).resolve(storage)
    repo.materialize("source")
    repo.materialize("report")
    assert inputs_of(storage)["source"] == "mine"
    assert [status.state for status in repo.status(verify=True)] == ["fresh", "fresh"]
    assert "rivers/unrecorded_inputs" not in storage.get_latest_materialization("report").typed_metadata


def test_value_of_a_killed_run_is_recorded_as_loaded(tmp_path, storage, monkeypatch):
    folder = tmp_path / "values"
    pipeline(folder, "v1").resolve(storage).materialize()
    store_without_event(pipeline(folder, "v2"), storage, monkeypatch)
    repo = pipeline(folder, "v2").resolve(storage)
    first = inputs_of(storage)["source"]
    repo.materialize("report")
    assert repo.load_node("report") == "report of v2"
    version = inputs_of(storage)["source"]
    assert version != first
    notes = storage.get_latest_materialization("report").typed_metadata["rivers/unrecorded_inputs"]
    assert notes.raw_value() == {"source": version}
    # it counts as newer than the event of the source
    states = {status.asset: status.state for status in repo.status()}
    assert states["report"] == "fresh"
    repo.materialize("source")
    assert repo.status("report")[0].state == "fresh"


def test_newer_event_makes_a_value_of_a_killed_run_stale(tmp_path, storage, monkeypatch):
    folder = tmp_path / "values"
    pipeline(folder, "v1").resolve(storage).materialize()
    store_without_event(pipeline(folder, "v2"), storage, monkeypatch)
    pipeline(folder, "v2").resolve(storage).materialize("report")
    repo = pipeline(folder, "v3").resolve(storage)
    repo.materialize("source")
    assert repo.status("report")[0].state == "stale"


@pytest.mark.parametrize("settings", [{}, {"signing_key": KEY}], ids=["unsigned", "signed"])
def test_older_value_that_was_put_back(tmp_path, storage, caplog, settings):
    folder = tmp_path / "values"
    pipeline(folder, "v1", **settings).resolve(storage).materialize()
    old = tmp_path / "old.pkl"
    shutil.copy(folder / "source.pkl", old)
    repo = pipeline(folder, "v2", **settings).resolve(storage)
    repo.materialize()
    shutil.copy(old, folder / "source.pkl")
    if settings:
        with pytest.raises(ExecutionError) as caught:
            repo.materialize("report")
        assert isinstance(caught.value.__cause__, IntegrityError)
        assert "source" in str(caught.value)
        assert "--accept" in str(caught.value)
        with pytest.raises(IntegrityError):
            repo.load_node("source")
    else:
        with caplog.at_level(logging.WARNING, "rivers.lineage"):
            repo.materialize("report")
        assert "'source'" in caplog.text
        assert "--accept" in caplog.text
        assert repo.load_node("report") == "report of v1"
        assert repo.status("report")[0].state == "stale"
    verified = repo.status("source", verify=True)[0]
    assert verified.state == "stale"
    assert storage.get_events_for_asset("source", with_steps=False)[1].run_id in verified.reason
    assert repo.accept() == [("source", None)]
    assert repo.accept() == []
    assert repo.materialize("report").success
    assert [status.state for status in repo.status(verify=True)] == ["fresh", "fresh"]


def test_equal_value_stored_again_is_not_an_older_one(tmp_path, storage, monkeypatch):
    folder = tmp_path / "values"
    for value in ("on", "off"):
        pipeline(folder, value, signing_key=KEY).resolve(storage).materialize()
    store_without_event(pipeline(folder, "on", signing_key=KEY), storage, monkeypatch)
    repo = pipeline(folder, "on", signing_key=KEY).resolve(storage)
    assert repo.materialize("report").success
    assert repo.load_node("report") == "report of on"


def test_lineage_of_a_fan_in_uses_loaded_versions(tmp_path, storage, monkeypatch):
    keys = rs.PartitionsDefinition.static_(["a", "b"])
    handler = rs.PickleIOHandler(tmp_path / "values")

    def repo_of(value):
        @rs.Asset(io_handler=handler, partitions_def=keys)
        def source(context: rs.AssetExecutionContext) -> str:
            return value

        @rs.Asset(io_handler=handler)
        def report(source: dict[str, str]) -> str:
            return ",".join(source.values())

        return rs.CodeRepository([source, report], config=False).resolve(storage)

    repo_of("1").materialize("source", partition_key=["a", "b"])
    repo_of("1").materialize("report")
    first = inputs_of(storage)["source"]
    repo = repo_of("2")
    with monkeypatch.context() as patch:
        patch.setattr(storage, "record", lambda event: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            repo.materialize("source", partition_key="b")
    repo.materialize("report")
    assert repo.load_node("report") == "1,2"
    assert inputs_of(storage)["source"] != first
    notes = storage.get_latest_materialization("report").typed_metadata["rivers/unrecorded_inputs"]
    assert list(notes.raw_value()["source"]) == ["b"]
    assert repo.status("report")[0].state == "fresh"


def test_external_asset_records_the_loaded_version(tmp_path, storage):
    handler = rs.PickleIOHandler(tmp_path)
    handler.handle_output(rs.OutputContext("source"), "v1")
    source = rs.Asset.external(name="source", io_handler=handler)

    @rs.Asset(io_handler=handler)
    def report(source: str) -> str:
        return source

    repo = rs.CodeRepository([source, report], config=False).resolve(storage)
    repo.materialize()
    assert len(inputs_of(storage)["source"]) == 64
    assert repo.status()[0].state == "fresh"


def test_verify_reports_deleted_changed_and_damaged_values(tmp_path, storage):
    folder = tmp_path / "values"
    repo = pipeline(folder, "v1").resolve(storage)
    repo.materialize()
    (folder / "report.pkl").unlink()
    pipeline(folder, "v2").materialize("source")
    assert [status.state for status in repo.status()] == ["fresh", "fresh"]
    states = {status.asset: status for status in repo.status(verify=True)}
    assert states["source"].state == "stale"
    assert states["report"].state == "missing"
    data = (folder / "source.pkl").read_bytes()
    (folder / "source.pkl").write_bytes(data[:30] + b"!" + data[31:])
    damaged = repo.status("source", verify=True)[0]
    assert damaged.state == "stale"
    assert "IntegrityError" in damaged.reason


def test_verify_reports_a_handler_that_stored_nothing(repository):
    class Forgetful(rs.BaseIOHandler):
        def handle_output(self, context, obj):
            pass

        def load_input(self, context):
            raise rs.exceptions.NotMaterializedError(context.asset_name)

    @rs.Asset(io_handler=Forgetful())
    def lost() -> int:
        return 1

    repo = repository(lost)
    repo.materialize()
    assert repo.status()[0].state == "fresh"
    assert repo.status(verify=True)[0].state == "missing"


def test_verify_reports_a_value_without_an_event(tmp_path, storage, monkeypatch):
    repo = pipeline(tmp_path, "v1")
    store_without_event(repo, storage, monkeypatch)
    status = repo.status("source", verify=True)[0]
    assert (status.state, repo.status("source")[0].reason) == ("missing", None)
    assert "no event" in status.reason
    assert repo.accept("source") == [("source", None)]
    assert repo.status("source", verify=True)[0].state == "fresh"

"""Load, list and restore earlier versions through a repository."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

import rivers as rs
from rivers_core.exceptions import PartitionValidationError, RiversError, VersionNotFoundError
from rivers_pickle import PickleIOHandler

VALUES: list[int] = []


@pytest.fixture
def repo(tmp_path):
    VALUES[:] = [1]
    handler = PickleIOHandler(tmp_path, keep_versions=5)
    days = rs.PartitionsDefinition.static_(["mon", "tue"])

    @rs.Asset(io_handler=handler, code_version="7")
    def source() -> int:
        return VALUES[-1]

    @rs.Asset(io_handler=handler)
    def double(source: int) -> int:
        return 2 * source

    @rs.Asset(io_handler=handler, partitions_def=days)
    def daily() -> int:
        return VALUES[-1]

    @rs.Asset(io_handler=handler)
    def labeled() -> rs.Output:
        return rs.Output(VALUES[-1], data_version=f"v{VALUES[-1]}")

    @rs.Asset
    def volatile() -> int:
        return 1

    with rs.CodeRepository([source, double, daily, labeled, volatile]).resolve(rs.Storage.memory()) as repo:
        yield repo


def materialize(repo, *values, selection, **options):
    for value in values:
        VALUES.append(value)
        repo.materialize(selection, **options)


def test_load_node_returns_an_earlier_version(repo):
    materialize(repo, 1, 2, selection=["source"])
    current, earlier = repo.versions("source")
    assert current.is_current
    assert not earlier.is_current
    assert repo.load_node("source", version=earlier.version) == 1
    assert repo.load_node("source", version=current.version) == repo.load_node("source") == 2
    with pytest.raises(VersionNotFoundError, match="source"):
        repo.load_node("source", version="0" * 64)


def test_restore_records_a_materialization_with_its_origin(repo):
    materialize(repo, 1, selection=["source", "double"])
    first = repo.storage.get_latest_materialization("double")
    materialize(repo, 2, selection=["source", "double"])
    event = repo.restore("double", version=first.data_version)
    latest = repo.storage.get_latest_materialization("double")
    assert repo.load_node("double") == 2
    assert latest.run_id == event.run_id
    assert latest.data_version == first.data_version
    assert latest.input_data_versions == first.input_data_versions
    assert list(latest.tags) == [("rivers/restored", first.data_version)]
    assert first.run_id in latest.message
    assert repo.storage.get_run(event.run_id).status == "Success"


def test_restored_value_makes_consumers_stale(repo):
    materialize(repo, 1, selection=["source", "double"])
    first = repo.storage.get_latest_materialization("source").data_version
    materialize(repo, 2, selection=["source", "double"])
    repo.restore("source", version=first)
    states = {status.asset: status.state for status in repo.status(["source", "double"])}
    assert states == {"source": "fresh", "double": "stale"}
    repo.materialize(only_stale=True, selection=["source", "double"])
    assert repo.load_node("double") == 2


def test_restored_value_keeps_the_version_of_its_author(repo):
    materialize(repo, 1, 2, selection=["labeled"])
    _, earlier = repo.versions("labeled")
    assert repo.restore("labeled", version=earlier.version).data_version == "v1"
    assert repo.load_node("labeled") == 1
    assert [status.state for status in repo.status(["labeled"], verify=True)] == ["fresh"]


def test_restore_changes_one_partition(repo):
    for key in ("mon", "tue"):
        materialize(repo, 1, 2, selection=["daily"], partition_key=key)
    _, earlier = repo.versions("daily", partition_key="mon")
    repo.restore("daily", version=earlier.version, partition_key="mon")
    assert repo.load_node("daily", partition_key=["mon", "tue"]) == {
        rs.PartitionKey.single("mon"): 1,
        rs.PartitionKey.single("tue"): 2,
    }
    assert repo.storage.get_latest_materialization("daily", "mon").tags
    assert not repo.storage.get_latest_materialization("daily", "tue").tags


@pytest.mark.parametrize(
    ("name", "key"), [("daily", None), ("daily", ["mon", "tue"]), ("daily", "wed"), ("source", "mon")]
)
def test_version_requires_one_partition_key(repo, name, key):
    materialize(repo, 1, selection=["source"])
    with pytest.raises(PartitionValidationError):
        repo.load_node(name, partition_key=key, version="1" * 64)


def test_failed_restore_leaves_a_failed_run(repo):
    materialize(repo, 1, selection=["source"])
    with pytest.raises(VersionNotFoundError):
        repo.restore("source", version="0" * 64)
    assert repo.storage.get_runs(1, None)[0].status == "Failure"
    assert repo.load_node("source") == 1


@pytest.mark.parametrize("call", ["versions", "load_node", "restore"])
def test_handler_without_versions_is_refused(repo, call):
    materialize(repo, 1, selection=["volatile"])
    arguments = {} if call == "versions" else {"version": "1"}
    with pytest.raises(RiversError, match="InMemoryIOHandler"):
        getattr(repo, call)("volatile", **arguments)


class FailingIOHandler(rs.BaseIOHandler):
    """Keeps versions, and cannot restore them."""

    token: SecretStr = SecretStr("hunter2-token")

    @property
    def has_versions(self) -> bool:
        return True

    def handle_output(self, context, obj):
        pass

    def load_input(self, context):
        return 1

    def restore(self, context, version):
        raise RiversError(f"no answer to {self.token.get_secret_value()}")


def test_failed_restore_fails_its_run_without_secrets():
    @rs.Asset(io_handler=FailingIOHandler())
    def orders() -> int:
        return 1

    with rs.CodeRepository([orders]).resolve(rs.Storage.memory()) as repo:
        with pytest.raises(RiversError):
            repo.restore("orders", version="1")
        [run] = repo.storage.get_runs()
        assert run.status == "Failure"
        assert "hunter2" not in run.message
        assert repo.storage.get_latest_materialization("orders") is None

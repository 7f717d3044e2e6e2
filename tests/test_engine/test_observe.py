"""External assets: made elsewhere, loaded through their handler, looked at by their function."""

from __future__ import annotations

from datetime import datetime

import pytest
from pydantic import BaseModel

import rivers as rs

DAYS = rs.PartitionsDefinition.daily("2024-01-01", end="2024-01-04")


def external(function, diary, **options):
    return rs.Asset.external(name=options.pop("name", function.__name__), io_handler=diary, **options)(
        function
    )


def test_observation_is_returned_and_recorded(repository, diary):
    @rs.Asset.external(name="orders", io_handler=diary)
    def orders():
        return rs.Observation(metadata={"rows": 3, "newest": "2024-01-03"}, data_version="v3")

    repo = repository(orders)
    seen = repo.observe()
    assert seen == {
        "orders": {"rows": rs.MetadataValue.int(3), "newest": rs.MetadataValue.text("2024-01-03")}
    }
    (event,) = repo.storage.get_events_for_asset("orders")
    assert (event.event_type, event.data_version) == ("Observation", "v3")
    assert event.typed_metadata == seen["orders"]
    assert repo.storage.get_run(event.run_id).status == "Success"


def test_observe_accepts_metadata_or_none(repository, diary):
    def rows():
        return {"rows": 3, "at": rs.MetadataValue.timestamp(datetime(2024, 1, 1))}

    def nothing():
        return None

    repo = repository(external(rows, diary), external(nothing, diary))
    seen = repo.observe()
    assert seen["rows"]["rows"].raw_value() == 3
    assert seen["nothing"] == {}
    assert [event.event_type for event in repo.storage.get_events_for_asset("nothing")] == ["Observation"]


def test_observe_awaits_async_function(repository, diary):
    async def rows():
        return {"rows": 3}

    assert repository(external(rows, diary)).observe()["rows"]["rows"].raw_value() == 3


def test_observe_passes_context_and_resources(repository, diary):
    class Settings(BaseModel):
        limit: int = 7

    def rows(context: rs.AssetExecutionContext[Settings], bucket, factor=2):
        return {"limit": context.config.limit, "name": context.asset_name, "bucket": bucket, "factor": factor}

    rows.__annotations__["context"] = rs.AssetExecutionContext[Settings]
    repo = repository(external(rows, diary, tags=["raw"]), resources={"bucket": "s3"})
    seen = repo.observe()["rows"]
    assert {key: value.raw_value() for key, value in seen.items()} == {
        "limit": 7,
        "name": "rows",
        "bucket": "s3",
        "factor": 2,
    }


@pytest.mark.parametrize(
    ("parameter", "message"), [("buckt", "Did you mean 'bucket'"), ("plain", "is an asset")]
)
def test_observe_parameter_must_be_a_resource(repository, diary, parameter, message):
    scope = {}
    exec(f"def rows({parameter}): raise AssertionError", scope)
    repo = repository(
        external(scope["rows"], diary), rs.Asset(lambda: 1, name="plain"), resources={"bucket": "s3"}
    )
    with pytest.raises(rs.exceptions.GraphValidationError, match=f"'rows'.*{parameter!r}.*{message}"):
        repo.validate()


def test_observe_only_named_assets(repository, diary):
    def first():
        return {"rows": 1}

    def second():
        raise AssertionError("not asked for")

    repo = repository(external(first, diary), external(second, diary))
    assert set(repo.observe(["first"])) == {"first"}


@pytest.mark.parametrize("name", ["frist", "plain", "silent"])
def test_observe_rejects_other_assets(repository, diary, name):
    def first():
        return {"rows": 1}

    silent = rs.Asset.external(name="silent", io_handler=diary)
    repo = repository(external(first, diary), silent, rs.Asset(lambda: 1, name="plain"))
    with pytest.raises(rs.exceptions.AssetNotFoundError, match="'first'"):
        repo.observe([name])
    assert set(repo.observe()) == {"first"}


def test_observe_continues_after_failure(repository, diary):
    def broken():
        raise ConnectionError("no route")

    def fine():
        return {"rows": 1}

    repo = repository(external(broken, diary), external(fine, diary))
    with pytest.raises(rs.exceptions.ExecutionError, match="'broken'.*no route") as caught:
        repo.observe()
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert [event.event_type for event in repo.storage.get_events_for_asset("broken")] == ["StepFailure"]
    assert [event.event_type for event in repo.storage.get_events_for_asset("fine")] == ["Observation"]
    assert repo.storage.get_runs()[0].status == "Failure"


def test_observe_rejects_invalid_result(repository, diary):
    def rows():
        return [1, 2]

    with pytest.raises(rs.exceptions.ExecutionError, match="Observation, a dictionary of metadata.*list"):
        repository(external(rows, diary)).observe()


def test_interrupted_observe_is_canceled(repository, diary):
    def rows():
        raise KeyboardInterrupt

    repo = repository(external(rows, diary))
    with pytest.raises(KeyboardInterrupt):
        repo.observe()
    assert repo.storage.get_runs()[0].status == "Canceled"


def test_external_asset_is_loaded_not_run(repository, diary):
    diary.values["orders"] = [1, 2]

    @rs.Asset(io_handler=diary)
    def total(orders: list[int]) -> int:
        return sum(orders)

    repo = repository(rs.Asset.external(name="orders", io_handler=diary), total)
    assert repo.materialize().materialized_assets == ["total"]
    assert repo.materialize(["total"], include_upstream=True).materialized_assets == ["total"]
    assert (repo.load_node("total"), repo.load_node("orders")) == (3, [1, 2])
    with pytest.raises(rs.exceptions.GraphValidationError, match="'orders' is an external asset.*observe"):
        repo.materialize(["orders"])


def test_external_asset_partitions_are_loaded(repository, diary):
    diary.values.update({"orders/2024-01-01": 1, "orders/2024-01-02": 2})

    @rs.Asset(partitions_def=DAYS, io_handler=diary)
    def double(orders: int) -> int:
        return 2 * orders

    @rs.Asset(io_handler=diary, deps=[rs.AssetDef.input("orders", rs.PartitionMapping.subset())])
    def total(orders: dict[str, int]) -> int:
        return sum(orders.values())

    repo = repository(rs.Asset.external(name="orders", io_handler=diary, partitions_def=DAYS), double, total)
    repo.materialize(partition_key="2024-01-02")
    assert (diary.values["double/2024-01-02"], diary.values["total"]) == (4, 3)
    assert repo.load_node("orders", partition_key=["2024-01-01", "2024-01-02"]) == {
        "2024-01-01": 1,
        "2024-01-02": 2,
    }


def test_observation_is_not_a_materialization(repository, diary):
    def orders():
        return {"rows": 1}

    repo = repository(external(orders, diary))
    repo.observe()
    assert repo.storage.get_latest_materialization("orders") is None
    assert repo.status() == []


# ------------------------------------------------------------------ versions of what others make


@pytest.fixture
def bookings(repository, diary):
    """A total over bookings that others make; the version that is observed can be set."""
    diary.values["bookings"] = 5
    observed = {"version": "v1"}

    @rs.Asset.external(name="bookings", io_handler=diary)
    def bookings():
        return rs.Observation(metadata={"rows": 1}, data_version=observed["version"])

    @rs.Asset(io_handler=diary)
    def total(bookings: int) -> int:
        return bookings

    repo = repository(bookings, total)
    repo.version = observed
    return repo


def test_observed_version_is_input_version(bookings, diary):
    bookings.observe()
    bookings.materialize()
    event = bookings.storage.get_latest_materialization("total")
    assert event.input_data_versions == [("bookings", "v1")]
    assert diary.loaded[0].upstream.typed_metadata == {"rows": rs.MetadataValue.int(1)}


def test_observed_version_makes_downstream_stale(bookings):
    bookings.observe()
    bookings.materialize()
    assert [status.state for status in bookings.status()] == ["fresh"]
    bookings.observe()
    assert [status.state for status in bookings.status()] == ["fresh"]
    bookings.version["version"] = "v2"
    bookings.observe()
    (status,) = bookings.status()
    assert (status.state, status.reason) == ("stale", "upstream 'bookings' has a new data version")
    assert bookings.materialize(only_stale=True).materialized_assets == ["total"]
    assert bookings.materialize(only_stale=True).materialized_assets == []


def test_observation_without_version(bookings):
    bookings.observe()
    bookings.materialize()
    bookings.version["version"] = None
    bookings.observe()
    assert [status.state for status in bookings.status()] == ["fresh"]


def test_external_asset_without_observation(bookings):
    bookings.materialize()
    assert bookings.storage.get_latest_materialization("total").input_data_versions == []
    assert [status.state for status in bookings.status()] == ["fresh"]


def test_observed_version_applies_to_partitions(repository, diary):
    regions = rs.PartitionsDefinition.static_(["eu", "us"])
    version = ["v1"]

    @rs.Asset.external(name="bookings", io_handler=diary, partitions_def=regions)
    def bookings():
        return rs.Observation(data_version=version[0])

    @rs.Asset(io_handler=diary, partitions_def=regions)
    def total(bookings: int) -> int:
        return bookings

    @rs.Asset(io_handler=diary)
    def everywhere(bookings: dict[str, int]) -> int:
        return sum(bookings.values())

    diary.values.update({"bookings/eu": 5, "bookings/us": 6})
    repo = repository(bookings, total, everywhere)
    repo.observe()
    repo.materialize(partition_key="eu")
    assert diary.loaded[0].upstream.data_version == "v1"
    for made in ("total", "everywhere"):
        assert repo.storage.get_latest_materialization(made).input_data_versions == [("bookings", "v1")]
    version[0] = "v2"
    repo.observe()
    states = {(status.asset, status.partition): status.state for status in repo.status()}
    assert states == {("total", "eu"): "stale", ("total", "us"): "missing", ("everywhere", None): "stale"}


def test_observe_positional_only_resource(repository, diary):
    @rs.Asset.external(name="orders", io_handler=diary)
    def orders(context: rs.AssetExecutionContext, limit=5, db=None, /):
        return {"seen": f"{context.asset_name} {limit} {db}"}

    seen = repository(orders, resources={"db": "warehouse"}).observe()
    assert seen["orders"]["seen"].raw_value() == "orders 5 warehouse"


def test_observe_merges_context_into_observation(repository, diary):
    def orders(context: rs.AssetExecutionContext):
        context.add_output_metadata({"rows": 1, "source": "context"})
        context.register_data_version("v1")
        return {"rows": 3}

    def returned(context: rs.AssetExecutionContext):
        context.register_data_version("v1")
        return rs.Observation(data_version="v2")

    repo = repository(external(orders, diary), external(returned, diary))
    seen = repo.observe()
    assert {name: value.raw_value() for name, value in seen["orders"].items()} == {
        "rows": 3,
        "source": "context",
    }
    assert repo.storage.get_events_for_asset("orders")[0].data_version == "v1"
    assert repo.storage.get_events_for_asset("returned")[0].data_version == "v2"


def test_observe_context_has_configured_metadata(tmp_path):
    (tmp_path / "rivers.toml").write_text('[assets]\n"orders" = { metadata = { "owner" = "sales" } }\n')

    @rs.Asset.external(io_handler=rs.InMemoryIOHandler(), metadata={"size": "small"})
    def orders(context: rs.AssetExecutionContext):
        return dict(context.asset_metadata)

    repo = rs.CodeRepository([orders], config=tmp_path / "rivers.toml")
    seen = repo.observe()["orders"]
    assert {name: value.raw_value() for name, value in seen.items()} == {"owner": "sales", "size": "small"}

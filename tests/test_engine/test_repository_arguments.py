"""Arguments of repositories, runs, jobs and overrides: invalid ones are rejected before anything runs."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import BaseModel, ConfigDict, Field

import rivers as rs

errors = rs.exceptions


@rs.Asset
def orders() -> list[int]:
    return [1]


@rs.Asset
def total(orders: list[int]) -> int:
    return sum(orders)


class Database(rs.Resource):
    dsn: str = "local"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tags": "daily"}, errors.ConfigurationError, r"tags=\[\('team', 'sales'\)\]"),
        ({"tags": [("level", 1)]}, errors.ConfigurationError, "pairs of strings"),
        ({"selection": 5}, errors.AssetNotFoundError, "got 5"),
        ({"selection": [orders.function]}, errors.AssetNotFoundError, "function orders"),
        ({"selection": rs.Job("nightly", [orders])}, errors.AssetNotFoundError, r"repo.get_job\('nightly'\)"),
        ({"config": ["orders"]}, errors.ConfigurationError, "{asset: {field: value}}"),
        ({"run_id_override": ""}, errors.ConfigurationError, "run_id_override"),
        ({"run_id_override": 5}, errors.ConfigurationError, "run_id_override.*5"),
        ({"resume": True}, errors.ConfigurationError, "run_id_override"),
        ({"retry": 3}, errors.ConfigurationError, "RetryPolicy.*3"),
        ({"executor": "parallel"}, errors.ConfigurationError, r"rs.Executor.parallel\(\)"),
    ],
)
def test_materialize_rejects_invalid_argument(repository, arguments, error, message):
    repo = repository(orders, total)
    with pytest.raises(error, match=message):
        repo.materialize(**arguments)
    assert repo.storage.get_runs() == []


def test_materialize_accepts_tags_as_mapping(repository):
    repo = repository(orders)
    repo.materialize(tags={"team": "sales"})
    assert repo.storage.get_events_for_asset("orders")[0].tags == [("team", "sales")]


def test_load_node_accepts_asset(repository):
    repo = repository(orders, total)
    repo.materialize()
    assert repo.load_node(total) == 1
    assert repo.io_handler_for_output(total) is repo.io_handler_for_output("total")
    with pytest.raises(errors.AssetNotFoundError, match="got 3"):
        repo.load_node(3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"assets": orders}, errors.AssetDefinitionError, "must be a list"),
        ({"assets": {"orders": orders}}, errors.AssetDefinitionError, "must be a list"),
        ({"assets": [orders.function]}, errors.AssetDefinitionError, "@rs.Asset"),
        ({"assets": [rs.Task(len, name="size")]}, errors.AssetDefinitionError, r"tasks=\[...\]"),
        ({"jobs": [orders]}, errors.GraphValidationError, r"assets=\[...\]"),
        ({"jobs": rs.Job("nightly", [orders])}, errors.GraphValidationError, "must be a list"),
        ({"default_executor": "parallel"}, errors.ConfigurationError, r"rs.Executor.parallel\(\)"),
        (
            {"default_executor": rs.Executor.InProcess},
            errors.ConfigurationError,
            r"rs.Executor.in_process\(\)",
        ),
        ({"resources": [Database()]}, errors.GraphValidationError, "dictionary"),
        ({"retries": {"often": 3}}, errors.GraphValidationError, r"retries\['often'\].*RetryPolicy.*3"),
        ({"partition_defs": [1]}, errors.GraphValidationError, "dictionary"),
        ({"config": 3}, errors.ConfigurationError, "the path of a rivers.toml"),
    ],
)
def test_repository_rejects_invalid_argument(arguments, error, message):
    with pytest.raises(error, match=message):
        rs.CodeRepository(**{"assets": [orders], "config": False, **arguments})


def test_resolve_rejects_path_as_storage(repository):
    with pytest.raises(errors.ConfigurationError, match=r"rs.Storage.embedded\(path\)"):
        repository(orders).resolve(storage="events")


def test_job_executor_is_checked_at_resolve(repository):
    job = rs.Job("nightly", ["order"], executor="parallel")
    with pytest.raises(errors.GraphValidationError) as raised:
        repository(orders, jobs=[job]).validate()
    assert len(raised.value.findings) == 2


def test_unknown_executor_option_is_a_finding(repository):
    asset = rs.Asset(lambda: 1, name="here", metadata={"rivers/executor": "paralel"})
    with pytest.raises(errors.GraphValidationError, match="asset 'here': rivers/executor='paralel'"):
        repository(asset).validate()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"io_handler": object()}, "BaseIOHandler"),
        ({"executor": "parallel"}, r"rs.Executor.parallel\(\)"),
        ({"executor": "paralel"}, "Did you mean .parallel"),
        ({"resources": {"db": 1}}, "Resource 'db' not found"),
    ],
)
def test_override_rejects_invalid_argument(repository, arguments, message):
    with pytest.raises(errors.ConfigurationError, match=message):
        repository(orders).override(**arguments)


def test_override_does_not_write_event_log(tmp_path):
    config = tmp_path / "rivers.toml"
    config.write_text('default_io_handler = "memory"\n')
    with rs.CodeRepository([orders], config=config) as repo:
        repo.override(io_handler=rs.InMemoryIOHandler()).materialize()
        assert repo.storage.get_runs() == []


def test_all_findings_of_an_asset_are_reported(repository):
    asset = rs.Asset(
        lambda nothing: 1,
        name="wrong",
        io_handler="nowhere",
        retry="never",
        partitions_def="none",
        metadata={"rivers/executr": "x"},
        deps=[rs.AssetDef.dep("order")],
    )
    with pytest.raises(errors.GraphValidationError) as raised:
        repository(orders, asset).validate()
    message = "\n".join(raised.value.findings)
    for name in ("nothing", "nowhere", "never", "none", "rivers/executr", "Did you mean 'orders'"):
        assert name in message
    assert len(raised.value.findings) == 6


def test_repository_is_resolved_once_by_threads(repository):
    created = []

    class Client(rs.Resource):
        def setup(self):
            created.append(self)

    repo = repository(
        *(rs.Asset(lambda client: 1, name=f"a{i}") for i in range(50)), resources={"client": Client()}
    )
    together = threading.Barrier(8)

    def use(_):
        together.wait()
        repo.materialize()
        return repo.load_node("a49")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(8))) == [1] * 8
    assert len(created) == 1
    assert len(repo.storage.get_runs()) == 8


def pair() -> list[int]:
    return [1, 2]


def test_repository_is_pickled_as_its_arguments(tmp_path):
    disk = rs.PickleIOHandler(store=f"file:{tmp_path}/data")
    assets = [rs.Asset(pair, name="obj", io_handler=disk), rs.Asset(len, name="size", io_handler=disk)]
    repo = rs.CodeRepository(assets, config=False)
    with repo.resolve(storage=rs.Storage.embedded(tmp_path / "events")):
        repo.materialize()
        with pickle.loads(pickle.dumps(repo)) as arrived:
            assert arrived.load_node("size") == 2
            assert arrived.materialize(only_stale=True).materialized_assets == []


# ------------------------------------------------------------------ configuration of functions


class Settings(BaseModel):
    rows: int = 1
    name: str = Field("x", alias="label")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


@rs.Asset
def shaped(context: rs.AssetExecutionContext[Settings]) -> str:
    return f"{context.config.rows} {context.config.name}"


def test_run_config_rejects_unknown_field(repository):
    with pytest.raises(errors.ConfigurationError, match="no field 'row'.*Did you mean 'rows'"):
        repository(shaped).materialize(config={"shaped": {"row": 3}})


def test_run_config_accepts_alias(repository):
    repo = repository(shaped)
    repo.materialize(config={"shaped": {"rows": 3, "label": "y"}})
    assert repo.load_node("shaped") == "3 y"


def test_run_config_accepts_extra_fields(repository):
    @rs.Asset
    def lax(context: rs.AssetExecutionContext[Open]) -> dict:
        return context.config.model_extra

    repo = repository(lax)
    repo.materialize(config={"lax": {"anything": 1}})
    assert repo.load_node("lax") == {"anything": 1}


def test_invalid_config_type_is_a_finding(repository):
    @rs.Asset
    def counted(context: rs.AssetExecutionContext[int]) -> int:
        return 1

    @rs.Asset
    def lost(context: rs.AssetExecutionContext[Nowhere]) -> int:  # noqa: F821
        return 1

    with pytest.raises(errors.GraphValidationError) as raised:
        repository(counted, lost).validate()
    assert ["BaseModel" in finding for finding in raised.value.findings] == [True, True]
    assert "cannot be resolved" in raised.value.findings[1]

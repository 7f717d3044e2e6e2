"""Resources by name, and configuration objects of functions."""

from __future__ import annotations

import pytest
from pydantic import BaseModel
from pydantic_settings import BaseSettings

import rivers as rs


class Diary(rs.Resource):
    """A resource that writes down its life."""

    label: str = "db"
    log: list[str] = []

    def setup(self):
        self.log.append(f"setup {self.label}")

    def teardown(self):
        self.log.append(f"teardown {self.label}")


def test_resource_is_set_up_once(repository):
    db = Diary(log=[])

    @rs.Asset
    def a(db: Diary) -> str:
        return db.label

    @rs.Asset
    def b(a: str, db: Diary) -> str:
        return a + db.label

    repo = repository(a, b, resources={"db": db})
    with repo:
        repo.materialize()
        repo.materialize()
        assert repo.load_node("b") == "dbdb"
        assert db.log == ["setup db"]
    assert db.log == ["setup db", "teardown db"]


def test_resource_async_setup_and_teardown(repository):
    log = []

    class Pool(rs.Resource):
        async def setup(self) -> None:
            log.append("setup")

        async def teardown(self) -> None:
            log.append("teardown")

    with repository(rs.Asset(lambda pool: log.append("run"), name="a"), resources={"pool": Pool()}) as repo:
        repo.materialize()
    assert log == ["setup", "run", "teardown"]


def test_validate_sets_up_no_resource(repository):
    db = Diary(log=[])
    repository(rs.Asset(lambda db: 1, name="a"), resources={"db": db}).validate()
    assert db.log == []


def test_resources_are_torn_down_in_reverse(repository):
    log: list[str] = []
    first, second = Diary(label="first"), Diary(label="second")
    first.log = second.log = log
    with repository(rs.Asset(lambda: 1, name="a"), resources={"first": first, "second": second}):
        pass
    assert log == ["setup first", "setup second", "teardown second", "teardown first"]


def test_failed_setup_tears_down_others(repository):
    class Broken(rs.Resource):
        def setup(self):
            raise OSError("no route")

    db = Diary(log=[])
    repo = repository(rs.Asset(lambda: 1, name="a"), resources={"db": db, "broken": Broken()})
    with pytest.raises(rs.exceptions.ConfigurationError, match="resource 'broken'.*no route"):
        repo.resolve()
    assert db.log == ["setup db", "teardown db"]


def test_resource_can_be_any_object(repository):
    repo = repository(rs.Asset(lambda numbers: sum(numbers), name="a"), resources={"numbers": [1, 2]})
    repo.materialize()
    assert repo.load_node("a") == 3


def test_asset_takes_precedence_over_resource(repository):
    @rs.Asset
    def x() -> str:
        return "asset"

    @rs.Asset
    def a(x: str) -> str:
        return x

    repo = repository(x, a, resources={"x": "resource"})
    repo.materialize()
    assert repo.load_node("a") == "asset"


def test_override_replaces_resource(repository):
    repo = repository(rs.Asset(lambda db: db, name="a"), resources={"db": "real"})
    tested = repo.override(resources={"db": "fake"})
    tested.materialize()
    assert tested.load_node("a") == "fake"
    with pytest.raises(rs.exceptions.ConfigurationError, match="Did you mean 'db'"):
        repo.override(resources={"dbb": 1})


class Window(BaseModel):
    days: int = 7
    region: str = "eu"


class FromEnvironment(BaseSettings):
    limit: int = 1
    model_config = {"env_prefix": "SIZED_"}


@rs.Asset
def windowed(context: rs.AssetExecutionContext[Window]) -> tuple[int, str]:
    return context.config.days, context.config.region


def test_run_config_overrides_defaults(repository):
    repo = repository(windowed)
    repo.materialize()
    assert repo.load_node("windowed") == (7, "eu")
    repo.materialize(config={"windowed": {"days": 1}})
    assert repo.load_node("windowed") == (1, "eu")
    repo.materialize(config={"windowed": Window(days=2, region="us")})
    assert repo.load_node("windowed") == (2, "us")


def test_run_config_reads_environment_per_run(repository, monkeypatch):
    @rs.Asset
    def limited(context: rs.AssetExecutionContext[FromEnvironment]) -> int:
        return context.config.limit

    repo = repository(limited)
    monkeypatch.setenv("SIZED_LIMIT", "9")
    repo.materialize()
    assert repo.load_node("limited") == 9
    repo.materialize(config={"limited": {"limit": 3}})
    assert repo.load_node("limited") == 3


def test_run_config_of_task_is_keyed_by_node(repository):
    @rs.Task
    def sized(context: rs.TaskExecutionContext[Window]) -> int:
        return context.config.days

    @rs.Asset.from_graph
    def answer():
        return sized()

    repo = repository(answer)
    repo.materialize(config={"answer/sized": {"days": 3}})
    assert repo.load_node("answer") == 3


def test_run_config_of_multi_asset_by_any_output(repository):
    @rs.Asset.from_multi(output_defs=[rs.AssetDef("sales"), rs.AssetDef("costs")])
    def books(context: rs.AssetExecutionContext[Window]):
        return {"sales": context.config.days, "costs": 1}

    repo = repository(books)
    for name in ("books", "sales", "costs"):
        repo.materialize(config={name: {"days": len(name)}})
        assert repo.load_node("sales") == len(name)
    with pytest.raises(rs.exceptions.ConfigurationError, match="Window has no field 'nonsense'"):
        repo.materialize(config={"sales": {"nonsense": 6}})
    with pytest.raises(rs.exceptions.ConfigurationError, match="'sales' and 'costs'.* once, for 'books'"):
        repo.materialize(config={"sales": {"days": 1}, "costs": {"days": 1}})


@pytest.fixture
def graph(repository):
    @rs.Task
    def opened(context: rs.TaskExecutionContext[Window]) -> Window:
        return context.config

    @rs.Task
    def plain(window) -> Window:
        return window

    @rs.Task
    def closed(context: rs.TaskExecutionContext[Window], window) -> tuple[Window, Window]:
        return window, context.config

    @rs.Asset.from_graph
    def answer():
        return closed(plain(opened()))

    @rs.Asset.from_graph
    def bare():
        return plain(1)

    return repository(answer, bare)


@pytest.mark.parametrize(
    ("config", "opened", "closed"),
    [
        ({"answer": {"days": 3}}, (3, "eu"), (3, "eu")),
        ({"answer": {"days": 3}, "answer/opened": {"region": "us"}}, (3, "us"), (3, "eu")),
        ({"answer/closed": {"days": 1}, "answer": {"days": 3, "region": "us"}}, (3, "us"), (1, "us")),
        ({"answer": None, "answer/closed": Window(days=1)}, (7, "eu"), (1, "eu")),
    ],
)
def test_run_config_of_graph_reaches_its_tasks(graph, config, opened, closed):
    graph.materialize(["answer"], config=config)
    assert [(window.days, window.region) for window in graph.load_node("answer")] == [opened, closed]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"bare": {"days": 1}}, "config of 'bare': none of its tasks"),
        (
            {"bare/plain": {"days": 1}},
            r"config of 'bare/plain': its function.* TaskExecutionContext\[",
        ),
        ({"answer": {"dys": 1}}, "config of 'answer/opened': Window has no field 'dys'"),
        (
            {"answer": Window(), "answer/closed": {"days": 1}},
            "'answer' and 'answer/closed'.*dictionaries",
        ),
        ({1: {"days": 1}}, "got 1.*config={'1': ...}"),
    ],
)
def test_run_config_rejects_unused_values(graph, config, message):
    with pytest.raises(rs.exceptions.ConfigurationError, match=message):
        graph.materialize(config=config)


def test_run_config_reports_all_findings(repository):
    ran = []
    repo = repository(windowed, rs.Asset(lambda: ran.append(1), name="plain"))
    with pytest.raises(rs.exceptions.ConfigurationError) as caught:
        repo.materialize(config={"windowed": {"days": "many"}, "plain": {"x": 1}, "windwed": {}})
    assert len(caught.value.findings) == 3
    assert "Did you mean 'windowed'" in str(caught.value)
    assert ran == []


def test_context_has_attributes_of_asset(repository):
    seen = {}

    @rs.Asset(tags=["t"], kinds="table", group="g", code_version="3", metadata={"m": 1})
    def a(context: rs.AssetExecutionContext) -> int:
        seen.update({name: getattr(context, name) for name in names})
        context.log.info("hello")
        return 1

    names = (
        "asset_name",
        "tags",
        "kinds",
        "group",
        "code_version",
        "asset_metadata",
        "is_multi_asset",
        "has_partition_key",
    )
    repository(a).materialize()
    assert seen == {
        "asset_name": "a",
        "tags": ["t"],
        "kinds": ["table"],
        "group": "g",
        "code_version": "3",
        "asset_metadata": {"m": 1},
        "is_multi_asset": False,
        "has_partition_key": False,
    }


def test_resolve_without_set_up():
    calls = []

    class Connection(rs.Resource):
        def setup(self):
            calls.append("setup")

    @rs.Asset
    def orders(connection) -> int:
        return 1

    repo = rs.CodeRepository([orders], resources={"connection": Connection()}, config=False)
    repo.resolve(rs.Storage.memory(), set_up=False)
    assert [status.state for status in repo.status()] == ["missing"]
    assert calls == []
    repo.materialize()
    assert calls == ["setup"]
    repo.shutdown()

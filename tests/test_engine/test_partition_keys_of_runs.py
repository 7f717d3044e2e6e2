"""Partition keys of a run: their forms, and the keys of each step."""

from __future__ import annotations

import pytest

import rivers as rs

DAYS = rs.PartitionsDefinition.daily("2024-01-01", end="2024-03-01")
MONTHS = rs.PartitionsDefinition.time_window("2024-01-01", "0 0 1 * *", end="2024-03-01", fmt="%Y-%m")
REGIONS = rs.PartitionsDefinition.static_(["us", "eu", "asia"])
BOTH = rs.PartitionsDefinition.multi({"date": DAYS, "region": REGIONS})

Key, Range = rs.PartitionKey, rs.PartitionKeyRange


def asset(name, definition, diary, *deps, worked=None):
    """An asset that gives each of its keys its text, and notes which it was run for."""

    def function(context: rs.AssetExecutionContext):
        keys = [str(key) for key in context.partition.keys]
        if worked is not None:
            worked.setdefault(name, []).extend(keys)
        return rs.PartitionedOutput({key: f"{name} {key}" for key in context.partition.keys})

    return rs.Asset(name=name, partitions_def=definition, io_handler=diary, deps=list(deps))(function)


def taking(name, upstream, definition, diary, mapping=None, worked=None):
    """An asset that stores what it loaded of `upstream`."""
    scope = {}
    exec(f"def {name}(context, {upstream}): return run(context, {upstream})", scope)

    def run(context, value):
        keys = list(context.partition.keys)
        if worked is not None:
            worked.setdefault(name, []).extend(map(str, keys))
        return rs.PartitionedOutput(dict.fromkeys(keys, value))

    scope["run"] = run
    function = scope[name]
    function.__annotations__["context"] = rs.AssetExecutionContext
    deps = [] if mapping is None else [rs.AssetDef.input(upstream, partition_mapping=mapping)]
    return rs.Asset(name=name, partitions_def=definition, io_handler=diary, deps=deps)(function)


@pytest.mark.parametrize(
    ("request_", "keys"),
    [
        ("2024-02-29", ["2024-02-29"]),
        (Key.single("2024-02-29"), ["2024-02-29"]),
        (Key.single(["2024-01-02", "2024-01-01"]), ["2024-01-01", "2024-01-02"]),
        ("2024-01-02,2024-01-01", ["2024-01-01", "2024-01-02"]),
        (["2024-01-02", "2024-01-01", "2024-01-02"], ["2024-01-01", "2024-01-02"]),
        ([Key.single("2024-01-02"), "2024-01-01"], ["2024-01-01", "2024-01-02"]),
        (Range.single("2024-02-28", "2024-02-29"), ["2024-02-28", "2024-02-29"]),
        (
            [Range.single("2024-02-28", "2024-02-29"), "2024-01-01"],
            ["2024-01-01", "2024-02-28", "2024-02-29"],
        ),
    ],
)
def test_partition_keys_of_one_dimension_in_every_form(repository, diary, request_, keys):
    worked = {}
    repository(asset("a", DAYS, diary, worked=worked)).materialize(partition_key=request_)
    assert worked == {"a": keys}
    assert list(diary.values) == [f"a/{key}" for key in keys]


@pytest.mark.parametrize(
    ("request_", "keys"),
    [
        ({"date": "2024-01-01", "region": "eu"}, ["date=2024-01-01|region=eu"]),
        ("date=2024-01-01|region=eu", ["date=2024-01-01|region=eu"]),
        ("region=eu|date=2024-01-01", ["date=2024-01-01|region=eu"]),
        (
            Key.multi({"region": ["eu", "us"], "date": "2024-01-01"}),
            ["date=2024-01-01|region=us", "date=2024-01-01|region=eu"],
        ),
        (
            {"region": ["eu", "us"], "date": "2024-01-01"},
            ["date=2024-01-01|region=us", "date=2024-01-01|region=eu"],
        ),
        (
            "date=2024-01-01|region=eu,us",
            ["date=2024-01-01|region=us", "date=2024-01-01|region=eu"],
        ),
        (
            [{"date": "2024-01-02", "region": "eu"}, {"date": "2024-01-01", "region": "us"}],
            ["date=2024-01-01|region=us", "date=2024-01-02|region=eu"],
        ),
        (
            Range.multi({"date": ("2024-02-28", "2024-02-29"), "region": ["asia"]}),
            ["date=2024-02-28|region=asia", "date=2024-02-29|region=asia"],
        ),
    ],
)
def test_partition_keys_of_several_dimensions_in_every_form(repository, diary, request_, keys):
    worked = {}
    repository(asset("a", BOTH, diary, worked=worked)).materialize(partition_key=request_)
    assert worked == {"a": keys}
    assert len(diary.values) == len(keys)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("2024-03-01", "'2024-01-01' to '2024-02-29'"),
        (["2024-01-01", "nope"], "nope"),
        ([], "is empty"),
        (5, "partition_key must be"),
        ("", "empty"),
        ({"date": "2024-01-01"}, "has dimensions"),
        (Range.single("2024-01-02", "2024-01-01"), "comes first"),
        (Range.multi({"date": ["2024-01-01"]}), "dimensions"),
        (["2024-01-01", 5], "partition_key must be"),
    ],
)
def test_unknown_partition_key_is_refused(repository, diary, request_, message):
    repo = repository(asset("a", DAYS, diary))
    with pytest.raises(rs.exceptions.PartitionValidationError, match=message):
        repo.materialize(partition_key=request_)
    assert repo.storage.get_runs() == []


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("2024-01-01", "date=...|region=..."),
        ({"date": "2024-01-01"}, "dimensions"),
        ({"date": "2024-01-01", "region": "asai"}, "In dimension 'region'.*Did you mean"),
        (Range.single("2024-01-01", "2024-01-02"), "dimension"),
    ],
)
def test_unknown_key_of_several_dimensions_is_refused(repository, diary, request_, message):
    with pytest.raises(rs.exceptions.PartitionValidationError, match=message.replace("|", r"\|")):
        repository(asset("a", BOTH, diary)).materialize(partition_key=request_)


def test_partitioned_asset_requires_key(repository, diary):
    with pytest.raises(
        rs.exceptions.PartitionValidationError, match="'a' is partitioned.*60 keys.*2024-02-29"
    ):
        repository(asset("a", DAYS, diary)).materialize()


def test_unpartitioned_run_refuses_key(repository):
    repo = repository(rs.Asset(lambda: 1, name="plain"))
    with pytest.raises(rs.exceptions.PartitionValidationError, match="none of the selected assets.*plain"):
        repo.materialize(partition_key="2024-01-01")


def test_run_records_partition_keys(repository, diary):
    repo = repository(asset("a", BOTH, diary))
    result = repo.materialize(partition_key={"region": "us", "date": "2024-01-01"})
    assert repo.storage.get_run(result.run_id).partition_key == "date=2024-01-01|region=us"
    days = repository(asset("b", DAYS, diary))
    result = days.materialize(partition_key=["2024-01-01", "2024-01-02"])
    assert days.storage.get_run(result.run_id).partition_key == "2024-01-01, 2024-01-02"


def test_job_accepts_partition_keys(repository, diary):
    worked = {}
    repo = repository(asset("a", DAYS, diary, worked=worked), jobs=[rs.Job("j", ["a"])])
    repo.get_job("j").execute(partition_key=Range.single("2024-01-01", "2024-01-03"))
    assert worked == {"a": ["2024-01-01", "2024-01-02", "2024-01-03"]}


def test_definition_is_named_on_repository(repository, diary):
    worked = {}
    repo = repository(asset("a", "days", diary, worked=worked), partition_defs={"days": DAYS})
    repo.materialize(partition_key="2024-02-29")
    assert worked == {"a": ["2024-02-29"]}


def test_every_kind_of_asset_names_its_definition(repository, diary):
    @rs.Task
    def node(context: rs.TaskExecutionContext) -> str:
        return context.partition_key

    @rs.Asset.from_multi(output_defs=[rs.AssetDef("x", partitions_def="days", io_handler=diary)])
    def several(context: rs.AssetExecutionContext):
        return {"x": context.partition_key}

    @rs.Asset.from_graph(partitions_def="days", io_handler=diary)
    def graph():
        return node()

    @rs.Asset(partitions_def="days", io_handler=diary)
    def last(outside: str, x: str, graph: str) -> set[str]:
        return {outside, x, graph}

    outside = rs.Asset.external(name="outside", io_handler=diary, partitions_def="days")
    diary.values["outside/2024-02-29"] = "2024-02-29"
    repo = repository(outside, several, graph, last, partition_defs={"days": DAYS})
    repo.materialize(partition_key="2024-02-29")
    assert diary.values["last/2024-02-29"] == {"2024-02-29"}


def test_unknown_definition_suggests_nearest(repository, diary):
    with pytest.raises(rs.exceptions.GraphValidationError, match="'day' not found.*'days'"):
        repository(asset("a", "day", diary), partition_defs={"days": DAYS}).resolve()


# ------------------------------------------------------------------ which step gets which keys


def test_step_without_key_runs_needed_keys(repository, diary):
    worked = {}
    repo = repository(
        asset("day", DAYS, diary, worked=worked), taking("month", "day", MONTHS, diary, worked=worked)
    )
    repo.materialize(partition_key="2024-02")
    assert worked["month"] == ["2024-02"]
    assert (worked["day"][0], worked["day"][-1], len(worked["day"])) == ("2024-02-01", "2024-02-29", 29)
    assert list(diary.values["month/2024-02"].values())[-1] == "day 2024-02-29"


def test_needed_keys_pass_through_several_mappings(repository, diary):
    worked = {}
    repo = repository(
        asset("cell", BOTH, diary, worked=worked),
        taking("day", "cell", DAYS, diary, worked=worked),
        taking("month", "day", MONTHS, diary, worked=worked),
    )
    repo.materialize(partition_key="2024-02")
    assert (len(worked["cell"]), len(worked["day"]), worked["month"]) == (3 * 29, 29, ["2024-02"])


def test_key_of_upstream_is_refused_for_consumer(repository, diary):
    repo = repository(asset("day", DAYS, diary), taking("month", "day", MONTHS, diary))
    with pytest.raises(rs.exceptions.PartitionValidationError, match=r"'month': .*2024-02-01.*'2024-01'"):
        repo.materialize(partition_key="2024-02-01")


def test_selected_assets_with_the_key_run_it(repository, diary):
    """Both were asked for this key; what else the consumer needs comes from the store."""
    worked = {}
    mapping = rs.PartitionMapping.time_window(-1)
    repo = repository(
        asset("up", DAYS, diary, worked=worked), taking("down", "up", DAYS, diary, mapping, worked=worked)
    )
    repo.materialize(["up"], partition_key="2024-01-01")
    worked.clear()
    repo.materialize(partition_key="2024-01-02")
    assert worked == {"up": ["2024-01-02"], "down": ["2024-01-02"]}
    assert diary.values["down/2024-01-02"] == "up 2024-01-01"


@pytest.mark.parametrize(
    ("mapping", "key", "needed"),
    [
        (rs.PartitionMapping.identity(), "2024-01-05", ["2024-01-05"]),
        (rs.PartitionMapping.time_window(-1), "2024-01-05", ["2024-01-04"]),
        (rs.PartitionMapping.specific_partitions(["2024-01-09"]), "2024-01-05", ["2024-01-09"]),
        (
            rs.PartitionMapping.static_({"2024-01-05": ["2024-01-01", "2024-01-02"]}),
            "2024-01-05",
            ["2024-01-01", "2024-01-02"],
        ),
    ],
)
def test_included_upstream_runs_needed_keys(repository, diary, mapping, key, needed):
    worked = {}
    repo = repository(
        asset("up", DAYS, diary, worked=worked), taking("down", "up", DAYS, diary, mapping, worked=worked)
    )
    repo.materialize(["down"], partition_key=key, include_upstream=True)
    assert worked == {"up": needed, "down": [key]}


def test_unmappable_upstream_names_consumer(repository, diary):
    mapping = rs.PartitionMapping.time_window(-1)
    repo = repository(asset("up", DAYS, diary), taking("down", "up", DAYS, diary, mapping))
    with pytest.raises(rs.exceptions.PartitionValidationError, match="'down' cannot load 'up'.*'2023-12-31'"):
        repo.materialize(["down"], partition_key="2024-01-01", include_upstream=True)


def test_context_has_one_key_of_several_dimensions(repository):
    seen = []

    @rs.Asset(partitions_def=BOTH)
    def a(context: rs.AssetExecutionContext):
        seen.append(context.partition_key)

    repo = repository(a)
    repo.materialize(partition_key={"date": "2024-01-01", "region": ["us", "eu"]})
    assert seen == ["date=2024-01-01|region=us", "date=2024-01-01|region=eu"]


def test_ordering_dependency_gets_keys_from_mapping(repository, diary):
    worked = {}
    repo = repository(
        asset("day", DAYS, diary, worked=worked),
        asset("month", MONTHS, diary, rs.AssetDef.dep("day"), worked=worked),
    )
    repo.materialize(partition_key="2024-01")
    assert len(worked["day"]) == 31
    assert diary.loaded == []


def test_ordering_dependency_without_mapping(repository, diary):
    """Order can be had between partitions that have nothing to do with each other."""
    worked = {}
    repo = repository(
        asset("region", REGIONS, diary, worked=worked),
        asset("day", DAYS, diary, rs.AssetDef.dep("region"), worked=worked),
    )
    repo.materialize(["day"], partition_key="2024-01-01")
    assert worked == {"day": ["2024-01-01"]}


def test_unpartitioned_steps_run_with_partitioned_ones(repository, diary):
    @rs.Asset(io_handler=diary)
    def rate() -> int:
        return 2

    @rs.Asset(io_handler=diary, partitions_def=DAYS)
    def day(context: rs.AssetExecutionContext, rate: int) -> str:
        return f"{context.partition_key} at {rate}"

    @rs.Asset(io_handler=diary, deps=[rs.AssetDef.input("day", rs.PartitionMapping.subset())])
    def report(day: dict[str, str]) -> list[str]:
        return list(day.values())

    repo = repository(rate, day, report)
    repo.materialize(partition_key="2024-01-02")
    repo.materialize(partition_key="2024-01-01")
    assert repo.load_node("report") == ["2024-01-01 at 2", "2024-01-02 at 2"]


# ------------------------------------------------------------------ dynamic keys


@pytest.fixture
def customers(repository, diary):
    repo = repository(
        asset("a", rs.PartitionsDefinition.dynamic("customers"), diary),
        taking("b", "a", rs.PartitionsDefinition.dynamic("customers"), diary),
    )
    repo.storage.add_dynamic_partitions("customers", ["zoe", "adam", "mia"])
    return repo


def test_dynamic_keys_are_stored_in_order(customers, diary):
    customers.materialize(partition_key=Range.single("zoe", "mia"))
    assert [key for key in diary.values if key.startswith("b/")] == ["b/zoe", "b/adam", "b/mia"]
    assert diary.values["b/mia"] == "a mia"


def test_unknown_dynamic_key_error_shows_how_to_add_it(customers):
    with pytest.raises(rs.exceptions.PartitionValidationError, match="'eve'.*add_dynamic_partitions"):
        customers.materialize(partition_key="eve")
    customers.storage.add_dynamic_partitions("customers", ["eve"])
    assert customers.materialize(partition_key="eve").success


def test_deleted_dynamic_key_is_unknown(customers):
    customers.storage.delete_dynamic_partition("customers", "mia")
    with pytest.raises(rs.exceptions.PartitionValidationError, match="'mia'"):
        customers.materialize(partition_key="mia")


def test_missing_dynamic_keys_error_shows_how_to_add_some(repository, diary):
    repo = repository(asset("a", rs.PartitionsDefinition.dynamic("customers"), diary))
    with pytest.raises(rs.exceptions.PartitionValidationError, match="no key yet.*add_dynamic_partitions"):
        repo.materialize()


def test_all_partitions_of_dynamic_definition(customers, repository, diary):
    @rs.Asset(io_handler=diary)
    def all_of_them(a: dict[str, str]) -> list[str]:
        return list(a)

    repo = repository(*customers.assets.values(), all_of_them)
    repo.resolve(customers.storage)
    repo.materialize(["a"], partition_key=["adam", "zoe", "mia"])
    repo.materialize(["all_of_them"])
    assert diary.values["all_of_them"] == ["zoe", "adam", "mia"]


def test_dynamic_dimension(repository, diary):
    both = rs.PartitionsDefinition.multi(
        {"who": rs.PartitionsDefinition.dynamic("customers"), "region": REGIONS}
    )
    repo = repository(
        asset("a", both, diary), taking("b", "a", rs.PartitionsDefinition.dynamic("customers"), diary)
    )
    repo.storage.add_dynamic_partitions("customers", ["zoe", "adam"])
    repo.materialize(partition_key="zoe")
    assert [str(key) for key in diary.values["b/zoe"]] == [
        "region=us|who=zoe",
        "region=eu|who=zoe",
        "region=asia|who=zoe",
    ]

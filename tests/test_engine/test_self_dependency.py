"""Self-dependencies: the previous value, or a first run if nothing was ever stored."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from pydantic import PrivateAttr

import rivers as rs

DAYS = rs.PartitionsDefinition.daily("2024-02-28", end="2024-03-04")
REGIONS = rs.PartitionsDefinition.static_(["us", "eu"])
CELLS = rs.PartitionsDefinition.multi({"date": DAYS, "region": REGIONS})

Mapping = rs.PartitionMapping
Context = rs.AssetExecutionContext
YESTERDAY = Mapping.time_window(-1)


def counter(handler, **options):
    """An asset that counts its runs in what it stored."""

    @rs.Asset(io_handler=handler, **options)
    def count(self: rs.SelfDependency[int]) -> int:
        return (self.get_inner() or 0) + 1

    return count


def running_total(handler, definition=DAYS, mapping=YESTERDAY):
    """An asset whose day is the day before and one more."""

    @rs.Asset(
        partitions_def=definition,
        io_handler=handler,
        deps=[rs.AssetDef.input("total", partition_mapping=mapping)],
    )
    def total(context: Context, self: rs.SelfDependency[int]) -> int:
        before = self.get_inner()
        return 1 if before is None else before + 1

    return total


@pytest.fixture(params=["memory", "pickle"])
def handler(request, tmp_path):
    return rs.InMemoryIOHandler() if request.param == "memory" else rs.PickleIOHandler(tmp_path)


def test_self_dependency_loads_value_of_previous_run(repository, handler):
    repo = repository(counter(handler))
    values = []
    for _ in range(3):
        repo.materialize()
        values.append(repo.load_node("count"))
    assert values == [1, 2, 3]


def test_self_dependency_distinguishes_none_from_first_run(repository, handler):
    seen = []

    @rs.Asset(io_handler=handler)
    def nothing(self: rs.SelfDependency):
        seen.append((self.is_stored, self.get_inner()))

    repo = repository(nothing)
    repo.materialize()
    repo.materialize()
    assert seen == [(False, None), (True, None)]


def test_self_dependency_passes_type_to_handler(repository, diary):
    @rs.Asset(io_handler=diary)
    def log(self: rs.SelfDependency[list[str]]) -> tuple[str, ...]:
        return ()

    repository(log).materialize()
    assert [context.type_hint for context in diary.loaded] == [list[str]]


def test_self_dependency_hint_defaults_to_return_annotation(repository, diary):
    @rs.Asset(io_handler=diary)
    def log(self: rs.SelfDependency) -> tuple[str, ...]:
        return ()

    repository(log).materialize()
    assert [context.type_hint for context in diary.loaded] == [tuple[str, ...]]


@pytest.mark.parametrize(
    "error",
    [
        PermissionError("not yours"),
        pickle.UnpicklingError("corrupt"),
        rs.exceptions.IntegrityError("wrong digest"),
        EOFError("half a value"),
        ConnectionError("no route"),
        KeyError("a handler's own mistake"),
        IsADirectoryError("a folder"),
    ],
)
@pytest.mark.parametrize("definition", [None, DAYS])
def test_self_dependency_aborts_on_load_error(repository, error, definition):
    class Failing(rs.BaseIOHandler):
        _stored: list[Any] = PrivateAttr(default_factory=list)

        def handle_output(self, context, obj):
            self._stored.append(obj)

        def load_input(self, context):
            raise error

    handler = Failing()
    repo = repository(counter(handler, partitions_def=definition))
    with pytest.raises(rs.exceptions.ExecutionError) as caught:
        repo.materialize(partition_key=definition and "2024-03-01")
    assert caught.value.__cause__ is error
    assert handler._stored == []


def test_self_dependency_aborts_on_damaged_pickle(repository, tmp_path):
    handler = rs.PickleIOHandler(tmp_path)
    repo = repository(counter(handler))
    repo.materialize()
    path = tmp_path / "count.pkl"
    damaged = bytearray(path.read_bytes())
    damaged[3] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(rs.exceptions.ExecutionError):
        repo.materialize()
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    "absent", [FileNotFoundError("no file"), rs.exceptions.NotMaterializedError("count")]
)
def test_self_dependency_accepts_file_not_found(repository, absent):
    class Empty(rs.BaseIOHandler):
        def handle_output(self, context, obj):
            assert obj == 1

        def load_input(self, context):
            raise absent

    assert repository(counter(Empty())).materialize().success


def test_self_dependency_awaits_async_handler(repository):
    class Async(rs.BaseIOHandler):
        _values: dict[str, Any] = PrivateAttr(default_factory=dict)

        async def handle_output(self, context, obj):
            self._values[context.storage_key] = obj

        async def load_input(self, context):
            try:
                return self._values[context.storage_key]
            except KeyError:
                raise FileNotFoundError from None

    repo = repository(counter(Async()))
    repo.materialize()
    repo.materialize()
    assert repo.load_node("count") == 2


def test_self_dependency_does_not_make_stale(repository, handler):
    repo = repository(counter(handler, code_version="1"))
    repo.materialize()
    assert repo.storage.get_latest_materialization("count").input_data_versions == []
    assert [status.state for status in repo.status()] == ["fresh"]


# ------------------------------------------------------------------ partitions


def test_self_dependency_first_run_per_partition(repository, handler):
    repo = repository(counter(handler, partitions_def=DAYS))
    for key in ("2024-02-29", "2024-02-29", "2024-03-01"):
        repo.materialize(partition_key=key)
    loaded = repo.load_node("count", partition_key=["2024-02-29", "2024-03-01"])
    assert loaded == {"2024-02-29": 2, "2024-03-01": 1}


def test_self_dependency_loads_previous_window_over_leap_day(repository, handler):
    repo = repository(running_total(handler))
    keys = DAYS.get_partition_keys()
    for key in keys:
        repo.materialize(partition_key=key)
    assert list(repo.load_node("total", partition_key=keys).values()) == [1, 2, 3, 4, 5]


def test_self_dependency_first_window_is_first_run(repository, handler):
    repo = repository(running_total(handler))
    for key in ("2024-02-28", "2024-02-29", "2024-02-28"):
        repo.materialize(partition_key=key)
    assert repo.load_node("total", partition_key="2024-02-28") == 1


def test_self_dependency_missing_window_is_first_run(repository, handler):
    repo = repository(running_total(handler))
    repo.materialize(partition_key="2024-03-02")
    assert repo.load_node("total", partition_key="2024-03-02") == 1


def test_self_dependency_of_single_window(repository, handler):
    one_day = rs.PartitionsDefinition.daily("2024-01-01", end="2024-01-02")
    repo = repository(running_total(handler, one_day))
    repo.materialize(partition_key="2024-01-01")
    assert repo.load_node("total", partition_key="2024-01-01") == 1


def test_self_dependency_previous_day_in_several_dimensions(repository, handler):
    mapping = Mapping.multi({"date": YESTERDAY})
    repo = repository(running_total(handler, CELLS, mapping))
    for date in ("2024-02-28", "2024-02-29", "2024-03-01"):
        repo.materialize(partition_key={"date": date, "region": "eu"})
    repo.materialize(partition_key={"date": "2024-03-01", "region": "us"})
    loaded = repo.load_node("total", partition_key={"date": "2024-03-01", "region": ["us", "eu"]})
    assert loaded == {"date=2024-03-01|region=us": 1, "date=2024-03-01|region=eu": 3}


def test_self_dependency_aborts_on_corrupt_previous_window(repository, tmp_path):
    repo = repository(running_total(rs.PickleIOHandler(tmp_path)))
    repo.materialize(partition_key="2024-02-28")
    (tmp_path / "total" / "2024-02-28" / "data.pkl").write_bytes(b"\x80\x05not a pickle")
    with pytest.raises(rs.exceptions.ExecutionError):
        repo.materialize(partition_key="2024-02-29")
    assert repo.storage.get_materialized_partitions("total") == ["2024-02-28"]


def test_self_dependency_of_several_keys(repository, handler):
    """A key that was stored must not look like new because another one was not."""
    seen = []

    @rs.Asset(partitions_def=DAYS, io_handler=handler, partition_batches=True)
    def count(context: Context, self: rs.SelfDependency[dict[str, int]]):
        before = self.get_inner() or {}
        seen.append((self.is_stored, before))
        return rs.PartitionedOutput({key: before.get(str(key), 0) + 1 for key in context.partition.keys})

    repo = repository(count)
    keys = ["2024-02-29", "2024-03-01"]
    repo.materialize(partition_key=keys)
    repo.materialize(partition_key=["2024-03-01", "2024-03-02"])
    repo.materialize(partition_key=keys)
    assert seen == [
        (False, {}),
        (True, {"2024-03-01": 1}),
        (True, {"2024-02-29": 1, "2024-03-01": 2}),
    ]


def test_self_dependency_on_all_partitions(repository, handler):
    seen = []

    @rs.Asset(
        partitions_def=DAYS,
        io_handler=handler,
        deps=[rs.AssetDef.input("day", partition_mapping=Mapping.all_partitions())],
    )
    def day(context: Context, self: rs.SelfDependency[dict[str, str]]) -> str:
        seen.append(self.get_inner())
        return context.partition_key

    repo = repository(day)
    for key in ("2024-02-29", "2024-02-28", "2024-03-01"):
        repo.materialize(partition_key=key)
    assert seen == [
        None,
        {"2024-02-29": "2024-02-29"},
        {"2024-02-28": "2024-02-28", "2024-02-29": "2024-02-29"},
    ]


def test_self_dependency_refuses_unfit_mapping(repository, handler):
    repo = repository(running_total(handler, REGIONS))
    with pytest.raises(
        rs.exceptions.GraphValidationError, match=r"'total'.*time_window\(offset=-1\).*static_"
    ):
        repo.validate()


def test_self_dependency_beside_other_inputs(repository, handler):
    @rs.Asset(partitions_def=DAYS, io_handler=handler)
    def new(context: Context) -> int:
        return int(context.partition_key[-2:])

    @rs.Asset(
        partitions_def=DAYS,
        io_handler=handler,
        deps=[rs.AssetDef.input("total", partition_mapping=YESTERDAY)],
    )
    def total(context: Context, self: rs.SelfDependency[int], new: int) -> int:
        return (self.get_inner() or 0) + new

    repo = repository(new, total)
    for key in ("2024-02-28", "2024-02-29", "2024-03-01"):
        repo.materialize(partition_key=key)
    assert repo.load_node("total", partition_key="2024-03-01") == 28 + 29 + 1


def test_self_dependency_hint_for_parameter_with_own_name(repository):
    @rs.Asset
    def count(count: int) -> int:
        return count + 1

    with pytest.raises(rs.exceptions.GraphValidationError, match="'count' depends on itself.*SelfDependency"):
        repository(count).validate()

"""One step: load inputs, call the function, store the value, record the event."""

from __future__ import annotations

import pytest

import rivers as rs


def test_value_passes_through_handler(repository, diary):
    @rs.Asset(io_handler=diary)
    def numbers() -> list[int]:
        return [1, 2, 3]

    @rs.Asset(io_handler=diary)
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    repo = repository(numbers, total)
    result = repo.materialize()

    assert result.success
    assert result.materialized_assets == ["numbers", "total"]
    assert diary.values == {"numbers": [1, 2, 3], "total": 6}
    assert [(c.asset_name, c.downstream_asset) for c in diary.loaded] == [("numbers", "total")]
    assert repo.load_node("total") == 6


def test_event_is_recorded_after_storing(repository, diary):
    class Watching(type(diary)):
        def handle_output(self, context, obj):
            assert repo.storage.get_latest_materialization("numbers") is None
            super().handle_output(context, obj)

    @rs.Asset(io_handler=Watching())
    def numbers() -> int:
        return 1

    repo = repository(numbers)
    repo.materialize()
    assert repo.storage.get_latest_materialization("numbers") is not None


def test_failed_write_records_no_materialization(repository):
    class Full(rs.BaseIOHandler):
        def handle_output(self, context, obj):
            raise OSError("disk full")

        def load_input(self, context):
            raise AssertionError

    @rs.Asset(io_handler=Full())
    def numbers() -> int:
        return 1

    repo = repository(numbers)
    with pytest.raises(rs.exceptions.ExecutionError, match=r"'numbers'.*disk full") as caught:
        repo.materialize()
    assert isinstance(caught.value.__cause__, OSError)
    types = [event.event_type for event in repo.storage.get_events_for_asset("numbers")]
    assert types == ["StepFailure", "StepStart"]


def test_type_hints_reach_handler(repository, diary):
    @rs.Asset(io_handler=diary)
    def numbers() -> list[int]:
        return [1]

    @rs.Asset(io_handler=diary)
    def total(numbers: tuple[int, ...]) -> int:
        return sum(numbers)

    repository(numbers, total).materialize()
    assert diary.stored[0].type_hint == list[int]
    assert diary.loaded[0].type_hint == tuple[int, ...]


def test_consumer_without_annotation_gets_producer_hint(repository, diary):
    @rs.Asset(io_handler=diary)
    def numbers() -> list[int]:
        return [1]

    @rs.Asset(io_handler=diary)
    def total(numbers):
        return sum(numbers)

    repository(numbers, total).materialize()
    assert diary.loaded[0].type_hint == list[int]
    assert diary.stored[1].type_hint is None


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(int, "x"), (list[int], (1,)), (dict[str, int], []), (str | None, 3), (float, "1.0")],
)
def test_value_of_wrong_type_is_not_stored(repository, diary, annotation, value):
    def wrong():
        return value

    wrong.__annotations__["return"] = annotation
    repo = repository(rs.Asset(wrong, io_handler=diary))
    with pytest.raises(rs.exceptions.ExecutionError) as caught:
        repo.materialize()
    assert isinstance(caught.value.__cause__, rs.exceptions.AssetOutputValidationError)
    assert diary.values == {}


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (float, 1),
        (str | None, None),
        (list[int], ["not checked inside"]),
        (None, None),
        ("Unknown", 3),
        (object, 3),
    ],
)
def test_value_of_annotated_type_is_stored(repository, diary, annotation, value):
    def fine():
        return value

    fine.__annotations__["return"] = annotation
    repository(rs.Asset(fine, io_handler=diary)).materialize()
    assert diary.values == {"fine": value}


def test_called_asset_calls_function():
    @rs.Asset
    def double(x: int) -> int:
        return 2 * x

    assert double(4) == 8


def test_default_handler_is_one_memory_handler(repository):
    @rs.Asset
    def first() -> int:
        return 1

    @rs.Asset
    def second(first: int) -> int:
        return first

    repo = repository(first, second)
    assert isinstance(repo.io_handler_for_output("first"), rs.InMemoryIOHandler)
    assert repo.io_handler_for_output("first") is repo.io_handler_for_output("second")


def test_memory_handler_returns_same_object(repository):
    thing = object()

    @rs.Asset
    def made() -> object:
        return thing

    @rs.Asset
    def seen(made: object) -> bool:
        return made is thing

    repo = repository(made, seen)
    repo.materialize()
    assert repo.load_node("seen") is True


def test_event_records_input_versions(repository):
    @rs.Asset
    def up() -> rs.Output:
        return rs.Output(1, data_version="v1")

    @rs.Asset
    def down(up: int) -> int:
        return up

    repo = repository(up, down)
    repo.materialize()
    assert repo.storage.get_latest_materialization("down").input_data_versions == [("up", "v1")]


def test_input_context_has_upstream_event(repository, diary):
    @rs.Asset(io_handler=diary)
    def up() -> rs.Output:
        return rs.Output(1, data_version="v1", metadata={"rows": 3})

    @rs.Asset
    def down(up: int) -> int:
        return up

    repository(up, down).materialize()
    upstream = diary.loaded[0].upstream
    assert (upstream.data_version, upstream.metadata) == ("v1", [("rows", "3")])


def test_static_metadata_reaches_handler(repository, diary):
    @rs.Asset(io_handler=diary, metadata={"any": {"json": [1, 2]}})
    def up() -> int:
        return 1

    repository(up).materialize()
    assert diary.stored[0].asset_metadata == {"any": {"json": [1, 2]}}


def test_input_uses_own_handler_and_metadata(repository, diary):
    upstream_handler = type(diary)()
    upstream_handler.values["up"] = "from the other"

    @rs.Asset(io_handler=diary, metadata={"kept": 1, "columns": "a"})
    def up() -> str:
        return "own"

    @rs.Asset(deps=[rs.AssetDef.input("up", io_handler=upstream_handler, metadata={"columns": "b"})])
    def down(up: str) -> str:
        return up

    repo = repository(up, down)
    repo.materialize()
    assert repo.load_node("down") == "from the other"
    assert upstream_handler.loaded[0].asset_metadata == {"kept": 1, "columns": "b"}


def test_order_only_dep_is_not_loaded(repository, diary):
    ran = []

    @rs.Asset(io_handler=diary)
    def zebra() -> int:
        ran.append("zebra")
        return 1

    @rs.Asset(deps=[rs.AssetDef.dep("zebra")])
    def after() -> int:
        ran.append("after")
        return 2

    repository(after, zebra).materialize()
    assert ran == ["zebra", "after"]
    assert diary.loaded == []

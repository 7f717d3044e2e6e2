"""Partitioned values through real runs: what functions return, what handlers get, what consumers receive."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any, ClassVar

import pytest
from pydantic import PrivateAttr

import rivers as rs

DAYS = rs.PartitionsDefinition.daily("2024-01-01", end="2024-03-01")
MONTHS = rs.PartitionsDefinition.time_window("2024-01-01", "0 0 1 * *", end="2024-03-01", fmt="%Y-%m")
REGIONS = rs.PartitionsDefinition.static_(["us", "eu", "asia"])
LETTERS = rs.PartitionsDefinition.static_(["a", "b", "c"])
BOTH = rs.PartitionsDefinition.multi({"date": DAYS, "region": REGIONS})

Key, Range, Mapping = rs.PartitionKey, rs.PartitionKeyRange, rs.PartitionMapping
Context = rs.AssetExecutionContext


class BatchIOHandler(rs.BaseIOHandler):
    """Stores a list for several keys in one call: one item for each, as a table keeps rows."""

    partition_batches: ClassVar[bool] = True

    _rows: dict[str, Any] = PrivateAttr(default_factory=dict)
    _calls: list[tuple[Any, ...]] = PrivateAttr(default_factory=list)

    @property
    def rows(self) -> dict[str, Any]:
        return self._rows

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        return self._calls

    def handle_output(self, context, obj):
        keys = list(map(str, context.partition.keys))
        self.calls.append(("store", keys))
        self.rows.update(zip(keys, obj, strict=True) if len(keys) > 1 else [(keys[0], obj)])

    def load_input(self, context):
        keys = list(map(str, context.partition.keys))
        self.calls.append(("load", keys, context.type_hint))
        return [self.rows[key] for key in keys] if len(keys) > 1 else self.rows[keys[0]]


def letters(handler, name="up", batches=False):
    """An asset that gives each key its capital."""

    @rs.Asset(name=name, partitions_def=LETTERS, io_handler=handler, partition_batches=batches)
    def up(context: Context) -> str:
        return rs.PartitionedOutput({key: str(key).upper() for key in context.partition.keys})

    return up


# ------------------------------------------------------------------ out


def test_step_over_one_key_returns_its_value(repository, diary):
    @rs.Asset(partitions_def=DAYS, io_handler=diary)
    def a(context: Context) -> str:
        return context.partition_key

    repo = repository(a)
    repo.materialize(partition_key="2024-02-29")
    assert diary.values == {"a/2024-02-29": "2024-02-29"}
    assert repo.storage.get_materialized_partitions("a") == ["2024-02-29"]
    assert repo.load_node("a", partition_key="2024-02-29") == "2024-02-29"


def test_handler_without_batches_is_called_per_key(repository, diary):
    repo = repository(letters(diary))
    repo.materialize(partition_key=["c", "a"])
    assert [(str(context.partition.key), context.partition.is_single) for context in diary.stored] == [
        ("a", True),
        ("c", True),
    ]
    assert diary.values == {"up/a": "A", "up/c": "C"}
    assert [event.partition_key for event in repo.storage.get_events_for_asset("up", with_steps=False)] == [
        "c",
        "a",
    ]


def test_plain_value_for_batch_is_refused(repository, diary):
    @rs.Asset(partitions_def=LETTERS, io_handler=diary, partition_batches=True)
    def up():
        return "one for all"

    repo = repository(up)
    with pytest.raises(rs.exceptions.ExecutionError, match=r"2 partition keys \(a, b\).*PartitionedOutput"):
        repo.materialize(partition_key=["a", "b"])
    assert diary.values == {}
    assert repo.storage.get_materialized_partitions("up") == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a": 1}, r"1 missing \(b\)"),
        ({"a": 1, "b": 2, "c": 3}, r"1 not requested \(c\)"),
    ],
)
def test_partitioned_output_must_have_keys_of_step(repository, diary, values, message):
    @rs.Asset(partitions_def=LETTERS, io_handler=diary, partition_batches=True)
    def up():
        return rs.PartitionedOutput(values)

    with pytest.raises(rs.exceptions.ExecutionError, match=message):
        repository(up).materialize(partition_key=["a", "b"])
    assert diary.values == {}


def test_partitioned_output_is_checked_before_storing(repository, diary):
    @rs.Asset(partitions_def=LETTERS, io_handler=diary, partition_batches=True)
    def up() -> int:
        return rs.PartitionedOutput({"a": 1, "b": "two"})

    with pytest.raises(rs.exceptions.ExecutionError, match="to return int, but returned str"):
        repository(up).materialize(partition_key=["a", "b"])
    assert diary.values == {}


def test_failed_write_names_key_and_stored_keys(repository):
    class SmallDisk(rs.BaseIOHandler):
        def handle_output(self, context, obj):
            if context.storage_key == "up/c":
                raise OSError("disk full")

        def load_input(self, context):
            raise AssertionError

    repo = repository(letters(SmallDisk(), batches=True))
    with pytest.raises(rs.exceptions.ExecutionError, match="disk full") as caught:
        repo.materialize(partition_key=["a", "b", "c"])
    notes = " ".join(caught.value.__cause__.__notes__)
    assert "asset 'up' [c]" in notes
    assert "2 of the 3 partition keys of this step were stored before that, and are recorded" in notes
    assert repo.storage.get_materialized_partitions("up") == ["a", "b"]


def test_partitioned_output_in_union_annotation(repository, diary):
    @rs.Asset(partitions_def=LETTERS, io_handler=diary, partition_batches=True)
    def up(context: Context) -> int | rs.PartitionedOutput:
        keys = context.partition.keys
        return 1 if len(keys) == 1 else rs.PartitionedOutput(dict.fromkeys(keys, 2))

    repo = repository(up)
    repo.materialize(partition_key="a")
    repo.materialize(partition_key=["b", "c"])
    assert diary.values == {"up/a": 1, "up/b": 2, "up/c": 2}
    assert {context.type_hint for context in diary.stored} == {int}


def test_partitioned_output_requires_partitions(repository, diary):
    @rs.Asset(io_handler=diary)
    def up():
        return rs.PartitionedOutput({"a": 1})

    with pytest.raises(rs.exceptions.ExecutionError, match="is not partitioned"):
        repository(up).materialize()
    assert diary.values == {}


@pytest.mark.parametrize("inner", [rs.Materialization(), rs.Observation(), rs.PartitionedOutput({"a": 1})])
def test_partitioned_output_accepts_values_and_outputs(repository, diary, inner):
    @rs.Asset(partitions_def=LETTERS, io_handler=diary)
    def up():
        return rs.PartitionedOutput({"a": inner})

    with pytest.raises(rs.exceptions.ExecutionError, match=type(inner).__name__):
        repository(up).materialize(partition_key="a")
    assert diary.values == {}


def test_partitioned_output_metadata_and_version_per_key(repository, diary):
    @rs.Asset(partitions_def=LETTERS, io_handler=diary, partition_batches=True)
    def up():
        values = rs.PartitionedOutput(
            {"a": rs.Output(1, metadata={"rows": 10}, data_version="va"), "b": rs.Output(2), "c": 3}
        )
        return rs.Output(values, metadata={"rows": 0, "source": "s3"}, tags={"by": "me"})

    repo = repository(up)
    repo.materialize(partition_key=["a", "b", "c"])
    assert diary.values == {"up/a": 1, "up/b": 2, "up/c": 3}
    events = repo.storage.get_latest_materializations("up")
    assert [dict(events[key].metadata)["rows"] for key in "abc"] == ["10", "0", "0"]
    assert {dict(event.metadata)["source"] for event in events.values()} == {"s3"}
    assert {tuple(event.tags) for event in events.values()} == {(("by", "me"),)}
    assert events["a"].data_version == "va"
    assert len({event.data_version for event in events.values()}) == 3


def test_materialization_is_recorded_per_key(repository, diary):
    @rs.Asset(partitions_def=LETTERS, io_handler=diary)
    def up():
        return rs.Materialization(data_version="v")

    repo = repository(up)
    repo.materialize(partition_key=["a", "b"])
    assert repo.storage.get_materialized_partitions("up") == ["a", "b"]
    assert diary.stored == []


def test_multi_asset_outputs_are_partitioned(repository, diary):
    defs = [rs.AssetDef("x", io_handler=diary), rs.AssetDef("y", io_handler=diary)]

    @rs.Asset.from_multi(output_defs=defs, partitions_def=LETTERS, partition_batches=True)
    def both(context: Context):
        keys = context.partition.keys
        return {name: rs.PartitionedOutput({key: f"{name}{key}" for key in keys}) for name in ("x", "y")}

    repository(both).materialize(partition_key=["a", "b"])
    assert diary.values == {"x/a": "xa", "x/b": "xb", "y/a": "ya", "y/b": "yb"}


def test_graph_asset_passes_partitions_on(repository, diary):
    @rs.Task
    def shout(context: rs.TaskExecutionContext, up: str) -> str:
        return f"{up}! ({context.partition_key})"

    @rs.Task
    def twice(text: str) -> str:
        return text * 2

    @rs.Asset.from_graph(partitions_def=LETTERS, io_handler=diary, node_io_handler=diary)
    def loud(up):
        return twice(shout(up))

    repository(letters(diary), loud).materialize(partition_key="b")
    assert diary.values["loud/b"] == "B! (b)B! (b)"
    assert diary.values["loud%2Fshout/b"] == "B! (b)"


# ------------------------------------------------------------------ in


def test_input_of_one_key_is_the_value(repository, diary):
    @rs.Asset(partitions_def=LETTERS, io_handler=diary)
    def down(up: str) -> str:
        return up + up

    repository(letters(diary), down).materialize(partition_key="b")
    assert diary.values["down/b"] == "BB"


def test_input_of_several_keys_is_in_definition_order(repository, diary):
    seen = []

    @rs.Asset(partitions_def=LETTERS, io_handler=diary, partition_batches=True)
    def down(up):
        seen.append(up)
        return rs.PartitionedOutput(up)

    repository(letters(diary), down).materialize(partition_key=["c", "a"])
    assert list(seen[0].items()) == [(Key.single("a"), "A"), (Key.single("c"), "C")]
    assert seen[0]["a"] == "A"
    assert [type(key) for key in seen[0]] == [Key.Single, Key.Single]
    assert diary.values["down/c"] == "C"


def test_input_has_text_keys_if_annotated(repository, diary):
    seen = []

    @rs.Asset(io_handler=diary)
    def down(up: dict[str, bytes]) -> None:
        seen.append(up)

    repo = repository(letters(diary), down)
    repo.materialize(partition_key=["a", "b", "c"])
    assert seen == [{"a": "A", "b": "B", "c": "C"}]
    assert [type(key) for key in seen[0]] == [str, str, str]
    assert {context.type_hint for context in diary.loaded} == {bytes}


def test_input_hint_defaults_to_producer_annotation(repository, diary):
    @rs.Asset
    def down(up):
        return len(up)

    repository(letters(diary), down).materialize(partition_key=["a", "b", "c"])
    assert {context.type_hint for context in diary.loaded} == {str}


def test_input_shape_depends_on_requested_keys(repository, diary):
    """Three days of one month: still `{key: value}`, as for days of two months."""
    seen = []

    @rs.Asset(partitions_def=MONTHS, io_handler=diary)
    def month(context: Context):
        return context.partition_key

    @rs.Asset(partitions_def=DAYS, io_handler=diary, partition_batches=True)
    def day(context: Context, month):
        seen.append(month)
        return rs.PartitionedOutput(dict.fromkeys(context.partition.keys))

    repo = repository(month, day)
    repo.materialize(["month"], partition_key="2024-01")
    repo.materialize(["day"], partition_key=["2024-01-01", "2024-01-02"])
    repo.materialize(["day"], partition_key="2024-01-03")
    assert seen == [{"2024-01": "2024-01"}, "2024-01"]


def test_input_keys_of_several_dimensions(repository, diary):
    seen = []

    @rs.Asset(partitions_def=BOTH, io_handler=diary)
    def cell(context: Context):
        return rs.PartitionedOutput({key: key.keys["region"] for key in context.partition.keys})

    @rs.Asset(io_handler=diary, deps=[rs.AssetDef.input("cell", Mapping.subset())])
    def total(cell):
        seen.append(cell)

    repo = repository(cell, total)
    repo.materialize(partition_key={"date": "2024-01-01", "region": ["eu", "us"]})
    assert seen[0]["date=2024-01-01|region=eu"] == ["eu"]
    assert list(map(str, seen[0])) == ["date=2024-01-01|region=us", "date=2024-01-01|region=eu"]


# ------------------------------------------------------------------ handlers that take several keys


def test_batching_handler_gets_one_call(repository):
    handler = BatchIOHandler()

    @rs.Asset(partitions_def=LETTERS, io_handler=handler, partition_batches=True)
    def up(context: Context) -> list[str]:
        return [str(key).upper() for key in context.partition.keys]

    @rs.Asset(partitions_def=LETTERS, io_handler=handler, partition_batches=True)
    def down(up: list[str]) -> list[str]:
        return up[::-1]

    repo = repository(up, down)
    repo.materialize(partition_key=["a", "b", "c"])
    assert handler.calls == [
        ("store", ["a", "b", "c"]),
        ("load", ["a", "b", "c"], list[str]),
        ("store", ["a", "b", "c"]),
    ]
    assert repo.storage.get_materialized_partitions("down") == ["a", "b", "c"]


def test_batching_handler_loads_dictionary_per_key(repository):
    handler = BatchIOHandler()

    @rs.Asset
    def down(up: dict[str, int]) -> int:
        return len(up)

    repository(letters(handler), down).materialize(partition_key=["a", "b", "c"])
    assert [call for call in handler.calls if call[0] == "load"] == [
        ("load", [key], int) for key in ("a", "b", "c")
    ]


def test_batching_handler_stores_partitioned_output_per_key(repository):
    handler = BatchIOHandler()
    repository(letters(handler)).materialize(partition_key=["a", "b"])
    assert handler.rows == {"a": "A", "b": "B"}


def test_handler_is_not_called_without_keys(repository):
    handler, seen = BatchIOHandler(), []

    @rs.Asset(
        partitions_def=LETTERS, deps=[rs.AssetDef.input("up", Mapping.for_keys(["c"], Mapping.identity()))]
    )
    def down(up):
        seen.append(up)

    repository(letters(handler), down).materialize(partition_key="a")
    assert seen == [{}]
    assert handler.calls == [("store", ["a"])]


# ------------------------------------------------------------------ mappings, in both directions

ALL = ["a", "b", "c"]


@pytest.mark.parametrize(
    ("mapping", "key", "received"),
    [
        (None, "b", "B"),
        (Mapping.identity(), "b", "B"),
        (Mapping.all_partitions(), "b", {"a": "A", "b": "B", "c": "C"}),
        (Mapping.static_({"b": "c"}), "b", "C"),
        (Mapping.static_({"b": ["c", "a"], "a": "a"}), "b", {"a": "A", "c": "C"}),
        (Mapping.static_({"b": [], "a": "a"}), "b", {}),
        (Mapping.specific_partitions(["c", "a"]), "b", {"a": "A", "c": "C"}),
        (Mapping.specific_partitions(Range.single("b", "c")), "b", {"b": "B", "c": "C"}),
        (Mapping.specific_partitions([Range.single("b", "c"), "a"]), "b", {"a": "A", "b": "B", "c": "C"}),
        (Mapping.for_keys(Range.single("a", "b"), Mapping.all_partitions()), "c", {"a": "A", "b": "B"}),
        (Mapping.for_keys(["b", "c"]), "b", {"b": "B"}),
        (Mapping.for_keys(["a", "c"]), "b", {}),
        (Mapping.for_keys(["a", "c"], Mapping.all_partitions()), "b", {"a": "A", "c": "C"}),
        (Mapping.subset(), "b", "B"),
        (Mapping.subset(Mapping.all_partitions()), "b", {"a": "A", "b": "B", "c": "C"}),
    ],
)
def test_mapping_between_equal_partitions(repository, diary, mapping, key, received):
    seen = []

    @rs.Asset(partitions_def=LETTERS, deps=[rs.AssetDef.input("up", mapping)])
    def down(up):
        seen.append(up)

    repo = repository(letters(diary), down)
    repo.materialize(["up"], partition_key=ALL)
    repo.materialize(["down"], partition_key=key)
    assert seen == [received]


@pytest.mark.parametrize(
    ("mapping", "received"),
    [
        (None, {"a": "A", "b": "B", "c": "C"}),
        (Mapping.all_partitions(), {"a": "A", "b": "B", "c": "C"}),
        (Mapping.specific_partitions(["c", "a"]), {"a": "A", "c": "C"}),
        (Mapping.specific_partitions(["b"]), {"b": "B"}),
        (Mapping.for_keys(["b"]), {"b": "B"}),
        (Mapping.subset(), {"a": "A", "b": "B", "c": "C"}),
        (Mapping.subset(Mapping.specific_partitions(["b"])), {"b": "B"}),
    ],
)
def test_mapping_from_partitions_to_unpartitioned_asset(repository, diary, mapping, received):
    seen = []

    @rs.Asset(deps=[rs.AssetDef.input("up", mapping)])
    def down(up):
        seen.append(up)

    repository(letters(diary), down).materialize(partition_key=ALL)
    assert seen == [received]


@pytest.mark.parametrize("mapping", [None, Mapping.identity(), Mapping.all_partitions(), Mapping.subset()])
def test_mapping_from_unpartitioned_asset(repository, diary, mapping):
    @rs.Asset(io_handler=diary)
    def rate() -> int:
        return 2

    @rs.Asset(partitions_def=LETTERS, io_handler=diary, deps=[rs.AssetDef.input("rate", mapping)])
    def down(context: Context, rate: int):
        return rs.PartitionedOutput({key: str(key) * rate for key in context.partition.keys})

    repository(rate, down).materialize(partition_key=["a", "b"])
    assert (diary.values["down/a"], diary.values["down/b"]) == ("aa", "bb")
    assert [context.partition for context in diary.loaded] == [None, None]


@pytest.mark.parametrize(
    ("mapping", "key", "received"),
    [
        (None, "2024-01-02", {"us": 2, "eu": 2, "asia": 2}),
        (Mapping.multi_to_single("date"), "2024-01-02", {"us": 2, "eu": 2, "asia": 2}),
        (
            Mapping.multi_to_single("date", Mapping.time_window(-1)),
            "2024-01-02",
            {"us": 1, "eu": 1, "asia": 1},
        ),
    ],
)
def test_mapping_from_several_dimensions_to_one(repository, diary, mapping, key, received):
    seen = []

    @rs.Asset(partitions_def=BOTH, io_handler=diary)
    def cell(context: Context):
        return rs.PartitionedOutput({key: int(key.keys["date"][0][-2:]) for key in context.partition.keys})

    @rs.Asset(partitions_def=DAYS, deps=[rs.AssetDef.input("cell", mapping)])
    def down(cell):
        seen.append({key.keys["region"][0]: value for key, value in cell.items()})

    repo = repository(cell, down)
    repo.materialize(
        ["cell"],
        partition_key=Range.multi({"date": ("2024-01-01", "2024-01-03"), "region": ["us", "eu", "asia"]}),
    )
    repo.materialize(["down"], partition_key=key)
    assert seen == [received]


@pytest.mark.parametrize(
    ("mapping", "received"),
    [
        (None, "2024-01-02"),
        (Mapping.multi_to_single("date"), "2024-01-02"),
        (Mapping.multi_to_single("date", Mapping.time_window(-1)), "2024-01-01"),
        (
            Mapping.multi_to_single("date", Mapping.subset(Mapping.time_window(-1))),
            {"2024-01-01": "2024-01-01"},
        ),
    ],
)
def test_mapping_from_one_dimension_to_several(repository, diary, mapping, received):
    seen = []

    @rs.Asset(partitions_def=DAYS, io_handler=diary)
    def day(context: Context):
        return rs.PartitionedOutput({key: str(key) for key in context.partition.keys})

    @rs.Asset(partitions_def=BOTH, deps=[rs.AssetDef.input("day", mapping)])
    def cell(day):
        seen.append(day)

    repo = repository(day, cell)
    repo.materialize(["day"], partition_key=["2024-01-01", "2024-01-02"])
    repo.materialize(["cell"], partition_key={"date": "2024-01-02", "region": "eu"})
    assert seen == [received]


def test_mapping_per_dimension(repository, diary):
    seen = []

    @rs.Asset(partitions_def=BOTH, io_handler=diary)
    def up(context: Context):
        return rs.PartitionedOutput({key: str(key) for key in context.partition.keys})

    mapping = Mapping.multi({"date": Mapping.time_window(-1), "region": Mapping.specific_partitions(["us"])})

    @rs.Asset(partitions_def=BOTH, deps=[rs.AssetDef.input("up", mapping)])
    def down(up: dict[str, str]) -> None:
        seen.append(list(up))

    repo = repository(up, down)
    repo.materialize(["up"], partition_key={"date": "2024-01-01", "region": "us"})
    repo.materialize(["down"], partition_key={"date": "2024-01-02", "region": "eu"})
    assert seen == [["date=2024-01-01|region=us"]]


@pytest.mark.parametrize(
    "listed",
    [
        ["date=2024-01-02|region=eu"],
        [{"date": "2024-01-02", "region": "eu"}],
        Key.multi({"date": "2024-01-02", "region": "eu"}),
        Range.multi({"date": ("2024-01-02", "2024-01-02"), "region": ["eu"]}),
    ],
)
def test_mapping_accepts_every_form_of_dimension_keys(repository, diary, listed):
    @rs.Asset(partitions_def=BOTH, io_handler=diary)
    def up(context: Context) -> str:
        return context.partition_key

    @rs.Asset(io_handler=diary, deps=[rs.AssetDef.input("up", Mapping.specific_partitions(listed))])
    def down(up: dict[str, str]) -> list[str]:
        return list(up)

    repo = repository(up, down)
    repo.materialize(["up"], partition_key={"date": "2024-01-02", "region": "eu"})
    repo.materialize(["down"])
    assert diary.values["down"] == ["date=2024-01-02|region=eu"]


def test_range_of_dynamic_keys_comes_from_storage(repository, diary):
    customers = rs.PartitionsDefinition.dynamic("customers")
    listed = Mapping.specific_partitions(Range.single("zoe", "mia"))

    @rs.Asset(partitions_def=customers, io_handler=diary)
    def up(context: Context) -> str:
        return rs.PartitionedOutput({key: str(key) for key in context.partition.keys})

    @rs.Asset(io_handler=diary, deps=[rs.AssetDef.input("up", listed)])
    def down(up: dict[str, str]) -> list[str]:
        return list(up)

    repo = repository(up, down)
    repo.validate()
    repo.storage.add_dynamic_partitions("customers", ["eve", "zoe", "adam", "mia"])
    repo.materialize(partition_key=["eve", "zoe", "adam", "mia"])
    assert diary.values["down"] == ["zoe", "adam", "mia"]


def test_range_beyond_definition_is_refused_at_resolve(repository, diary):
    deps = [rs.AssetDef.input("up", Mapping.for_keys(Range.single("a", "z")))]
    down = rs.Asset(lambda up: up, name="down", partitions_def=LETTERS, deps=deps)
    with pytest.raises(rs.exceptions.GraphValidationError, match="'down'.*'z'"):
        repository(letters(diary), down).validate()


def test_multi_asset_output_declares_mapping(repository, diary):
    seen = []
    defs = [rs.AssetDef("x", partition_mapping=Mapping.specific_partitions(["c"])), rs.AssetDef("y")]

    @rs.Asset.from_multi(output_defs=defs, partitions_def=LETTERS)
    def both(up):
        seen.append(up)
        return {"x": 1, "y": 2}

    repo = repository(letters(diary), both)
    repo.materialize(["up"], partition_key="c")
    repo.materialize(["both"], partition_key="a")
    assert seen == [{"c": "C"}]


def test_multi_asset_outputs_with_different_mappings_are_refused(repository, diary):
    defs = [
        rs.AssetDef("x", partition_mapping=Mapping.specific_partitions(["c"])),
        rs.AssetDef("y", partition_mapping=Mapping.identity()),
    ]

    @rs.Asset.from_multi(output_defs=defs, partitions_def=LETTERS)
    def both(up):
        return {"x": 1, "y": 2}

    with pytest.raises(
        rs.exceptions.GraphValidationError, match=r"different partition mappings.*AssetDef\.input"
    ):
        repository(letters(diary), both).validate()


def test_impossible_mappings_are_reported_together(repository, diary):
    def consumer(name, definition, mapping):
        return rs.Asset(
            lambda up: up, name=name, partitions_def=definition, deps=[rs.AssetDef.input("up", mapping)]
        )

    repo = repository(
        letters(diary),
        consumer("shapes", DAYS, None),
        consumer("keys", LETTERS, Mapping.specific_partitions(["z"])),
        consumer("pairs", LETTERS, Mapping.static_({"a": "x"})),
        consumer("from_none", None, Mapping.identity()),
    )
    with pytest.raises(rs.exceptions.GraphValidationError) as caught:
        repo.validate()
    texts = caught.value.findings
    for name, key in (
        ("shapes", "static_"),
        ("keys", "'z'"),
        ("pairs", "'x'"),
        ("from_none", "which has none"),
    ):
        assert any(f"'{name}'" in text and key in text for text in texts), (name, texts)


def test_offset_beyond_all_windows_is_refused_at_resolve(repository, diary):
    up = rs.Asset(lambda: 1, name="up", partitions_def=DAYS)
    deps = [rs.AssetDef.input("up", Mapping.time_window(-90))]
    down = rs.Asset(lambda up: up, name="down", partitions_def=DAYS, deps=deps)
    with pytest.raises(
        rs.exceptions.GraphValidationError, match="'2023-10-03'.*'2024-01-01' to '2024-02-29'"
    ):
        repository(up, down).validate()


def test_window_before_the_first_is_named(repository, diary):
    up = rs.Asset(lambda: 1, name="up", partitions_def=DAYS)
    deps = [rs.AssetDef.input("up", Mapping.time_window(-1))]
    down = rs.Asset(lambda up: up, name="down", partitions_def=DAYS, deps=deps)
    with pytest.raises(rs.exceptions.ExecutionError, match="'2023-12-31'"):
        repository(up, down).materialize(["down"], partition_key="2024-01-01")


def test_definition_without_complete_window_resolves(repository):
    """On its first day a daily asset has no window before: no mistake of the definitions."""
    days = rs.PartitionsDefinition.daily(datetime.now().replace(hour=0, minute=0, second=0, microsecond=0))
    up = rs.Asset(lambda: 1, name="up", partitions_def=days)
    deps = [rs.AssetDef.input("up", Mapping.time_window(-1))]
    repository(up, rs.Asset(lambda up: up, name="down", partitions_def=days, deps=deps)).validate()


# ------------------------------------------------------------------ provenance


@pytest.mark.parametrize("batches", [False, True])
def test_provenance_of_key_names_its_inputs(repository, diary, batches):
    @rs.Asset(partitions_def=LETTERS, io_handler=diary)
    def up(context: Context):
        return rs.PartitionedOutput(
            {key: rs.Output(1, data_version=f"v{key}") for key in context.partition.keys}
        )

    @rs.Asset(partitions_def=LETTERS, io_handler=diary, partition_batches=batches)
    def down(context: Context, up):
        return rs.PartitionedOutput(up) if batches else up

    repo = repository(up, down)
    repo.materialize(partition_key=ALL)
    events = repo.storage.get_latest_materializations("down")
    assert {key: events[key].input_data_versions for key in ALL} == {key: [("up", f"v{key}")] for key in ALL}


def test_provenance_is_equal_for_joint_and_single_runs(repository, diary):
    mapping = Mapping.static_({"a": ["a", "b"], "b": ["b", "c"], "c": []})

    @rs.Asset(partitions_def=LETTERS, io_handler=diary)
    def up(context: Context):
        return rs.PartitionedOutput(
            {key: rs.Output(1, data_version=f"v{key}") for key in context.partition.keys}
        )

    deps = [rs.AssetDef.input("up", mapping)]

    @rs.Asset(partitions_def=LETTERS, io_handler=diary, deps=deps, partition_batches=True)
    def down(context: Context, up):
        return rs.PartitionedOutput(dict.fromkeys(context.partition.keys))

    def provenance(repo):
        events = repo.storage.get_latest_materializations("down")
        return {key: list(event.input_data_versions) for key, event in events.items()}

    together, one_by_one = repository(up, down), repository(up, down)
    together.materialize(partition_key=ALL)
    one_by_one.materialize(["up"], partition_key=ALL)
    for key in ALL:
        one_by_one.materialize(["down"], partition_key=key)
    assert provenance(together) == provenance(one_by_one)
    assert provenance(together)["c"] == []


def test_asset_without_former_partitions_has_separate_history(repository, diary):
    """The newest event is of a partition that is no more; the value without partitions has its own event."""
    storage = rs.Storage.memory()
    plain = rs.Asset(lambda: rs.Output(1, data_version="plain"), name="up", io_handler=diary)
    repository(plain).resolve(storage).materialize()
    parted = rs.Asset(lambda: rs.Output(1, data_version="parted"), name="up", partitions_def=LETTERS)
    repository(parted).resolve(storage).materialize(partition_key="a")

    @rs.Asset(io_handler=diary)
    def down(up):
        return up

    repo = repository(plain, down).resolve(storage)
    repo.materialize(["down"])
    assert storage.get_latest_materialization("down").input_data_versions == [("up", "plain")]
    assert diary.loaded[0].upstream.data_version == "plain"
    assert repo.load_node("up") == 1
    assert diary.loaded[-1].upstream.data_version == "plain"


# ------------------------------------------------------------------ time


@pytest.mark.parametrize(
    ("key", "windows"),
    [
        ("2024-02-29", [(datetime(2024, 2, 29), datetime(2024, 3, 1))]),
        (
            Range.single("2024-02-28", "2024-02-29"),
            [(datetime(2024, 2, 28), datetime(2024, 2, 29)), (datetime(2024, 2, 29), datetime(2024, 3, 1))],
        ),
    ],
)
def test_context_has_window_of_key(repository, key, windows):
    seen = []

    @rs.Asset(partitions_def=DAYS)
    def a(context: Context):
        seen.append(context.partition_time_window)
        return rs.PartitionedOutput(dict.fromkeys(context.partition.keys))

    repository(a).materialize(partition_key=key)
    assert seen == windows


def test_context_has_window_of_time_dimension(repository):
    seen = []

    @rs.Asset(partitions_def=BOTH)
    def a(context: Context):
        seen.append(context.partition_time_window)

    repository(a).materialize(partition_key={"date": "2024-02-29", "region": "us"})
    assert seen == [(datetime(2024, 2, 29), datetime(2024, 3, 1))]


@pytest.mark.parametrize(
    ("definition", "first", "last", "count"),
    [
        # clocks in Europe and America skip or repeat an hour on these days; keys count on the calendar
        (rs.PartitionsDefinition.hourly("2024-03-10", end="2024-03-11"), "T00:00", "T23:00", 24),
        (rs.PartitionsDefinition.hourly("2024-10-27", end="2024-10-28"), "T00:00", "T23:00", 24),
        (rs.PartitionsDefinition.daily("2024-02-28", end="2024-03-02"), "02-28", "03-01", 3),
        (rs.PartitionsDefinition.daily("2023-02-28", end="2023-03-02"), "02-28", "03-01", 2),
        (rs.PartitionsDefinition.daily("2024-02-28", end="2024-03-02", fmt="%d.%m.%Y"), "28.02", "01.03", 3),
        (
            rs.PartitionsDefinition.daily("2024-12-30", end="2025-01-02", fmt="%Y-%j"),
            "2024-365",
            "2025-001",
            3,
        ),
        (
            rs.PartitionsDefinition.time_window("2024-01-01", "*/15 9-10 * * 1-5", end="2024-01-08"),
            "",
            "",
            40,
        ),
        (
            rs.PartitionsDefinition.time_window("2024-01-01", "*/20 * * * * *", end="2024-01-01T00:02"),
            "",
            "",
            6,
        ),
        (
            rs.PartitionsDefinition.time_window("2024-01-31", "0 0 L * *", end="2024-05-01"),
            "01-31",
            "04-30",
            4,
        ),
        (
            rs.PartitionsDefinition.time_window("2024-01-01", interval_seconds=90, end="2024-01-01T00:06"),
            "",
            "",
            4,
        ),
    ],
)
def test_every_window_of_grid_is_stored_and_loaded_once(repository, diary, definition, first, last, count):
    seen = []

    @rs.Asset(partitions_def=definition, io_handler=diary)
    def up(context: Context):
        windows = {key: definition.window_of(key) for key in context.partition.keys}
        return rs.PartitionedOutput(windows)

    @rs.Asset
    def down(up: dict[str, Any]):
        seen.append(up)

    keys = definition.get_partition_keys()
    repository(up, down).materialize(partition_key=Range.single(str(keys[0]), str(keys[-1])))
    assert len(keys) == len(diary.values) == len(seen[0]) == count
    assert first in next(iter(seen[0]))
    assert last in list(seen[0])[-1]
    windows = list(seen[0].values())
    assert all(before[1] == after[0] for before, after in pairwise(windows))


def test_days_map_to_months_in_leap_year(repository, diary):
    @rs.Asset(partitions_def=DAYS, io_handler=diary)
    def day(context: Context):
        return rs.PartitionedOutput(dict.fromkeys(context.partition.keys, 1))

    @rs.Asset(partitions_def=MONTHS, io_handler=diary)
    def month(day: dict[str, int]) -> int:
        return sum(day.values())

    repo = repository(day, month)
    repo.materialize(["day"], partition_key=Range.single("2024-01-01", "2024-02-29"))
    repo.materialize(["month"], partition_key="2024-01")
    repo.materialize(["month"], partition_key="2024-02")
    assert (diary.values["month/2024-01"], diary.values["month/2024-02"]) == (31, 29)


# ------------------------------------------------------------------ load_node


@pytest.fixture
def stored(repository, diary):
    repo = repository(letters(diary))
    repo.materialize(partition_key=["a", "b"])
    return repo


@pytest.mark.parametrize("key", ["a", Key.single("a"), Key.single(["a"])])
def test_load_node_returns_value_of_one_key(stored, key):
    assert stored.load_node("up", partition_key=key) == "A"


@pytest.mark.parametrize(
    "keys", [["b", "a"], Key.single(["b", "a"]), "b,a", Range.single("a", "b"), [Range.single("a", "b")]]
)
def test_load_node_returns_several_keys_in_order(stored, keys):
    loaded = stored.load_node("up", partition_key=keys)
    assert list(loaded.items()) == [(Key.single("a"), "A"), (Key.single("b"), "B")]


@pytest.mark.parametrize("keys", [["a"], Range.single("a", "a")])
def test_load_node_of_list_or_range_returns_dictionary(stored, keys):
    assert stored.load_node("up", partition_key=keys) == {"a": "A"}


def test_load_node_applies_hint_of_dictionary(stored, diary):
    loaded = stored.load_node("up", partition_key=["a", "b"], type_hint=dict[str, bytes])
    assert loaded == {"a": "A", "b": "B"}
    assert [type(key) for key in loaded] == [str, str]
    assert [context.type_hint for context in diary.loaded] == [bytes, bytes]


def test_load_node_names_every_missing_key(stored):
    with pytest.raises(rs.exceptions.NotMaterializedError, match=r"1 of the 3 partition keys.*: c;"):
        stored.load_node("up", partition_key=["a", "b", "c"])


def test_load_node_without_key_lists_partitions(stored):
    with pytest.raises(rs.exceptions.PartitionValidationError, match=r"\ba, b\b"):
        stored.load_node("up")
    with pytest.raises(rs.exceptions.PartitionValidationError, match="'z'"):
        stored.load_node("up", partition_key="z")


def test_load_node_refuses_key_of_unpartitioned_asset(repository):
    repo = repository(rs.Asset(lambda: 1, name="plain"))
    repo.materialize()
    with pytest.raises(rs.exceptions.PartitionValidationError, match="'plain' is not partitioned"):
        repo.load_node("plain", partition_key="a")


# ------------------------------------------------------------------ status


def test_status_of_partitions_that_no_longer_map(repository, diary):
    """The definition began a day earlier when the first day was stored."""
    storage = rs.Storage.memory()

    def windows(start):
        days = rs.PartitionsDefinition.daily(start, end="2024-01-04")
        up = rs.Asset(lambda: 1, name="up", partitions_def=days, io_handler=diary)
        deps = [rs.AssetDef.input("up", Mapping.time_window(-1))]
        down = rs.Asset(lambda up: up, name="down", partitions_def=days, io_handler=diary, deps=deps)
        return repository(up, down).resolve(storage)

    before = windows("2024-01-01")
    for day in ("2024-01-01", "2024-01-02"):
        before.materialize(["up"], partition_key=day)
    for day in ("2024-01-02", "2024-01-03"):
        before.materialize(["down"], partition_key=day)
    statuses = {status.partition: status for status in windows("2024-01-02").status("down")}
    assert [status.state for status in statuses.values()] == ["stale", "fresh"]
    assert "no longer map" in statuses["2024-01-02"].reason
    assert "'2024-01-01'" in statuses["2024-01-02"].reason

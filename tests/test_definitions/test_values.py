from __future__ import annotations

import asyncio
import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivers.definitions import (
    AssetExecutionContext,
    Backoff,
    Compute,
    FailureReason,
    Hook,
    HookContext,
    Materialization,
    Observation,
    Output,
    PartitionedOutput,
    Resource,
    RetryOn,
    RetryPolicy,
    SelfDependency,
    TaskExecutionContext,
)
from rivers.definitions.retry import classify
from rivers.exceptions import (
    AssetDefinitionError,
    ConfigurationError,
    ExecutionError,
    IntegrityError,
    NotMaterializedError,
    PartitionDefinitionError,
    PartitionValidationError,
    ResultDefinitionError,
)
from rivers.mappings import PartitionMapping
from rivers_core.metadata import MetadataValue
from rivers_core.partitions import PartitionContext, PartitionKey, PartitionsDefinition


def double(attempt, compute):
    return compute.scaled(memory=2 ** (attempt - 1))


class Client(Resource):
    url: str = "localhost"
    _connection: object = None

    def setup(self) -> None:
        self._connection = lambda: None


VALUES = [
    Output(1, output_name="a", metadata={"rows": 1}, data_version="v", tags={"k": "v"}),
    Materialization(metadata={"rows": 1}),
    Observation(data_version="v"),
    PartitionedOutput({"a": 1}),
    RetryPolicy(3, backoff=Backoff.fixed([1, 2]), retry_on=(ValueError, FailureReason.TIMEOUT)),
    RetryPolicy(escalate=Compute(cpu=2)),
    RetryPolicy(escalate=double),
    Backoff.exponential(1, max=10, jitter=0.5),
    RetryOn.TRANSIENT,
    Compute(cpu=1, memory="1Gi", gpu=1),
    Hook.success(print, name="say"),
    PartitionMapping.identity(),
    PartitionMapping.static_({"a": ["b", "c"], "d": []}),
    PartitionMapping.multi({"x": PartitionMapping.subset(), "y": PartitionMapping.time_window(-1)}),
    PartitionMapping.multi_to_single("x", PartitionMapping.for_keys(["a"])),
    PartitionMapping.specific_partitions(["a", {"x": "1", "y": "2"}]),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value).partition(" at 0x")[0])
def test_values_are_comparable_hashable_picklable_and_immutable(value):
    again = pickle.loads(pickle.dumps(value))
    assert again == value == copy.deepcopy(value)
    assert hash(again) == hash(value)
    assert repr(again) == repr(value)
    assert value != object()
    with pytest.raises(AttributeError):
        value.anything = 1


def test_the_repr_of_a_value_is_its_constructor_call():
    policy = RetryPolicy(3, backoff=Backoff.exponential(1, max=30), retry_on=RetryOn.TRANSIENT)
    assert repr(policy) == (
        "RetryPolicy(max_retries=3, backoff=Backoff.exponential(1.0, factor=2.0, max=30.0), retry_on=RetryOn.TRANSIENT)"
    )
    assert repr(PartitionMapping.static_({"a": ["b"]})) == "PartitionMapping.static_({'a': ['b']})"
    assert repr(PartitionMapping.subset(PartitionMapping.time_window(-1))) == (
        "PartitionMapping.subset(PartitionMapping.time_window(-1))"
    )


# results


def test_metadata_of_a_result_is_typed():
    output = Output([1], metadata={"rows": 1, "note": MetadataValue.md("*")})
    assert output.value == [1]
    assert output.metadata == {"rows": MetadataValue.int(1), "note": MetadataValue.md("*")}
    assert Output().metadata is None
    assert Output().tags is None


@pytest.mark.parametrize("kind", [Output, Materialization, Observation])
@pytest.mark.parametrize(
    "options", [{"output_name": ""}, {"output_name": 3}, {"data_version": 3}, {"metadata": [1]}]
)
def test_a_wrong_argument_of_a_result_is_named(kind, options):
    with pytest.raises(ResultDefinitionError, match=f"{kind.__name__}.*{next(iter(options))}"):
        kind(**options)


def test_metadata_that_cannot_be_stored_is_a_type_error():
    with pytest.raises(TypeError):
        Output(1, metadata={"x": object()})


@pytest.mark.parametrize("tags", ["a", ["a"], [("a", 1)], 3])
def test_tags_of_a_result_are_pairs(tags):
    with pytest.raises(ResultDefinitionError, match="tags"):
        Output(1, tags=tags)


def test_tags_of_a_result_may_be_a_dictionary_or_pairs():
    assert Output(1, tags={"a": "b"}).tags == Output(1, tags=[("a", "b")]).tags == [("a", "b")]


def test_a_result_in_a_result_is_refused():
    with pytest.raises(ResultDefinitionError, match="Materialization.*itself a result"):
        Output(Materialization())


def test_values_of_partitions_are_kept_by_key():
    multi = PartitionKey.multi({"a": "1", "b": "2"})
    output = PartitionedOutput({"x": 1, PartitionKey.single("y"): 2, "a=1|b=2": 3})
    assert list(output.values) == [PartitionKey.single("x"), PartitionKey.single("y"), multi]
    assert output.values["x"] == 1


@pytest.mark.parametrize("values", [{}, [1], {3: 1}, {PartitionKey.single(["a", "b"]): 1}])
def test_each_partition_has_exactly_one_value(values):
    with pytest.raises(ResultDefinitionError, match="PartitionedOutput"):
        PartitionedOutput(values)


# own value


def test_only_what_was_never_stored_is_none():
    assert SelfDependency(None, False).get_inner() is None
    assert SelfDependency(3, True).get_inner() == 3
    assert SelfDependency(None, True).is_stored
    assert SelfDependency(0).get_inner() == 0


# contexts


def partition(*keys):
    return PartitionContext(
        [PartitionKey(key) for key in keys], PartitionsDefinition.daily("2024-01-01", "2024-02-01")
    )


def test_a_context_is_built_with_a_name_alone():
    context = AssetExecutionContext("orders")
    assert (context.tags, context.kinds, context.group, context.is_multi_asset) == ((), (), None, False)
    assert context.config is None
    assert context.output_selection is None
    assert context.output_metadata is None
    assert context.log.name == "rivers.assets.orders"
    assert TaskExecutionContext("clean").log.name == "rivers.tasks.clean"


def test_the_partition_key_of_a_context_is_text():
    context = AssetExecutionContext("orders", partition=partition("2024-01-02"))
    assert context.has_partition_key
    assert context.partition_key == "2024-01-02"
    start, end = context.partition_time_window
    assert (str(start), str(end)) == ("2024-01-02 00:00:00", "2024-01-03 00:00:00")


def test_several_partition_keys_are_joined():
    assert TaskExecutionContext("t", partition=partition("2024-01-02", "2024-01-03")).partition_key == (
        "2024-01-02,2024-01-03"
    )
    multi = PartitionContext([PartitionKey({"a": "1", "b": ["x", "y"]})])
    assert AssetExecutionContext("a", partition=multi).partition_key == "a=1|b=x,y"


def test_without_a_partition_the_key_is_an_error_and_the_window_none():
    for context in (AssetExecutionContext("orders"), TaskExecutionContext("orders")):
        assert not context.has_partition_key
        assert context.partition_time_window is None
        with pytest.raises(PartitionValidationError, match="'orders' runs without a partition key"):
            _ = context.partition_key


def test_metadata_of_a_context_adds_up_and_the_last_wins():
    context = AssetExecutionContext("orders")
    context.add_output_metadata({"rows": 1, "a": "x"})
    context.add_output_metadata({"rows": 2})
    assert context.output_metadata == {"rows": MetadataValue.int(2), "a": MetadataValue.text("x")}


def test_a_data_version_is_text():
    context = AssetExecutionContext("orders")
    context.register_data_version("v1")
    assert context.registered_data_version == "v1"
    with pytest.raises(ResultDefinitionError, match="'orders'"):
        context.register_data_version(3)


# retries


class Killed(Exception):
    failure_reason = FailureReason.OUT_OF_MEMORY


def caused(cause):
    error = ExecutionError("wrapped")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError(), FailureReason.ERROR),
        (MemoryError(), FailureReason.OUT_OF_MEMORY),
        (TimeoutError(), FailureReason.TIMEOUT),
        (ConnectionResetError(), FailureReason.INFRASTRUCTURE),
        (OSError(28, "no space left"), FailureReason.INFRASTRUCTURE),
        (FileNotFoundError(), FailureReason.ERROR),
        (PermissionError(), FailureReason.ERROR),
        (KeyboardInterrupt(), FailureReason.CANCELLED),
        (asyncio.CancelledError(), FailureReason.CANCELLED),
        (NotMaterializedError("a"), FailureReason.ERROR),
        (IntegrityError("bad"), FailureReason.ERROR),
        (Killed(), FailureReason.OUT_OF_MEMORY),
        (caused(ConnectionError()), FailureReason.INFRASTRUCTURE),
        (caused(None), FailureReason.ERROR),
    ],
    ids=repr,
)
def test_the_reason_of_a_failure_is_read_from_its_error(error, reason):
    assert classify(error) is RetryPolicy().classify(error) is reason


def test_all_is_everything_but_cancellation():
    assert all(
        RetryOn.ALL.accepts(error) for error in (ValueError(), MemoryError(), TimeoutError(), OSError())
    )
    assert not RetryOn.ALL.accepts(KeyboardInterrupt())


def test_transient_is_what_may_go_away_by_itself():
    assert [
        RetryOn.TRANSIENT.accepts(error) for error in (TimeoutError(), OSError(), ValueError(), MemoryError())
    ] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("retry_on", "retried"),
    [
        (None, [ValueError, OSError]),
        (RetryOn.TRANSIENT, [OSError]),
        (ValueError, [ValueError]),
        (FailureReason.ERROR, [ValueError]),
        ((RetryOn.TRANSIENT, ValueError), [ValueError, OSError]),
        ({FailureReason.TIMEOUT}, []),
    ],
)
def test_what_is_retried_can_be_said_in_several_ways(retry_on, retried):
    policy = RetryPolicy(retry_on=retry_on)
    assert [kind for kind in (ValueError, OSError) if policy.should_retry(kind(), 1)] == retried


def test_retries_end():
    policy = RetryPolicy(2)
    assert [policy.should_retry(ValueError(), attempt) for attempt in (1, 2, 3)] == [
        FailureReason.ERROR,
        FailureReason.ERROR,
        None,
    ]
    assert RetryPolicy(0).should_retry(ValueError(), 1) is None
    assert RetryPolicy().max_retries == 1


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        (Backoff.constant(5), [5, 5, 5, 5]),
        (Backoff.linear(2), [2, 4, 6, 8]),
        (Backoff.linear(2, 5), [2, 4, 5, 5]),
        (Backoff.exponential(1), [1, 2, 4, 8]),
        (Backoff.exponential(1, 3, max=10), [1, 3, 9, 10]),
        (Backoff.fixed([1, 10]), [1, 10, 10, 10]),
    ],
    ids=repr,
)
def test_waits_grow_as_said(backoff, delays):
    assert [backoff.delay(attempt) for attempt in (1, 2, 3, 4)] == delays
    assert RetryPolicy(9, backoff=backoff).delay(2) == delays[1]


def test_without_a_backoff_there_is_no_wait():
    assert RetryPolicy().delay(1) == 0


@given(st.integers(1, 100_000), st.floats(0, 1), st.floats(0, 1000))
def test_a_wait_is_never_above_its_limit_nor_below_the_share_that_is_sure(attempt, jitter, base):
    wait = Backoff.exponential(base, max=60, jitter=jitter).delay(attempt)
    full = Backoff.exponential(base, max=60).delay(attempt)
    assert full * (1 - jitter) * 0.999 <= wait <= full <= 60


@given(st.integers(1, 1_000_000))
def test_a_wait_without_limit_stays_a_number(attempt):
    assert 0 <= Backoff.exponential(1).delay(attempt) < float("inf")


@pytest.mark.parametrize(
    ("escalate", "memory"),
    [
        (None, ["1Gi", "1Gi", "1Gi"]),
        (Compute(memory="2Gi"), ["1Gi", "2Gi", "2Gi"]),
        ([Compute(memory="2Gi"), Compute(memory="4Gi")], ["1Gi", "2Gi", "4Gi"]),
        ({3: Compute(memory="8Gi")}, ["1Gi", "1Gi", "8Gi"]),
        (double, ["1Gi", "2Gi", "4Gi"]),
    ],
)
def test_later_attempts_may_get_more_machine(escalate, memory):
    policy = RetryPolicy(3, escalate=escalate)
    assert [policy.compute_for(attempt, Compute(memory="1Gi")).memory for attempt in (1, 2, 3)] == memory


@pytest.mark.parametrize(
    "make",
    [
        lambda: RetryPolicy(-1),
        lambda: RetryPolicy(1.5),
        lambda: RetryPolicy(True),
        lambda: RetryPolicy(backoff=5),
        lambda: RetryPolicy(retry_on="all"),
        lambda: RetryPolicy(retry_on=[3]),
        lambda: RetryPolicy(escalate="2Gi"),
        lambda: RetryPolicy(escalate={1: Compute()}),
        lambda: RetryPolicy(escalate=[3]),
        lambda: Backoff.constant(-1),
        lambda: Backoff.constant("5"),
        lambda: Backoff.linear(float("nan")),
        lambda: Backoff.exponential(1, factor=0.5),
        lambda: Backoff.exponential(1, jitter=2),
        lambda: Backoff.fixed([]),
        lambda: Backoff.fixed(5),
        lambda: Backoff.fixed([1, -1]),
    ],
)
def test_a_wrong_argument_of_a_policy_is_refused(make):
    with pytest.raises(ConfigurationError, match=r"RetryPolicy|Backoff"):
        make()


# compute


@pytest.mark.parametrize(
    ("given", "kept"),
    [(2, "2"), (0.5, "500m"), ("500m", "500m"), ("0.25", "250m"), ("1000m", "1"), (1.5, "1500m")],
)
def test_cores_are_normalised(given, kept):
    assert Compute(cpu=given).cpu == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2Gi", "2Gi"),
        ("2048Mi", "2Gi"),
        (1024, "1Ki"),
        ("1G", "1G"),
        ("1.5Gi", "1536Mi"),
        (1, "1"),
        ("500M", "500M"),
    ],
)
def test_memory_is_normalised(given, kept):
    assert Compute(memory=given).memory == kept


@given(st.integers(1, 2**50))
def test_normalising_memory_changes_no_byte(size):
    compute = Compute(memory=size)
    assert compute.memory_bytes == size
    assert Compute(memory=compute.memory) == compute


def test_equal_quantities_are_equal():
    assert Compute(cpu=1, memory="1024Mi") == Compute(cpu="1000m", memory="1Gi")
    assert Compute(cpu=2, memory="1Gi", gpu=1).scaled(cpu=0.5, memory=3) == Compute(
        cpu=1, memory="3Gi", gpu=1
    )


@pytest.mark.parametrize(
    "options",
    [
        {"cpu": 0},
        {"cpu": "0.0001"},
        {"cpu": "2 cores"},
        {"cpu": True},
        {"cpu": float("inf")},
        {"cpu": "1Gi"},
        {"memory": "2GB"},
        {"memory": -1},
        {"memory": "lots"},
        {"memory": ""},
        {"gpu": -1},
        {"gpu": 0.5},
        {"gpu": True},
    ],
    ids=repr,
)
def test_what_is_no_quantity_is_refused(options):
    name, value = next(iter(options.items()))
    with pytest.raises(ConfigurationError) as caught:
        Compute(**options)
    assert f"Compute({name}={value!r})" in str(caught.value)


# hooks and resources


def test_hooks_are_called_with_their_context():
    seen = []

    @Hook.success
    def stored(context):
        seen.append(context.asset_name)

    @Hook.failure(name="page")
    def failed(context):
        seen.append(str(context.error))

    assert (stored.name, stored.hook_type) == ("stored", "success")
    assert (failed.name, failed.hook_type) == ("page", "failure")
    stored(HookContext("orders", run_id="r", output=3))
    failed(HookContext("orders", hook_type="failure", error=ValueError("bad")))
    assert seen == ["orders", "bad"]
    with pytest.raises(AssetDefinitionError, match="wraps a function"):
        Hook.success("page")


def test_a_resource_reads_its_fields_as_settings_do(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert Client().url == "localhost"
    (tmp_path / ".env").write_text("URL=from-file\nFOREIGN=1\n")
    assert Client().url == "from-file"
    monkeypatch.setenv("URL", "from-environment")
    assert Client().url == "from-environment"
    assert Client(url="given").url == "given"


def test_an_open_resource_travels_as_its_fields():
    client = Client(url="given")
    client.setup()
    again = pickle.loads(pickle.dumps(client))
    assert again.url == "given"
    assert again._connection is None
    Resource().setup()
    Resource().teardown()


# mappings


def test_only_a_subset_allows_missing_keys():
    m = PartitionMapping
    assert m.subset().allows_missing
    assert m.multi({"x": m.subset()}).allows_missing
    assert m.multi_to_single("x", m.subset()).allows_missing
    assert m.for_keys(["a"], m.subset()).allows_missing
    for other in (
        m.identity(),
        m.all_partitions(),
        m.for_keys(["a"]),
        m.multi_to_single("x"),
        m.time_window(-1),
    ):
        assert not other.allows_missing


@pytest.mark.parametrize(
    "make",
    [
        lambda: PartitionMapping.static_({}),
        lambda: PartitionMapping.static_([("a", "b")]),
        lambda: PartitionMapping.static_({"a": 3}),
        lambda: PartitionMapping.time_window("-1"),
        lambda: PartitionMapping.time_window(True),
        lambda: PartitionMapping.specific_partitions([]),
        lambda: PartitionMapping.specific_partitions([3]),
        lambda: PartitionMapping.specific_partitions(["a,b"]),
        lambda: PartitionMapping.multi({}),
        lambda: PartitionMapping.multi({"x": "identity"}),
        lambda: PartitionMapping.multi_to_single(""),
        lambda: PartitionMapping.multi_to_single("x", "identity"),
        lambda: PartitionMapping.for_keys([]),
        lambda: PartitionMapping.subset("identity"),
    ],
)
def test_a_mapping_that_says_nothing_is_refused(make):
    with pytest.raises(PartitionDefinitionError):
        make()


def test_keys_of_a_mapping_may_be_text_dictionaries_or_keys():
    multi = PartitionKey.multi({"x": "1"})
    mapping = PartitionMapping.static_({multi: {"y": ["2", "3"]}, "a": PartitionKey.single(["b", "c"])})
    assert mapping.pairs == (
        (multi, (PartitionKey({"y": "2"}), PartitionKey({"y": "3"}))),
        (PartitionKey.single("a"), (PartitionKey.single("b"), PartitionKey.single("c"))),
    )


def test_a_mapping_refuses_a_key_whose_text_names_a_dimension_twice():
    with pytest.raises(PartitionDefinitionError, match="'region' is given twice"):
        PartitionMapping.specific_partitions("d=1|region=us|region=eu")

"""The published API as a table of calls and results: names, defaults, attributes, reprs and error types."""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta

import pytest

import rivers as rs

K, M, P, D, R = (
    rs.PartitionKey,
    rs.PartitionMapping,
    rs.MetadataValue,
    rs.PartitionsDefinition,
    rs.PartitionKeyRange,
)
B = rs.Backoff


def function(x=None, y=None):
    return None


def asset(**options):
    return rs.Asset(function, name="a", **options)


def multi(**options):
    return rs.Asset.from_multi(
        function, output_defs=[rs.AssetDef("a"), rs.AssetDef("b", tags=["own"])], **options
    )


def hook():
    return rs.Hook.success(func=function, name="my_hook")


REPRS = {
    'PartitionMapping.multi_to_single(dimension_name="d", partition_mapping=PartitionMapping.identity())': (
        lambda: M.multi_to_single(dimension_name="d")
    ),
    "PartitionMapping.time_window(offset=-1)": lambda: M.time_window(-1),
    "PartitionMapping.static_({'a': 'x', 'b': ['y', 'z']})": lambda: M.static_(
        mapping={"a": "x", "b": ["y", "z"]}
    ),
    "PartitionMapping.specific_partitions(['a', 'b'])": lambda: M.specific_partitions(
        partition_keys=["b", "a"]
    ),
    "PartitionMapping.for_keys(['a'])": lambda: M.for_keys(selectors=[K.single("a")]),
    "PartitionMapping.multi({'a': ('b', PartitionMapping.identity())})": (
        lambda: M.multi(dimension_mappings={"a": ("b", M.identity())})
    ),
    'PartitionKeyRange.single(from_key="a", to_key="b")': lambda: R.single(from_key="a", to_key="b"),
    'PartitionKeyRange.multi({"a": ["x", "y"], "b": ("1", "2")})': (
        lambda: R.multi(dimensions={"a": ["y", "x"], "b": ("1", "2")})
    ),
    "Hook.Success(name='my_hook')": hook,
    "Observation()": rs.Observation,
    "Output(value=1, tags=['raw'])": lambda: rs.Output(1, tags=["raw"]),
    "Materialization(data_version='v')": lambda: rs.Materialization(data_version="v"),
    "AssetExecutionContext(asset_name='a')": lambda: rs.AssetExecutionContext("a"),
    "TaskExecutionContext(task_name='t')": lambda: rs.TaskExecutionContext("t"),
    "OutputContext(asset_name='a')": lambda: rs.OutputContext("a"),
    "InputContext(asset_name='a', downstream_asset='b')": lambda: rs.InputContext("a", "b"),
    "HookContext(asset_name='a', hook_type='success')": lambda: rs.HookContext("a"),
    "DepDef.input('x')": lambda: rs.AssetDef.input("x"),
    "DepDef.dep('x')": lambda: rs.AssetDef.dep("x"),
    "MetadataValue.duration(2.0)": lambda: P.duration(timedelta(seconds=2)),
    "MetadataValue.bytes(1024)": lambda: P.bytes(1024),
    "Backoff.linear(1.0, initial=2.0, max_delay=9.0)": lambda: B.linear(1, initial=2, max_delay=9),
    "Backoff.exponential(1.0, factor=3.0, jitter=0.5)": lambda: B.exponential(1, factor=3, jitter=0.5),
    "Compute(memory='2Gi', gpu='1')": lambda: rs.Compute(memory="2Gi", gpu=1),
    "ComputeEscalation(max_memory='8Gi', factor=2.0)": lambda: rs.ComputeEscalation(max_memory="8Gi"),
}


@pytest.mark.parametrize("text", REPRS)
def test_repr_is_the_call_with_what_was_set(text):
    assert repr(REPRS[text]()) == text


VALUES = {
    "mapping variants": (
        lambda: [
            isinstance(mapping, getattr(M, name))
            for name, mapping in {
                "Identity": M.identity(),
                "AllPartitions": M.all_partitions(),
                "Static": M.static_({"a": "b"}),
                "TimeWindow": M.time_window(1),
                "Multi": M.multi({"a": M.identity()}),
                "MultiToSingle": M.multi_to_single("a"),
                "SpecificPartitions": M.specific_partitions(["a"]),
                "ForKeys": M.for_keys([K.single("a")]),
                "Subset": M.subset(),
            }.items()
        ],
        [True] * 9,
    ),
    "MultiToSingle": (
        lambda: [(m := M.multi_to_single("d")).dimension_name, m.partition_mapping],
        ["d", M.identity()],
    ),
    "MultiToSingle defaults to identity": (lambda: M.multi_to_single("d", M.identity()), M.multi_to_single("d")),
    "Static.mapping": (lambda: M.static_({"a": "x", "b": ["y"]}).mapping, {"a": "x", "b": "y"}),
    "TimeWindow.offset": (lambda: M.time_window(offset=-2).offset, -2),
    "SpecificPartitions.partition_keys": (lambda: M.specific_partitions(["b", "a"]).partition_keys, ["a", "b"]),
    "SpecificPartitions sorts": (lambda: M.specific_partitions(["b", "a"]), M.specific_partitions(["a", "b"])),
    "Multi.dimension_mappings": (
        lambda: M.multi({"a": M.identity(), "b": ("c", M.subset())}).dimension_mappings,
        {"a": ("a", M.identity()), "b": ("c", M.subset())},
    ),
    "ForKeys.selectors": (lambda: M.for_keys([K.single("b"), R.single("c", "d")]).selectors, ["b", R.single("c", "d")]),
    "ranges sort lists": (lambda: R.multi({"a": ["y", "x"]}), R.multi({"a": ["x", "y"]})),
    "range keys": (lambda: [(r := R.single("a", "b")).from_key, r.to_key], ["a", "b"]),
    "PartitionKey.to_json": (
        lambda: [K.single("a").to_json(), K.multi({"region": "us"}).to_json()],
        ['{"single":["a"]}', '{"multi":{"region":["us"]}}'],
    ),
    "PartitionKey.from_json": (lambda: K.from_json('{"single":["a","b"]}'), K.single(["a", "b"])),
    "weekly keys": (
        lambda: [str(key) for key in D.weekly("2024-01-01", end="2024-01-20").get_partition_keys()],
        ["2024-01-01", "2024-01-08", "2024-01-15"],
    ),
    "monthly keys": (
        lambda: [str(key) for key in D.monthly("2023-12", end="2024-03-01").get_partition_keys()],
        ["2023-12", "2024-01", "2024-02"],
    ),
    "monthly window": (
        lambda: D.monthly(datetime(2024, 1, 1), end="2025-01").window_of("2024-02"),
        (datetime(2024, 2, 1), datetime(2024, 3, 1)),
    ),
    "asset without options": (
        lambda: [(a := asset()).tags, a.kinds, a.group, a.metadata, a.hooks, a.deps, a.partition_mapping, a.observe_fn],
        [None, [], None, None, None, [], None, None],
    ),
    "asset.partition_mapping": (
        lambda: asset(deps=[rs.AssetDef.dep("x", M.identity()), rs.AssetDef.dep("y")]).partition_mapping,
        {"x": M.identity()},
    ),
    "labels of a multi-asset": (
        lambda: [(a := multi(tags=["all"], kinds="k", group="g")).tags, a.kinds, a.group, a.metadata],
        [None, [], None, None],
    ),
    "labels of its outputs": (
        lambda: [[o.tags, o.kinds, o.group] for o in multi(tags=["all"], kinds="k", group="g").output_defs],
        [[["all"], ["k"], "g"], [["all", "own"], ["k"], "g"]],
    ),
    "partitions of its outputs": (
        lambda: multi(partitions_def=D.static_(["a"])).output_defs[1].partitions_def,
        D.static_(["a"]),
    ),
    "mapping of its outputs": (
        lambda: multi(deps=[rs.AssetDef.input("x", M.identity())]).output_defs[0].partition_mapping,
        {"x": M.identity()},
    ),
    "AssetDef without options": (
        lambda: [(d := rs.AssetDef("a")).tags, d.kinds, d.metadata, d.deps, d.partition_mapping, d.type_hint],
        [None, [], None, [], None, None],
    ),
    "AssetDef.partition_mapping": (
        lambda: rs.AssetDef("a", partition_mapping={asset(): M.identity(), "b": M.subset()}).partition_mapping,
        {"a": M.identity(), "b": M.subset()},
    ),
    "DepDef.is_input": (lambda: [rs.AssetDef.input("x").is_input, rs.AssetDef.dep("x").is_input], [True, False]),
    "Task without options": (lambda: rs.Task(function).tags, None),
    "Task.partition_mapping": (
        lambda: rs.Task(function, partition_mapping={"x": M.identity()}).partition_mapping,
        {"x": M.identity()},
    ),
    "BashTask without options": (lambda: [(t := rs.BashTask("b", "ls")).tags, t.env, t.cwd], [None, None, None]),
    "BashTask value": (lambda: rs.BashTask("b", "printf ' a \\n\\n\\n'")(), " a "),
    "BashTask keeps carriage returns": (lambda: rs.BashTask("b", "printf 'a\\r\\n'")(), "a\r"),
    "tags of results": (
        lambda: [rs.Output(1, tags=["raw"]).tags, rs.Materialization(tags={"a": "b"}).tags],
        [["raw"], {"a": "b"}],
    ),
    "asset context": (
        lambda: [(c := rs.AssetExecutionContext("a")).tags, c.kinds, c.output_selection, c.asset_metadata],
        [None, [], [], None],
    ),
    "order of its arguments": (
        lambda: rs.AssetExecutionContext("a", ["t"], ["k"], "g", "v", {"m": 1}, None, True, ["o"]).output_selection,
        ["o"],
    ),
    "task context": (lambda: rs.TaskExecutionContext("t").tags, None),
    "hook classes": (
        lambda: [isinstance(hook(), rs.Hook.Success), isinstance(hook(), rs.Hook.Failure), hook().hook_type],
        [True, False, "success"],
    ),
    "hook context": (
        lambda: [(c := rs.HookContext("a", error="ValueError: boom", metadata={"m": 1})).error, c.metadata, c.config],
        ["ValueError: boom", {"m": 1}, None],
    ),
    "numbers of metadata": (
        lambda: [P.bytes(3).raw_value(), P.timestamp(1.5).value, P.duration(2).raw_value()],
        [3, 1.5, 2.0],
    ),
    "list of metadata": (lambda: P.list_([1]).raw_value(), [P.int(1)]),
    "json text": (lambda: P.json('{"a":1}').raw_value(), '{"a":1}'),
    "canonical URL": (lambda: P.url("https://example.com").raw_value(), "https://example.com/"),
    "delays": (
        lambda: [[backoff.delay(n) for n in (1, 2, 3)] for backoff in (
            B.constant(5), B.linear(2, initial=1), B.exponential(initial=1, factor=3, max_delay=5),
            B.fixed(schedule=[1, 9])
        )],
        [[5, 5, 5], [3, 5, 7], [1, 3, 5], [1, 9, 9]],
    ),
    "escalated memory": (
        lambda: rs.RetryPolicy(5, escalate=rs.ComputeEscalation(max_memory="8Gi")).compute_for(
            3, rs.Compute(memory="3Gi")
        ),
        rs.Compute(memory="8Gi"),
    ),
    "escalation counts out-of-memory failures": (
        lambda: rs.RetryPolicy(5, escalate=rs.ComputeEscalation(max_memory="8Gi")).compute_for(
            3, rs.Compute(memory="1Gi"), [rs.FailureReason.TIMEOUT, rs.FailureReason.OUT_OF_MEMORY]
        ),
        rs.Compute(memory="2Gi"),
    ),
    "escalated cores": (
        lambda: rs.ComputeEscalation(max_memory="8Gi", cpu_factor=2, max_cpu=3, on=rs.FailureReason.TIMEOUT).escalated(
            rs.Compute(cpu=1), 2
        ),
        rs.Compute(cpu=3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_call_has_the_published_result(name):
    call, expected = VALUES[name]
    assert call() == expected


ERRORS = {
    "AssetDef.input(42)": (lambda: rs.AssetDef.input(42), rs.exceptions.AssetDefinitionError, TypeError),
    "AssetDef type hint as text": (
        lambda: rs.AssetDef("a", type_hint="int"), rs.exceptions.AssetDefinitionError, TypeError),
    "BashTask(command=123)": (lambda: rs.BashTask("b", command=123), rs.exceptions.TaskDefinitionError, TypeError),
    "failing command": (lambda: rs.BashTask("b", "exit 3")(), rs.exceptions.ExecutionError, OSError),
    "missing command": (lambda: rs.BashTask("b", ["no-such-command"])(), rs.exceptions.ExecutionError, OSError),
    "multi of a number": (lambda: M.multi({"x": 42}), rs.exceptions.PartitionDefinitionError, TypeError),
    "definition of a number": (lambda: D.multi({"x": 42}), rs.exceptions.PartitionDefinitionError, TypeError),
    "empty multi": (lambda: M.multi({}), rs.exceptions.PartitionValidationError, ValueError),
    "no specific partitions": (lambda: M.specific_partitions([]), rs.exceptions.PartitionValidationError, ValueError),
    "far offset": (lambda: M.time_window(offset=-10_000_000), rs.exceptions.PartitionValidationError, ValueError),
    "keys of dynamic partitions": (
        lambda: D.dynamic("d").get_partition_keys(), rs.exceptions.PartitionValidationError, NotImplementedError),
    "dynamic key": (
        lambda: rs.Storage.memory().add_dynamic_partitions("d", [""]),
        rs.exceptions.StorageError, rs.exceptions.PartitionDefinitionError),
    "month that starts late": (lambda: D.monthly("2024-01-02"), rs.exceptions.PartitionDefinitionError, ValueError),
    "fraction in a cron start": (
        lambda: D.time_window(datetime(2024, 1, 1, 0, 0, 0, 5), "0 0 * * *"),
        rs.exceptions.PartitionDefinitionError, ValueError),
    "bound hook": (lambda: hook()(function), rs.exceptions.AssetDefinitionError, ValueError),
    "input without a parameter": (
        lambda: asset(deps=[rs.AssetDef.input("z")]), rs.exceptions.AssetDefinitionError, ValueError),
    "dimensions as a number": (lambda: K.multi(3), rs.exceptions.PartitionDefinitionError, TypeError),
    "no dimension": (
        lambda: D.multi({}), rs.exceptions.PartitionDefinitionError, rs.exceptions.PartitionValidationError),
    "no key": (lambda: D.static_([]), rs.exceptions.PartitionDefinitionError, rs.exceptions.PartitionValidationError),
    "attempts as text": (lambda: rs.RetryPolicy("2"), rs.exceptions.ConfigurationError, TypeError),
    "cores as a list": (lambda: rs.Compute(cpu=[]), rs.exceptions.ConfigurationError, TypeError),
    "threads as text": (lambda: rs.Executor.in_process(io_threads="2"), rs.exceptions.ConfigurationError, TypeError),
    "assets as a number": (lambda: rs.CodeRepository(3), rs.exceptions.AssetDefinitionError, TypeError),
    "a number as asset": (lambda: rs.CodeRepository([3]), rs.exceptions.AssetDefinitionError, TypeError),
    "a number as job": (lambda: rs.CodeRepository([], jobs=[3]), rs.exceptions.GraphValidationError, TypeError),
    "fraction of chrono": (
        lambda: D.daily("2024-01-01", fmt="%Y-%m-%d%.3f"), rs.exceptions.PartitionDefinitionError, ValueError),
    "tags as a number": (lambda: rs.Output(1, tags=3), rs.exceptions.ResultDefinitionError, TypeError),
    "unknown job": (
        lambda: rs.CodeRepository([], config=False).get_job("nightly"), rs.exceptions.NodeNotFoundError, LookupError),
    "retries as text": (lambda: B.constant("5"), rs.exceptions.ConfigurationError, TypeError),
    "bytes as text": (lambda: P.bytes("5"), rs.exceptions.InvalidMetadataError, TypeError),
    "number among tags": (lambda: asset(tags=[1]), rs.exceptions.AssetDefinitionError, TypeError),
    "number as group": (lambda: asset(group=3), rs.exceptions.AssetDefinitionError, TypeError),
    "batches as a number": (lambda: asset(partition_batches=3), rs.exceptions.AssetDefinitionError, TypeError),
    "number among tags of a task": (
        lambda: rs.BashTask("b", "true", tags=[3]), rs.exceptions.TaskDefinitionError, TypeError),
    "text as output": (
        lambda: rs.Asset.from_multi(function, ["x"]), rs.exceptions.AssetDefinitionError, TypeError),
    "version as a number": (
        lambda: rs.AssetExecutionContext("a").register_data_version(3), rs.exceptions.ResultDefinitionError, TypeError),
    "start as a number": (lambda: D.daily(3), rs.exceptions.PartitionDefinitionError, TypeError),
    "fmt as a number": (lambda: D.daily("2024-01-01", fmt=3), rs.exceptions.PartitionDefinitionError, TypeError),
    "interval as text": (
        lambda: D.time_window("2024-01-01", interval_seconds="x"), rs.exceptions.PartitionDefinitionError, TypeError),
    "name of dynamic partitions as a number": (
        lambda: D.dynamic(3), rs.exceptions.PartitionDefinitionError, TypeError),
    "selector as a number": (lambda: M.for_keys(3), rs.exceptions.PartitionDefinitionError, TypeError),
    "dynamic keys as text": (
        lambda: rs.Storage.memory().add_dynamic_partitions("d", "ab"), rs.exceptions.StorageError, TypeError),
    "dynamic keys as a number": (
        lambda: rs.Storage.memory().add_dynamic_partitions("d", 3), rs.exceptions.StorageError, TypeError),
    "number as dynamic key": (
        lambda: rs.Storage.memory().add_dynamic_partitions("d", [3]), rs.exceptions.StorageError, TypeError),
    "definition of dynamic keys as a number": (
        lambda: rs.Storage.memory().add_dynamic_partitions(3, ["a"]), rs.exceptions.StorageError, TypeError),
    "number as dynamic key of a question": (
        lambda: rs.Storage.memory().has_dynamic_partition("d", 3), rs.exceptions.StorageError, TypeError),
    "number as dynamic key to delete": (
        lambda: rs.Storage.memory().delete_dynamic_partition("d", 3), rs.exceptions.StorageError, TypeError),
    "definition of a question as a number": (
        lambda: rs.Storage.memory().has_dynamic_partition(3, "a"), rs.exceptions.StorageError, TypeError),
    "definition of a list of keys as a number": (
        lambda: rs.Storage.memory().get_dynamic_partitions(3), rs.exceptions.StorageError, TypeError),
    "asset of events as a number": (
        lambda: rs.Storage.memory().get_events_for_asset(3), rs.exceptions.StorageError, TypeError),
    "limit of events as text": (
        lambda: rs.Storage.memory().get_events_for_asset("a", limit="3"), rs.exceptions.StorageError, TypeError),
    "selection as a number": (
        lambda: rs.CodeRepository([], config=False).materialize(3), rs.exceptions.AssetNotFoundError, TypeError),
    "config as a number": (
        lambda: rs.CodeRepository([], config=3).validate(), rs.exceptions.ConfigurationError, TypeError),
    "storage as a number": (
        lambda: rs.CodeRepository([], config=False).resolve(3), rs.exceptions.ConfigurationError, TypeError),
    "policy as a number": (
        lambda: rs.CodeRepository([], config=False, default_retry_policy=3).validate(),
        rs.exceptions.ConfigurationError, TypeError),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_mistake_raises_every_class_that_readers_catch(name):
    call, *classes = ERRORS[name]
    with pytest.raises(rs.exceptions.RiversError) as raised:
        call()
    assert all(isinstance(raised.value, kind) for kind in classes)
    assert type(pickle.loads(pickle.dumps(raised.value))) is type(raised.value)


def test_errors_are_created_without_init_as_tblib_does():
    classes = [
        kind
        for kind in vars(rs.exceptions).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    assert rs.exceptions.CommandError in classes
    for kind in classes:
        assert isinstance(kind.__new__(kind), kind)


DAYS = D.daily("2024-01-01", end="2024-01-03")


def graph_error(*assets, **arguments):
    with pytest.raises(rs.exceptions.GraphValidationError) as raised:
        rs.CodeRepository(assets, config=False, **arguments).validate()
    return raised.value


def consumer(**options):
    return rs.Asset(name="consumer", **options)(lambda a: a)


FINDINGS = {
    "PartitionValidationError": lambda: graph_error(
        asset(partitions_def=DAYS),
        consumer(partitions_def=D.static_(["x"]), deps=[rs.AssetDef.input("a", M.time_window(1))]),
    ),
    "ConfigurationError": lambda: graph_error(asset(partitions_def="weeks"), consumer(retry="patient")),
    "NodeNotFoundError": lambda: graph_error(asset(), jobs=[rs.Job("j", ["b"])]),
    "AssetDefinitionError": lambda: graph_error(asset(io_handler="no-such-handler")),
}


@pytest.mark.parametrize("kind", FINDINGS)
def test_findings_of_one_kind_raise_that_kind(kind):
    error = FINDINGS[kind]()
    assert isinstance(error, getattr(rs.exceptions, kind))
    restored = pickle.loads(pickle.dumps(error))
    assert (type(restored), restored.findings) == (type(error), error.findings)


def test_findings_of_several_kinds_are_of_none():
    error = graph_error(asset(partitions_def="weeks"), jobs=[rs.Job("j", ["b"])])
    assert len(error.findings) == 2
    assert not isinstance(error, (rs.exceptions.ConfigurationError, rs.exceptions.NodeNotFoundError))


def test_run_of_dynamic_asset_requires_key():
    repo = rs.CodeRepository([asset(partitions_def=D.dynamic("d"))], config=False)
    for key in (None, "unknown"):
        with pytest.raises(rs.exceptions.ExecutionError) as raised:
            repo.materialize(partition_key=key)
        assert isinstance(raised.value, rs.exceptions.PartitionValidationError)


def test_partition_time_window_of_other_partitions_is_an_error():
    context = rs.AssetExecutionContext("a", partition=rs.PartitionContext([K.single("x")], D.static_(["x"])))
    with pytest.raises(rs.exceptions.PartitionValidationError, match="'x'"):
        _ = context.partition_time_window


def test_run_record_has_the_published_attributes():
    storage = rs.Storage.memory()
    run = storage.start_run("r", job="nightly", tags=[("rivers/priority", "-3")], steps=["a"])
    assert (run.status, run.job_name, run.node_names, run.priority) == ("Started", "nightly", ["a"], -3)
    assert storage.finish_run("r", "failure").status == "Failure"
    assert [found.run_id for found in storage.get_runs(status="FAILURE")] == ["r"]
    assert storage.get_runs(status="Started") == storage.get_runs(status="running") == []


def test_asset_record_has_the_published_attributes(tmp_path):
    repo = rs.CodeRepository([asset(code_version="1")], config=False)
    for storage in (rs.Storage.memory(), rs.Storage.embedded(tmp_path)):
        repo.resolve(storage).materialize()
        record = storage.get_asset_record(asset_key="a")
        event = storage.get_latest_materialization(asset_key="a")
        assert (record.last_event_id, record.last_timestamp) == (event.id, event.timestamp)
        assert (record.last_data_version, record.last_materialization_code_version) == (
            event.data_version,
            "1",
        )
        assert record.last_input_data_versions == []
        storage.close()


def test_asset_record_exists_from_resolve_on(tmp_path):
    definition = asset(code_version="1", tags=["daily"], kinds="table", group="sales")
    for storage in (rs.Storage.memory(), rs.Storage.embedded(tmp_path)):
        assert storage.get_asset_record("a") is None
        repo = rs.CodeRepository([definition], config=False).resolve(storage)
        record = storage.get_asset_record("a")
        facts = (["daily"], ["table"], "sales", "1")
        assert (record.tags, record.kinds, record.group, record.code_version) == facts
        assert (record.last_event, record.last_timestamp, record.last_data_version) == (None, None, None)
        assert (record.last_event_id, record.last_run_id, record.last_input_data_versions) == (None, None, [])
        assert storage.get_asset_records() == [record]
        assert storage.get_asset_record("b") is None
        repo.materialize()
        record = storage.get_asset_record("a")
        assert (record.tags, record.kinds, record.group, record.code_version) == facts
        assert record.last_timestamp > 0
        storage.close()
    repo = rs.CodeRepository([definition], config=False).resolve()
    assert repo.storage.get_asset_record("a").group == "sales"


def test_asset_record_has_versions_of_observations():
    def observe(context: rs.AssetExecutionContext):
        context.register_data_version("v7")

    handler = rs.InMemoryIOHandler()
    repo = rs.CodeRepository(
        [rs.Asset.external(observe, name="outside", io_handler=handler)], config=False
    ).resolve()
    repo.observe()
    record = repo.storage.get_asset_record("outside")
    assert (record.last_data_version, record.last_timestamp is None) == ("v7", False)


def test_tags_of_results_are_read_back_as_given(tmp_path):
    @rs.Asset
    def a():
        return rs.Output(1, tags=["raw"])

    @rs.Asset
    def b():
        return rs.Materialization(tags={"quality": "checked"})

    repo = rs.CodeRepository([a, b], config=False)
    for storage in (rs.Storage.memory(), rs.Storage.embedded(tmp_path)):
        repo.resolve(storage).materialize()
        assert storage.get_latest_materialization("a").tags == ["raw"]
        assert storage.get_latest_materialization("b").tags == [("quality", "checked")]
        storage.close()


@pytest.mark.parametrize("selection", ["", " ", [], "a -a"])
def test_empty_selection_is_refused(selection):
    repo = rs.CodeRepository([asset()], config=False)
    repo.resolve()
    with pytest.raises(rs.exceptions.AssetNotFoundError):
        repo.materialize(selection)


def test_document_of_unknown_asset_is_refused():
    repo = rs.CodeRepository([asset()], config=False)
    repo.resolve()
    with pytest.raises(rs.exceptions.ConfigurationError, match="'b'"):
        repo.materialize(config={"assets": {"b": {}}})

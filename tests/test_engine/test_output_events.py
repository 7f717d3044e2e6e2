"""Events and hooks per output, the reasons of failures, and metadata that a handler sees."""

from __future__ import annotations

import json

import pytest

import rivers as rs


def events(repo, asset, kind):
    return [event for event in repo.storage.get_events_for_asset(asset) if event.event_type == kind]


@pytest.fixture
def calls():
    return []


@pytest.fixture
def hooks(calls):
    @rs.Hook.success
    def stored(context):
        calls.append(
            (context.asset_name, context.output, context.metadata, context.output_metadata.get("rows"))
        )

    @rs.Hook.failure
    def failed(context):
        calls.append((context.asset_name, context.error, type(context.exception)))

    return [stored, failed]


def both(function, hooks=None, **options):
    outputs = [rs.AssetDef("a", metadata={"unit": "eur"}), rs.AssetDef("b")]
    return rs.Asset.from_multi(output_defs=outputs, name="both", hooks=hooks, **options)(function)


def test_success_hooks_are_called_per_output(repository, hooks, calls):
    def function():
        yield rs.Output(1, output_name="a", metadata={"rows": 1})
        yield rs.Output(2, output_name="b")

    repository(both(function, hooks)).materialize()
    rows = rs.MetadataValue.int(1)
    assert calls == [("a", 1, {"unit": "eur"}, rows), ("b", 2, None, None)]


def test_failure_is_reported_per_missing_output(repository, hooks, calls):
    def function():
        yield rs.Output(1, output_name="a")
        raise ValueError("no b")

    repo = repository(both(function, hooks, retry=rs.RetryPolicy(1, backoff=rs.Backoff.constant(0.001))))
    repo.materialize(raise_on_error=False)
    assert calls == [("a", 1, {"unit": "eur"}, None), ("b", "ValueError: no b", ValueError)]
    assert len(events(repo, "b", "StepFailure")) == len(events(repo, "b", "StepRetry")) == 1
    assert events(repo, "a", "StepFailure") == events(repo, "both", "StepFailure") == []


def test_observed_output_is_not_reported_as_missing(repository, hooks, calls):
    def function():
        yield rs.Observation(output_name="a", metadata={"rows": 1})
        raise ValueError("no b")

    repo = repository(both(function, hooks))
    repo.materialize(raise_on_error=False)
    assert [call[0] for call in calls] == ["a", "b"]
    assert events(repo, "a", "StepFailure") == []
    assert len(events(repo, "b", "StepFailure")) == 1


def test_failure_after_the_last_output_calls_the_hook_of_the_asset(repository, hooks, calls):
    def function():
        yield rs.Output(1, output_name="a")
        yield rs.Output(2, output_name="b")
        raise ValueError("too late")

    repo = repository(both(function, hooks))
    result = repo.materialize(raise_on_error=False)
    assert [call[:2] for call in calls] == [("a", 1), ("b", 2), ("both", "ValueError: too late")]
    assert result.materialized_assets == ["a", "b"]


def test_failure_events_are_machine_readable(repository):
    class Unavailable(ConnectionError):
        pass

    @rs.Asset(retry=rs.RetryPolicy(1, backoff=rs.Backoff.constant(0.02)))
    def a():
        raise Unavailable("down")

    repo = repository(a)
    repo.materialize(raise_on_error=False)
    (retry,), (failure,) = events(repo, "a", "StepRetry"), events(repo, "a", "StepFailure")
    assert dict(retry.metadata) == {
        "rivers/attempt": "1",
        "rivers/failure_reason": "infrastructure",
        "rivers/next_delay_ms": "20",
    }
    metadata = dict(failure.metadata)
    assert metadata["rivers/failure_reason"] == "infrastructure"
    classes = json.loads(metadata["rivers/exc_type"])
    assert classes[0].endswith("Unavailable")
    assert classes[1:3] == ["builtins.ConnectionError", "builtins.OSError"]


def test_failure_of_last_node_names_node_and_graph(repository):
    @rs.Task
    def compute():
        raise ValueError("no")

    repo = repository(rs.Asset.from_graph(lambda: compute(), name="answer"))
    repo.materialize(raise_on_error=False)
    assert (
        len(events(repo, "answer/compute", "StepFailure")) == len(events(repo, "answer", "StepFailure")) == 1
    )


def test_observation_counts_as_the_output_of_a_multi_asset(repository, diary):
    def function():
        yield rs.Output(1, output_name="a")
        yield rs.Observation(output_name="b", data_version="v7", metadata={"rows": 3})

    repo = repository(both(function, io_handler=diary))
    assert repo.materialize().materialized_assets == ["a"]
    (observed,) = repo.storage.get_events_for_asset("b", with_steps=False)
    assert (observed.event_type, observed.data_version, dict(observed.metadata)) == (
        "Observation",
        "v7",
        {"rows": "3"},
    )
    assert [context.asset_name for context in diary.stored] == ["a"]


def test_handler_sees_the_metadata_of_context_and_output(repository):
    class Seeing(rs.BaseIOHandler):
        def handle_output(self, context, obj):
            context.add_output_metadata({"seen": len(context.output_metadata), "rows": 0, "at": "handler"})

        def load_input(self, context): ...

    @rs.Asset(io_handler=Seeing())
    def a(context: rs.AssetExecutionContext):
        context.add_output_metadata({"rows": 1, "at": "context"})
        return rs.Output(1, metadata={"rows": 2})

    repo = repository(a)
    repo.materialize()
    event = repo.storage.get_latest_materialization("a")
    assert dict(event.metadata) == {"seen": "2", "rows": "2", "at": "handler"}

"""Results of functions: what is stored and recorded for each."""

from __future__ import annotations

import uuid

import pytest

import rivers as rs


class VersioningIOHandler(rs.BaseIOHandler):
    """Registers a version and metadata as a handler may."""

    registered: str | None = None
    offered: str | None = None

    def handle_output(self, context, obj):
        context.add_output_metadata({"from": "handler", "handler": 1})
        if self.registered:
            context.register_data_version(self.registered)
        if self.offered:
            context.offer_content_version(self.offered)

    def load_input(self, context):
        raise AssertionError("never loaded")


def test_handler_gets_value_of_output(repository, diary):
    @rs.Asset(io_handler=diary)
    def a():
        return rs.Output(5, metadata={"rows": 1})

    repository(a).materialize()
    assert diary.values == {"a": 5}


def test_metadata_merge_precedence(repository):
    @rs.Asset(io_handler=VersioningIOHandler())
    def a(context: rs.AssetExecutionContext):
        context.add_output_metadata({"from": "context", "context": 1})
        return rs.Output(5, metadata={"from": "output", "output": 1})

    repo = repository(a)
    repo.materialize()
    metadata = dict(repo.storage.get_latest_materialization("a").metadata)
    assert metadata == {"from": "output", "context": "1", "handler": "1", "output": "1"}


@pytest.mark.parametrize(
    ("output", "registered", "in_context", "offered", "expected"),
    [
        ("output", "handler", "context", "content", "output"),
        (None, "handler", "context", "content", "handler"),
        (None, None, "context", "content", "context"),
        (None, None, None, "content", "content"),
    ],
)
def test_data_version_precedence(repository, output, registered, in_context, offered, expected):
    @rs.Asset(io_handler=VersioningIOHandler(registered=registered, offered=offered))
    def a(context: rs.AssetExecutionContext):
        if in_context:
            context.register_data_version(in_context)
        return rs.Output(5, data_version=output)

    repo = repository(a)
    repo.materialize()
    assert repo.storage.get_latest_materialization("a").data_version == expected


def test_data_version_defaults_to_uuid(repository):
    @rs.Asset
    def a():
        return 1

    repo = repository(a)
    versions = set()
    for _ in range(2):
        repo.materialize()
        versions.add(repo.storage.get_latest_materialization("a").data_version)
    assert len(versions) == 2
    assert {uuid.UUID(version).version for version in versions} == {4}


def test_materialization_skips_handler(repository, diary):
    @rs.Asset(io_handler=diary, code_version="c1")
    def up() -> int:
        return 1

    @rs.Asset(io_handler=diary)
    def report(up: int):
        return rs.Materialization(metadata={"pages": 3}, data_version="r1", tags={"kind": "pdf"})

    repo = repository(up, report)
    result = repo.materialize(tags=[("who", "me")])
    event = repo.storage.get_latest_materialization("report")
    assert result.materialized_assets == ["up", "report"]
    assert [context.asset_name for context in diary.stored] == ["up"]
    assert (event.metadata, event.data_version) == ([("pages", "3")], "r1")
    assert list(event.tags) == [("who", "me"), ("kind", "pdf")]
    assert [name for name, _ in event.input_data_versions] == ["up"]


def test_loading_annotated_materialization_is_a_finding(repository):
    @rs.Asset
    def report() -> rs.Materialization:
        raise AssertionError("never runs")

    @rs.Asset
    def down(report):
        raise AssertionError("never runs")

    with pytest.raises(
        rs.exceptions.GraphValidationError, match=r"'report' returns a Materialization.*AssetDef\.dep"
    ):
        repository(report, down).resolve()


def test_loading_materialization_fails_at_run_time(repository):
    @rs.Asset
    def report():
        return rs.Materialization()

    @rs.Asset
    def down(report):
        raise AssertionError("never runs")

    repo = repository(report, down)
    with pytest.raises(rs.exceptions.ExecutionError, match="Materialization"):
        repo.materialize()
    with pytest.raises(rs.exceptions.ExecutionError, match="Materialization"):
        repo.load_node("report")


def test_observation_is_recorded(repository, diary):
    @rs.Asset(io_handler=diary)
    def a():
        return rs.Observation(metadata={"seen": 1})

    repo = repository(a)
    result = repo.materialize()
    assert [event.event_type for event in repo.storage.get_events_for_asset("a")] == [
        "StepSuccess",
        "Observation",
        "StepStart",
    ]
    assert result.materialized_assets == []
    assert diary.stored == []


def make_multi(function, handler, *names):
    return rs.Asset.from_multi(
        function, output_defs=[rs.AssetDef(name, io_handler=handler) for name in names], name="both"
    )


def test_multi_asset_returns_dictionary(repository, diary):
    def both():
        return {"left": 1, "right": 2}

    repo = repository(make_multi(both, diary, "left", "right"))
    assert repo.materialize().materialized_assets == ["left", "right"]
    assert diary.values == {"left": 1, "right": 2}


def test_multi_asset_yields_outputs(repository, diary):
    def both():
        yield rs.Output(1, output_name="left")
        assert diary.values == {"left": 1}
        yield rs.Output(2, output_name="right")

    repository(make_multi(both, diary, "left", "right")).materialize()
    assert diary.values == {"left": 1, "right": 2}


def test_missing_output_is_an_error(repository, diary):
    def both():
        yield rs.Output(1, output_name="left")

    with pytest.raises(rs.exceptions.ExecutionError, match="did not return its declared output 'right'"):
        repository(make_multi(both, diary, "left", "right")).materialize()


def test_undeclared_output_suggests_nearest(repository, diary):
    def both():
        return {"left": 1, "rigth": 2}

    with pytest.raises(rs.exceptions.ExecutionError, match="'rigth'.*Did you mean 'right'"):
        repository(make_multi(both, diary, "left", "right")).materialize()


def test_multi_asset_stores_selected_outputs(repository, diary):
    selections = []

    @rs.Asset.from_multi(
        output_defs=[rs.AssetDef("left", io_handler=diary), rs.AssetDef("right", io_handler=diary)]
    )
    def both(context: rs.AssetExecutionContext):
        selections.append(list(context.output_selection))
        return {"left": 1, "right": 2}

    repo = repository(both)
    assert repo.materialize(["right"]).materialized_assets == ["right"]
    repo.materialize(["both"])
    assert diary.values == {"right": 2, "left": 1}
    assert selections == [["right"], ["left", "right"]]


def test_multi_asset_rejects_plain_value(repository, diary):
    def both():
        return 3

    with pytest.raises(rs.exceptions.ExecutionError, match="return a dict"):
        repository(make_multi(both, diary, "left", "right")).materialize()

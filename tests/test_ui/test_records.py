"""Documents of the page: metadata of every kind, progress of runs, comparisons."""

from __future__ import annotations

from base64 import b64encode
from datetime import date

import pytest

from rivers.storage import Event, RunRecord
from rivers_core.metadata import MetadataValue
from rivers_ui.markup import code_tree, markdown_tree
from rivers_ui.records import comparison_record, event_record, metadata_record, run_record, series_record

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def names_of(tree):
    for item in tree:
        if not isinstance(item, str):
            yield item[0]
            yield from names_of(item[2])


def test_markdown_keeps_html_as_text_and_makes_links_of_images():
    tree = markdown_tree("**bold** <script>x</script> ![logo](http://host/x.png)\n\n|a|b|\n|-|-|\n|1|2|")
    assert set(names_of(tree)) == {"p", "strong", "a", "table", "thead", "tr", "th", "tbody", "td"}
    assert "<script>" in str(tree)


def test_code_tree_names_tokens_and_accepts_unknown_languages():
    assert ["span", {"class": "code-keyword"}, ["def"]] in code_tree("def f(): pass", "python")
    assert code_tree("x", "no such language") == ["x"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (MetadataValue.int(3), {"type": "int", "value": 3}),
        (MetadataValue.null(), {"type": "null"}),
        (MetadataValue.json({"a": [1]}), {"type": "json", "value": {"a": [1]}}),
        (
            MetadataValue.image(PNG),
            {"type": "image", "data": f"data:image/png;base64,{b64encode(PNG).decode()}"},
        ),
        (MetadataValue.image("http://host/x.png"), {"type": "image", "value": "http://host/x.png"}),
        (MetadataValue.list_([1]), {"type": "list", "values": [{"type": "int", "value": 1}]}),
        (
            MetadataValue.date_range(date(2024, 1, 1), date(2024, 1, 2)),
            {"type": "date_range", "start": "2024-01-01", "end": "2024-01-02"},
        ),
    ],
)
def test_metadata_record_describes_each_kind(value, expected):
    assert metadata_record(value.to_plain()) == expected


@pytest.mark.parametrize(
    "content", [b"<svg onload=alert(1)>", b"GIF", b"RIFF    WAVE", PNG + bytes(2_000_000)]
)
def test_metadata_record_shows_only_images_of_pixels(content):
    assert "data" not in metadata_record(MetadataValue.image(content).to_plain())


def materialization(at, version, **metadata):
    return Event(
        "Materialization",
        run_id="r1",
        asset_key="a",
        step="a",
        timestamp=at,
        data_version=version,
        metadata={name: MetadataValue.int(value) for name, value in metadata.items()},
        duration_ns=1_000_000_000,
    )


def test_run_record_counts_keys_attempts_and_failures():
    run = RunRecord("r1", "Failure", 0, 9_000_000_000, node_names=("a", "b", "c"))
    events = [
        materialization(2_000_000_000, "v1"),
        materialization(3_000_000_000, "v2"),
        Event("StepRetry", run_id="r1", asset_key="b", step="b", message="once", duration_ns=1),
        Event("StepFailure", run_id="r1", asset_key="b", step="b", message="twice", attempt=2, duration_ns=1),
        Event("StepSkipped", run_id="r1", asset_key="c", step="c", message="upstream failed"),
    ]
    steps = {step["step"]: step for step in run_record(run, events)["progress"]}
    assert {name: step["state"] for name, step in steps.items()} == {
        "a": "done",
        "b": "failed",
        "c": "skipped",
    }
    assert (steps["a"]["keys"], steps["b"]["message"], len(steps["b"]["bars"])) == (2, "twice", 2)
    assert steps["a"]["bars"][0][1:3] == [1000, 2000]


def test_run_record_shows_what_runs_now():
    run = RunRecord("r1", "Started", 0, node_names=("a", "b"))
    steps = run_record(run, [], [("a", 1, 5_000_000)])["progress"]
    assert [(step["state"], len(step["bars"])) for step in steps] == [("running", 1), ("planned", 0)]


def test_series_record_aligns_values_with_events():
    answer = series_record([materialization(2, "v2", rows=5), materialization(1, "v1", rows=3, other=1)])
    series = {item["name"]: item["values"] for item in answer["series"]}
    assert series["rows"] == [3, 5]
    assert series["other"] == [1, None]
    assert series["duration"] == [1.0, 1.0]


def test_comparison_record_pairs_columns_and_metadata():
    pyarrow = pytest.importorskip("pyarrow")
    before, after = materialization(1, "v1", rows=3), materialization(2, "v2", rows=3)
    for event, names in ((before, ["a", "b"]), (after, ["b", "c"])):
        schema = pyarrow.schema([(name, pyarrow.int64()) for name in names])
        event._metadata = {**event.typed_metadata, "schema": MetadataValue.schema(schema)}
    answer = comparison_record(before, after)
    assert answer["columns"] == [["a", "int64", None], ["b", "int64", "int64"], ["c", None, "int64"]]
    assert [(name, same) for name, _, _, same in answer["metadata"]] == [("rows", True), ("schema", False)]
    assert ["data version", "v1", "v2"] in answer["facts"]


def test_event_record_has_the_size_that_the_handler_reported():
    assert event_record(materialization(1, "v1", **{"lake/size_bytes": 7}))["size"] == 7

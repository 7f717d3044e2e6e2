"""Documents of the page: events with typed metadata, progress of a run, series and comparisons of metadata."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any, Final

from rivers.inspection import event_document, run_document, stored_size
from rivers.storage import Event
from rivers_ui.markup import MAX_TEXT, code_tree, markdown_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rivers.storage import RunRecord
    from rivers.storage.records import LogRecord

Document = dict[str, Any]

MAX_IMAGE: Final = 2_000_000
_IMAGE_PREFIXES: Final = {
    b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF87a": "gif", b"GIF89a": "gif",
}  # fmt: skip
_NUMBERS: Final = ("int", "float", "bytes", "duration", "percentage", "timestamp")
STORED: Final = ("Materialization", "Observation")
_STATES: Final = {
    "StepFailure": "failed",
    "StepSkipped": "skipped",
    "StepRetry": "retrying",
    "StepStart": "running",
}
# a later event may not make less of a step
_RANKS: Final = ("planned", "skipped", "running", "retrying", "done", "failed")


def event_record(event: Event) -> Document:
    """Return an event as `rivers log --json` prints it, with its id, its size, and its metadata by kind."""
    metadata = [[name, metadata_record(value.to_plain())] for name, value in event.typed_metadata.items()]
    return {**event_document(event), "id": event.id, "size": stored_size(event), "metadata": metadata}


def metadata_record(plain: Mapping[str, Any]) -> Document:
    """Return a metadata value for the page: Markdown and code as trees, images only as pixels.

    Args:
        plain: The value as `MetadataValue.to_plain` returns it.
    """
    kind = plain["type"]
    if kind == "md":
        return {"type": kind, "tree": markdown_tree(plain["value"])}
    if kind in ("sql", "code_block"):
        code, language = (
            (plain.get("query"), "sql") if kind == "sql" else (plain.get("code"), plain.get("language"))
        )
        note = plain.get("dialect") if kind == "sql" else language
        return {
            "type": kind,
            "text": str(code)[:MAX_TEXT],
            "note": note,
            "tree": code_tree(str(code), language),
        }
    if kind == "image":
        return _image_record(plain)
    if kind == "list":
        return {"type": kind, "values": [metadata_record(value) for value in plain["values"][:MAX_ITEMS]]}
    if kind == "json":
        return {"type": kind, "value": plain.get("value", plain.get("text"))}
    value = plain.get("value")
    if isinstance(value, str):
        return {"type": kind, "value": value[:MAX_TEXT]}
    return dict(plain)


MAX_ITEMS: Final = 1_000


def _image_record(plain: Mapping[str, Any]) -> Document:
    """Return an image of a known pixel format as a `data:` URL, anything else as text.

    The first bytes decide, not the name or the declared type: a browser runs scripts of an SVG.
    """
    text = plain.get("base64")
    if text is None and str(plain.get("value", "")).startswith("data:image/"):
        text = str(plain["value"]).partition("base64,")[2]
    if text is None:
        return {"type": "image", "value": str(plain.get("value", ""))[:MAX_TEXT]}
    if len(text) > MAX_IMAGE * 4 // 3:
        return {"type": "image", "value": f"image of {len(text) * 3 // 4:,} bytes, too large to show"}
    try:
        content = b64decode(text, validate=True)
    except ValueError:
        content = b""
    name = next((name for prefix, name in _IMAGE_PREFIXES.items() if content.startswith(prefix)), None)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        name = "webp"
    if name is None:
        return {
            "type": "image",
            "value": "image of a format that is not shown (only PNG, JPEG, GIF and WebP are)",
        }
    return {"type": "image", "data": f"data:image/{name};base64,{text}"}


def log_line(entry: Event | LogRecord) -> Document:
    """Return an event, or a record that a step logged, as a line of the log."""
    kind, level = (entry.event_type, None) if isinstance(entry, Event) else (entry.level, entry.level.lower())
    return {
        "at": entry.timestamp / 1e9,
        "event": kind,
        "level": level,
        "run_id": entry.run_id,
        "asset": entry.asset_key,
        "step": entry.step,
        "partition": entry.partition_key,
        "attempt": entry.attempt,
        "message": entry.message,
    }


def run_record(
    run: RunRecord, events: Sequence[Event], running: Iterable[tuple[str, int, int]] = ()
) -> Document:
    """Return a run with the progress of its steps.

    Args:
        run: The run.
        events: Its events, oldest first.
        running: Step, attempt and start (nanoseconds) of what runs now.
    """
    steps: dict[str, Document] = {
        name: {"step": name, "state": "planned", "keys": 0, "failed": 0, "bars": [], "message": None}
        for name in run.node_names
    }
    for event in events:
        name = event.step or event.asset_key
        if name is None or event.event_type.startswith("Run"):
            continue
        step = steps.setdefault(
            name, {"step": name, "state": "planned", "keys": 0, "failed": 0, "bars": [], "message": None}
        )
        _add_to_step(step, event)
    for name, attempt, start in running if run.end_time is None else ():
        if name in steps:
            steps[name]["state"] = "running"
            steps[name]["bars"].append(["running", start // 1_000_000, None, None, attempt])
    for step in steps.values():
        if run.end_time is not None and step["state"] in ("running", "retrying"):
            step["state"] = "failed" if step["failed"] else "interrupted"
    return {**run_document(run), "progress": list(steps.values())}


def _add_to_step(step: Document, event: Event) -> None:
    kind = event.event_type
    state = _STATES.get(kind, "done" if kind in (*STORED, "StepSuccess") else "planned")
    if kind in STORED:
        step["keys"] += 1
    if state == "failed":
        step["failed"] += 1
    if state in ("failed", "skipped", "retrying"):
        step["message"] = event.message
    if _RANKS.index(state) >= _RANKS.index(step["state"]) or step["state"] == "retrying":
        step["state"] = state
    if event.duration_ns is not None and kind != "StepSuccess" and len(step["bars"]) < MAX_BARS:
        end = event.timestamp // 1_000_000
        begin = end - event.duration_ns // 1_000_000
        step["bars"].append([state, begin, end, event.partition_key, event.attempt])


MAX_BARS: Final = 500


def series_record(events: Iterable[Event]) -> Document:
    """Return every numeric metadata value of the materializations of an asset over time, with duration and size.

    Args:
        events: Events of one asset, newest first.
    """
    stored = [event for event in events if event.event_type in STORED][::-1]
    values: dict[str, list[float | None]] = {}
    kinds: dict[str, str] = {}

    def put(index: int, name: str, kind: str, value: float) -> None:
        kinds.setdefault(name, kind)
        values.setdefault(name, [None] * len(stored))[index] = value

    for index, event in enumerate(stored):
        if event.duration_ns is not None:
            put(index, "duration", "duration", event.duration_ns / 1e9)
        size = stored_size(event)
        if size is not None:
            put(index, "size", "bytes", size)
        for name, item in event.typed_metadata.items():
            plain = item.to_plain()
            value = plain.get("value")
            is_size = name.rpartition("/")[2] == "size_bytes"
            if plain["type"] in _NUMBERS and isinstance(value, (int, float)) and not is_size:
                put(index, name, str(plain["type"]), value)
    return {
        "points": [
            {
                "id": event.id,
                "at": event.timestamp / 1e9,
                "run_id": event.run_id,
                "partition": event.partition_key,
            }
            for event in stored
        ],
        "series": [
            {"name": name, "kind": kinds[name], "values": numbers} for name, numbers in values.items()
        ],
    }


def comparison_record(before: Event, after: Event) -> Document:
    """Return the differences between two materializations: facts, inputs, columns and metadata.

    Args:
        before: The first event.
        after: The second event.
    """
    facts = [
        ("data version", before.data_version, after.data_version),
        ("code version", before.code_version, after.code_version),
        ("handler", before.handler, after.handler),
        ("partition", before.partition_key, after.partition_key),
        ("run", before.run_id, after.run_id),
    ]
    inputs = _paired(dict(before.input_data_versions), dict(after.input_data_versions))
    left = {name: value.to_plain() for name, value in before.typed_metadata.items()}
    right = {name: value.to_plain() for name, value in after.typed_metadata.items()}
    schemas = [
        next((v["columns"] for v in side.values() if v["type"] == "schema"), ()) for side in (left, right)
    ]
    columns = [{str(column["name"]): str(column["type"]) for column in schema} for schema in schemas]
    return {
        "a": event_record(before),
        "b": event_record(after),
        "facts": [[name, a, b] for name, a, b in facts if a is not None or b is not None],
        "inputs": inputs,
        "columns": _paired(*columns),
        "metadata": [
            [
                name,
                None if a is None else metadata_record(a),
                None if b is None else metadata_record(b),
                a == b,
            ]
            for name, a, b in _paired(left, right)
        ],
    }


def _paired(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[list[Any]]:
    """Return name, left and right value for the names of both sides, in order."""
    return [[name, left.get(name), right.get(name)] for name in dict.fromkeys((*left, *right))]

"""Worker process of the page: imports the project and answers questions about it, one line each.

A request is `{"call": "assets", "arguments": {}}`. The line of an answer is `result`, a tab and a JSON value, or
`error`, a tab and `{"error": "GraphValidationError", "message": "...", ...}`. Answers contain no credentials.
"""

from __future__ import annotations

import gc
import inspect
import json
import os
import sys
import textwrap
import traceback
from collections import Counter
from contextlib import suppress
from datetime import datetime
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Final, TextIO

from rivers.exceptions import NodeNotFoundError
from rivers.inspection import (
    HandlerFailedError,
    Project,
    ProjectImportError,
    describe_error,
    stored_size,
)
from rivers_core.authoring import redact_secrets
from rivers_core.exceptions import PartitionValidationError, PluginLoadError, RiversError
from rivers_ui.answers import serialize
from rivers_ui.markup import code_tree, markdown_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rivers.definitions.asset import Asset
    from rivers.graph.plan import Graph
    from rivers.inspection import AssetSummary, HandlerUsage, Lineage
    from rivers.partitions import PartitionsDefinition
    from rivers.repository import CodeRepository
    from rivers.storage import Event
    from rivers_core.handler import BaseIOHandler

Document = dict[str, Any]


class InvalidRequestError(RiversError):
    """The page requested something that does not make sense."""


class UnknownNameError(InvalidRequestError):
    """The page requested something whose name does not exist."""


class Worker:
    """Project of one worker process; its repository is resolved once.

    Args:
        project: The project, whose event log is opened read-only.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self._repository: CodeRepository | None = None
        self._has_event_log = False
        self._lineage: tuple[Graph, Lineage] | None = None

    def repository(self) -> CodeRepository:
        """Return the repository with the event log, which is opened read-only; an absent one counts as empty."""
        from rivers.storage import Storage

        folder = self.project.event_log
        is_new = folder is not None and not (folder / "rivers.db").exists()
        if self._repository is None or self._has_event_log == is_new:
            storage = self.project.storage_to_read()
            if self._repository is None or self._has_event_log or storage is not None:
                self._repository = self.project.repository.resolve(storage or Storage.memory(), set_up=False)
                self._has_event_log = storage is not None
                # the definitions stay as long as the process; searching them for garbage takes a fifth of a layout
                gc.collect()
                gc.freeze()
        return self._repository

    def lineage(self) -> Lineage:
        """Return the lineage of all assets."""
        from rivers.inspection import build_lineage

        graph = self.repository().graph
        if self._lineage is None or self._lineage[0] is not graph:
            self._lineage = (graph, build_lineage(graph))
        return self._lineage[1]


def prepare(worker: Worker) -> None:
    """Import and resolve the project, so that the time of the next answer is that of the answer alone."""
    worker.repository()


def list_assets(worker: Worker) -> Document:
    """Return all assets in columns: one list per fact, all in the order of execution."""
    from rivers.inspection import summarize_assets

    rows = [_asset_row(summary) for summary in summarize_assets(worker.repository(), None)]
    columns = dict(zip(_ASSET_COLUMNS, zip(*rows, strict=True), strict=True)) if rows else {}
    return {"count": len(rows), "columns": columns}


_ASSET_COLUMNS: Final = (
    "name", "group", "kinds", "handler", "state", "detail", "partitions", "counts", "at", "run_id", "size", "rows",
    "duration",
)  # fmt: skip


def _asset_row(summary: AssetSummary) -> tuple[Any, ...]:
    last, number = summary.last, summary.counts()
    counts = [number["fresh"], number["stale"], number["missing"]]
    facts = (summary.name, summary.group, summary.kinds, summary.handler, summary.state)
    stored: tuple[Any, ...] = (None,) * 5
    if last is not None:
        duration = None if last.duration_ns is None else last.duration_ns / 1e9
        stored = (last.timestamp / 1e9, last.run_id, stored_size(last), row_count(last), duration)
    return (*facts, summary.detail, summary.partitions, counts, *stored)


def row_count(event: Event) -> int | None:
    """Return the number of rows in the metadata of an event: `rows`, `row_count` or `<handler>/rows`."""
    for name, value in event.typed_metadata.items():
        if name.rpartition("/")[2] in ("rows", "row_count", "num_rows"):
            raw = value.raw_value()
            return raw if isinstance(raw, int) else None
    return None


def next_window(worker: Worker) -> float | None:
    """Return when the next time window of an asset is complete and adds a key, in seconds since 1970; None if never."""
    from rivers.partitions.definitions import MultiPartitions, TimeWindowPartitions

    definitions: list[Any] = [output.partitions_def for output in worker.repository().graph.outputs.values()]
    definitions += [
        item
        for multi in definitions
        if isinstance(multi, MultiPartitions)
        for item in multi.dimensions.values()
    ]
    times = [item.next_key_at() for item in definitions if isinstance(item, TimeWindowPartitions)]
    return min((time.timestamp() for time in times if time is not None), default=None)


def select_assets(worker: Worker, select: str) -> list[str]:
    """Return the names of the assets that a selection stands for."""
    repository = worker.repository()
    return list((repository.select(select.split()) if select.strip() else None) or repository.assets)


def draw_lineage(worker: Worker, select: str, focus: str, depth: int, *, by_group: bool) -> Document:
    """Return the lineage as `rivers graph --json` prints it, with the position of each node and edge.

    Args:
        worker: The worker with the project.
        select: Selection; exactly its assets are shown. Empty shows all.
        focus: An asset; what is more than `depth` edges away from it is left out. Empty shows all.
        depth: Number of edges.
        by_group: Whether each group is one node.

    Raises:
        NodeNotFoundError: An asset does not exist.
    """
    from rivers.inspection import BOX_HEIGHT, compute_layout

    repository = worker.repository()
    lineage = worker.lineage()
    if select.strip():
        lineage = lineage.only(repository.select(select.split()) or ())
    if focus:
        repository.handler_binding(focus)  # raises for an unknown name
        lineage = lineage.near(focus, depth)
    labels = {node.name: node.name for node in lineage.nodes}
    if by_group:
        sizes = Counter(node.group or node.name for node in lineage.nodes)
        labels = {name: f"{name} · {size}" if size > 1 else name for name, size in sizes.items()}
        lineage = lineage.by_group()
    edges = [(edge.source, edge.target) for edge in lineage.edges]
    layout = compute_layout({node.name: _box_width(labels[node.name]) for node in lineage.nodes}, edges)
    boxes = [layout.boxes[node.name] for node in lineage.nodes]
    return {
        **lineage.document(),
        "boxes": [[round(box.x), round(box.y - BOX_HEIGHT / 2), round(box.width)] for box in boxes],
        "lanes": [_steps((round(box.x), round(box.y)) for box in layout.paths[edge][1:-1]) for edge in edges],
        "box_height": BOX_HEIGHT,
        "width": layout.width,
        "height": layout.height,
        "total": len(repository.graph.outputs),
    }


def _steps(points: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the first point, and each later one as its distance from the one before: half as long compressed."""
    steps, x, y = [], 0, 0
    for point in points:
        steps.append((point[0] - x, point[1] - y))
        x, y = point
    return steps


def describe_asset(worker: Worker, name: str) -> Document:
    """Return one asset with its definition and neighbors.

    Raises:
        NodeNotFoundError: The asset does not exist.
    """
    from rivers.inspection import summarize_assets
    from rivers_core.authoring import redact_value
    from rivers_core.contexts import InputContext

    repository = worker.repository()
    [summary] = summarize_assets(repository, [name])
    edges = worker.lineage().edges
    output, definition = repository.graph.outputs[name], repository.assets.get(name)
    description = None if definition is None else definition.description
    address = None
    if output.binding is not None and summary.partitions is None and not output.returns_materialization:
        with suppress(Exception):  # an address is a convenience; the handler may be out of reach
            context = InputContext(output.name, "inspect", output.metadata, None, output.type_hint)
            address = output.handler.describe_address(context)
    return {
        **dict(zip(_ASSET_COLUMNS, _asset_row(summary), strict=True)),
        "handler_reason": summary.reason,
        "address": address,
        "data_version": None if summary.last is None else summary.last.data_version,
        "code_version": output.code_version,
        "upstream": [edge.source for edge in edges if edge.target == name],
        "downstream": [edge.target for edge in edges if edge.source == name],
        "description": None if not description else markdown_tree(description),
        "tags": [str(tag) for tag in output.tags],
        "options": [
            [key, value if isinstance(value, str) else json.dumps(value, default=str)]
            for key, value in redact_value(dict(output.metadata or {})).items()
        ],
        "type": None if output.type_hint is None else _type_text(output.type_hint),
        "partitions_def": None if output.partitions_def is None else repr(output.partitions_def),
        "source": _source(definition),
        "runs_code": runs_stored_code(output.handler) if output.binding is not None else False,
    }


def plan_run(worker: Worker, select: str, partition: str) -> Document:
    """Return the arguments of `rivers materialize` for a run, after the engine has planned it.

    Args:
        worker: The worker with the project.
        select: Selection of assets.
        partition: Display form of a partition key, or of several with commas; empty without.

    Raises:
        InvalidRequestError: The selection is empty.
        AssetNotFoundError: The selection matches nothing.
        PartitionValidationError: The key is not one of the assets' keys, or is missing.
    """
    repository = worker.repository()
    names = list(repository.select(select.split()) or ()) if select.strip() else []
    if not names:
        raise InvalidRequestError("Select at least one asset.")
    plan = repository.materialize(names, partition_key=partition or None, dry_run=True)
    return {"assets": names, "steps": len(plan)}


def _type_text(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) else str(hint)


def _source(definition: Asset | None) -> Document | None:
    """Return file, line and highlighted code of the function of an asset."""
    function = getattr(definition, "function", None)
    try:
        lines, first = inspect.getsourcelines(inspect.unwrap(function))  # type: ignore[arg-type]
        file = inspect.getsourcefile(inspect.unwrap(function))  # type: ignore[arg-type]
    except (OSError, TypeError):
        return None
    return {"file": file, "line": first, "tree": code_tree(textwrap.dedent("".join(lines)), "python")}


def runs_stored_code(handler: BaseIOHandler) -> bool:
    """Return whether loading a value runs code that is part of the stored value, as pickle does."""
    return any(
        base.__module__.partition(".")[0] == "rivers_pickle"
        for base in type(handler.storing_handler()).__mro__
    )


def list_partitions(worker: Worker, name: str) -> Document:
    """Return the partition keys of an asset, the ranges of their states, and the last attempts that stored nothing.

    The ranges are those of `rivers assets --json`. An attempt is the index of a key with `running` while a step
    computes it, or with `failed` and the message if its newest event is a failure.

    Raises:
        NodeNotFoundError: The asset does not exist.
    """
    from rivers.partitions.definitions import DynamicPartitions, MultiPartitions

    repository = worker.repository()
    repository.handler_binding(name)  # raises for an unknown name
    definition = repository.graph.outputs[name].partitions_def
    if definition is None:
        lists: Document = {
            name: [] for name in ("keys", "ranges", "attempts", "at", "sizes", "runs", "run_ids")
        }
        return {**lists, "kind": None, "dimensions": None, "starts": None}
    statuses = repository.status([name])
    events = repository.storage.get_latest_materializations(name)
    stored = [None if status.partition is None else events.get(status.partition) for status in statuses]
    dimensions = None
    if isinstance(definition, MultiPartitions):
        dynamic = {
            keys.name: repository.storage.get_dynamic_partitions(keys.name)
            for keys in definition.dimensions.values()
            if isinstance(keys, DynamicPartitions)
        }
        dimensions = [
            {"name": dimension, "keys": [str(key) for key in keys.get_partition_keys(dynamic)]}
            for dimension, keys in definition.dimensions.items()
        ]
    run_ids = dict.fromkeys(event.run_id for event in stored if event is not None)
    numbers = {run_id: number for number, run_id in enumerate(run_ids)}
    starts = _window_starts(definition, len(statuses))
    return {
        "kind": _partition_kind(starts, dimensions),
        "keys": [status.partition for status in statuses],
        "ranges": [item.document() for item in statuses.ranges()],
        "attempts": list(_attempts(repository, name, [status.partition for status in statuses])),
        "at": [None if event is None else event.timestamp // 1_000_000_000 for event in stored],
        "sizes": [None if event is None else stored_size(event) for event in stored],
        "runs": [None if event is None else numbers[event.run_id] for event in stored],
        "run_ids": list(numbers),
        "dimensions": dimensions,
        "starts": None if starts is None else [start.isoformat(timespec="minutes") for start in starts],
    }


MAX_FAILURES: Final = 2_000


def _attempts(
    repository: CodeRepository, name: str, keys: Sequence[str | None]
) -> Iterator[tuple[int, str, str | None]]:
    """Yield index, state and message of each key that runs or failed; failures are those of the newest 2,000 events."""
    storage, step_name = repository.storage, repository.graph.outputs[name].step_name
    running = {step.partition_key for step in storage.get_running_steps() if step.step == step_name}
    newest: dict[str | None, Event] = {}
    for event in storage.get_events_for_asset(name, limit=MAX_FAILURES, with_steps=False):
        newest.setdefault(event.partition_key, event)
    failures = {
        key: (event.message or "").partition("\n")[0]
        for key, event in newest.items()
        if event.event_type == "StepFailure"
    }
    for index, key in enumerate(keys):
        if key in running:
            yield index, "running", None
        elif key in failures:
            yield index, "failed", failures[key]


def _window_starts(definition: PartitionsDefinition, count: int) -> list[datetime] | None:
    """Return the start of each time window; None for other partitions."""
    from rivers.partitions.definitions import TimeWindowPartitions

    if not isinstance(definition, TimeWindowPartitions):
        return None
    starts = list(islice(definition.grid.starts(definition.end or datetime.max), count))
    return starts if len(starts) == count else None


def _partition_kind(starts: list[datetime] | None, dimensions: list[Document] | None) -> str:
    """Return how the keys are best drawn: hour, day, week, month, matrix or grid."""
    if dimensions is not None:
        return "matrix" if len(dimensions) > 1 else "grid"
    if starts is None or len(starts) < 2:
        return "grid" if starts is None else "day"
    gap = min((later - earlier).total_seconds() for earlier, later in pairwise(starts[:50])) / 86_400
    return "hour" if gap < 1 else "day" if gap < 7 else "week" if gap < 28 else "month"


MAX_ROWS: Final = 50
MAX_COLUMNS: Final = 200
MAX_CELL: Final = 1_000
MAX_PREVIEW: Final = 1_000_000


def preview(worker: Worker, name: str, partition: str, *, is_confirmed: bool) -> Document:
    """Return the first rows of a stored value.

    Args:
        worker: The worker with the project.
        name: The asset.
        partition: Display form of a key; empty without partitions.
        is_confirmed: Whether the user has agreed to run code of the stored value.

    Raises:
        NodeNotFoundError: The asset does not exist.
        InvalidRequestError: Loading would run code, and the user has not agreed.
    """
    from rivers.inspection import preview_value, type_name

    repository = worker.repository()
    binding = repository.handler_binding(name)
    output = repository.graph.outputs[name]
    if runs_stored_code(binding.handler) and not is_confirmed:
        raise InvalidRequestError(
            f"Loading {name!r} runs code that is part of the stored value. Confirm it on the page."
        )
    key = (
        output.partitions_def.parse_partition_key(partition) if output.partitions_def and partition else None
    )
    try:
        value = repository.load_node(name, partition_key=key, type_hint=_lazy_hint(binding.handler))
        result = preview_value(value, MAX_ROWS)
    except RiversError:
        raise
    except Exception as error:
        raise HandlerFailedError(
            f"Could not load asset {name!r} with handler {binding.label!r}", error
        ) from error
    document: Document = {"type": type_name(value), "extent": result.extent, "handler": binding.label}
    return {**document, **_table(result.head, result.text)}


def _lazy_hint(handler: BaseIOHandler) -> Any:
    """Return the type of a frame that is read only as far as it is shown, if the handler has one; else None."""
    from rivers_core.handler import BaseIOHandler

    decides = type(handler).can_load_type is not BaseIOHandler.can_load_type
    if not decides or find_spec("polars") is None:
        return None
    lazy_frame = import_module(
        "polars"
    ).LazyFrame  # not a dependency: the user has installed it, or has no such frames
    return lazy_frame if handler.can_load_type(lazy_frame) and not handler.can_load_type(dict) else None


def _table(head: Any, text: str) -> Document:
    """Return a list of records as a table, anything else as text, within the limits."""
    is_table = isinstance(head, list) and head and all(isinstance(row, dict) for row in head)
    if not is_table:
        return {"text": text[:MAX_PREVIEW], "columns": None, "rows": None}
    columns = list(dict.fromkeys(name for row in head for name in row))
    rows = [[_cell(row.get(name)) for name in columns[:MAX_COLUMNS]] for row in head]
    while len(rows) > 1 and len(json.dumps(rows)) > MAX_PREVIEW:
        rows = rows[: len(rows) // 2]
    return {
        "text": None,
        "columns": columns[:MAX_COLUMNS],
        "rows": rows,
        "hidden": len(columns[MAX_COLUMNS:]),
    }


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= MAX_CELL else f"{text[: MAX_CELL - 1]}…"


def check(worker: Worker, *, has_probe: bool) -> Document:
    """Return the report of `rivers check`.

    Args:
        worker: The worker with the project.
        has_probe: Whether the stores are tested, which writes, reads and deletes a small value in each.
    """
    from rivers.inspection import check_project

    return check_project(worker.project, probe=has_probe, timeout=30.0).document()


def describe_config(worker: Worker, environment: str) -> Document:
    """Return the configuration as `rivers config show --env ENVIRONMENT --json` prints it; empty without one.

    Args:
        worker: The worker with the project.
        environment: One of the environments in the file; empty for that of the page.

    Returns:
        The settings, the names of all environments, and the findings about this one. A configuration that cannot be
        resolved has findings only.

    Raises:
        UnknownNameError: The file does not have this environment.
    """
    from rivers.inspection import config_document
    from rivers.storage.event_log import event_log_folder
    from rivers_core.authoring import redact
    from rivers_core.config import list_environments, load_config
    from rivers_core.plugins import get_registry

    config = worker.project.config
    if config is None:
        return {}
    environments = list_environments(config.path)
    if environment and environment not in environments:
        raise UnknownNameError(f"{config.path} does not have an environment {environment!r}.")
    if environment and environment != config.environment:
        # in a separate registry, since the policy of the plugins is that of the environment of the page
        config = load_config(config.path, environment=environment, registry=get_registry().with_policy())
    try:
        event_log = str(event_log_folder(config) or redact(config.storage_url or ""))
        document, findings = {**config_document(config), "event_log": event_log}, config.findings()
    except RiversError as error:
        document, findings = {"path": str(config.path), "environment": config.environment}, [str(error)]
    return {**document, "environments": environments, "findings": findings}


def list_handlers(worker: Worker) -> list[Document]:
    """Return the handlers with their settings and the assets that each one stores."""
    from rivers.inspection import HandlerUsage, format_setting, handler_names, handler_settings

    try:
        usage = HandlerUsage.of_repository(worker.repository())
    except RiversError as error:
        usage = HandlerUsage(problem=str(error))
    documents: list[Document] = []
    for name in handler_names(worker.project, usage):
        document: Document = {"name": name, "assets": [output.name for output in usage.outputs_of(name)]}
        try:
            handler_class, fields = handler_settings(worker.project, usage, name)
        except RiversError as error:
            document |= {"class": None, "fields": [], "problem": str(error)}
        else:
            document |= {
                "class": f"{handler_class.__module__}.{handler_class.__qualname__}",
                "fields": [
                    {"field": item.field, "value": format_setting(item.value), "origin": item.origin}
                    for item in fields
                ],
                "problem": None,
            }
        documents.append(document | _handler_facts(usage, name))
    return documents


def _handler_facts(usage: HandlerUsage, name: str) -> Document:
    """Return the summary, the distribution and the capabilities of a handler."""
    from rivers_core.plugins import get_registry

    installed = next((item for item in get_registry().handlers() if item.spec.name == name), None)
    outputs = usage.outputs_of(name)
    capabilities = []
    if outputs:
        handler = outputs[0].handler
        names = ("partition_batches", "can_delete", "conditional_writes")
        capabilities = [f"{handler.locality} access"]
        capabilities += [text.replace("_", " ") for text in names if getattr(handler, text, False)]
    return {
        "summary": None if installed is None else installed.spec.summary,
        "distribution": None if installed is None else f"{installed.distribution} {installed.version}",
        "capabilities": capabilities,
        "runs_code": bool(outputs) and runs_stored_code(outputs[0].handler),
    }


def list_plugins(worker: Worker) -> list[Document]:
    """Return what `rivers plugins --load` lists, and the packages of rivers that could be installed."""
    from rivers.inspection import plugin_document
    from rivers_core.plugins import get_registry, packages_not_installed

    _ = worker.project.config  # puts its plugin policy in force
    registry = get_registry()
    with suppress(PluginLoadError):  # with strict plugins; the list names the broken one
        registry.load_all(targets=True)
    installed = [{**plugin_document(status), "remarks": [*status.warnings]} for status in registry.plugins()]
    facts: Document = {
        "version": "",
        "state": "not installed",
        "provides": [],
        "error": None,
        "causes": [],
        "remarks": [],
    }
    return installed + [
        {**facts, "distribution": name, "entry_point": f"pip install {name}"}
        for name in packages_not_installed()
    ]


CALLS: Final[Mapping[str, Callable[..., Any]]] = {
    "assets": list_assets,
    "next_window": next_window,
    "select": select_assets,
    "lineage": draw_lineage,
    "asset": describe_asset,
    "partitions": list_partitions,
    "plan": plan_run,
    "prepare": prepare,
    "preview": preview,
    "check": check,
    "config": describe_config,
    "handlers": list_handlers,
    "plugins": list_plugins,
}


def serve(worker: Worker, requests: TextIO, answers: TextIO) -> None:
    """Answer requests until the server closes the pipe."""
    for line in requests:
        request = json.loads(line)
        try:
            kind, answer = "result", CALLS[request["call"]](worker, **request["arguments"])
        except (Exception, SystemExit) as error:
            kind, answer = "error", _describe(worker.project, error)
        redact = partial(redact_secrets, secrets=worker.project.secrets())
        answers.write(f"{kind}\t{serialize(answer, redact)}\n")
        answers.flush()


def main() -> None:
    """Serve on stdin and stdout; everything that the project prints goes to stderr."""
    project = Project(*json.loads(sys.argv[1]), read_only=True)
    gc.set_threshold(
        100_000, 20, 20
    )  # an answer about 100,000 keys keeps what it allocates; each search costs time
    descriptor = os.dup(sys.stdout.fileno())
    answers_file = os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogatepass")
    with suppress(BrokenPipeError), answers_file as answers:  # the server has ended before the answer
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        try:
            serve(Worker(project), sys.stdin, answers)
        finally:
            project.close()


def _describe(project: Project, error: BaseException) -> Document:
    text = describe_error(error)
    detail = None
    if isinstance(error, (ProjectImportError, HandlerFailedError)) and error.__cause__ is not None:
        detail = "".join(traceback.format_exception(error.__cause__)).rstrip()
    elif not isinstance(error, RiversError):
        detail = "".join(traceback.format_exception(error)).rstrip()
    return {
        "error": type(error).__name__,
        "message": project.redact(text, is_own_message=isinstance(error, RiversError)),
        "detail": None if detail is None else project.redact(detail),
        "status": _status(error),
    }


def _status(error: BaseException) -> int:
    if isinstance(error, (NodeNotFoundError, UnknownNameError)):
        return 404
    return 400 if isinstance(error, (InvalidRequestError, PartitionValidationError)) else 500


def _box_width(label: str) -> float:
    return 46.0 + 8.0 * min(len(label), 40)


if __name__ == "__main__":
    main()

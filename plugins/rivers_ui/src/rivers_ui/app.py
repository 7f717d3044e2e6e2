"""Routes of the page: static files, and the JSON that it shows."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from itertools import count
from time import time
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rivers.exceptions import StorageError
from rivers_ui.actions import ActionRefusedError
from rivers_ui.answers import Answer, AnswerCache, AnswerTooLargeError, encode, serialize
from rivers_ui.client import WorkerError
from rivers_ui.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from starlette.requests import Request

    from rivers.storage import Event, EventStorage
    from rivers_ui.actions import Actions
    from rivers_ui.client import WorkerClient

_MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1_000
PREVIEW_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class PageProject:
    """Facts about the project that are known without importing it.

    Attributes:
        name: Name of its folder.
        environment: Name of the environment; None without one.
        event_log: Folder of the event log; None if it is not a file.
        redact: Removes credentials from a text; applied to every text of every answer.
        has_preview: Whether stored values may be shown.
        plugin_warnings: Warnings about commands of plugins.
        open_shared: Opens an event log that is not a file.
    """

    name: str
    environment: str | None
    event_log: Path | None
    redact: Callable[[str], str]
    has_preview: bool = True
    plugin_warnings: tuple[str, ...] = ()
    open_shared: Callable[[], EventStorage | None] | None = None


class Page:
    """Answers of the server. Everything about the project's code comes from the workers.

    Args:
        project: The project.
        worker: Client of the worker process that describes the project.
        loader: Client of a second process, which loads values and tests stores, so that a value that takes
            long to load delays nothing else.
        actions: Starts commands; None for a page that only reads.
    """

    # Methods import what reads the event log: the page itself answers before that is loaded, which takes 0.3 s.

    def __init__(
        self,
        project: PageProject,
        worker: WorkerClient,
        loader: WorkerClient,
        actions: Actions | None = None,
    ) -> None:
        self._project, self._worker, self._loader = project, worker, loader
        self.actions, self.redact = actions, project.redact
        self._probes = count(1)
        self._storage: EventStorage | None = None
        # when the last time window of an asset was completed, or this server started; and the next one
        self._windows, self._next_window = time(), math.inf

    def describe_project(self, request: Request) -> Any:
        """Return name, environment and event log of the project, and what this server allows."""
        return {
            "name": self._project.name,
            "environment": self._project.environment,
            "event_log": str(self._project.event_log or self._events()),
            "preview": self._project.has_preview,
            "actions": self.actions is not None,
        }

    def list_assets(self, request: Request) -> Any:
        """Return all assets, in columns."""
        return self._ask_states("assets")

    def select_assets(self, request: Request) -> Any:
        """Return the names of the assets that a selection stands for."""
        return self._worker.ask("select", select=request.query_params.get("select", ""))

    def draw_lineage(self, request: Request) -> Any:
        """Return nodes, edges and coordinates."""
        query = request.query_params
        depth = _number(request, "depth", 2, 20)
        return self._worker.ask(
            "lineage",
            select=query.get("select", ""),
            focus=query.get("focus", ""),
            depth=depth,
            by_group=query.get("collapse") == "group",
        )

    def describe_asset(self, request: Request) -> Any:
        """Return one asset."""
        return self._ask_states("asset", name=request.path_params["name"])

    def list_partitions(self, request: Request) -> Any:
        """Return the keys of an asset and their states, as ranges."""
        return self._ask_states("partitions", name=request.path_params["name"])

    def list_asset_events(self, request: Request) -> Any:
        """Return the newest events of an asset; one without events has to exist in the project."""
        from rivers_ui.records import event_record

        limit = _number(request, "limit", DEFAULT_LIMIT, MAX_LIMIT)
        before, partition = request.query_params.get("before"), request.query_params.get("partition")
        events = self._asset_events(request, None if before or partition else limit + 1)
        if partition:
            events = [event for event in events if event.partition_key == partition]
        if before:
            last = _number(request, "before", 0, 2**63)
            events = [event for event in events if event.id is not None and event.id < last]
        return {
            "events": [event_record(event) for event in events[:limit]],
            "truncated": len(events) > limit,
        }

    def list_series(self, request: Request) -> Any:
        """Return every number in the metadata of an asset over its newest materializations."""
        from rivers_ui.records import series_record

        return series_record(self._asset_events(request, MAX_LIMIT))

    def compare_events(self, request: Request) -> Any:
        """Return the differences between two events of an asset."""
        from rivers_ui.records import comparison_record

        events = {event.id: event for event in self._asset_events(request, None)}
        pair = [events.get(_number(request, name, 0, 2**63)) for name in ("a", "b")]
        if pair[0] is None or pair[1] is None:
            raise HTTPException(404, "An event with this id not found among the events of the asset.")
        return comparison_record(pair[0], pair[1])

    def preview_value(self, request: Request) -> Any:
        """Load the first rows of a stored value, in the second process."""
        if not self._project.has_preview:
            raise HTTPException(403, "Values are not shown: `rivers ui` runs with --no-preview.")
        query = request.query_params
        self._loader.call("prepare")
        return self._loader.ask(
            "preview",
            timeout=PREVIEW_TIMEOUT,
            name=request.path_params["name"],
            partition=query.get("partition", ""),
            is_confirmed=query.get("confirm") == "1",
        )

    def list_runs(self, request: Request) -> Any:
        """Return the newest runs, of one status if given."""
        from rivers.inspection import run_document

        storage, limit = self._events(), _number(request, "limit", DEFAULT_LIMIT, MAX_LIMIT)
        status = request.query_params.get("status") or None
        runs = [] if storage is None else storage.get_runs(limit=limit + 1, status=status)
        return {"runs": [run_document(run) for run in runs[:limit]], "truncated": len(runs) > limit}

    def describe_run(self, request: Request) -> Any:
        """Return a run with the progress of its steps and its newest events."""
        from rivers_ui.records import event_record, run_record

        storage, run_id = self._events(), request.path_params["run_id"]
        run = None if storage is None else storage.get_run(run_id)
        if storage is None or run is None:
            raise HTTPException(404, f"Run {run_id!r} not found in the event log.")
        events = storage.get_events_for_run(run_id, with_steps=False)
        steps = storage.get_running_steps(run_id) if run.end_time is None else []
        running = [(step.step, step.attempt, step.started_at) for step in steps]
        return {
            **run_record(run, events, running),
            "events": [event_record(event) for event in events[-DEFAULT_LIMIT:]],
            "truncated": len(events) > DEFAULT_LIMIT,
        }

    def list_logs(self, request: Request) -> Any:
        """Return the newest events and log records of one run or step, of one asset, or of the newest runs."""
        from rivers_ui.records import log_line

        storage, query = self._events(), request.query_params
        limit = _number(request, "limit", MAX_LIMIT, MAX_LIMIT)
        lines: list[dict[str, Any]] = []
        if storage is not None and query.get("asset") and not query.get("run"):
            events = storage.get_events_for_asset(query["asset"], limit=limit + 1, with_steps=False)
            lines = [log_line(event) for event in events]
        elif storage is not None:
            runs = [query["run"]] if query.get("run") else [run.run_id for run in storage.get_runs(limit=20)]
            for run_id in runs:
                lines += [log_line(event) for event in storage.get_events_for_run(run_id, with_steps=False)]
                lines += [log_line(record) for record in storage.get_run_logs(run_id)]
                if len(lines) > limit:
                    break
            if query.get("asset"):
                lines = [line for line in lines if line["asset"] == query["asset"]]
            if query.get("step"):
                lines = [line for line in lines if query["step"] in (line["step"], line["asset"])]
        lines.sort(key=lambda line: line["at"])
        return {"lines": lines[-limit:], "truncated": len(lines) > limit}

    def list_handlers(self, request: Request) -> Any:
        """Return the handlers with settings and origins."""
        return self._worker.ask("handlers")

    def check_project(self, request: Request) -> Any:
        """Return the report of `rivers check`; with `probe=1` the stores are tested, which writes a probe."""
        report = self._loader.call("check", has_probe=_has_probe(request))
        report["warnings"] += self._project.plugin_warnings
        return report

    def list_plugins(self, request: Request) -> Any:
        """Return the plugins, in the second process: it imports all of their handlers."""
        return self._loader.ask("plugins")

    def describe_config(self, request: Request) -> Any:
        """Return the configuration of one environment with the origin of each setting."""
        return self._worker.ask("config", environment=request.query_params.get("environment", ""))

    def report_changes(self, request: Request) -> Any:
        """Return a token that differs after every change of event log or project, and what runs now."""
        token = self.token()
        if request.query_params.get("after") == token:
            return {"token": token, "running": None, "steps": [], "problem": self._worker.problem}
        from rivers.inspection import run_document

        storage = self._events()
        running = [] if storage is None else storage.get_runs(limit=DEFAULT_LIMIT, status="running")
        steps = storage.get_running_steps() if storage is not None and running else ()
        names = sorted({name for step in steps for name in (step.step, step.asset_key)})
        runs = [run_document(run) for run in running]
        return {"token": token, "running": runs, "steps": names, "problem": self._worker.problem}

    def list_actions(self, request: Request) -> Any:
        """Return the commands that the page started, the newest first."""
        return [] if self.actions is None else self.actions.documents()

    def materialize(self, body: Mapping[str, str], request: Request) -> Any:
        """Start a run of a selection, after the worker has planned it with the project's definitions."""
        assert self.actions is not None
        partition = body.get("partition", "")
        plan = self._worker.call("plan", select=body.get("select", ""), partition=partition)
        return self.actions.materialize(plan["assets"], partition)

    def cancel_run(self, body: Mapping[str, str], request: Request) -> Any:
        """Request the cancellation of a run that has not ended."""
        assert self.actions is not None
        storage, run_id = self._events(), request.path_params["run_id"]
        run = None if storage is None else storage.get_run(run_id)
        if run is None:
            raise HTTPException(404, f"Run {run_id!r} not found in the event log.")
        if run.end_time is not None:
            raise HTTPException(409, f"Run {run_id} has ended already, with status {run.status}.")
        return self.actions.cancel(run.run_id)

    def definitions_version(self, request: Request | None = None) -> str:
        """Return a text that differs after every change of the project's files."""
        return f"{hash(self._worker.fingerprint()) & 0xFFFFFFFF:x}"

    def check_version(self, request: Request) -> str:
        """Return a text that differs after every change of the project's files, and for every test of the stores."""
        return f"probe {next(self._probes)}" if _has_probe(request) else self.definitions_version()

    def token(self, request: Request | None = None) -> str:
        """Return a text that differs after every change of event log, project files and complete time windows."""
        if time() >= self._next_window:
            self._windows, self._next_window = self._next_window, math.inf
        state = [self.definitions_version(), f"{self._windows:.0f}"]
        folder = self._project.event_log
        if folder is None:
            storage = self._events()
            return "-".join([*state, "0" if storage is None else storage.change_token()])
        for suffix in ("", "-wal"):
            path = folder / f"rivers.db{suffix}"
            status = path.stat() if path.exists() else None
            state.append("0" if status is None else f"{status.st_mtime_ns:x}.{status.st_size:x}")
        return "-".join(state)

    def _ask_states(self, call: str, **arguments: Any) -> Any:
        """Ask for states of partition keys, which hold until the next time window is complete."""
        # asked before the states, so that a window that is completed meanwhile makes them outdated
        with suppress(WorkerError):  # the question for the states gets the same error
            self._next_window = self._worker.call("next_window") or math.inf
        return self._worker.ask(call, **arguments)

    def _asset_events(self, request: Request, limit: int | None) -> list[Event]:
        """Return the newest events of the asset in the path."""
        storage, name = self._events(), request.path_params["name"]
        events = [] if storage is None else storage.get_events_for_asset(name, limit=limit, with_steps=False)
        if not events:
            self._worker.call("asset", name=name)  # raises for an unknown name
        return events

    def _events(self) -> EventStorage | None:
        """Return the event log, opened read-only; None if there is none yet."""
        folder, open_shared = self._project.event_log, self._project.open_shared
        if self._storage is None and folder is not None and (folder / "rivers.db").exists():
            from rivers.storage import Storage

            self._storage = Storage.embedded(folder, read_only=True)
        elif self._storage is None and open_shared is not None:
            self._storage = open_shared()
        return self._storage

    def reopen(self) -> None:
        """Forget the open event log, which may have been replaced."""
        storage, self._storage = self._storage, None
        if storage is not None:
            storage.close()

    def close(self) -> None:
        """Close the event log and end the workers."""
        self.reopen()
        if self.actions is not None:
            self.actions.close()
        self._worker.close()
        self._loader.close()


def create_app(page: Page, port: int, token: str) -> Guard:
    """Create the ASGI application.

    Args:
        page: Answers of the server.
        port: Port on which the server listens.
        token: Secret that requests for data have to present.
    """
    application = Starlette(routes=create_routes(page), exception_handlers={HTTPException: _http_error})
    return Guard(application, port, token, has_actions=page.actions is not None)


def create_routes(page: Page) -> list[Route]:
    """Return all routes: the data, the static files, and the page for every other path."""
    # Each with the version of what it describes; None if it is computed for each request. A tab asks before it knows
    # the current version and again when it does, so an answer without a version is computed twice.
    calls: dict[str, tuple[Callable[[Request], Any], Callable[[Request], str] | None]] = {
        "project": (page.describe_project, None),
        "assets": (page.list_assets, page.token),
        "select": (page.select_assets, page.definitions_version),
        "lineage": (page.draw_lineage, page.definitions_version),
        "assets/{name:path}/partitions": (page.list_partitions, page.token),
        "assets/{name:path}/series": (page.list_series, page.token),
        "assets/{name:path}/events": (page.list_asset_events, page.token),
        "assets/{name:path}/compare": (page.compare_events, page.token),
        "assets/{name:path}/preview": (page.preview_value, None),
        "assets/{name:path}": (page.describe_asset, page.token),
        "runs": (page.list_runs, page.token),
        "runs/{run_id}": (page.describe_run, page.token),
        "logs": (page.list_logs, page.token),
        "handlers": (page.list_handlers, page.definitions_version),
        "plugins": (page.list_plugins, page.definitions_version),
        "config": (page.describe_config, page.definitions_version),
        "check": (page.check_project, page.check_version),
        "changes": (page.report_changes, None),
    }
    answers = AnswerCache(page.redact)
    routes = [
        Route(f"/api/v1/{path}", _json(page, _cached(answers, call, version)), methods=["GET"])
        if version is not None
        else Route(f"/api/v1/{path}", _json(page, _fresh(page, call)), methods=["GET"])
        for path, (call, version) in calls.items()
    ]
    if page.actions is not None:
        routes += _action_routes(page)
    static = read_static()
    routes += [
        Route(f"/static/{name}", _content(content, name), methods=["GET"]) for name, content in static.items()
    ]
    shell = _content(static.get("index.html", b""), "index.html")
    pages = ("assets", "lineage", "runs", "handlers", "plugins", "logs", "config")
    views = ("", *pages, "runs/{run_id}", "assets/{name:path}", "handlers/{name:path}")
    return [*routes, *(Route(f"/{path}", shell, methods=["GET"]) for path in views)]


def _action_routes(page: Page) -> list[Route]:
    """Return the routes that exist with `--actions` only."""
    calls: dict[str, Callable[[Mapping[str, str], Request], Any]] = {
        "runs": page.materialize,
        "runs/{run_id}/cancel": page.cancel_run,
    }
    posts = [Route(f"/api/v1/{path}", _action(page, call), methods=["POST"]) for path, call in calls.items()]
    return [Route("/api/v1/actions", _json(page, _fresh(page, page.list_actions)), methods=["GET"]), *posts]


def read_static() -> dict[str, bytes]:
    """Read the built page; empty if it is not built."""
    folder = files("rivers_ui").joinpath("static")
    if not folder.is_dir():
        return {}
    return {item.name: item.read_bytes() for item in folder.iterdir() if item.is_file()}


def _cached(
    answers: AnswerCache, call: Callable[[Request], Any], version: Callable[[Request], str]
) -> Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        address = f"{request.url.path}?{request.url.query}"
        return answers.answer(address, version(request), lambda: call(request))

    return answer


def _fresh(page: Page, call: Callable[[Request], Any]) -> Callable[[Request], Answer]:
    return lambda request: Answer(encode(call(request), page.redact))


def _json(page: Page, call: Callable[[Request], Answer]) -> Callable[[Request], Awaitable[Response]]:
    def refuse(error: str, message: str, detail: str | None, status: int) -> Response:
        text = serialize({"error": error, "message": message, "detail": detail}, page.redact)
        return Response(text, status, media_type="application/json")

    async def endpoint(request: Request) -> Response:
        try:
            return _respond(request, await run_in_threadpool(call, request))
        except WorkerError as error:
            return refuse(error.error, error.message, error.detail, error.status)
        except ActionRefusedError as error:
            return refuse("ActionRefusedError", str(error), None, 409)
        except AnswerTooLargeError as error:
            return refuse("AnswerTooLargeError", str(error), None, 413)
        except StorageError as error:
            page.reopen()
            return refuse("StorageError", str(error), None, 500)

    return endpoint


def _respond(request: Request, answer: Answer) -> Response:
    """Return the response of an answer; without a body if the page has this version of it."""
    headers = {"ETag": f'"{answer.version}"', "Vary": "Accept-Encoding"} if answer.version else {}
    if answer.version and request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    if (
        answer.version
        and answer.compressed is not None
        and "gzip" in request.headers.get("accept-encoding", "")
    ):
        headers["Content-Encoding"] = "gzip"
        return Response(answer.compressed, headers=headers, media_type="application/json")
    return Response(answer.body, headers=headers, media_type="application/json")


def _action(
    page: Page, call: Callable[[Mapping[str, str], Request], Any]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        body = _texts(await request.body())
        return await _json(page, _fresh(page, lambda request: call(body, request)))(request)

    return endpoint


def _texts(body: bytes) -> dict[str, str]:
    """Return the body of an action: a JSON object of texts."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise HTTPException(400, "The body of an action must be a JSON object whose values are texts.")
    return document


def _content(content: bytes, name: str) -> Callable[[Request], Any]:
    media_type = _MEDIA_TYPES.get(name[name.rfind(".") :], "application/octet-stream")

    async def endpoint(request: Request) -> Response:
        return Response(content, media_type=media_type)

    return endpoint


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"error": "HTTPException", "message": error.detail, "detail": None}, error.status_code
    )


def _has_probe(request: Request) -> bool:
    return request.query_params.get("probe") == "1"


def _number(request: Request, name: str, default: int, most: int) -> int:
    """Return a whole number of the query."""
    text = request.query_params.get(name, str(default))
    least = 1 if name == "limit" else 0
    if not text.isdecimal() or not least <= int(text) <= most:
        raise HTTPException(400, f"{name} must be a whole number from {least} to {most}, got {text!r}.")
    return int(text)

"""Routes of the page: static files, and the JSON that it shows."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rivers.exceptions import StorageError
from rivers.storage import Storage
from rivers_cli.commands.log import event_document
from rivers_cli.commands.runs import run_document
from rivers_ui.client import WorkerError
from rivers_ui.guard import Guard
from rivers_ui.worker import redact_texts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request

    from rivers.storage import Event, EventStorage
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
MAX_TEXT: Final = 10_000


@dataclass(frozen=True, slots=True)
class PageProject:
    """Facts about the project that are known without importing it.

    Attributes:
        name: Name of its folder.
        environment: Name of the environment; None without one.
        event_log: Folder of the event log.
        redact: Removes credentials from a text; applied to every text of every answer.
    """

    name: str
    environment: str | None
    event_log: Path
    redact: Callable[[str], str]


class Page:
    """Answers of the server. Everything about the project's code comes from the worker.

    Args:
        project: The project.
        worker: Client of the worker process.
    """

    def __init__(self, project: PageProject, worker: WorkerClient) -> None:
        self._project, self._worker = project, worker
        self._storage: EventStorage | None = None

    def describe_project(self, request: Request) -> Any:
        """Return name, environment and event log of the project."""
        return {
            "name": self._project.name,
            "environment": self._project.environment,
            "event_log": str(self._project.event_log),
        }

    def list_assets(self, request: Request) -> Any:
        """Return the assets that a selection stands for, all without one."""
        return self._worker.call("assets", select=request.query_params.get("select", ""))

    def draw_lineage(self, request: Request) -> Any:
        """Return nodes, edges and coordinates."""
        return self._worker.call("lineage", select=request.query_params.get("select", ""))

    def describe_asset(self, request: Request) -> Any:
        """Return one asset."""
        return self._worker.call("asset", name=request.path_params["name"])

    def list_asset_events(self, request: Request) -> Any:
        """Return the newest events of an asset; one without events has to exist in the project."""
        storage, limit, name = self._events(), _limit(request), request.path_params["name"]
        events = (
            [] if storage is None else storage.get_events_for_asset(name, limit=limit + 1, with_steps=False)
        )
        if not events:
            self._worker.call("asset", name=name)
        return {"events": [_event(event) for event in events[:limit]], "truncated": len(events) > limit}

    def list_runs(self, request: Request) -> Any:
        """Return the newest runs."""
        storage, limit = self._events(), _limit(request)
        runs = [] if storage is None else storage.get_runs(limit=limit + 1)
        return {"runs": [run_document(run) for run in runs[:limit]], "truncated": len(runs) > limit}

    def describe_run(self, request: Request) -> Any:
        """Return a run with its events."""
        storage, run_id, limit = self._events(), request.path_params["run_id"], MAX_LIMIT
        run = None if storage is None else storage.get_run(run_id)
        if storage is None or run is None:
            raise HTTPException(404, f"Run {run_id!r} not found in the event log.")
        events = storage.get_events_for_run(run_id, with_steps=False)
        return {
            **run_document(run),
            "events": [_event(event) for event in events[-limit:]],
            "truncated": len(events) > limit,
        }

    def list_handlers(self, request: Request) -> Any:
        """Return the handlers with settings and origins."""
        return self._worker.call("handlers")

    def list_plugins(self, request: Request) -> Any:
        """Return the installed plugins."""
        return self._worker.call("plugins")

    def report_changes(self, request: Request) -> Any:
        """Return a token that differs after every commit to the event log, and the runs in progress."""
        state = []
        for suffix in ("", "-wal"):
            path = self._project.event_log / f"rivers.db{suffix}"
            status = path.stat() if path.exists() else None
            state.append("0" if status is None else f"{status.st_mtime_ns:x}.{status.st_size:x}")
        token = "-".join(state)
        if request.query_params.get("after") == token:
            return {"token": token, "running": None}
        storage = self._events()
        running = [] if storage is None else storage.get_runs(limit=DEFAULT_LIMIT, status="running")
        return {"token": token, "running": [run_document(run) for run in running]}

    def redact(self, answer: Any) -> Any:
        """Return an answer without credentials: the single exit of all data."""
        return redact_texts(answer, self._project.redact)

    def _events(self) -> EventStorage | None:
        """Return the event log, opened read-only; None if there is none yet."""
        if self._storage is None and (self._project.event_log / "rivers.db").exists():
            self._storage = Storage.embedded(self._project.event_log, read_only=True)
        return self._storage

    def reopen(self) -> None:
        """Forget the open event log, which may have been replaced."""
        storage, self._storage = self._storage, None
        if storage is not None:
            storage.close()

    def close(self) -> None:
        """Close the event log and end the worker."""
        self.reopen()
        self._worker.close()


def _event(event: Event) -> dict[str, Any]:
    """Return an event as `rivers log --json` prints it, with its id and with metadata as name, type and text."""
    metadata = [
        [name, str(value.to_plain()["type"]), value.to_text()[:MAX_TEXT]]
        for name, value in event.typed_metadata.items()
    ]
    return {**event_document(event), "id": event.id, "metadata": metadata}


def create_app(page: Page, port: int, token: str) -> Guard:
    """Create the ASGI application.

    Args:
        page: Answers of the server.
        port: Port on which the server listens.
        token: Secret that requests for data have to present.
    """
    return Guard(
        Starlette(routes=create_routes(page), exception_handlers={HTTPException: _http_error}), port, token
    )


def create_routes(page: Page) -> list[Route]:
    """Return all routes: the data, the static files, and the page for every other path."""
    calls = {
        "project": page.describe_project,
        "assets": page.list_assets,
        "assets/{name:path}/events": page.list_asset_events,
        "assets/{name:path}": page.describe_asset,
        "lineage": page.draw_lineage,
        "runs": page.list_runs,
        "runs/{run_id}": page.describe_run,
        "handlers": page.list_handlers,
        "plugins": page.list_plugins,
        "changes": page.report_changes,
    }
    routes = [Route(f"/api/v1/{path}", _json(page, call), methods=["GET"]) for path, call in calls.items()]
    static = read_static()
    routes += [
        Route(f"/static/{name}", _content(content, name), methods=["GET"]) for name, content in static.items()
    ]
    shell = _content(static.get("index.html", b""), "index.html")
    views = (
        "/",
        "/assets",
        "/lineage",
        "/runs",
        "/runs/{run_id}",
        "/handlers",
        "/plugins",
        "/assets/{name:path}",
    )
    return [*routes, *(Route(path, shell, methods=["GET"]) for path in views)]


def read_static() -> dict[str, bytes]:
    """Read the built page; empty if it is not built."""
    folder = files("rivers_ui").joinpath("static")
    if not folder.is_dir():
        return {}
    return {item.name: item.read_bytes() for item in folder.iterdir() if item.is_file()}


def _json(page: Page, call: Callable[[Request], Any]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(page.redact(await run_in_threadpool(call, request)))
        except WorkerError as error:
            status = 404 if error.error.endswith("NotFoundError") else 500
            content = {"error": error.error, "message": error.message, "detail": error.detail}
            return JSONResponse(page.redact(content), status)
        except StorageError as error:
            page.reopen()
            content = {"error": "StorageError", "message": str(error), "detail": None}
            return JSONResponse(page.redact(content), 500)

    return endpoint


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


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not text.isdecimal() or not 1 <= int(text) <= MAX_LIMIT:
        raise HTTPException(400, f"limit must be a whole number from 1 to {MAX_LIMIT}, got {text!r}.")
    return int(text)

"""Worker process of the page: imports the project and answers questions about it, one JSON line each.

A request is `{"id": 1, "call": "assets", "arguments": {}}`, an answer `{"id": 1, "result": ...}` or
`{"id": 1, "error": {"error": "GraphValidationError", "message": "..."}}`. Answers contain no credentials.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TextIO

from rivers_cli.errors import HandlerFailedError, ProjectImportError, describe_error
from rivers_cli.session import Session
from rivers_core.authoring import redact_secrets
from rivers_core.exceptions import RiversError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rivers.repository import CodeRepository

Document = dict[str, Any]


class Worker:
    """Project of one worker process; its repository is resolved once.

    Args:
        session: Session with the options of the command.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._repository: CodeRepository | None = None
        self._has_event_log = False

    def repository(self) -> CodeRepository:
        """Return the repository with the event log, which is opened read-only; an absent one counts as empty."""
        from rivers.storage import Storage

        folder = self.session.project.event_log
        has_event_log = (folder / "rivers.db").exists()
        if self._repository is None or has_event_log != self._has_event_log:
            storage = Storage.embedded(folder, read_only=True) if has_event_log else Storage.memory()
            self._repository = self.session.project.repository.resolve(storage, set_up=False)
            self._has_event_log = has_event_log
        return self._repository


def list_assets(worker: Worker, select: str = "") -> list[Document]:
    """Return the assets as `rivers assets --json` prints them."""
    from rivers_cli.commands.assets import summarize_assets

    repository = worker.repository()
    names = repository.select(select.split()) if select.strip() else None
    if names is not None and not names:
        return []
    return [{**summary.document(), "state": summary.state} for summary in summarize_assets(repository, names)]


def draw_lineage(worker: Worker, select: str = "") -> Document:
    """Return the lineage as `rivers graph --json` prints it, with the position of each node and edge.

    Args:
        worker: The worker with the project.
        select: Selection; its assets are shown with everything upstream and downstream. Empty shows all.
    """
    from rivers_cli.lineage.layout import BOX_HEIGHT, compute_layout
    from rivers_cli.lineage.model import build_lineage

    repository = worker.repository()
    lineage = build_lineage(repository.graph)
    if select.strip():
        lineage = lineage.around(repository.select(select.split()) or ())
    edges = [(edge.source, edge.target) for edge in lineage.edges]
    layout = compute_layout({node.name: _box_width(node.name) for node in lineage.nodes}, edges)
    boxes = {
        name: {"x": box.x, "y": box.y, "width": box.width, "height": BOX_HEIGHT}
        for name, box in layout.boxes.items()
    }
    paths = [[[box.x + box.width, box.y, box.x] for box in layout.paths[edge]] for edge in edges]
    return {
        **lineage.document(),
        "boxes": boxes,
        "paths": paths,
        "width": layout.width,
        "height": layout.height,
    }


def describe_asset(worker: Worker, name: str) -> Document:
    """Return one asset with its definition and neighbors.

    Raises:
        NodeNotFoundError: The asset does not exist.
    """
    from rivers_cli.commands.assets import summarize_assets
    from rivers_cli.lineage.model import build_lineage

    repository = worker.repository()
    [summary] = summarize_assets(repository, [name])
    edges = build_lineage(repository.graph).edges
    definition = repository.assets.get(name)
    return {
        **summary.document(),
        "state": summary.state,
        "upstream": [edge.source for edge in edges if edge.target == name],
        "downstream": [edge.target for edge in edges if edge.source == name],
        "description": None if definition is None else definition.description,
    }


def list_handlers(worker: Worker) -> list[Document]:
    """Return the handlers with their settings and the assets that each one stores."""
    from rivers_cli.commands.handlers import handler_settings
    from rivers_cli.handler_usage import HandlerUsage, format_setting, handler_names

    try:
        usage = HandlerUsage.of_repository(worker.repository())
    except RiversError as error:
        usage = HandlerUsage(problem=str(error))
    documents: list[Document] = []
    for name in handler_names(worker.session.project, usage):
        document: Document = {"name": name, "assets": [output.name for output in usage.outputs_of(name)]}
        try:
            handler_class, fields = handler_settings(worker.session.project, usage, name)
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
        documents.append(document)
    return documents


def list_plugins(worker: Worker) -> list[Document]:
    """Return the installed plugins as `rivers plugins --json` prints them; remarks would require loading them."""
    from rivers_cli.commands.plugins import plugin_document
    from rivers_core.plugins import get_registry

    _ = worker.session.project.config  # puts its plugin policy in force
    return [plugin_document(status) for status in get_registry().plugins()]


CALLS: Final[Mapping[str, Callable[..., Any]]] = {
    "assets": list_assets,
    "lineage": draw_lineage,
    "asset": describe_asset,
    "handlers": list_handlers,
    "plugins": list_plugins,
}


def serve(worker: Worker, requests: TextIO, answers: TextIO) -> None:
    """Answer requests until the server closes the pipe."""
    for line in requests:
        request = json.loads(line)
        answer: Document = {"id": request["id"]}
        try:
            answer["result"] = CALLS[request["call"]](worker, **request["arguments"])
        except (Exception, SystemExit) as error:
            answer["error"] = _describe(worker.session, error)
        redact = partial(redact_secrets, secrets=worker.session.project.secrets())
        answers.write(json.dumps(redact_texts(answer, redact), default=str) + "\n")
        answers.flush()


def main() -> None:
    """Serve on stdin and stdout; everything that the project prints goes to stderr."""
    session = Session()
    session.environment, session.config, session.repository = json.loads(sys.argv[1])
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        try:
            serve(Worker(session), sys.stdin, answers)
        finally:
            session.close()


def _describe(session: Session, error: BaseException) -> Document:
    text = describe_error(error)
    detail = None
    if isinstance(error, (ProjectImportError, HandlerFailedError)) and error.__cause__ is not None:
        detail = "".join(traceback.format_exception(error.__cause__)).rstrip()
    elif not isinstance(error, RiversError):
        detail = "".join(traceback.format_exception(error)).rstrip()
    return {
        "error": type(error).__name__,
        "message": session.redact(text, is_own_message=isinstance(error, RiversError)),
        "detail": None if detail is None else session.redact(detail),
    }


def redact_texts(value: Any, redact: Callable[[str], str]) -> Any:
    """Return a JSON value with every text redacted, but for the names of fields.

    Args:
        value: The value.
        redact: Removes credentials from a text.
    """
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: redact_texts(item, redact) for key, item in value.items()}
    return [redact_texts(item, redact) for item in value] if isinstance(value, (list, tuple)) else value


def _box_width(name: str) -> float:
    return 42.0 + 7.3 * min(len(name), 40)


if __name__ == "__main__":
    main()

"""The command `rivers ui`: start the server and open the page."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import webbrowser
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rivers_core.exceptions import RiversError

if TYPE_CHECKING:
    from rivers_ui.app import Page

FIRST_PORT: Final = 8765
_PORTS: Final = 100


def ui(
    context: typer.Context,
    host: Annotated[
        str, typer.Option("--host", help="Address of this machine: 127.0.0.1 or ::1.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option("--port", help="Port; by default the first free one from 8765.", min=1, max=65535),
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Only print the address.")] = False,
    preview: Annotated[bool, typer.Option(help="Show the first rows of a stored value on click.")] = True,
    actions: Annotated[
        bool, typer.Option("--actions", help="Allow the page to start and to cancel runs.")
    ] = False,
) -> None:
    """Show assets, lineage, runs and handlers in the browser.

    The page follows runs of other processes while they run. Without --actions it only reads. It is reachable from this
    machine only, with the token of the printed address. Ctrl+C ends it.

    Examples:
      $ rivers ui
      $ rivers ui --actions
      $ rivers ui --env prod --no-open
    """
    from rivers_ui.client import WorkerClient

    _check_host(host)
    session = context.obj
    project = session.project
    options = (session.environment, session.config, session.repository)
    with _listen(host, port) as listener:
        worker, loader = WorkerClient(project.root, options), WorkerClient(project.root, options)
        worker.prepare()  # imports the project while this process imports the server
        try:
            from rivers_ui.actions import Actions
            from rivers_ui.app import Page, PageProject

            facts = PageProject(
                project.root.name,
                None if project.config is None else project.config.environment,
                project.event_log,
                lambda text: str(session.redact(text, is_own_message=True)),
                preview,
                tuple(message for _, message in session.plugin_commands.conflicts()),
                project.storage_to_read if project.event_log is None else None,
            )
            page = Page(facts, worker, loader, Actions(options) if actions else None)
            _serve(page, listener, opens_browser=not no_open)
        finally:
            worker.close()


def _serve(page: Page, listener: socket.socket, *, opens_browser: bool) -> None:
    """Print the address and answer requests until Ctrl+C."""
    import uvicorn

    from rivers_ui.app import create_app, read_static

    if "app.js" not in read_static():
        raise RiversError("The page is not built. Run `make ui` in the checkout.")
    host, port = listener.getsockname()[:2]
    token = secrets.token_urlsafe(32)
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/#token={token}"
    print(f"rivers ui: {address}\nPress Ctrl+C to stop.", flush=True)
    redirect = _open_browser(address) if opens_browser else None
    config = uvicorn.Config(
        create_app(page, port, token),
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        h11_max_incomplete_event_size=16_384,
        timeout_graceful_shutdown=1,
    )
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        page.close()
        if redirect is not None:
            redirect.unlink(missing_ok=True)


def _check_host(host: str) -> None:
    if host not in ("127.0.0.1", "::1"):
        raise typer.BadParameter(
            f"{host}: the page is reachable from this machine only. Use 127.0.0.1 or ::1. To see it from "
            f"another machine, run `ssh -L {FIRST_PORT}:127.0.0.1:{FIRST_PORT} THIS_MACHINE` there.",
            param_hint="--host",
        )


def _listen(host: str, port: int | None) -> socket.socket:
    candidates = [port] if port is not None else range(FIRST_PORT, FIRST_PORT + _PORTS)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in candidates:
        # asyncio sets TCP_NODELAY on connections of a socket with this protocol only: without it, an answer after the
        # first on a connection waits 40 ms for an acknowledgement
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen()
        except OSError:
            listener.close()
        else:
            return listener
    raise typer.BadParameter(f"{candidates[0]} of {host} is in use. Use another port.", param_hint="--port")


def _open_browser(address: str) -> Path:
    """Open the address through a file that only this user can read, so that no process list shows the token."""
    descriptor, name = tempfile.mkstemp(prefix="rivers-ui-", suffix=".html")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f'<!doctype html><meta http-equiv="refresh" content="0; url={escape(address)}">')
    path = Path(name)
    webbrowser.open(path.as_uri())
    return path

"""A real server of the page, with a real worker, for a small project."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import uvicorn
from playwright.sync_api import Error, expect, sync_playwright

from rivers_ui.actions import Actions
from rivers_ui.app import Page, PageProject, create_app, read_static
from rivers_ui.client import WorkerClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Playwright
    from playwright.sync_api import Page as BrowserPage

    from tests.program_server import ProgramServer

TOKEN = "token-of-the-tests"
CAN_SHARE_PORTS = hasattr(socket, "SO_REUSEPORT")

# a worker that imports a project takes seconds on a busy machine
TIMEOUT_MS = 90_000
expect.set_options(timeout=TIMEOUT_MS)

DEFINITIONS = """
import rivers as rs

@rs.Asset(group="raw")
def orders() -> list[str]:
    "Orders of the bakery."
    return ["bread", "milk", "bread"]

@rs.Asset(group="answers", description="How often each was sold.")
def counts(orders: list[str]) -> dict[str, int]:
    return {name: orders.count(name) for name in orders}

@rs.Asset(group="answers", partitions_def=rs.PartitionsDefinition.static_(["north", "south"]))
def regions(counts: dict[str, int]) -> int:
    return len(counts)

repo = rs.CodeRepository([orders, counts, regions])
"""

TOML = """
repository = "definitions:repo"
default_io_handler = "files"

[io_handlers.files]
use = "pickle"
store = "file:./data"
"""


ENVIRONMENTS = """
[environments.prod]
default_executor = "parallel"

[environments.prod.io_handlers.files]
store = "file:./prod"
storage_options = { aws_secret_access_key = "correct-horse" }

[environments.wrong.io_handlers.files]
use = "no such handler"
"""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """A running page."""

    port: int
    folder: Path
    programs: ProgramServer | None = None

    def request(self, path, method="GET", headers=(), host=None, token=TOKEN, body=None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for value in [f"127.0.0.1:{self.port}"] if host is None else host:
                connection.putheader("Host", value)
            if token is not None:
                connection.putheader("Authorization", f"Bearer {token}")
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, **query: str) -> Any:
        text = "&".join(f"{name}={quote(value)}" for name, value in query.items())
        answer = self.request(f"/api/v1/{path}?{text}")
        assert answer.status == 200, answer.body
        return answer.document

    def post(self, path: str, document: Any, **changed: str | None) -> Answer:
        """Send an action as the page does; `changed` replaces headers, None leaves one out."""
        body = json.dumps(document).encode()
        headers = {
            "Origin": f"http://127.0.0.1:{self.port}",
            "Sec-Fetch-Site": "same-origin",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        kept = [(name, value) for name, value in headers.items() if value is not None]
        return self.request(f"/api/v1/{path}", "POST", kept, body=body)

    def assets(self) -> dict[str, dict[str, Any]]:
        """Return the assets of the page by name."""
        answer = self.get("assets")
        rows = zip(*answer["columns"].values(), strict=True)
        return {row[0]: dict(zip(answer["columns"], row, strict=True)) for row in rows}

    def command(self, *arguments: str) -> str:
        """Run the command in the project as another process."""
        assert self.programs is not None
        result = self.programs.run(["rivers", *arguments], cwd=self.folder)
        assert result.returncode == 0, result.stderr
        return result.stdout


@pytest.fixture
def ui_folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "definitions.py").write_text(DEFINITIONS)
    (tmp_path / "rivers.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RIVERS_ENV", raising=False)
    monkeypatch.delenv("RIVERS_CONFIG", raising=False)
    return tmp_path


@pytest.fixture
def server(ui_folder, program_server) -> Iterator[Server]:
    with serve(ui_folder, programs=program_server) as running:
        yield running


@contextmanager
def serve(
    folder: Path,
    *,
    has_actions: bool = False,
    port: int = 0,
    programs: ProgramServer | None = None,
    token: str = TOKEN,
) -> Iterator[Server]:
    """Serve the project in a folder on a free port, or on that port, of this process."""
    workers = [WorkerClient(folder, (None, None, None)) for _ in range(2)]
    project = PageProject(folder.name, None, folder / ".rivers", lambda text: text.replace("hunter2", "****"))
    page = Page(project, *workers, Actions((None, None, None)) if has_actions else None)
    with socket.create_server(("127.0.0.1", port), reuse_port=CAN_SHARE_PORTS) as listener:
        port = listener.getsockname()[1]
        config = uvicorn.Config(create_app(page, port, token), log_level="error", lifespan="off", ws="none")
        instance = uvicorn.Server(config)
        thread = Thread(target=instance.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Server(port, folder, programs)
        finally:
            instance.should_exit = True
            thread.join(30)
            page.close()


@pytest.fixture
def reserved_port() -> Iterator[int]:
    """Return a port that a server can listen at twice in a test, and that no other process takes in between."""
    with socket.socket() as reservation:
        if CAN_SHARE_PORTS:
            reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reservation.bind(("127.0.0.1", 0))
        port = reservation.getsockname()[1]
        if not CAN_SHARE_PORTS:
            reservation.close()
        yield port


@pytest.fixture(scope="module")
def built_page() -> None:
    """Skip a test that needs the built page where npm is not available."""
    if "app.js" not in read_static():
        _skip("the page is not built (make ui); npm not found or not usable")


@pytest.fixture(scope="module")
def browser(built_page) -> Iterator[Browser]:
    """Chromium, started once per file: while Playwright runs, no other event loop can run in this thread.

    The name attacker.example leads to this machine, as after DNS rebinding.
    """
    with sync_playwright() as playwright:
        instance = _launch(playwright)
        yield instance
        instance.close()


def _launch(playwright: Playwright) -> Browser:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("RIVERS_TEST_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    is_root = os.name == "posix" and os.geteuid() == 0
    arguments = ["--host-resolver-rules=MAP attacker.example 127.0.0.1", *["--no-sandbox"] * is_root]
    try:
        if path is None:
            return playwright.chromium.launch(channel="chrome", args=arguments, timeout=TIMEOUT_MS)
        return playwright.chromium.launch(executable_path=path, args=arguments, timeout=TIMEOUT_MS)
    except Error as error:
        _skip(f"Chromium not found (apt-get install chromium, or RIVERS_TEST_CHROMIUM): {error}")
        raise


def _skip(message: str) -> None:
    pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)


class Tab:
    """A tab of the browser that records what must not happen: dialogs, foreign requests, blocked scripts.

    Args:
        page: The tab.
        server: The server that it shows.
    """

    def __init__(self, page: BrowserPage, server: Server) -> None:
        self.page, self.server = page, server
        page.set_default_timeout(TIMEOUT_MS)
        self.incidents: list[str] = []
        page.on("dialog", self._on_dialog)
        page.on("pageerror", lambda error: self.incidents.append(f"error {error}"))
        page.on("request", self._on_request)
        page.on("console", self._on_console)
        page.goto(f"{self.origin}/#token={TOKEN}")

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def open(self, path: str) -> None:
        """Open a page and wait until everything on it is loaded."""
        self.page.goto(self.origin + path)
        self.settle()

    def go(self, path: str) -> None:
        """Show another page without loading the document again, as a link does."""
        self.page.evaluate(
            "(path) => { history.pushState(null, '', path); dispatchEvent(new PopStateEvent('popstate')); }",
            path,
        )
        self.settle()

    def settle(self) -> None:
        """Wait until everything on the page is loaded."""
        self.page.locator("main h1").wait_for()
        expect(self.page.locator("main .loading")).to_have_count(0)

    def _on_dialog(self, dialog: Any) -> None:
        self.incidents.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith((self.origin, "data:", "blob:")):
            self.incidents.append(f"request {request.url}")

    def _on_console(self, message: Any) -> None:
        if "Content Security Policy" in message.text:
            self.incidents.append(f"policy {message.text}")

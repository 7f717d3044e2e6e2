"""A real server of the page, with a real worker, for a small project."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import uvicorn

from rivers_ui.app import Page, PageProject, create_app, read_static
from rivers_ui.client import WorkerClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "token-of-the-tests"

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

    def request(self, path, method="GET", headers=(), host=None, token=TOKEN) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for value in [f"127.0.0.1:{self.port}"] if host is None else host:
                connection.putheader("Host", value)
            if token is not None:
                connection.putheader("Authorization", f"Bearer {token}")
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, **query: str) -> Any:
        text = "&".join(f"{name}={quote(value)}" for name, value in query.items())
        answer = self.request(f"/api/v1/{path}?{text}")
        assert answer.status == 200, answer.body
        return answer.document

    def command(self, *arguments: str) -> str:
        """Run the command in the project as another process."""
        result = subprocess.run(
            [sys.executable, "-m", "rivers", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=100,
        )
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
def server(ui_folder) -> Iterator[Server]:
    worker = WorkerClient(ui_folder, (None, None, None))
    project = PageProject(
        ui_folder.name, None, ui_folder / ".rivers", lambda text: text.replace("hunter2", "****")
    )
    page = Page(project, worker)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        config = uvicorn.Config(create_app(page, port, TOKEN), log_level="error", lifespan="off", ws="none")
        instance = uvicorn.Server(config)
        thread = Thread(target=instance.run, kwargs={"sockets": [listener]})
        thread.start()
        yield Server(port, ui_folder)
        instance.should_exit = True
        thread.join(30)
        page.close()


@pytest.fixture
def built_page() -> None:
    """Skip a test that needs the built page where npm is not available."""
    if "app.js" not in read_static():
        message = "the page is not built (make ui); npm not found or not usable"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)

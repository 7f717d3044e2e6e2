"""States in which the page still has to answer: broken plugins, folders without write access, killed runs."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import os
import socket
import stat
import subprocess
import sys
import tempfile

import pytest
import typer
from starlette.exceptions import HTTPException

from rivers.storage import Storage
from rivers_cli.main import main
from rivers_ui import command
from rivers_ui.answers import MAX_ANSWER, AnswerTooLargeError, JsonText, encode, serialize
from rivers_ui.app import Page, PageProject
from tests.test_ui.conftest import Server

PLUGIN = "Metadata-Version: 2.1\nName: rivers-acme\nVersion: 1.0\n"
OFFER = "Provides-Extra: lake\nRequires-Dist: rivers-acme-lake; extra == 'lake'\n"
KILLED = """
import os, signal
from rivers.storage import Storage
storage = Storage.embedded(".rivers")
storage.start_run("r1", steps=["orders"])
storage.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_page_shows_project_with_broken_plugin_and_writes_no_file(server, monkeypatch, tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    (site / "rivers_acme.py").write_text(
        "raise ImportError('libacme is missing') from OSError('no such device')"
    )
    package = site / "rivers_acme-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text(PLUGIN + OFFER)
    (package / "entry_points.txt").write_text("[rivers]\nacme = rivers_acme\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    before = sorted(server.folder.rglob("*"))
    server.folder.chmod(0o555)
    try:
        for path in (
            "assets",
            "lineage",
            "assets/orders",
            "assets/regions/partitions",
            "runs",
            "logs",
            "config",
        ):
            server.get(path)
        plugins = {item["distribution"]: item for item in server.get("plugins")}
    finally:
        server.folder.chmod(0o755)
    assert plugins["rivers-acme"]["state"] == "broken"
    assert "libacme" in plugins["rivers-acme"]["error"]
    assert ["libacme" in line or "no such device" in line for line in plugins["rivers-acme"]["causes"]] == [
        True
    ] * 2
    absent = plugins["rivers-acme-lake"]
    assert (absent["state"], absent["entry_point"]) == ("not installed", "pip install rivers-acme-lake")
    assert sorted(server.folder.rglob("*")) == before


def test_run_of_killed_process_is_interrupted_when_the_engine_closes_it(server):
    subprocess.run([sys.executable, "-c", KILLED], cwd=server.folder, check=False)
    for path in ("assets", "check", "handlers", "runs"):
        server.get(path)
    run = server.get("runs/r1")
    assert (run["status"], run["progress"][0]["state"]) == ("Started", "planned")
    with Storage.embedded(server.folder / ".rivers") as storage:
        storage.get_runs()
    assert server.get("runs/r1")["status"] == "Interrupted"


def test_answers_are_sent_without_delay():
    async def has_no_delay():
        options = asyncio.Queue()

        def accept(_, writer):
            options.put_nowait(
                writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            )
            writer.close()

        with command._listen("127.0.0.1", None) as listener:
            async with await asyncio.start_server(accept, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                writer.close()
                return await options.get()

    assert asyncio.run(has_no_delay())


def test_command_takes_next_port_and_refuses_the_port_that_is_taken(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setattr(command, "FIRST_PORT", port)
        with command._listen("127.0.0.1", None) as other:
            assert other.getsockname()[1] > port
        with pytest.raises(typer.BadParameter, match=str(port)):
            command._listen("127.0.0.1", port)


def test_command_serves_the_environment_that_is_named(ui_folder, monkeypatch):
    with (ui_folder / "rivers.toml").open("a") as file:
        file.write('\n[environments.prod.io_handlers.files]\nstore = "file:./prod"\n')
    pages = []
    monkeypatch.setattr(command, "_serve", lambda page, listener, opens_browser: pages.append(page))
    monkeypatch.setattr("rivers_ui.client.WorkerClient.prepare", lambda worker: None)
    with pytest.raises(SystemExit) as caught:
        main(["ui", "--env", "prod", "--no-open"])
    [page] = pages
    handlers = page.list_handlers(None)
    page.close()
    assert (caught.value.code, page.describe_project(None)["environment"]) == (0, "prod")
    assert "prod" in handlers


def test_serialize_redacts_escaped_texts_and_writes_numbers_that_json_lacks():
    def redact(text):
        return text.replace('pass"word\n', "****")

    secret = {"name": 'a pass"word\n', "list": ['pass"word\n']}
    for answer in (secret, JsonText(json.dumps(secret))):
        assert json.loads(serialize(answer, redact)) == {"name": "a ****", "list": ["****"]}
    assert serialize({"x": [math.nan, 1.5, (None, "é")]}, redact) == '{"x":["nan",1.5,[null,"é"]]}'


def test_worker_ends_in_silence_when_the_server_has_ended(ui_folder):
    command_line = [sys.executable, "-m", "rivers_ui.worker", "[null, null, null]"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command_line, cwd=ui_folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as worker:
        worker.stdout.close()
        worker.stdin.write('{"call": "prepare", "arguments": {}}\n')
        worker.stdin.close()
        assert (worker.stderr.read(), worker.wait()) == ("", 0)


STARTED = """
import sys
from rivers_cli.main import main
from rivers_ui import command

def serve(page, listener, opens_browser):
    page.close()
    print(*(name for name in sys.modules if name.startswith(("rivers.repository", "rivers.execution", "definitions"))))

command._serve = serve
main(["ui", "--no-open"])
"""


def test_program_hands_over_a_new_token_and_refuses_large_heads(ui_folder):
    tokens = set()
    for _ in range(2):
        command_line = [sys.executable, "-m", "rivers", "ui", "--no-open"]
        with subprocess.Popen(command_line, cwd=ui_folder, stdout=subprocess.PIPE, text=True) as process:
            try:
                address, token = process.stdout.readline().split()[-1].split("/#token=")
                server = Server(int(address.rpartition(":")[2]), ui_folder)
                answer = server.request("/api/v1/project", token=token)
                large = server.request("/", headers=[("X-Large", "x" * 20_000)])
                assert server.request("/api/v1/project", token=None).status == 401
                with socket.create_connection(("127.0.0.1", server.port), timeout=60) as endless:
                    endless.sendall(b"GET / HTTP/1.1\r\nX-Large: " + b"x" * 20_000)
                    assert endless.recv(100).startswith(b"HTTP/1.1 400")
            finally:
                process.terminate()
        tokens.add(token)
        assert answer.status == 200
        assert large.status in (400, 431)  # refused by h11 if it arrives in pieces
        assert "server" not in answer.headers
        assert len(base64.urlsafe_b64decode(token + "=")) == 32
    assert len(tokens) == 2


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_token_reaches_the_browser_through_a_file_of_the_user(monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(command.webbrowser, "open", opened.append)
    path = command._open_browser("http://127.0.0.1:8765/#token=secret")
    assert opened == [path.as_uri()]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "#token=secret" in path.read_text()


def test_page_without_previews_refuses_them(tmp_path):
    project = PageProject("p", None, tmp_path, str, has_preview=False)
    with pytest.raises(HTTPException) as caught:
        Page(project, None, None).preview_value(None)
    assert caught.value.status_code == 403


def test_answer_that_is_too_large_is_refused():
    assert encode("x" * 1_000_000, str)
    with pytest.raises(AnswerTooLargeError):
        encode("x" * MAX_ANSWER, str)


def test_command_serves_before_engine_and_project_are_imported(ui_folder):
    result = subprocess.run(
        [sys.executable, "-c", STARTED], cwd=ui_folder, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []

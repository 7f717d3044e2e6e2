"""The command as a process: on a terminal, in a pipe, interrupted."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from struct import pack

import pytest

import rivers_cli.commands.assets  # noqa: F401 - its is_terminal is bound before a test replaces it

RIVERS = Path(sys.executable).with_name("rivers")

SLOW = """
import pathlib
import time

@rs.Asset
def quick() -> int:
    return 1

@rs.Asset
def slow(quick: int) -> int:
    pathlib.Path("started").touch()
    time.sleep(60)
    return quick

repo = rs.CodeRepository([quick, slow])
"""


def environment(**changed):
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RIVERS", "PYTEST"))}
    return kept | {"TERM": "xterm-256color", "PYTHONDONTWRITEBYTECODE": "1"} | changed


@pytest.fixture
def on_a_terminal(program_server):
    """Return a function that runs the command on a terminal; it returns what is sent there, and the exit code."""

    def run(arguments, folder, columns=80, **variables):
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, columns)) if hasattr(termios, "tcsetwinsize") else _set_size(
            slave, columns
        )
        streams = {"stdin": slave, "stdout": slave, "stderr": slave}
        process = program_server.start(
            ["rivers", *arguments], cwd=folder, env=environment(**variables), **streams
        )
        os.close(slave)
        sent = b""
        while True:
            try:
                if not (part := os.read(master, 65536)):
                    break
            except OSError:  # the other end is closed
                break
            sent += part
        os.close(master)
        return sent.decode(), process.wait()

    return run


def _set_size(descriptor, columns):
    import fcntl

    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, pack("HHHH", 24, columns, 0, 0))


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "")


def wait_for(path):
    give_up = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < give_up, f"{path} was not created"
        select.select([], [], [], 0.02)


def interrupted(project, number):
    process = subprocess.Popen(
        [RIVERS, "materialize"],
        cwd=project.path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(project.path / "started")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_run_is_canceled_and_can_be_resumed(project_of, number, code):
    project = project_of(SLOW)
    returned, out, err = interrupted(project, number)
    assert returned == code
    assert "Traceback" not in err
    assert "Assets stored before: quick." in err
    (run,) = project.ok("runs", "--json").document
    assert run["status"] == "Canceled"
    assert f"rivers materialize --resume {run['run_id']}" in err
    assert project.files("data") == ["quick.pkl"]
    assert "slow   stopped" in out


def test_resumed_run_stores_missing_assets(project_of):
    project = project_of(SLOW)
    interrupted(project, signal.SIGINT)
    project.edit("definitions.py", "time.sleep(60)", "")
    (run,) = project.ok("runs", "--json").document
    done = project.ok("materialize", "--resume", run["run_id"], "--json")
    assert done.document["materialized"] == ["slow"]
    (run,) = project.ok("runs", "--json").document
    assert run["status"] == "Success"


def test_terminal_shows_table_and_project_output(project, on_a_terminal):
    sent, code = on_a_terminal(["materialize"], project.path)
    assert code == 0
    assert "\x1b[" in sent
    last = plain(sent)
    assert "fetching orders" in last
    assert re.search(r"✓\s+report\s+files\s+\d+ bytes\s+[\d.]+ ms", last)
    assert "3 of 3 stored" in last


def test_no_color_disables_colors(project, on_a_terminal):
    project.ok("materialize")
    colored, _ = on_a_terminal(["assets"], project.path)
    assert re.search(r"\x1b\[(\d+;)*3[0-7]m", colored)
    sent, code = on_a_terminal(["assets"], project.path, NO_COLOR="1")
    assert code == 0
    assert not re.search(r"\x1b\[(\d+;)*3[0-7]m", sent)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_table_fits_terminal_and_keeps_names(project, columns, monkeypatch):
    project.edit("definitions.py", "def report(", "def a_rather_long_name_of_an_asset(")
    project.edit("definitions.py", "counts, report]", "counts, a_rather_long_name_of_an_asset]")
    project.ok("materialize", "orders")
    monkeypatch.setattr("rivers_cli.output.is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    for arguments in (["assets"], ["handlers"], ["runs"], ["handlers", "show", "files"], ["check"]):
        lines = [line for line in project.ok(*arguments).out.splitlines() if ": " not in line]
        assert max(map(len, lines)) <= columns, lines
    assert "a_rather_long_name_of_an_asset" in project.ok("assets").out


def test_narrow_terminal_omits_optional_columns(project, monkeypatch):
    project.ok("materialize")
    monkeypatch.setattr("rivers_cli.output.is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "75")
    narrow = project.ok("log").out
    monkeypatch.setenv("COLUMNS", "200")
    assert "Version" in project.ok("log").out
    assert "Version" not in narrow
    assert "Materialization" in narrow


def test_assets_shows_groups_as_tree_on_terminal(project, on_a_terminal):
    sent, _ = on_a_terminal(["assets"], project.path)
    assert "├─ counts" in plain(sent)
    assert re.search(r"^answers +counts", project.ok("assets").out, re.MULTILINE)


def test_table_in_pipe_has_full_width(project):
    project.edit("rivers.toml", 'store = "file:./data"', f'store = "file:./{"d" * 150}"')
    assert "d" * 150 in project.ok("handlers", "show", "files").out


def test_closed_pipe_shows_no_traceback(project):
    project.ok("materialize")
    done = subprocess.run(
        ["bash", "-c", f"{RIVERS} assets | head -1"],
        cwd=project.path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("Group")


def test_graph_on_terminal_writes_file(project, on_a_terminal):
    sent, code = on_a_terminal(["graph"], project.path)
    assert code == 0
    assert "Wrote lineage.svg" in plain(sent)
    assert (project.path / "lineage.svg").read_text().startswith("<svg")


def test_completion_of_commands_options_and_names(project, program_server):
    def completed(line):
        variables = environment(
            _RIVERS_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(line.split(" ")) - 1)
        )
        return program_server.run(["rivers"], cwd=project.path, env=variables).stdout.split()

    assert {"materialize", "migrate"} == set(completed("rivers m"))
    assert "--only-stale" in completed("rivers materialize --on")
    assert completed("rivers load re") == ["report"]
    assert completed("rivers materialize --job n") == ["nightly"]
    assert completed("rivers handlers show fi") == ["files"]
    assert completed("rivers assets --env p") == ["prod"]
    assert completed("rivers materialize --executor in") == ["in_process"]
    assert completed("rivers migrate --to files@") == ["files@prod"]


def test_completion_outside_project_is_silent(empty):
    variables = environment(_RIVERS_COMPLETE="complete_bash", COMP_WORDS="rivers load re", COMP_CWORD="2")
    done = subprocess.run([RIVERS], cwd=empty.path, env=variables, capture_output=True, text=True)
    assert done.stdout.strip() == ""
    assert "Traceback" not in done.stderr


def test_assets_json_of_process(project):
    done = subprocess.run(
        [RIVERS, "assets", "--json"], cwd=project.path, env=environment(), capture_output=True, text=True
    )
    assert [item["asset"] for item in json.loads(done.stdout)] == ["orders", "counts", "report"]


LOGGING = """
@rs.Asset
def talks(context: rs.AssetExecutionContext) -> int:
    context.log.info("half way")
    context.log.debug("for developers")
    return 1

repo = rs.CodeRepository([talks])
"""


@pytest.fixture
def materialized(program_server):
    """Return a function that runs `rivers materialize` in a project."""

    def run(project):
        result = program_server.run(["rivers", "materialize"], cwd=project.path, env=environment())
        assert result.returncode == 0, result.stderr
        return result

    return run


def test_materialize_prints_log_records(project_of, materialized):
    done = materialized(project_of(LOGGING))
    assert "rivers.assets.talks: half way" in done.stderr
    assert "for developers" not in done.stderr


def test_materialize_keeps_logging_of_project(project_of, materialized):
    set_up = "import logging\nlogging.getLogger('rivers').addHandler(logging.NullHandler())\n"
    assert "half way" not in materialized(project_of(set_up + LOGGING)).stderr


def test_terminal_escapes_control_characters(project_of, on_a_terminal):
    project = project_of(
        """
@rs.Asset
def text() -> str:
    return "\\x1b]0;another title\\x07 and text"

repo = rs.CodeRepository([text])
"""
    )
    project.ok("materialize")
    sent, code = on_a_terminal(["load", "text"], project.path)
    assert code == 0
    assert "\\x1b]0;another title\\x07 and text" in sent
    assert "\x1b]" not in sent
    assert "\x1b]0;another title\x07 and text" in project.ok("load", "text").out

"""Run the blocks of one documentation page, in order, in the current folder.

test_pages.py runs this script in a separate process, and passes the page as JSON on stdin. Python blocks are
independent scripts: each runs in a fork, so that blocks do not share variables, and do not import the engine
again.
"""

from __future__ import annotations

import doctest
import io
import json
import linecache
import os
import subprocess
import sys
import traceback
import types
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

SHELL = """
set -euo pipefail
pip() { python -m pip -q --disable-pip-version-check "$@" --no-deps --no-build-isolation --target .site; }
pytest() { python -m pytest "$@"; }
make() { :; }
git() { :; }
"""


def run_as_main(source: str, name: str, first_line: int) -> None:
    """Execute `source` as `__main__`, so that tracebacks point into the Markdown page."""
    padded = "\n" * first_line + source
    linecache.cache[name] = (len(padded), None, padded.splitlines(keepends=True), name)
    main = types.ModuleType("__main__")
    main.__file__ = name
    sys.modules["__main__"] = main
    exec(compile(padded, name, "exec"), main.__dict__)


def run_python(block: dict[str, Any], page: str) -> tuple[bool, str]:
    """Run one block in a fork; return whether it succeeded, and its output."""
    sys.path_importer_cache.clear()
    output = Path(".output")
    child = os.fork()
    if child == 0:
        with output.open("w") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
            code = 0
            try:
                run_as_main(block["source"], page, block["line"])
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            except BaseException:
                traceback.print_exc()
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return status == 0, output.read_text()


def run_shell(block: dict[str, Any]) -> tuple[bool, str]:
    process = subprocess.run(
        ["bash", "-c", SHELL + block["source"]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    last_command = block["source"].splitlines()[-1].split()
    if last_command[0] == "cd" and process.returncode == 0:
        enter_folder(last_command[1])
    return process.returncode == 0, process.stdout


def enter_folder(folder: str) -> None:
    """Make a folder the current one, also for imports."""
    os.chdir(folder)
    sys.path[:0] = [str(Path.cwd()), str(Path("src").absolute()), str(Path(".site").absolute())]


def write_file(block: dict[str, Any], page: str) -> tuple[bool, str]:
    """Write the block to the file that its title names, and import it if it is a module."""
    path = Path(block["title"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block["source"])
    if path.suffix != ".py":
        return True, ""
    module = ".".join(part for part in path.with_suffix("").parts if part not in ("src", "__init__"))
    return run_python({"source": f"import {module}", "line": block["line"]}, page)


def matches_output(expected: str, output: str) -> bool:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    expected = expected.rstrip().replace("\n...", "...")
    return doctest.OutputChecker().check_output(expected, output.rstrip(), flags)


def run_block(block: dict[str, Any], page: str, output: str) -> tuple[str | None, str]:
    """Run one block; return a problem, or None, and the output.

    Args:
        block: A block as test_pages.py describes it.
        page: Path of the page.
        output: Output of the previous block, with which a block of the action "compare" is compared.
    """
    match block["action"]:
        case "write":
            success, output = write_file(block, page)
        case "compare":
            if matches_output(block["source"], output):
                return None, output
            return f"expected output:\n{block['source']}\nactual output:\n{output}", output
        case "run":
            success, output = run_python(block, page) if block["kind"] == "python" else run_shell(block)
    if block["fails"] is None:
        return (None if success else output), output
    if success or block["fails"] not in output:
        return f"must fail with {block['fails']!r}, got:\n{output}", output
    return None, output


def warm_up() -> None:
    """Import the modules that almost every block needs, once, before the forks."""
    with redirect_stdout(io.StringIO()):
        import rivers
        import rivers_core

        for name in ("BaseIOHandler", "CodeRepository"):
            getattr(rivers, name, None)
        getattr(rivers_core, "get_registry", None)


def main() -> int:
    task = json.load(sys.stdin)
    enter_folder(".")
    warm_up()
    output = ""
    for block in task["blocks"]:
        problem, output = run_block(block, task["page"], output)
        if problem:
            print(f"{task['page']}:{block['line']}: block failed\n{problem}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

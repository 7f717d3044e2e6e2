"""Run the blocks of one documentation page, in order, in the current folder.

Started by test_pages.py as a program of its own, with the page as JSON on stdin. Python blocks are
independent scripts: each runs in a fork, so that none sees another's variables, and none pays for importing
the engine again.
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
    """Run one block in a fork; whether it ended well, and all that it printed."""
    sys.path_importer_cache.clear()
    printed = Path(".printed")
    child = os.fork()
    if child == 0:
        with printed.open("w") as stream:
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
    return status == 0, printed.read_text()


def run_shell(block: dict[str, Any]) -> tuple[bool, str]:
    done = subprocess.run(
        ["bash", "-c", SHELL + block["source"]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode == 0, done.stdout


def write_file(block: dict[str, Any], page: str) -> tuple[bool, str]:
    """Write the block to the file that its title names; a module is imported, to see that it can be."""
    path = Path(block["title"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block["source"])
    if path.suffix != ".py":
        return True, ""
    module = ".".join(part for part in path.with_suffix("").parts if part not in ("src", "__init__"))
    return run_python({"source": f"import {module}", "line": block["line"]}, page)


def same_text(expected: str, printed: str) -> bool:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    expected = expected.rstrip().replace("\n...", "...")
    return doctest.OutputChecker().check_output(expected, printed.rstrip(), flags)


def run_block(block: dict[str, Any], page: str, printed: str) -> tuple[str | None, str]:
    """Run one block: what is wrong with it, if anything, and what it printed."""
    match block["action"]:
        case "write":
            good, printed = write_file(block, page)
        case "compare":
            wrong = (
                None
                if same_text(block["source"], printed)
                else f"the page says otherwise:\n{block['source']}"
            )
            return wrong and f"{wrong}\nbut this was printed:\n{printed}", printed
        case "run":
            good, printed = run_python(block, page) if block["kind"] == "python" else run_shell(block)
    if block["fails"] is None:
        return (None if good else printed), printed
    if good or block["fails"] not in printed:
        return f"should fail and say {block['fails']!r}, but printed:\n{printed}", printed
    return None, printed


def warm_up() -> None:
    """Import what nearly every block imports, once, before the forks."""
    with redirect_stdout(io.StringIO()):
        import rivers
        import rivers_core

        for name in ("BaseIOHandler", "CodeRepository"):
            getattr(rivers, name, None)
        getattr(rivers_core, "get_registry", None)


def main() -> int:
    task = json.load(sys.stdin)
    sys.path[:0] = [str(Path.cwd()), str(Path("src").absolute()), str(Path(".site").absolute())]
    warm_up()
    printed = ""
    for block in task["blocks"]:
        wrong, printed = run_block(block, task["page"], printed)
        if wrong:
            print(f"{task['page']}:{block['line']}: this block does not do what it says\n{wrong}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Make the pictures of README and docs from the flights example: `make pictures`.

Runs the example in a temporary folder, starts `rivers ui` there, and takes pictures of its pages with Chromium.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "flights"
WIDTH, HEIGHT = 1280, 760
PAGES = {
    "overview": "/",
    "assets": "/assets",
    "lineage": "/lineage",
    "asset": "/assets/month_delays",
    "metadata": "/assets/month_delays?tab=metadata",
    "handlers": "/handlers",
}


def run_in(folder: Path, *command: str, columns: int = 100) -> str:
    """Run a command as in a terminal with colors, and return what it prints."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(columns), "PYTHONPATH": str(folder)}
    result = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
        text=True,
    )
    return result.stdout


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the page of the project in a folder; yield its address with the token."""
    with subprocess.Popen(
        [sys.executable, "-m", "rivers", "ui", "--no-open"], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://\S+", process.stdout.readline())
            assert address is not None
            yield address[0]
        finally:
            process.terminate()


def launch() -> dict[str, object]:
    """Return the arguments that start the browser of this machine."""
    path = os.environ.get("RIVERS_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    is_root = os.name == "posix" and os.geteuid() == 0
    return {"executable_path": path, "args": ["--no-sandbox"] if is_root else []}


def take(page: Page, origin: str, path: str, file: Path, folder: Path) -> None:
    """Open a page and save it as a picture once everything on it is loaded."""
    page.goto(origin + path)
    page.locator("main h1").wait_for()
    expect(page.locator("main .loading")).to_have_count(0, timeout=60_000)
    page.wait_for_timeout(300)  # the drawing of a canvas follows the loading
    # the example runs in a temporary folder; addresses and paths are shown as if it were that of a user
    page.evaluate(
        """(folder) => {
            const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(folder, "/home/me");
        }""",
        str(folder),
    )
    page.screenshot(path=file)


def take_terminal(browser: Browser, command: str, output: str, file: Path) -> None:
    """Save a command and its output as a picture of a terminal."""
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
    console.print(Text.from_ansi(output.strip()))
    page = browser.new_page(viewport={"width": 900, "height": 400}, device_scale_factor=1.5)
    body = console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")
    style = "margin:0;padding:18px 22px;background:#0e1318;color:#e3e9ef;font:14px/1.45 monospace"
    page.set_content(f'<body style="margin:0"><div style="{style}">{body}</div>')
    page.locator("div").screenshot(path=file)
    page.close()


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "flights"
        shutil.copytree(
            EXAMPLE, folder, ignore=shutil.ignore_patterns(".rivers", "data", "reports", "__pycache__")
        )
        run_in(folder, "run.py")
        output = run_in(folder, "-m", "rivers", "materialize", "-p", "2013-01..2013-12")
        run_id = json.loads(run_in(folder, "-m", "rivers", "runs", "--json", "--limit", "1"))[0]["run_id"]
        with served(folder) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(**launch())  # type: ignore[arg-type]
            take_terminal(browser, "rivers materialize -p 2013-01..2013-12", output, HERE / "terminal.png")
            origin = address.partition("/#")[0]
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            page.goto(address)
            for title, path in {**PAGES, "run": f"/runs/{run_id}"}.items():
                take(page, origin, path, HERE / f"{title}.png", folder.parent)
            browser.close()


if __name__ == "__main__":
    main()

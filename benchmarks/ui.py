"""The page of `rivers ui` in Chromium, for a generated project of 5,000 assets, one of them with 10,000 partitions.

Every figure is a time against its limit: 1 means that the page takes all of it. The limits are times that people
notice, so they are absolute; the report names the load of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from harness import Report
from playwright.sync_api import sync_playwright

from rivers.storage import Event, Storage

DEFINITIONS = """
import rivers as rs

def asset(number):
    names = sorted({number - 1, number // 2}) if number % 20 else []
    upstream = [rs.AssetDef.dep(f"asset_{name}") for name in names]
    @rs.Asset(name=f"asset_{number}", group=f"group_{number // 250}", deps=upstream)
    def function() -> int:
        return 1
    return function

@rs.Asset(partitions_def=rs.PartitionsDefinition.daily("2000-01-01", "2027-05-19"))
def days() -> int:
    return 1

repo = rs.CodeRepository([*(asset(number) for number in range(COUNT)), days])
"""

CONFIG = 'repository = "definitions:repo"\ndefault_io_handler = "memory"\n'

# The times are taken in the page, after the frame that shows the result.
SHOWN = """
([selector, text]) => new Promise((done) => {
  const look = () => [...document.querySelectorAll(selector)].some((element) => element.textContent.includes(text))
    ? requestAnimationFrame(() => done([performance.now(), Date.now()])) : requestAnimationFrame(look);
  look();
})
"""
TYPED = """
([text, selector, expected]) => new Promise((done) => {
  const input = document.querySelector("#filter"), start = performance.now();
  input.value = text;
  input.dispatchEvent(new InputEvent("input", { bubbles: true }));
  const look = () => document.querySelector(selector)?.textContent.startsWith(expected)
    ? requestAnimationFrame(() => done(performance.now() - start)) : requestAnimationFrame(look);
  look();
})
"""
CLICKED = """
([button, selector, expected]) => new Promise((done) => {
  const start = performance.now();
  document.querySelector(button).click();
  const look = () => document.querySelector(selector)?.textContent.includes(expected)
    ? requestAnimationFrame(() => done(performance.now() - start)) : requestAnimationFrame(look);
  look();
})
"""
MOVING = "pan and zoom, worst frame"
# Pans and zooms for 60 frames; the longest time between two of them.
MOVED = """
() => new Promise((done) => {
  const stage = document.querySelector(".stage"), { left, top } = stage.getBoundingClientRect();
  let frames = 0, worst = 0, last = 0;
  const step = (now) => {
    if (frames > 2) worst = Math.max(worst, now - last);
    last = now;
    if (frames++ === 60) return done(worst);
    const zooms = frames > 30, options = { clientX: left + 300, clientY: top + 200, bubbles: true, cancelable: true };
    const wheel = zooms ? { deltaY: 4, ctrlKey: true } : { deltaX: 9, deltaY: 7 };
    stage.dispatchEvent(new WheelEvent("wheel", { ...options, ...wheel }));
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})
"""
DRAWN = """
() => new Promise((done) => {
  const look = () => document.querySelector(".cells canvas")?.width > 300
    ? requestAnimationFrame(() => done(performance.now())) : requestAnimationFrame(look);
  look();
})
"""


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, str, float]]:
    """Start `rivers ui` in a folder; yield its address without the token, the token, and the seconds to answer."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "rivers", "ui", "--no-open"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address, token = process.stdout.readline().split()[-1].split("/#token=")
            get(HTTPConnection(address.removeprefix("http://")), token, "project")
            yield address, token, time.perf_counter() - start
        finally:
            process.terminate()


def get(connection: HTTPConnection, token: str, path: str) -> bytes:
    """Return the body of an answer."""
    connection.request("GET", f"/api/v1/{path}", headers={"Authorization": f"Bearer {token}"})
    return connection.getresponse().read()


def timed(action: Callable[[], Any]) -> float:
    """Return the wall-clock seconds of an action."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(folder: Path, count: int, rounds: int) -> dict[str, float]:
    """Return the seconds of each operation, the median of several rounds."""
    chromium = os.environ.get("RIVERS_TEST_CHROMIUM") or shutil.which("chromium")
    root = ["--no-sandbox"] * (os.name == "posix" and os.geteuid() == 0)
    seconds: dict[str, list[float]] = {}

    def add(name: str, value: float) -> None:
        seconds.setdefault(name, []).append(value)

    for _ in range(rounds - 1):
        with served(folder) as (_, _, start):
            add("command to page answering", start)
    with served(folder) as (address, token, start), sync_playwright() as playwright:
        add("command to page answering", start)
        browser = playwright.chromium.launch(executable_path=chromium, args=root)
        request = playwright.request.new_context(extra_http_headers={"Authorization": f"Bearer {token}"})
        add("worker ready", timed(lambda: request.get(f"{address}/api/v1/assets", timeout=300_000)))
        add("lineage, cold", timed(lambda: request.get(f"{address}/api/v1/lineage", timeout=300_000)))
        # not through Playwright, whose own process takes longer than the answer
        connection = HTTPConnection(address.removeprefix("http://"))
        ask = partial(get, connection, token)
        ask("changes?after=")
        latest = json.loads(ask("changes?after="))["token"]
        for _ in range(rounds):
            with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
                page = context.new_page()
                page.goto(f"{address}/#token={token}")
                page.goto(f"{address}/assets")
                add("table usable", page.evaluate(SHOWN, [".virtual .name", "asset_0"])[0] / 1000)
                paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
                add("first paint", paint / 1000)
                add("search", page.evaluate(TYPED, ["asset_49", ".head .note", ""]) / 1000)
                name = f"asset_{count - 1}"
                add("filter", page.evaluate(TYPED, [name, ".virtual .name", name]) / 1000)
                page.evaluate(TYPED, ["", ".virtual .name", ""])
                sort = [".virtual th:nth-child(2) button", ".virtual .name", "asset_0"]
                add("sort", page.evaluate(CLICKED, sort) / 1000)
                add("elements", page.evaluate("document.querySelectorAll('*').length"))
                page.goto(f"{address}/assets/days")
                add("grid of 10,000 partitions", page.evaluate(DRAWN) / 1000)
                page.goto(f"{address}/runs/first")
                add("run of 5,000 events", page.evaluate(SHOWN, [".progress-text", "5,000 steps"])[0] / 1000)
                elements = page.evaluate("document.querySelectorAll('*').length")
                seconds["elements"][-1] = max(seconds["elements"][-1], elements)
                page.goto(f"{address}/lineage?view=assets")
                page.locator(".stage .legend").wait_for()
                add(MOVING, page.evaluate(MOVED) / 1000)
                connection.close()  # the server ends one that rests for seconds
                ask("changes?after=")
                add("changes, nothing new", timed(lambda: ask(f"changes?after={latest}")))
        with browser.new_context() as context, Storage.embedded(folder / ".rivers") as storage:
            page = context.new_page()
            page.goto(f"{address}/#token={token}")
            page.goto(f"{address}/runs")
            page.locator("main h1").wait_for()
            for number in range(2 * rounds):
                time.sleep(
                    0.3 * (number % 4) + 1
                )  # at another moment between two questions of the page each time
                written = time.time()
                run = f"{number:08}-run"
                storage.start_run(run, steps=["asset_0"])
                storage.record(Event("Materialization", run_id=run, asset_key="asset_0"))
                storage.finish_run(run, "success")
                storage.flush()
                shown = page.evaluate(SHOWN, [".runs code", run[:8]])[1] / 1000
                add("event of another process on screen", shown - written)
        browser.close()
    live = sorted(seconds.pop("event of another process on screen"))
    moved = min(seconds.pop(MOVING))  # the worst frame of a round may be that of another program
    medians = {name: median(values) for name, values in seconds.items()} | {MOVING: moved}
    return {**medians, "event of another process on screen": live[int(0.95 * (len(live) - 1))]}


LIMITS = {
    "command to page answering": 0.5,
    "worker ready": 2.5,
    "lineage, cold": 0.8,
    "first paint": 0.3,
    "table usable": 1.0,
    "search": 0.1,
    "filter": 0.1,
    "sort": 0.1,
    "grid of 10,000 partitions": 0.5,
    "run of 5,000 events": 0.5,
    MOVING: 0.02,
    "changes, nothing new": 0.005,
    "event of another process on screen": 1.0,
}
CI_MARGIN = 2.0
MAX_ELEMENTS = 3_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--assets", type=int, default=5_000)
    parser.add_argument("--json", action="store_true", help="print the seconds as a JSON document, too")
    arguments = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        definitions = DEFINITIONS.replace("COUNT", str(arguments.assets))
        (folder / "definitions.py").write_text(definitions)
        (folder / "rivers.toml").write_text(CONFIG)
        with Storage.embedded(folder / ".rivers") as storage:
            steps = [f"asset_{number}" for number in range(5_000)]
            storage.start_run("first", steps=steps)
            for step in steps:
                storage.record(
                    Event("Materialization", run_id="first", asset_key=step, step=step, duration_ns=10**6)
                )
            storage.finish_run("first", "success")
        before = os.getloadavg()[0]
        seconds = measure(folder, arguments.assets, arguments.rounds)
    cpus = os.cpu_count() or 1
    report = Report(
        f"time against its limit, {arguments.assets:,} assets, median of {arguments.rounds}; load of the machine "
        f"{before:.1f} before and {os.getloadavg()[0]:.1f} after, {cpus} CPUs"
    )
    for label, limit in LIMITS.items():
        report.ratio(label, seconds[label], limit, CI_MARGIN)
    elements = seconds["elements"]
    report.ratio(
        "elements in the document", elements, MAX_ELEMENTS, 1, quantities=f"{elements:.0f} / {MAX_ELEMENTS}"
    )
    if arguments.json:
        print(json.dumps(seconds, indent=2))
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())

"""States of every page, the keyboard, and accessibility, in a real browser."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
import subprocess
import tarfile
import zipfile
from gzip import compress
from pathlib import Path

import pytest
from playwright.sync_api import expect

import rivers_ui
from rivers.storage import Event, Storage
from rivers.storage.records import RunningStep
from rivers_ui.app import read_static
from tests.environments import build_source_archive, build_wheel
from tests.test_ui.conftest import DEFINITIONS, ENVIRONMENTS, TOML, Tab, _skip, serve

# the limit covers the start of the browser, too
pytestmark = pytest.mark.timeout(300)

LONG = "a_name_" * 25
EMPTY = "import rivers as rs\n\nrepo = rs.CodeRepository([])\n"
HUGE = f"""
import rivers as rs

def asset(name):
    @rs.Asset(name=name, group=f"group {{len(name) % 7}}")
    def function() -> int:
        return 1
    return function

repo = rs.CodeRepository([asset(f"asset_{{number:04}}") for number in range(2_000)] + [asset({LONG!r})])
"""


def write_project(folder: Path, definitions: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "definitions.py").write_text(definitions)
    (folder / "rivers.toml").write_text(TOML)
    return folder


@pytest.fixture
def open_tab(browser, monkeypatch):
    """Return a function that opens a tab of a server, closed at the end of the test."""
    contexts = []

    def open_tab(server, **options):
        contexts.append(browser.new_context(**options))
        return Tab(contexts[-1].new_page(), server)

    monkeypatch.delenv("RIVERS_ENV", raising=False)
    monkeypatch.delenv("RIVERS_CONFIG", raising=False)
    yield open_tab
    for context in contexts:
        context.close()


def test_pages_of_an_empty_project_say_what_to_do(open_tab, tmp_path, monkeypatch):
    folder = write_project(tmp_path / "bäckerei of the café", EMPTY)
    monkeypatch.chdir(folder)
    with serve(folder) as server:
        tab = open_tab(server)
        texts = {
            "/": "no assets yet",
            "/assets": "no assets yet",
            "/lineage": "no assets yet",
            "/runs": "No runs yet",
        }
        for path, text in (texts | {"/logs": "No events"}).items():
            tab.go(path)
            expect(tab.page.locator("main")).to_contain_text(text)
        expect(tab.page).to_have_title("Log · bäckerei of the café")
        assert not (folder / ".rivers").exists()
        assert not tab.incidents


def test_pages_of_a_broken_project_show_the_error_and_the_runs(open_tab, tmp_path, monkeypatch):
    folder = write_project(tmp_path / "broken", "raise LookupError('no such bakery')\n")
    with Storage.embedded(folder / ".rivers") as storage:
        storage.start_run("r1", steps=["orders"])
        storage.finish_run("r1", "success")
    monkeypatch.chdir(folder)
    with serve(folder) as server:
        tab = open_tab(server)
        tab.settle()
        expect(tab.page.locator("main .problem").first).to_contain_text("no such bakery")
        expect(tab.page.get_by_role("link", name="all assets")).to_be_visible()
        for path in ("/assets", "/lineage", "/assets/orders"):
            tab.go(path)
            expect(tab.page.get_by_role("alert")).to_contain_text("no such bakery")
    connection = sqlite3.connect(folder / ".rivers" / "rivers.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with serve(folder) as server:
        tab = open_tab(server)
        tab.go("/runs")
        expect(tab.page.get_by_role("alert")).to_contain_text("newer")


def test_page_shows_loading_and_an_outage(open_tab, tmp_path, monkeypatch, reserved_port):
    folder = write_project(tmp_path / "shop", DEFINITIONS)
    monkeypatch.chdir(folder)
    with serve(folder, port=reserved_port) as server:
        tab = open_tab(server)
        tab.settle()
        waiting = []
        tab.page.route("**/api/v1/plugins", lambda route: waiting.append(route))
        tab.page.get_by_role("link", name="Plugins").click()
        expect(tab.page.locator("main .loading")).to_be_visible()
        while not waiting:
            tab.page.wait_for_timeout(10)
        waiting[0].continue_()
        expect(tab.page.get_by_role("cell", name="rivers-ui", exact=True)).to_be_visible()
    expect(tab.page.get_by_role("alert")).to_contain_text("does not answer")
    tab.page.get_by_role("link", name="Handlers").click()
    expect(tab.page.locator("main .problem")).to_contain_text("does not answer")
    with serve(folder, port=reserved_port):
        expect(tab.page.locator("main")).to_contain_text("rivers_pickle")
        expect(tab.page.get_by_role("alert")).to_have_count(0)


def test_page_of_a_huge_project_stays_small_and_narrow(open_tab, tmp_path, monkeypatch):
    folder = write_project(tmp_path / "huge", HUGE)
    monkeypatch.chdir(folder)
    with serve(folder) as server:
        tab = open_tab(server, viewport={"width": 390, "height": 844})
        for path in ("/", "/assets", "/lineage", f"/assets/{LONG}", f"/lineage?focus={LONG}"):
            tab.go(path)
            assert tab.page.locator("*").count() < 3_000, path
            assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        tab.go("/assets")
        expect(tab.page.get_by_role("main")).to_contain_text("2,001 assets")
        tab.page.get_by_label("Filter").fill(LONG[:50])
        expect(tab.page.get_by_role("link", name=LONG)).to_have_count(1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory, program_server):
    """A project with a run that has ended and one that runs, served with actions."""
    folder = write_project(tmp_path_factory.mktemp("pages") / "shop", DEFINITIONS)
    with pytest.MonkeyPatch.context() as patch, serve_in(patch, folder, program_server) as server:
        server.command("materialize", "orders", "counts", "regions", "-p", "south")
        with Storage.embedded(folder / ".rivers") as storage:
            storage.start_run("r1", steps=["regions", "counts"])
            storage.record(
                Event("StepFailure", run_id="r1", asset_key="counts", step="counts", message="cold")
            )
            storage.replace_running_steps(
                "r1", [RunningStep("r1", "regions", "regions", "north", 1, 10**18, "here")]
            )
            yield server
            storage.finish_run("r1", "canceled")


def serve_in(patch, folder, programs):
    patch.chdir(folder)
    return serve(folder, has_actions=True, programs=programs)


PAGES = ["/", "/assets", "/lineage", "/runs", "/handlers", "/plugins", "/logs", "/config", "/runs/r1"]
PAGES += ["/runs/r1?tab=log", "/assets/regions?partition=north", "/assets/orders"]
PAGES += ["/assets/orders?tab=metadata", "/assets/orders?tab=definition"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible(open_tab, shop, scheme):
    axe = Path(rivers_ui.__file__).parents[2] / "frontend/node_modules/axe-core/axe.min.js"
    if not axe.exists():
        _skip("axe-core is not installed (make ui); npm not found or not usable")
    tab = open_tab(shop, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
    tab.settle()
    tab.page.evaluate(axe.read_text(encoding="utf-8"))
    for path in PAGES:
        tab.go(path)
        result = tab.page.evaluate("axe.run()")
        violations = {item["id"]: [node["target"] for node in item["nodes"]] for item in result["violations"]}
        assert not violations, path


def test_every_page_fits_at_200_percent(open_tab, shop):
    # a window of 1280 x 900 has half as many CSS pixels in each direction
    tab = open_tab(shop, viewport={"width": 640, "height": 450}, device_scale_factor=2)
    for path in PAGES:
        tab.go(path)
        assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        clipped = tab.page.evaluate(
            "[...document.querySelectorAll('h1, h2, nav a, main button')].filter((item) => item.checkVisibility()"
            " && !item.closest('.x-scroll, .scroll, nav, .stage') && item.getBoundingClientRect().right > innerWidth)"
            ".map((item) => item.textContent)"
        )
        assert clipped == [], path


def test_keyboard_reaches_search_asset_tabs_and_lineage(open_tab, shop):
    tab = open_tab(shop)
    tab.settle()
    press = tab.page.keyboard.press
    press("Control+k")
    tab.page.keyboard.type("coun")
    press("Enter")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("counts")
    tab.settle()
    tab.page.get_by_role("tab", name="Events").focus()
    press("ArrowRight")
    expect(tab.page.get_by_role("tab", name="Metadata")).to_be_focused()
    tab.page.get_by_role("link", name="lineage", exact=True).press("Enter")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Lineage")
    boxes = tab.page.locator(".boxes a")
    expect(boxes).to_have_count(3)
    boxes.filter(has_text="orders").focus()
    press("ArrowRight")
    expect(boxes.filter(has_text="counts")).to_be_focused()
    assert {"orders", "counts", "failed"} <= set(
        tab.page.locator("main").aria_snapshot().replace(",", " ").split()
    )
    press("Enter")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("counts")
    tab.page.go_back()
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Lineage")


def test_running_and_failed_keys_are_marked(open_tab, shop):
    tab = open_tab(shop)
    tab.go("/assets/regions")
    expect(tab.page.get_by_role("button", name="north running")).to_be_visible()
    expect(tab.page.get_by_role("button", name="running 1")).to_be_visible()
    tab.go("/runs/r1")
    tab.page.get_by_role("link", name="Log of counts").click()
    expect(tab.page.get_by_label("Log of the run")).to_contain_text("cold")


DAYS = """
import rivers as rs

@rs.Asset(partitions_def=rs.PartitionsDefinition.daily("1950-01-01", "2025-01-01"))
def days() -> int:
    return 1

repo = rs.CodeRepository([days])
"""


def test_grid_draws_what_is_in_view_and_scrolls_to_the_selected_key(open_tab, tmp_path, monkeypatch):
    folder = write_project(tmp_path / "days", DAYS)
    monkeypatch.chdir(folder)
    with serve(folder) as server:
        tab = open_tab(server)
        tab.go("/assets/days")
        canvas, box = tab.page.locator(".cells canvas"), tab.page.locator(".cells-scroll")
        total = box.evaluate("(box) => box.scrollHeight")
        assert canvas.evaluate("(canvas) => canvas.clientHeight") < total / 3
        tab.page.get_by_label("Go to partition").fill("2024-12-30")
        tab.page.keyboard.press("Enter")
        expect(tab.page.locator(".detail")).to_contain_text("2024-12-30")
        assert box.evaluate("(box) => box.scrollTop") > total / 2
        canvas.focus()
        tab.page.keyboard.press("ArrowDown")
        expect(tab.page.locator(".detail")).to_contain_text("2024-12-31")
        middle, bottom = canvas.evaluate(
            "(canvas) => [canvas.clientWidth / 2, canvas.parentElement.clientHeight - canvas.offsetTop - 30]"
        )
        canvas.click(position={"x": middle, "y": bottom})
        expect(tab.page.locator(".detail")).to_contain_text("2024-0")


GRIDS = """
import rivers as rs

P = rs.PartitionsDefinition

def asset(name, definition):
    @rs.Asset(name=name, partitions_def=definition)
    def function() -> int:
        return 1
    return function

MATRIX = P.multi({"city": P.static_(["bern", "rome", "oslo"]), "month": P.monthly("2024-01-01", "2024-05-01")})
DEFINITIONS = {
    "month": P.monthly("2020-01-01", "2025-01-01"), "week": P.weekly("2023-01-02", "2025-01-06"),
    "matrix": MATRIX, "hour": P.hourly("2024-01-01", "2024-01-04"),
}
repo = rs.CodeRepository([asset(*item) for item in DEFINITIONS.items()])
"""
# asset, size of the drawing in cells, a cell, its key
CELLS = [
    ("month", (12, 5), (2, 3), "2023-03"),
    ("week", (54, 2), (1, 1), "2024-01-08"),
    ("matrix", (4, 3), (2, 1), "city=rome|month=2024-03"),
]


def test_grids_of_months_weeks_and_two_dimensions(open_tab, tmp_path, monkeypatch, program_server):
    folder = write_project(tmp_path / "grids", GRIDS)
    monkeypatch.chdir(folder)
    with serve(folder, programs=program_server) as server:
        for name, *_, key in CELLS:
            server.command("materialize", name, "-p", key)
        tab = open_tab(server, viewport={"width": 1280, "height": 900})
        for name, (columns, rows), (column, row), key in CELLS:
            tab.go(f"/assets/{name}")
            canvas = tab.page.locator(".cells canvas")
            box = tab.page.locator(".cells-inner").evaluate("(box) => [box.clientWidth, box.clientHeight]")
            left, top = {"month": 42, "week": 42, "matrix": 120}[name], 18
            wide, high = (box[0] - 2 - left) / columns, (box[1] - 2 - top) / rows
            canvas.click(position={"x": left + (column + 0.5) * wide, "y": top + (row + 0.5) * high})
            expect(tab.page.locator(".detail b").first).to_have_text(key)
            expect(tab.page.locator(".detail .badge")).to_contain_text("fresh")
            expect(tab.page.get_by_role("button", name="fresh 1")).to_be_visible()
        tab.go("/assets/hour")
        tab.page.get_by_label("Go to partition").fill("2024-01-02T05:00")
        tab.page.keyboard.press("Enter")
        expect(tab.page.get_by_role("heading", name="2024-01-02")).to_be_visible()
        expect(tab.page.locator(".keys button")).to_have_count(24)
        assert not tab.incidents


SECONDS = """
from datetime import datetime, timedelta
import rivers as rs

START = datetime.now().replace(microsecond=0) - timedelta(seconds=10)

@rs.Asset(partitions_def=rs.PartitionsDefinition.time_window(START, interval_seconds=1, fmt="%Y-%m-%dT%H:%M:%S"))
def seconds() -> int:
    return 1

repo = rs.CodeRepository([seconds])
"""


def test_page_shows_a_new_window_without_an_event(open_tab, tmp_path, monkeypatch):
    folder = write_project(tmp_path / "clock", SECONDS)
    monkeypatch.chdir(folder)
    with serve(folder) as server:
        tab = open_tab(server)
        tab.go("/assets/seconds")
        number = tab.page.locator(".toolbar b").first
        expect(number).to_contain_text("partitions")
        before = number.inner_text()
        expect(number).not_to_have_text(before)


def test_tab_follows_a_server_that_was_started_again(open_tab, tmp_path, monkeypatch, reserved_port):
    folder = write_project(tmp_path / "shop", DEFINITIONS)
    monkeypatch.chdir(folder)
    with serve(folder, port=reserved_port) as server:
        tab = open_tab(server)
        tab.go("/assets")
        expect(tab.page.get_by_role("link", name="orders")).to_be_visible()
    with serve(folder, port=reserved_port, token="another-token") as server:
        expect(tab.page.get_by_role("alert").first).to_contain_text("has printed")
        expect(tab.page.get_by_role("status").first).to_have_text("locked")
        tab.go("/runs")
        expect(tab.page.locator("main")).to_contain_text("no valid token")
        with tab.page.context.new_page() as other:
            other.goto(f"{tab.origin}/#token=another-token")
            expect(tab.page.get_by_role("status").first).to_have_text("live")
            expect(tab.page.locator("main")).to_contain_text("No runs yet")
            expect(tab.page.get_by_role("alert")).to_have_count(0)


def test_run_with_thousands_of_events_stays_small(open_tab, tmp_path, monkeypatch):
    folder = write_project(tmp_path / "shop", DEFINITIONS)
    names = [f"step_{number:03}" for number in range(300)]
    with Storage.embedded(folder / ".rivers") as storage:
        storage.start_run("r1", steps=names)
        for number in range(5_000):
            name = names[number % 300]
            storage.record(
                Event("Materialization", run_id="r1", asset_key=name, step=name, duration_ns=10**6)
            )
        storage.finish_run("r1", "success")
    monkeypatch.chdir(folder)
    with serve(folder) as server:
        tab = open_tab(server)
        for path in ("/runs/r1", "/runs/r1?tab=log", "/runs/r1?tab=events", "/logs"):
            tab.go(path)
            assert tab.page.locator("*").count() < 3_000, path
        tab.page.get_by_role("button", name="Earlier").click()
        expect(tab.page.locator("main")).to_contain_text("Lines 501 to 750 of 1,000")


NOTES = """
import rivers as rs

@rs.Asset
def notes(context: rs.AssetExecutionContext) -> int:
    context.add_output_metadata({
        "at": rs.MetadataValue.timestamp(1_700_000_000),
        "see": rs.MetadataValue.md("[the guide](https://docs.example/a/b)"),
        "deep": rs.MetadataValue.json({"a": list(range(9_000)), "b": list(range(3_000))}),
    })
    return 1

repo = rs.CodeRepository([notes])
"""


def test_metadata_shows_utc_hosts_of_links_and_ten_thousand_nodes(
    open_tab, tmp_path, monkeypatch, program_server
):
    folder = write_project(tmp_path / "notes", NOTES)
    with serve_in(monkeypatch, folder, program_server) as server:
        server.command("materialize")
        tab = open_tab(server, timezone_id="Asia/Tokyo")
        tab.go("/assets/notes?tab=events")
        main = tab.page.get_by_role("main")
        expect(main).to_contain_text("2023-11-14 22:13:20 UTC")
        expect(main).to_contain_text("the guide (docs.example)")
        for details in main.locator("details.json").all():
            details.evaluate("(element) => { element.open = true; }")
        expect(main).to_contain_text("list of 3000")
        expect(main.locator("details.json li.note")).to_have_text("2,002 more")


def test_actions_ask_before_they_start(open_tab, shop):
    tab = open_tab(shop)
    tab.go("/assets/orders")
    tab.page.get_by_role("button", name="Materialize", exact=True).click()
    dialog = tab.page.get_by_role("dialog")
    expect(dialog).to_contain_text("rivers materialize orders")
    dialog.get_by_role("button", name="Back").click()
    assert shop.get("actions") == []
    tab.page.get_by_role("button", name="Materialize", exact=True).click()
    dialog.get_by_role("button", name="Materialize", exact=True).click()
    expect(dialog).to_contain_text("Done")
    assert len(shop.get("actions")) == 1
    assert not tab.incidents


def test_built_page_is_within_its_budget(built_page):
    static = read_static()
    assert len(static["app.js"]) <= 120_000
    assert len(compress(static["app.js"])) <= 50_000
    assert len(static["style.css"]) <= 20_000
    assert len(compress(static["style.css"])) <= 7_000
    hosts = set(re.findall(rb"https?://([\w.-]+)", b"".join(static.values())))
    assert hosts <= {b"www.w3.org"}  # namespaces
    assert not any(name.endswith(".map") for name in static)
    package = Path(rivers_ui.__file__).parent
    files = [
        path.read_bytes()
        for path in package.rglob("*")
        if path.suffix in (".py", ".js", ".css", ".html", ".svg")
    ]
    assert sum(len(compress(content)) for content in files) <= 200_000  # as the wheel stores them


def test_style_has_no_class_that_is_not_used():
    frontend = Path(rivers_ui.__file__).parents[2] / "frontend/src"
    style = (frontend / "style.css").read_text(encoding="utf-8")
    source = "".join(path.read_text(encoding="utf-8") for path in frontend.rglob("*.ts*"))
    built = ("code-", "json-")  # of a class that the server sends, and of the type of a value
    names = {name for name in re.findall(r"\.([a-z][a-z0-9-]*)", style) if not name.startswith(built)}
    assert [name for name in sorted(names) if not re.search(rf"(?<![\w-]){name}(?![\w-])", source)] == []


def test_exported_lineage_is_reached_by_keyboard_and_scrolls(browser, shop, tmp_path):
    page_file = tmp_path / "lineage.html"
    page_file.write_text(shop.command("graph", "--html"), encoding="utf-8")
    with browser.new_context(viewport={"width": 320, "height": 240}) as context:
        page = context.new_page()
        page.goto(page_file.as_uri())
        node = page.get_by_role("button", name="regions")
        node.press("Enter")
        expect(page.locator("aside h2")).to_have_text("regions")
        expect(node).to_be_in_viewport()
        node.press("Escape")
        expect(page.locator("aside")).to_be_hidden()


def test_exported_lineage_shows_state_handler_and_legend(browser, shop, tmp_path):
    page_file = tmp_path / "lineage.html"
    page_file.write_text(shop.command("graph", "--html"), encoding="utf-8")
    with browser.new_context(viewport={"width": 390, "height": 240}) as context:
        page = context.new_page()
        page.goto(page_file.as_uri())
        legend = page.get_by_role("list", name="Legend")
        for text in ("fresh", "failed", "files"):
            expect(legend.get_by_role("listitem").filter(has_text=text)).to_be_in_viewport()
        node = page.get_by_role("button", name="counts, failed, handler files")
        expect(node).to_contain_text("✕")
        by_handler = node.locator("rect").get_attribute("fill")
        page.get_by_label("Color").select_option("freshness")
        colors = [
            page.get_by_role("button", name=name).locator("rect").first.get_attribute("fill")
            for name in ("counts, failed", "orders, fresh")
        ]
        assert len({by_handler, *colors}) == 3


def test_lineage_shows_state_as_fill_and_handler_as_border(open_tab, shop):
    tab = open_tab(shop)
    looks = {}
    for color in ("freshness", "handler"):
        tab.go(f"/lineage?color={color}")
        boxes = tab.page.locator(".boxes a")
        looks[color] = boxes.evaluate_all(
            "(boxes) => boxes.map(getComputedStyle).map((look) => [look.backgroundColor, look.borderTopColor])"
        )
        labels = boxes.evaluate_all("(boxes) => boxes.map((box) => box.getAttribute('aria-label'))")
        expect(tab.page.get_by_role("group", name="Legend")).to_contain_text("files")
        expect(tab.page.get_by_role("group", name="Legend")).to_contain_text("failed")
    assert "counts: failed, stored by files" in labels
    for color, part in (("freshness", 0), ("handler", 1)):  # of the state
        assert len({look[part] for look in looks[color]}) > 1
        assert len({look[1 - part] for look in looks[color]}) == 1


def test_configuration_page_shows_each_environment(open_tab, tmp_path, monkeypatch):
    folder = write_project(tmp_path / "shop", DEFINITIONS)
    (folder / "rivers.toml").write_text(TOML + ENVIRONMENTS)
    monkeypatch.chdir(folder)
    with serve(folder) as server:
        tab = open_tab(server)
        tab.go("/config")
        main = tab.page.get_by_role("main")
        expect(main).to_contain_text("/data")
        tab.page.get_by_role("button", name="prod").click()
        expect(main).to_contain_text("/prod")
        expect(main).to_contain_text("file (prod)")
        expect(main).not_to_contain_text("correct-horse")
        tab.page.get_by_role("button", name="wrong").click()
        expect(main).to_contain_text("no such handler")
        tab.page.get_by_role("button", name="this page").click()
        expect(main).to_contain_text("/data")
        assert not tab.incidents


def test_source_archive_carries_the_built_page(built_page, tmp_path, monkeypatch):
    archive = build_source_archive(Path(rivers_ui.__file__).parents[2], tmp_path)
    with tarfile.open(archive) as content:
        content.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.0 to 3.11.3 have none
        content.extractall(tmp_path / "unpacked")
    monkeypatch.setenv("PATH", str(tmp_path))  # without npm
    wheel = build_wheel(next((tmp_path / "unpacked").iterdir()), tmp_path / "built")
    with zipfile.ZipFile(wheel) as content:
        built = {
            name.rpartition("/")[2]: content.read(name) for name in content.namelist() if "/static/" in name
        }
    assert built == read_static()


def test_wheel_of_another_size_is_refused(built_page, tmp_path):
    package = tmp_path / "rivers_ui"
    shutil.copytree(
        Path(rivers_ui.__file__).parents[2],
        package,
        ignore=shutil.ignore_patterns("node_modules", "frontend"),
    )
    build_wheel(package, tmp_path / "small")
    (package / "src/rivers_ui/static/app.js.map").write_bytes(random.Random(0).randbytes(600_000))
    with pytest.raises(RuntimeError, match="at most"):
        build_wheel(package, tmp_path / "large")


def test_two_builds_of_page_and_wheel_are_equal(built_page, tmp_path):
    package, npm = Path(rivers_ui.__file__).parents[2], shutil.which("npm")
    frontend = package / "frontend"
    if npm is None or not (frontend / "node_modules/esbuild").exists():
        _skip("npm or the packages of the page not found (make ui)")
    pages = []
    for name in ("first", "second, elsewhere"):
        target = tmp_path / name / "frontend"
        shutil.copytree(frontend, target, ignore=shutil.ignore_patterns("node_modules"))
        (target / "node_modules").symlink_to(frontend / "node_modules")
        subprocess.run([npm, "run", "--silent", "build"], cwd=target, check=True)
        static = tmp_path / name / "src/rivers_ui/static"
        pages.append({path.name: path.read_bytes() for path in static.iterdir()})
    assert pages[0] == pages[1] == read_static()
    wheels = [build_wheel(package, tmp_path / name) for name in ("one", "two")]
    assert wheels[0].read_bytes() == wheels[1].read_bytes()

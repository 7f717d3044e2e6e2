"""The page in a real browser: attacks that reach it through the network and through data, and live updates."""

from __future__ import annotations

import re
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.test_ui.conftest import TIMEOUT_MS, TOKEN, TOML, Tab, serve

# the limit covers the start of the browser, too
pytestmark = pytest.mark.timeout(300)

# Each sets `hacked` or opens a dialog wherever the page treats data as HTML, as a URL or as code.
ATTACKS = [
    f"<{tag}" if attribute == "" else f"<{tag} {attribute}=window.hacked=1>"
    for tag, attribute in [
        ("script>window.hacked=1</script>", ""),
        ("img src=x", "onerror"),
        ("svg", "onload"),
        ("svg><animate attributeName=x", "onbegin"),
        ("body", "onload"),
        ("iframe srcdoc='<script>parent.hacked=1</script>'>", ""),
        ("iframe", "onload"),
        ("input autofocus", "onfocus"),
        ("details open", "ontoggle"),
        ("video><source", "onerror"),
        ("audio src=x", "onerror"),
        ("marquee", "onstart"),
        ("math><mtext><script>window.hacked=1</script>", ""),
        ("style>@import 'http://attacker.example/x.css';</style>", ""),
        ("link rel=stylesheet href=http://attacker.example/x.css>", ""),
        ("base href=http://attacker.example/>", ""),
        ("meta http-equiv=refresh content='0;url=http://attacker.example'>", ""),
        ("img src=http://attacker.example/x.png>", ""),
        ("object data=javascript:window.hacked=1>", ""),
        ("a href=javascript:window.hacked=1 id=attack>attack</a>", ""),
    ]
] + [
    "javascript:window.hacked=1",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>window.hacked=1</script>",
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "vbscript:alert(1)",
    '"><script>alert(1)</script>',
    "'-alert(1)-'",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "[attack](javascript:alert(1))",
    "![attack](http://attacker.example/x.png)",
    "[attack]: javascript:alert(1)",
    "<http://attacker.example/>",
    "\u202egpj.exe",
    "\u2028alert(1)\u2029",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
]

DEFINITIONS = f"""
import rivers as rs

ATTACKS = {ATTACKS!r}
BAD = "\\n\\n".join(ATTACKS)

@rs.Asset(group=ATTACKS[0], description=BAD, kinds=[ATTACKS[1]], tags=[ATTACKS[2]], metadata={{ATTACKS[3]: ATTACKS[4]}})
def hostile(context: rs.AssetExecutionContext) -> rs.Output:
    makers = [
        rs.MetadataValue.text, rs.MetadataValue.md, rs.MetadataValue.path, rs.MetadataValue.sql,
        rs.MetadataValue.code_block, rs.MetadataValue.image, rs.MetadataValue.data_version,
        lambda text: rs.MetadataValue.json({{text: [text]}}), lambda text: rs.MetadataValue.list_([text]),
    ]
    values = [makers[index % len(makers)](attack) for index, attack in enumerate(ATTACKS)]
    values += [make(BAD) for make in makers]
    context.log.warning(BAD)
    metadata = {{f"{{i}} {{BAD[:40]}}": value for i, value in enumerate(values)}}
    return rs.Output({{attack: attack for attack in ATTACKS}}, metadata=metadata)

KEYS = [attack.replace("|", "").replace(",", "") for attack in ATTACKS]

@rs.Asset(partitions_def=rs.PartitionsDefinition.static_(KEYS))
def keys(hostile: dict[str, str]) -> int:
    raise RuntimeError(BAD)

def waiting(name):
    @rs.Asset(name=name)
    def function() -> int:
        import pathlib, time
        while not pathlib.Path("go_" + name).exists():
            time.sleep(0.05)
        return 1
    return function

repo = rs.CodeRepository([hostile, keys, *map(waiting, ["waits", "first", "second"])])
"""


@pytest.fixture(scope="module")
def hostile_server(tmp_path_factory, program_server):
    """Serve a project whose names, descriptions, metadata, keys, logs and errors attack the page."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "definitions.py").write_text(DEFINITIONS, encoding="utf-8")
    (folder / "rivers.toml").write_text(TOML)
    command = ["rivers", "materialize", "hostile", "keys", "-p", "'-alert(1)-'"]
    result = program_server.run(command, cwd=folder)
    assert "RuntimeError" in result.stdout + result.stderr, result.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with serve(folder, programs=program_server) as server:
            yield server


@pytest.fixture
def tab(browser, hostile_server):
    with browser.new_context() as context:
        yield Tab(context.new_page(), hostile_server)


def test_page_takes_the_token_from_the_address_and_removes_it(tab):
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Overview")
    assert TOKEN not in tab.page.url
    tab.open("/assets")
    expect(tab.page.get_by_role("link", name="hostile", exact=True)).to_be_visible()
    assert not tab.incidents


def test_page_without_a_token_shows_no_data(browser, hostile_server):
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(f"http://127.0.0.1:{hostile_server.port}/assets")
        expect(page.get_by_role("alert").first).to_contain_text("token")
        expect(page.get_by_text("hostile")).to_have_count(0)


def test_data_never_becomes_html_or_code(tab):
    run = tab.server.get("runs")["runs"][-1]
    paths = ["/", "/assets", "/lineage", "/runs", "/handlers", "/plugins", "/logs", "/config"]
    paths += [
        "/assets/hostile",
        "/assets/keys",
        f"/runs/{run['run_id']}",
        f"/assets/{quote(ATTACKS[0], safe='')}",
    ]
    for path in paths:
        tab.go(path)
        for title in ("Metadata", "Value", "Definition", "Events") if path == "/assets/hostile" else ():
            tab.page.get_by_role("tab", name=title).click()
            tab.settle()
        tab.page.evaluate("document.querySelectorAll('details').forEach((item) => { item.open = true; })")
        links = tab.page.locator("a").evaluate_all(
            "(links) => links.map((link) => link.getAttribute('href'))"
        )
        assert all(re.match(r"/|#main$|https?://", link) for link in links), links
        assert tab.page.evaluate("window.hacked") is None, path
    assert not tab.incidents


def test_rebound_name_gets_nothing(browser, hostile_server):
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        response = page.goto(f"http://attacker.example:{hostile_server.port}/#token={TOKEN}")
        assert response.status == 421
        assert page.locator("#app").count() == 0


class _Attacker(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>attacker</h1>")

    def log_request(self, *args: object) -> None:
        """Print nothing."""


def test_page_of_another_port_reads_and_frames_nothing(browser, hostile_server):
    attacker = ThreadingHTTPServer(("127.0.0.1", 0), _Attacker)
    Thread(target=partial(attacker.serve_forever, poll_interval=0.05)).start()
    try:
        with browser.new_context() as context:
            page = context.new_page()
            page.set_default_timeout(TIMEOUT_MS)
            page.goto(f"http://127.0.0.1:{attacker.server_address[1]}/")
            target = f"http://127.0.0.1:{hostile_server.port}"
            for options in ({}, {"mode": "no-cors"}, {"headers": {"Authorization": f"Bearer {TOKEN}"}}):
                result = page.evaluate(
                    "([url, options]) => fetch(url, options).then((answer) => answer.text(), () => 'refused')",
                    [f"{target}/api/v1/assets", options],
                )
                assert result in ("", "refused")
            page.evaluate(
                """(url) => new Promise((done) => {
                    const frame = document.createElement('iframe');
                    frame.onload = done;
                    frame.src = url;
                    document.body.append(frame);
                })""",
                target,
            )
            assert not any("Overview" in frame.content() for frame in page.frames)
    finally:
        attacker.shutdown()
        attacker.server_close()


def test_page_shows_a_run_of_another_process_while_it_runs(tab):
    tab.open("/runs")
    process = tab.server.programs.start(["rivers", "materialize", "waits"], cwd=tab.server.folder)
    try:
        expect(tab.page.locator("main .badge.running")).to_have_count(1)
    finally:
        (tab.server.folder / "go_waits").touch()
        code = process.wait()
    assert code == 0
    expect(tab.page.locator("main .badge.running")).to_have_count(0)
    assert not tab.incidents


def test_page_follows_two_runs_at_once(tab):
    tab.open("/runs")
    start, folder, names = tab.server.programs.start, tab.server.folder, ("first", "second")
    processes = [start(["rivers", "materialize", name], cwd=folder) for name in names]
    badges, link = tab.page.locator("main .badge.running"), tab.page.locator("header .running-link")
    try:
        expect(badges).to_have_count(2)
        expect(link).to_contain_text("2 runs")
        (folder / "go_first").touch()
        expect(badges).to_have_count(1)
        expect(link).to_contain_text("second")
        link.click()
        expect(tab.page.get_by_role("heading", level=1)).to_have_text("second")
        expect(tab.page.locator(".headline .badge")).to_contain_text("running")
        (folder / "go_second").touch()
        expect(tab.page.locator(".headline .badge")).to_contain_text("success")
        expect(link).to_have_count(0)
    finally:
        for name in names:
            (folder / f"go_{name}").touch()
        codes = [process.wait() for process in processes]
    assert codes == [0, 0]
    assert not tab.incidents

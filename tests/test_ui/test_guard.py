"""The guard refuses everything but the requests of the page itself."""

from __future__ import annotations

import asyncio
import hmac

import pytest

from rivers_ui.actions import Actions
from rivers_ui.app import Page, PageProject, create_routes
from rivers_ui.client import WorkerClient
from rivers_ui.guard import Guard
from tests.test_ui.conftest import DEFINITIONS, TOML, serve


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all refusals, with the routes of actions."""
    folder = tmp_path_factory.mktemp("guard")
    (folder / "definitions.py").write_text(DEFINITIONS)
    (folder / "rivers.toml").write_text(TOML)
    with serve(folder, has_actions=True) as running:
        yield running


def route_paths(folder):
    worker, actions = WorkerClient(folder, (None, None, None)), Actions((None, None, None))
    page = Page(PageProject("p", None, folder, str), worker, worker, actions)
    return [
        route.path.replace("{name:path}", "orders").replace("{run_id}", "r1") for route in create_routes(page)
    ]


REFUSED = {
    "foreign host": (421, {"host": ["10.0.0.1:{port}"]}),
    "rebound host": (421, {"host": ["attacker.example:{port}"]}),
    "host without port": (421, {"host": ["127.0.0.1"]}),
    "unspecified address": (421, {"host": ["0.0.0.0:{port}"]}),
    "duplicate host": (400, {"host": ["127.0.0.1:{port}", "127.0.0.1:{port}"]}),
    "no host": (400, {"host": []}),
    "foreign origin": (403, {"headers": [("Origin", "http://attacker.example")]}),
    "null origin": (403, {"headers": [("Origin", "null")]}),
    "origin with another port": (403, {"headers": [("Origin", "http://127.0.0.1:1")]}),
    "cross-site": (403, {"headers": [("Sec-Fetch-Site", "cross-site")]}),
    "other port of this host": (403, {"headers": [("Sec-Fetch-Site", "same-site")]}),
    "frame": (
        403,
        {
            "headers": [
                ("Sec-Fetch-Site", "cross-site"),
                ("Sec-Fetch-Mode", "navigate"),
                ("Sec-Fetch-Dest", "iframe"),
            ]
        },
    ),
    "options": (405, {"method": "OPTIONS"}),
    "delete": (405, {"method": "DELETE"}),
    "large head": (431, {"headers": [("X-Large", "x" * 17_000)]}),
    "long address": (414, {"suffix": "?x=" + "x" * 9000}),
}


@pytest.mark.parametrize("attack", REFUSED)
def test_guard_refuses_on_every_route(server, attack):
    status, request = REFUSED[attack]
    request = {**request}
    suffix = request.pop("suffix", "")
    if "host" in request:
        request["host"] = [value.format(port=server.port) for value in request["host"]]
    for path in route_paths(server.folder):
        answer = server.request(path + suffix, **request)
        assert answer.status == status, path
        assert b"orders" not in answer.body


def test_guard_refuses_post_that_is_not_an_action_of_the_page(server):
    for path in route_paths(server.folder):
        assert server.request(path, "POST").status == (403 if path.startswith("/api/") else 405), path


@pytest.mark.parametrize("token", [None, "", "wrong", "token-of-the-test"])
def test_guard_requires_token_for_data(server, token):
    for path in route_paths(server.folder):
        if path.startswith("/api/"):
            assert server.request(path, token=token).status == 401


def test_guard_refuses_two_tokens(server):
    headers = [("Authorization", "Bearer wrong")]
    assert server.request("/api/v1/project", headers=headers).status == 401


POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
}


@pytest.mark.parametrize("path", ["/", "/api/v1/project", "/api/v1/unknown", "/unknown", "/static/../app.py"])
def test_every_response_has_the_security_headers(server, path):
    headers = server.request(path).headers
    assert set(headers["content-security-policy"].split("; ")) == POLICY
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert not any(name.startswith("access-control-") for name in headers)
    assert headers["cache-control"] == ("no-store" if path.startswith("/api/") else "no-cache")


def test_guard_lets_browser_open_the_page_from_a_file(server):
    names = {"Site": "cross-site", "Mode": "navigate", "Dest": "document"}
    headers = [(f"Sec-Fetch-{name}", value) for name, value in names.items()]
    assert server.request("/", headers=headers, token=None).status == 200
    assert server.request("/api/v1/project", headers=headers).status == 403


def test_guard_refuses_websocket_upgrade(server):
    headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ]
    assert server.request("/api/v1/changes", headers=headers, token=None).status == 401


@pytest.mark.parametrize("kind", ["websocket", "webtransport"])
def test_guard_closes_what_is_not_http(kind):
    sent = []

    async def send(message):
        sent.append(message["type"])

    async def app(scope, receive, send):
        raise AssertionError(f"{kind} reached the application")

    asyncio.run(Guard(app, 1, "token")({"type": kind}, None, send))
    assert sent == ["websocket.close"]


def test_guard_compares_tokens_in_constant_time(server, monkeypatch):
    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda *pair: compared.append(pair) or False)
    assert server.request("/api/v1/project").status == 401
    assert compared

"""Guard in front of all routes: host, origin, method, token, and the headers of every response."""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

API: Final = "/api/"
METHODS: Final = ("GET", "HEAD")
MAX_TARGET: Final = 8_192
MAX_HEAD: Final = 16_384
MAX_BODY: Final = 65_536

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", _POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


class Guard:
    """ASGI application that lets only this page's own requests through to another one.

    A page of another site can reach a local port through the browser (DNS rebinding, forms, scripts), and so can
    other users of the machine. Everything that is not explicitly allowed is refused.

    Args:
        app: The application behind the guard.
        port: Port on which the server listens; decides which hosts and origins are its own.
        token: Secret that requests for data have to present.
        has_actions: Whether POST requests may reach the application.
    """

    def __init__(self, app: ASGIApp, port: int, token: str, *, has_actions: bool = False) -> None:
        self._app, self._has_actions = app, has_actions
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        self._origins = {f"http://{host}" for host in self._hosts}
        self._authorization = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request, or answer it with a refusal."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        is_api = scope["path"].startswith(API)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                cache = b"no-store" if is_api else b"no-cache"
                headers = [item for item in message["headers"] if item[0] != b"cache-control"]
                message["headers"] = [*headers, *_HEADERS, (b"cache-control", cache)]
            await send(message)

        refusal = self._refusal(scope, is_api=is_api)
        if refusal is None:
            await self._app(scope, receive, send_with_headers)
        else:
            await _refuse(send_with_headers, *refusal)

    def _refusal(self, scope: Scope, *, is_api: bool) -> tuple[int, str] | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        host = _values(headers, b"host")
        if len(host) != 1 or host[0] not in self._hosts:
            return 421, "The address of this page is not one of this server."
        if any(origin not in self._origins for origin in _values(headers, b"origin")):
            return 403, "Requests from other origins are refused."
        sites = _values(headers, b"sec-fetch-site")
        if any(site not in ("same-origin", "none") for site in sites) and (
            is_api or not _opens_page(headers)
        ):
            return 403, "Requests from other sites are refused."
        is_action = self._has_actions and is_api and scope["method"] == "POST"
        if scope["method"] not in METHODS and not is_action:
            return 405, "Only GET is allowed."
        if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_TARGET:
            return 414, "The address is too long."
        if (
            sum(len(name) + len(value) for name, value in headers) > MAX_HEAD
        ):  # h11 limits incomplete heads only
            return 431, "The headers are too long."
        if is_api and not self._is_authorized(headers):
            return 401, "The token is missing or wrong. Open the address that `rivers ui` printed."
        return _action_refusal(headers) if is_action else None

    def _is_authorized(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        values = [value for name, value in headers if name == b"authorization"]
        return len(values) == 1 and hmac.compare_digest(values[0], self._authorization)


def _action_refusal(headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, str] | None:
    """Return why an authorized request may not change anything; only a script of this page can send what it needs."""
    if len(_values(headers, b"origin")) != 1:  # a foreign one is refused already
        return 403, "An action needs the origin of this page."
    if any(site != "same-origin" for site in _values(headers, b"sec-fetch-site")):
        return 403, "Actions of other sites are refused."
    if _values(headers, b"content-type") != ["application/json"]:
        return 415, "An action needs the content type application/json."
    length = _values(headers, b"content-length")
    if len(length) != 1 or not length[0].isdecimal() or int(length[0]) > MAX_BODY:
        return 413, f"An action needs a content length of at most {MAX_BODY:,} bytes."
    return None


def _opens_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a browser opens the page in a tab: `rivers ui` does so from a file, which is another site."""
    return _values(headers, b"sec-fetch-mode") == ["navigate"] and _values(headers, b"sec-fetch-dest") == [
        "document"
    ]


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]


async def _refuse(send: Send, status: int, message: str) -> None:
    body = json.dumps({"error": "Refused", "message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

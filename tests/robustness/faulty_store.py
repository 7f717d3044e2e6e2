"""A proxy in front of an object store that misbehaves from a chosen request on."""

from __future__ import annotations

import socket
import threading
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

CODES: Final = {
    400: "InvalidRequest",
    401: "Unauthorized",
    403: "AccessDenied",
    404: "NoSuchBucket",
    409: "OperationAborted",
    412: "PreconditionFailed",
    429: "TooManyRequests",
    500: "InternalError",
    501: "NotImplemented",
    503: "SlowDown",
}
"""Codes of S3 for the statuses that the proxy answers with."""

PORTAL: Final = (
    b"<!DOCTYPE html>\n<html><head><title>Sign in to Guest-WiFi</title></head><body>...</body></html>\n"
)
_DELAY_S: Final = 0.05
# headers that belong to one connection
_HOP_BY_HOP: Final = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class Response(NamedTuple):
    """An answer of the store."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class FaultyStore:
    """A server on 127.0.0.1 that passes requests on to a store, and breaks at one of them.

    Args:
        endpoint: URL of the store.

    Attributes:
        requests: Number of requests since `heal` or `break_at`.
        on_request: Called for each request that meets a fault.
    """

    def __init__(self, endpoint: str) -> None:
        self.target = urlsplit(endpoint)
        self.requests = 0
        self.on_request: Callable[[], None] = lambda: None
        self._fault: str | None = None
        self._first = 1
        self._lock = threading.Lock()
        self.healed = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Request", (_Request,), {"store": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def break_at(self, request: int, fault: str) -> None:
        """Misbehave from a request on, until `heal` is called.

        Args:
            request: Number of the first request that meets the fault.
            fault: Name of a fault, see `FAULTS`.
        """
        self.heal()
        self.healed = threading.Event()
        self._first, self._fault = request, fault

    def heal(self) -> None:
        """Pass all requests on; those that were never answered end."""
        self._fault = None
        self.healed.set()
        self.requests = 0

    def next_fault(self) -> str | None:
        """Count a request, and return the fault that it meets."""
        with self._lock:
            self.requests += 1
            fault = self._fault if self.requests >= self._first else None
        if fault is not None:
            self.on_request()
        return fault

    def close(self) -> None:
        """End the server."""
        self.heal()
        self._server.shutdown()
        self._server.server_close()


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: FaultyStore
    _upstream: HTTPConnection | None = None

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.store.next_fault()
        if fault is None:
            self._send(self._forward(body))
        else:
            FAULTS[fault](self, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        return

    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        super().finish()

    def _forward(self, body: bytes) -> Response:
        """Return the answer of the store. The signature covers the header Host, which is therefore kept."""
        if self._upstream is None:
            self._upstream = HTTPConnection(self.store.target.hostname or "", self.store.target.port)
        upstream = self._upstream
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders(body)
        response = upstream.getresponse()
        headers = [(name, value) for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP]
        length = response.getheader("Content-Length") if self.command == "HEAD" else None
        data = response.read()
        if length is not None:
            headers.append(("Content-Length", length))
        return Response(response.status, headers, data)

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        if not any(name == "Content-Length" for name, _ in response.headers):
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def silence(self, body: bytes) -> None:
        """Do not answer before the store is healed."""
        del body
        self.store.healed.wait()
        self.close_connection = True

    def delay(self, body: bytes) -> None:
        """Answer correctly, but late."""
        time.sleep(_DELAY_S)
        self._send(self._forward(body))

    def close(self, body: bytes) -> None:
        """Close the connection instead of answering."""
        del body
        self._hang_up()

    def lose(self, body: bytes) -> None:
        """Do what is asked, and close the connection without an answer."""
        self._forward(body)
        self._hang_up()

    def cut(self, body: bytes) -> None:
        """Close the connection in the middle of the answer."""
        response = self._forward(body)
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        if self.command == "HEAD" or len(response.body) < 2:
            self._headers_buffer = self._headers_buffer[:2]
            self.flush_headers()
        else:
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body[: len(response.body) // 2])
        self._hang_up()

    def shorten(self, body: bytes) -> None:
        """Answer with the first half of an object as if it was all."""
        response = self._forward(body)
        if self.command == "GET" and "list-type" not in self.path:
            response = response._replace(body=response.body[: len(response.body) // 2])
        self._send(response)

    def portal(self, body: bytes) -> None:
        """Answer everything with the page of a captive portal."""
        del body
        headers = [("Content-Type", "text/html"), ("Date", "Mon, 01 Jan 2024 00:00:00 GMT")]
        headers += [("Last-Modified", headers[-1][1])]
        if self.command == "HEAD":
            headers.append(("Content-Length", str(len(PORTAL))))
        self._send(Response(200, headers, PORTAL))

    def redirect(self, body: bytes) -> None:
        """Send everybody to the page of a captive portal."""
        del body
        self._send(Response(302, [("Location", f"{self.store.url}/portal/sign-in")], b""))

    def portal_404(self, body: bytes) -> None:
        """Answer everything with the page of a web server that does not have it."""
        del body
        self._send(Response(404, [("Content-Type", "text/html")], PORTAL))

    def change_etag(self, body: bytes) -> None:
        """Answer with an ETag that does not belong to the object."""
        response = self._forward(body)
        headers = [(name, '"0123456789abcdef0123456789abcdef"' if name.lower() == "etag" else value)
                   for name, value in response.headers]  # fmt: skip
        self._send(response._replace(headers=headers))

    def refuse(self, status: int) -> None:
        """Answer with the status and the XML of S3."""
        code = CODES[status]
        text = (
            f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Refused on purpose.</Message></Error>"
        )
        self._send(Response(status, [("Content-Type", "application/xml")], text.encode()))


def _status(status: int) -> Callable[[_Request, bytes], None]:
    return lambda request, _: request.refuse(status)


FAULTS: Final[dict[str, Callable[[_Request, bytes], None]]] = {
    "silent": _Request.silence,
    "slow": _Request.delay,
    "closed": _Request.close,
    "answer lost": _Request.lose,
    "cut": _Request.cut,
    "short body": _Request.shorten,
    "portal": _Request.portal,
    "redirect": _Request.redirect,
    "portal 404": _Request.portal_404,
    "wrong ETag": _Request.change_etag,
    **{str(status): _status(status) for status in CODES},
}

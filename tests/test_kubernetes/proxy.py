"""A proxy in front of an API server that fails, delays or cuts off some of the requests."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Fault:
    """Treatment of requests of a method whose path contains a text.

    Attributes:
        method: Method of the request.
        part: Text in its path, the query included.
        times: How many requests.
        status: Answer with this status instead of asking the server; None asks it.
        message: Message and reason of that answer.
        loses_answer: Whether the server does what is asked, and the connection ends without an answer.
        delay: Seconds before the request.
        cut_after: Number of lines of the answer after which the connection ends; None for all.
        replaces: Line that is sent instead of the next one, after which the connection ends.
    """

    method: str
    part: str
    times: int = 1
    status: int | None = None
    message: str = ""
    loses_answer: bool = False
    delay: float = 0
    cut_after: int | None = None
    replaces: bytes | None = None
    hits: int = field(default=0, init=False)


class Proxy:
    """A server on 127.0.0.1 that passes requests on to an API server, with its credentials."""

    def __init__(self, configuration):
        self._target = urlsplit(configuration.host)
        self.faults = []
        self.connections = set()
        self.lock = threading.Lock()
        self._context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        token = configuration.api_key[
            "authorization" if "authorization" in configuration.api_key else "BearerToken"
        ]
        self.authorization = token if token.startswith("Bearer ") else f"Bearer {token}"
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Request", (ProxyRequest,), {"proxy": self})
        )
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def connect(self):
        return HTTPSConnection(self._target.hostname, self._target.port, context=self._context)

    def add(self, *arguments, **options):
        fault = Fault(*arguments, **options)
        self.faults.append(fault)
        return fault

    def next_fault(self, method, path):
        with self.lock:
            for fault in self.faults:
                if fault.method == method and fault.part in path and fault.hits < fault.times:
                    fault.hits += 1
                    return fault
        return None

    def drop_connections(self):
        """End all answers that are being passed on."""
        with self.lock:
            for connection in self.connections:
                with contextlib.suppress(OSError):  # the other side has ended it meanwhile
                    connection.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self.drop_connections()


class ProxyRequest(BaseHTTPRequestHandler):
    proxy: Proxy

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.next_fault(self.command, self.path)
        if fault is not None:
            time.sleep(fault.delay)
            if fault.status is not None:
                self._refuse(fault)
                return
        upstream = self.proxy.connect()
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in ("host", "authorization", "connection")
        }
        headers["Authorization"] = self.proxy.authorization
        upstream.request(self.command, self.path, body or None, headers)
        answer = upstream.getresponse()
        self.close_connection = True
        if fault is not None and fault.loses_answer:
            answer.read()
        else:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self._pass_on(answer, fault)
        upstream.close()

    do_POST = do_DELETE = do_PATCH = do_PUT = do_GET

    def _pass_on(self, answer, fault):
        is_cut = fault is not None and fault.cut_after is not None
        with self.proxy.lock:
            self.proxy.connections.add(self.connection)
        try:
            for number, line in enumerate(iter(answer.readline, b"")):
                if is_cut and number == fault.cut_after:
                    if fault.replaces is None:
                        return
                    self._write(fault.replaces + b"\n")
                    break
                self._write(line)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass
        finally:
            with self.proxy.lock:
                self.proxy.connections.discard(self.connection)

    def _write(self, line):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.flush()

    def _refuse(self, fault):
        body = json.dumps(
            {
                "kind": "Status",
                "message": fault.message,
                "reason": fault.message,
                "code": fault.status,
            }
        )
        self.send_response(fault.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body.encode())

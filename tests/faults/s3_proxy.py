"""A proxy before the real S3 server that can be busy, drip, or break off in the middle of a body.

It passes the headers on unchanged, ``Host`` included, so that signatures hold. ``fault`` applies to requests that begin
after it is set.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_BUSY = b'<?xml version="1.0"?><Error><Code>ServiceUnavailable</Code><Message>Later.</Message></Error>'
_HOP_BY_HOP = {"connection", "expect", "transfer-encoding"}


class Fault(Enum):
    """The fault of each request."""

    NONE = "none"
    #: 503 for all requests.
    BUSY = "busy"
    #: Single bytes of a body, with pauses.
    DRIPPING = "dripping"
    #: The connection ends after half of a body.
    CUT = "cut"


class S3Proxy:
    """The proxy at ``endpoint_url``; ``hits`` counts the requests with a fault."""

    def __init__(self) -> None:
        self.endpoint_url = ""
        self.fault = Fault.NONE
        self.hits = 0


@contextlib.contextmanager
def s3_proxy(upstream: str) -> Iterator[S3Proxy]:
    """Run a proxy before the server at ``upstream`` during the block."""
    proxy, server_address = S3Proxy(), urlsplit(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            fault = proxy.fault
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if fault is Fault.BUSY:
                proxy.hits += 1
                self._answer(503, [("Content-Type", "application/xml")], _BUSY, Fault.NONE)
                return
            connection = http.client.HTTPConnection(server_address.hostname or "", server_address.port, timeout=60)
            with contextlib.closing(connection):
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in _HOP_BY_HOP:
                        connection.putheader(name, value)
                connection.endheaders(body)
                answer = connection.getresponse()
                data = answer.read()
                self._answer(answer.status, answer.getheaders(), data, fault if self.command == "GET" else Fault.NONE)

        do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815 - the server looks for these names

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, fault: Fault) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in _HOP_BY_HOP and (name.lower() != "content-length" or self.command == "HEAD"):
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the client gave up, as some tests expect
                if fault is Fault.NONE or not body or self.command == "HEAD":
                    if self.command != "HEAD":
                        self.wfile.write(body)
                    return
                proxy.hits += 1
                self.close_connection = True
                if fault is Fault.CUT:
                    self.wfile.write(body[: len(body) // 2])
                    return
                for position in range(len(body)):
                    self.wfile.write(body[position : position + 1])
                    self.wfile.flush()
                    if proxy.fault is Fault.NONE:
                        self.wfile.write(body[position + 1 :])
                        return
                    time.sleep(0.1)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    proxy.endpoint_url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        proxy.fault = Fault.NONE
        server.shutdown()
        server.server_close()
        thread.join()

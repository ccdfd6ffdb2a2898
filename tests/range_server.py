"""A web server with one file, which supports ranges (RFC 9110, section 14) and fails on demand."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """The served file and the behaviour; ``requests`` holds the headers of each request, with lower-case names."""

    data: bytes
    url: str = ""
    etag: str = '"1"'
    last_modified: str = ""
    #: Statuses of the first answers, one for each request.
    statuses: list[int] = field(default_factory=list)
    #: For each request, the number of bytes of the body after which the connection closes.
    cuts: list[int] = field(default_factory=list)
    supports_ranges: bool = True
    sends_length: bool = True
    #: Event that the server waits for after half of the body.
    go_on: threading.Event | None = None
    requests: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def file_server(data: bytes) -> Iterator[FileServer]:
    """Run the server at ``url`` during the block."""
    server = FileServer(data)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.requests.append(headers)
            if server.statuses:
                self._answer(server.statuses.pop(0), b"", {})
                return
            versions = {
                name: value for name, value in (("ETag", server.etag), ("Last-Modified", server.last_modified)) if value
            }
            part = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
            same = headers.get("if-range") in (None, *versions.values())
            if not server.supports_ranges or part is None or not same:
                self._answer(200, server.data, versions)
                return
            begin, total = int(part[1]), len(server.data)
            if begin >= total:
                self._answer(416, b"", {"Content-Range": f"bytes */{total}"})
            else:
                self._answer(
                    206, server.data[begin:], versions | {"Content-Range": f"bytes {begin}-{total - 1}/{total}"}
                )

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if server.sends_length:
                self.send_header("Content-Length", str(len(body)))
            else:
                self.send_header("Connection", "close")
            self.end_headers()
            cut = server.cuts.pop(0) if server.cuts and body else None
            if server.go_on is not None and body:
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                server.go_on.wait(60)
                body = body[len(body) // 2 :]
            try:
                self.wfile.write(body[:cut])
            except OSError:  # the client is gone
                self.close_connection = True
            self.close_connection = self.close_connection or cut is not None

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    server.url = f"http://127.0.0.1:{httpd.server_address[1]}/big.pt"
    try:
        yield server
    finally:
        if server.go_on is not None:
            server.go_on.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()

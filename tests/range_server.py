"""A web server with one file, that knows ranges (RFC 9110, section 14) and fails when it is told to."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """What is served, and how. ``asked`` are the headers of each request, by names in small letters."""

    data: bytes
    url: str = ""
    etag: str = '"1"'
    last_modified: str = ""
    #: Statuses to answer with before anything else, one for each request.
    statuses: list[int] = field(default_factory=list)
    #: For each request: close the connection after so many bytes of the body.
    cuts: list[int] = field(default_factory=list)
    knows_ranges: bool = True
    says_length: bool = True
    #: Wait here, after half of the body, until it is set.
    go_on: threading.Event | None = None
    asked: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def file_server(data: bytes) -> Iterator[FileServer]:
    """The server, at ``url``, for as long as the block runs."""
    here = FileServer(data)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            here.asked.append(headers)
            if here.statuses:
                self._answer(here.statuses.pop(0), b"", {})
                return
            versions = {
                name: value for name, value in (("ETag", here.etag), ("Last-Modified", here.last_modified)) if value
            }
            part = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
            same = headers.get("if-range") in (None, *versions.values())
            if not here.knows_ranges or part is None or not same:
                self._answer(200, here.data, versions)
                return
            begin, total = int(part[1]), len(here.data)
            if begin >= total:
                self._answer(416, b"", {"Content-Range": f"bytes */{total}"})
            else:
                self._answer(206, here.data[begin:], versions | {"Content-Range": f"bytes {begin}-{total - 1}/{total}"})

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if here.says_length:
                self.send_header("Content-Length", str(len(body)))
            else:
                self.send_header("Connection", "close")
            self.end_headers()
            cut = here.cuts.pop(0) if here.cuts and body else None
            if here.go_on is not None and body:
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                here.go_on.wait(60)
                body = body[len(body) // 2 :]
            try:
                self.wfile.write(body[:cut])
            except OSError:  # the client is gone
                self.close_connection = True
            self.close_connection = self.close_connection or cut is not None

        def log_message(self, *_: object) -> None:
            """Quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    here.url = f"http://127.0.0.1:{httpd.server_address[1]}/big.pt"
    try:
        yield here
    finally:
        if here.go_on is not None:
            here.go_on.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()

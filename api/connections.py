"""Connections of the API's server: waitress' channels with deadlines, and a stricter reading of HTTP.

One loop reads and writes all sockets; threads only answer requests that have arrived whole. So a client that is slow
holds a socket and nothing else, and each of its phases has a limit:

- the header must arrive within ``HEADER_S``, a body at ``SLOWEST`` bytes a second after ``GRACE_S``;
- a body of more than ``SMALL_BODY`` bytes is read only for callers that the application admits;
- an answer must be taken at ``SLOWEST`` bytes a second, measured over ``GRACE_S``;
- an idle connection is kept for ``IDLE_S``. At the process's limit of connections, the oldest one that waits for its
  client makes room for a new one.
"""

from __future__ import annotations

import contextlib
import errno
import io
import socket
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import BadRequest, Error

from api.lanes import Lane
from api.problems import Problem, raw_problem

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_log = structlog.get_logger(__name__)

HEADER_S = 10.0
IDLE_S = 15.0
GRACE_S = 30.0
#: Bytes a second.
SLOWEST = 1024
#: Bytes of a body that anybody may send.
SMALL_BODY = 64 * 1024
MAX_HEADER = 32 * 1024
#: Seconds that a request waits for a thread before it is answered 503.
PATIENCE_S = 10.0
#: Seconds for which the rest of a refused body is read and dropped, so that its client sees the answer.
LINGER_S = 5.0
#: Longest line between the chunks of a body, and longest trailer.
_MAX_CHUNK_LINE = 256
_MAX_TRAILER = 8 * 1024
_RECEIVED_AT_ONCE = 64 * 1024
#: Connections accepted in one pass of the loop.
_ACCEPTED_AT_ONCE = 64
#: Bytes that an answer may be ahead of its client, and bytes of it kept in memory.
_AHEAD = 1 << 20
_ANY_LENGTH = 1 << 62


class Busy(Error):  # type: ignore[misc]
    """No thread was free in time."""

    code = 503


class NoRoom(Error):  # type: ignore[misc]
    """A large body is kept on the disk, which is full."""

    code = 507


class _Unread(io.RawIOBase):
    """A body that was refused before it was read. The application says why before it looks at the body."""

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: Any) -> int:
        raise Problem("service_busy", "The ledger could not say who sends the body. Repeat the request.")


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """Reads one request. It refuses what a proxy before the service could read in another way (RFC 9112)."""

    def __init__(self, adj: Adjustments) -> None:
        super().__init__(adj)
        self.error: Error | None
        self.expect_continue: bool
        #: Whether the application has to say how much of the body may be read.
        self.asks = False
        self.refused = False
        self.body_begun = 0.0
        self._limit = _ANY_LENGTH
        self._continues = False

    def parse_header(self, header_plus: bytes) -> None:
        _check_header(header_plus)
        super().parse_header(header_plus)
        if self.version not in {"1.0", "1.1"}:
            raise ParsingError("Unknown version of HTTP")
        if "TRANSFER_ENCODING" in self.headers:
            raise ParsingError("HTTP/1.0 has no Transfer-Encoding")
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding together")
        host = self.headers.get("HOST")
        if (host is None and self.version == "1.1") or (host is not None and "," in host):
            raise ParsingError("Host must be there once")
        self.body_begun = time.monotonic()
        self.asks = self.chunked or self.content_length > SMALL_BODY
        if self.asks:
            # The client may continue once its body is admitted.
            self._continues, self.expect_continue = self.expect_continue, False

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if self.chunked and self.error is None:
            receiver = self.body_rcv
            if len(receiver.control_line) > _MAX_CHUNK_LINE or len(receiver.trailer) > _MAX_TRAILER:
                self.error = BadRequest("Chunk too long")
                self.completed = True
            elif self.body_bytes_received > self._limit:
                self.refuse()
        return consumed

    def admit(self, limit: int) -> bool:
        """Let a body of at most ``limit`` bytes be read; false: it is longer, and refused."""
        if max(self.content_length, self.body_bytes_received) > limit:
            self.refuse()
            return False
        self.asks = False
        self.body_begun = time.monotonic()
        self._limit = limit
        self.expect_continue = self._continues
        return True

    def refuse(self) -> None:
        """Pass the request on without its body."""
        self.asks = False
        self.refused = self.completed = True

    def get_body_stream(self) -> Any:
        if self.asks:
            return io.BytesIO()
        return io.BufferedReader(_Unread()) if self.refused else super().get_body_stream()


def _check_header(header: bytes) -> None:
    """Raises ParsingError: a line is folded, or names a field twice that may come once."""
    first, _, rest = header.partition(b"\r\n")
    if b"\t" in first or any(byte < 32 or byte == 127 for byte in first):
        raise ParsingError("Start line is invalid")
    names = []
    for line in rest.split(b"\r\n"):
        if line.startswith((b" ", b"\t")):
            raise ParsingError("Folded header line")
        names.append(line.partition(b":")[0].lower())
    for name in (b"content-length", b"transfer-encoding", b"host", b"authorization"):
        if names.count(name) > 1:
            raise ParsingError(f"{name.decode()} must not be repeated")


class _Answer(WSGITask):  # type: ignore[misc]
    """An answer of the application. A request whose body was not read ends its connection."""

    def execute(self) -> None:
        if self.request.refused:
            self.set_close_on_finish()
        super().execute()

    def get_environment(self) -> WSGIEnvironment:
        environ: WSGIEnvironment = super().get_environment()
        if self.request.refused and self.request.chunked:
            # No length is known: the application takes it for one over any limit.
            environ["CONTENT_LENGTH"] = str(_ANY_LENGTH)
        return environ


class _ErrorAnswer(ErrorTask):  # type: ignore[misc]
    """An answer to a request that cannot be passed to the application."""

    def execute(self) -> None:
        error = self.request.error
        code, detail = "service_busy", "All places of this process are taken. Repeat the request."
        if isinstance(error, NoRoom):
            code, detail = "storage_full", "The disk of the service is full. Its operator has to make room first."
        elif not isinstance(error, Busy):
            code, detail = "request_invalid", f"The request breaks the rules of HTTP: {error.body}."
            if error.code >= 500 and error.code != 501:
                code, detail = "internal_error", "The service failed, not the request."
        path = getattr(self.request, "path", "")
        self.status, media_type, body = raw_problem(code, detail, public_url=self.channel.server.public_url, path=path)
        self.response_headers += [("Content-Type", media_type), ("Cache-Control", "no-store")]
        if isinstance(error, Busy):
            self.response_headers.append(("Retry-After", str(round(PATIENCE_S))))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Connection(HTTPChannel):  # type: ignore[misc]
    """One client's connection."""

    task_class = _Answer
    error_task_class = _ErrorAnswer
    parser_class = Parser

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.request: Parser | None
        super().__init__(*arguments, **named)
        self.opened = time.monotonic()
        #: When the connection began to wait for a request's first byte; ``None``: a request is arriving.
        self._idle_since: float | None = self.opened
        self._header_begun = self.opened
        self._rest_is_unread = False
        self._lingers_until: float | None = None
        #: Begin of the window in which bytes that were sent are counted, while some wait to be sent.
        self._window_begun: float | None = None
        self._sent = 0

    @property
    def waits_for_client(self) -> bool:
        """Whether nothing but the client keeps this connection: no answer is being made or sent."""
        return not self.requests and not self.total_outbufs_len

    def readable(self) -> bool:
        if self._lingers_until is not None:
            return True
        request = self.request
        return bool(super().readable()) and not (request is not None and request.asks)

    def writable(self) -> bool:
        return self._lingers_until is None and bool(super().writable())

    def handle_read(self) -> None:
        if self._lingers_until is None:
            super().handle_read()
            return
        with contextlib.suppress(OSError):  # the client's end is noticed as well
            self.recv(_RECEIVED_AT_ONCE)
            return
        self.handle_close()

    def received(self, data: bytes) -> bool:
        if self.request is None:
            self._header_begun = time.monotonic()
        try:
            taken = bool(super().received(data))
        except OSError:
            _log.exception("request.not_kept")
            taken = self._end_without_room()
        self._idle_since = time.monotonic() if self.request is None else None
        request = self.request
        if request is not None and request.asks:
            self.server.ask(self, request)
        return taken

    def _end_without_room(self) -> bool:
        """Answer a request whose body could not be kept on the disk."""
        with self.requests_lock:
            request, self.request = self.request, None
            if request is None:
                return False
            request.error = NoRoom("")
            self.requests.append(request)
            if len(self.requests) == 1:
                self.server.add_task(self)
        return True

    def handle_write(self) -> None:
        if not (self._rest_is_unread and self.close_when_flushed):
            super().handle_write()
            return
        # A socket that is closed with unread bytes in it resets the connection, and the client misses the answer.
        self._flush_exception(self._flush_some)
        if self.will_close:
            self.handle_close()
        elif self.connected and not self.total_outbufs_len:
            self._lingers_until = time.monotonic() + LINGER_S
            with contextlib.suppress(OSError):  # the client has left
                self.socket.shutdown(socket.SHUT_WR)

    def decide(self, request: Parser, limit: int) -> None:
        """Go on with a request whose body waited for the application: of at most ``limit`` bytes, or without it."""
        with self.requests_lock:
            if self.request is not request or not self.connected:
                return
            if request.admit(limit):
                if request.expect_continue and not self.requests and not self.sent_continue:
                    self.send_continue()
            else:
                self.request = None
                self.requests.append(request)
                if len(self.requests) == 1:
                    self.server.add_task(self)

    def send(self, data: bytes, do_close: bool = True) -> int:
        count: int = super().send(data, do_close=do_close)
        self._sent += count
        return count

    def service(self) -> None:
        request = self.requests[0]
        self._rest_is_unread = request.refused or request.error is not None
        super().service()
        self._idle_since = time.monotonic()

    def is_overdue(self, now: float) -> bool:
        """Whether the client has used up the time of the present phase."""
        if self._lingers_until is not None:
            return now > self._lingers_until
        if self.total_outbufs_len:
            return self._reads_too_slowly(now)
        self._window_begun = None
        request = self.request
        if request is not None and request.headers_finished:
            seconds = now - request.body_begun
            due = (seconds - GRACE_S) * SLOWEST
            return not request.asks and not self.requests and request.body_bytes_received < due
        if self.requests:
            return False
        if request is not None:
            return now > self._header_begun + HEADER_S
        return self._idle_since is not None and now > self._idle_since + IDLE_S

    def _reads_too_slowly(self, now: float) -> bool:
        if self._window_begun is None:
            self._window_begun, self._sent = now, 0
        if now < self._window_begun + GRACE_S:
            return False
        slow = self._sent < GRACE_S * SLOWEST
        self._window_begun, self._sent = now, 0
        return slow


class Server(TcpWSGIServer):  # type: ignore[misc]
    """Listens on a socket that exists, in one loop with all its connections."""

    channel_class = Connection

    def __init__(
        self,
        application: Any,
        listener: socket.socket,
        *,
        sockets: dict[int, Any],
        lanes: Lanes,
        most: int,
        public_url: str,
        keeps_forwarded: bool,
        longest_body: Callable[[WSGIEnvironment], int],
    ) -> None:
        self.lanes = lanes
        self.public_url = public_url
        self._most = most
        self._longest_body = longest_body
        settings = Adjustments(
            ident="cleanplate",
            clear_untrusted_proxy_headers=not keeps_forwarded,
            recv_bytes=_RECEIVED_AT_ONCE,
            # The worker's loop tends the connections, see `tend`.
            cleanup_interval=1 << 30,
            # Limits by route are the application's; see Parser for bodies of strangers.
            max_request_body_size=_ANY_LENGTH,
            max_request_header_size=MAX_HEADER,
            inbuf_overflow=SMALL_BODY,
            outbuf_overflow=2 * _AHEAD,
            outbuf_high_watermark=_AHEAD,
            # Reads on while a request is answered, so that the end of a connection is noticed.
            channel_request_lookahead=1,
            log_socket_errors=False,
            connection_limit=1 << 30,
        )
        super().__init__(
            application,
            map=sockets,
            _sock=listener,
            dispatcher=lanes,
            adj=settings,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            bind_socket=False,
        )

    def handle_accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            if len(self.active_channels) >= self._most:
                self._close_oldest()
            try:
                accepted = self.accept()
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE}:
                    self._close_oldest()
                return
            if accepted is None:
                return
            client, address = accepted
            try:
                self.set_socket_options(client)
            except OSError:  # the client has left already
                client.close()
                continue
            self.channel_class(self, client, address, self.adj, map=self._map)

    def tend(self) -> None:
        """Close connections whose clients are overdue, and answer requests that have waited too long for a thread."""
        now = time.monotonic()
        for connection in [*self.active_channels.values()]:
            if connection.is_overdue(now):
                # Not `will_close`, which waits for a client that does not read.
                connection.handle_close()
        for connection in self.lanes.take_expired():
            connection.requests[0].error = Busy("")
            self.lanes.quick.add(connection)

    def ask(self, connection: Connection, request: Parser) -> None:
        """Ask the application in a thread whether the caller may send a body."""
        self.lanes.quick.add(_Question(self, connection, request))

    def longest_body(self, environ: WSGIEnvironment) -> int:
        """Bytes that the application reads as the body of this request."""
        try:
            return self._longest_body(environ)
        except Exception:
            _log.exception("request.admission_failed")
            return SMALL_BODY

    def stop_listening(self) -> None:
        """Accept no more connections; the open ones go on."""
        self.accepting = False
        self.del_channel()

    def close_idle(self) -> int:
        """Close the connections on which no request is at work or arriving; the number of others."""
        busy = 0
        for connection in [*self.active_channels.values()]:
            request = connection.request
            if connection.waits_for_client and not (request is not None and request.headers_finished):
                connection.handle_close()
            else:
                busy += 1
        return busy

    def _close_oldest(self) -> None:
        waiting = [each for each in self.active_channels.values() if each.waits_for_client]
        if waiting:
            min(waiting, key=lambda each: each.opened).handle_close()


class _Question:
    """How long a body its sender may send, asked in a thread."""

    def __init__(self, server: Server, connection: Connection, request: Parser) -> None:
        self._server = server
        self._connection = connection
        self._request = request

    def service(self) -> None:
        environ = WSGITask(self._connection, self._request).get_environment()
        limit = self._server.longest_body(environ)
        # The loop goes on with it: bytes may be sent by one thread at a time.
        self._server.trigger.pull_trigger(partial(self._connection.decide, self._request, limit))


class Lanes:
    """The threads of a process: for health, for what is quick, and for everything else."""

    def __init__(self, *, threads: int, health: Iterable[str]) -> None:
        self._health_paths = frozenset(health)
        self._health = Lane("health", 4)
        self.quick = Lane("quick", 4)
        self._requests = Lane("request", threads)

    def add_task(self, connection: Connection) -> None:
        """Serve the first request of a connection."""
        request = connection.requests[0]
        if request.error is not None:
            self.quick.add(connection)
        elif request.path in self._health_paths:
            self._health.add(connection)
        else:
            self._requests.add(connection)

    def take_expired(self) -> list[Any]:
        """Connections whose request has waited too long for a thread."""
        return self._requests.take_expired(PATIENCE_S)

"""Connections to S3 with a deadline for sending a request and receiving the answer's header.

A socket's timeout bounds each wait alone, so a server that sends single bytes could hold a call for ever. One thread of
the process shuts the sockets down whose time is over. ``http.client`` takes the end of the stream for the end of the
header, so that a connection cut there looks like success: here it raises.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from http.client import HTTPResponse, RemoteDisconnected
from typing import Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.handlers import add_expect_header
from urllib3.exceptions import NameResolutionError, ReadTimeoutError

from cleanplate.base.resolving import require_name

#: Seconds for the look-up of the store's name, before the same time for the connection.
CONNECT_S = 2.0
#: Seconds for a request and the header of its answer, and bytes of a body for which one more is granted.
CALL_S = 8.0
SLOWEST = 1 << 20
_LOOK_S = 0.5


class _Watch:
    """Shuts down the sockets of overdue calls."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: a forked process has no thread and no calls."""
        self._changed = threading.Condition()
        self._until: dict[_Bounded, float] = {}
        self._thread: threading.Thread | None = None

    def add(self, connection: _Bounded, seconds: float) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="s3-deadlines", daemon=True)
                self._thread.start()
            self._until[connection] = time.monotonic() + seconds
            self._changed.notify()

    def remove(self, connection: _Bounded) -> bool:
        """Whether the call ended in time."""
        with self._changed:
            return self._until.pop(connection, None) is not None

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._until)
                for connection in [each for each, until in self._until.items() if until < time.monotonic()]:
                    del self._until[connection]
                    connection.shut_down()
            time.sleep(_LOOK_S)


_watch = _Watch()
os.register_at_fork(after_in_child=_watch.forget)


class _Lines:
    """The stream of an answer's header. Raises RemoteDisconnected where it ends within the header."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def readline(self, limit: int) -> bytes:
        line: bytes = self.stream.readline(limit)
        if not line.endswith(b"\n") and len(line) < limit:
            raise RemoteDisconnected("the answer's header broke off")
        return line

    def close(self) -> None:
        self.stream.close()

    def flush(self) -> None:
        self.stream.flush()


class _WholeHeader(HTTPResponse):
    def begin(self) -> None:
        self.fp: Any = _Lines(self.fp)
        try:
            super().begin()
        finally:
            if isinstance(self.fp, _Lines):
                self.fp = self.fp.stream


class _Bounded(AWSHTTPConnection):  # type: ignore[misc]
    response_class = _WholeHeader

    def _new_conn(self) -> Any:
        try:
            require_name(self._dns_host, CONNECT_S)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        return super()._new_conn()

    def request(self, method: str, url: str, body: Any = None, *arguments: Any, **named: Any) -> Any:
        length = len(body) if isinstance(body, bytes | bytearray) else 0
        _watch.add(self, CALL_S + length / SLOWEST)
        try:
            return super().request(method, url, body, *arguments, **named)
        except BaseException:
            self._end()
            raise

    def getresponse(self, *arguments: Any, **named: Any) -> Any:
        try:
            answer = super().getresponse(*arguments, **named)
        except BaseException:
            self._end()
            raise
        self._end()
        return answer

    def shut_down(self) -> None:
        if self.sock is not None:
            with contextlib.suppress(OSError):  # closed at this moment
                self.sock.shutdown(socket.SHUT_RDWR)

    def _end(self) -> None:
        if not _watch.remove(self):
            self.close()
            raise ReadTimeoutError(None, None, "the call took too long")  # type: ignore[arg-type]


class _BoundedHTTPS(_Bounded, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _Pool(AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Bounded


class _PoolHTTPS(AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _BoundedHTTPS


def bound(client: Any) -> None:
    """Give all calls of an S3 client deadlines, and let none wait for ``100 Continue``.

    botocore reads an interim answer in a loop that the end of the connection does not end.
    """
    client.meta.events.unregister("before-call.s3", add_expect_header)
    client._endpoint.http_session._pool_classes_by_scheme.update(http=_Pool, https=_PoolHTTPS)

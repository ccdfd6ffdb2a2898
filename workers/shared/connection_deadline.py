"""HTTP connections with a deadline for TLS handshake, headers and body together.

A socket's timeout bounds each wait alone: a receiver that sends single bytes could hold a connection forever.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import HTTPResponse


class _Deadline:
    """Shuts a connected socket down after ``seconds``, unless it is canceled before."""

    def __init__(self, connected: socket.socket, seconds: float) -> None:
        # A duplicate, because TLS takes the original over. Shutting either down ends the connection.
        self._socket = connected.dup()
        self._timer = threading.Timer(seconds, self._shut_down)
        self._timer.daemon = True
        self._timer.start()

    def _shut_down(self) -> None:
        with contextlib.suppress(OSError):  # closed at this moment
            self._socket.shutdown(socket.SHUT_RDWR)

    def cancel(self) -> None:
        self._timer.cancel()
        self._socket.close()


class _Bounded(HTTPConnection):
    """Ends when its connect timeout has passed again after it was connected."""

    _deadline: _Deadline | None = None
    _answering = False

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        if isinstance(self.timeout, int | float):
            self._deadline = _Deadline(connected, self.timeout)
        return connected

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        # The connection of a body without a length closes itself before the body is read: the deadline must stay.
        self._answering = True
        try:
            return super().getresponse()
        finally:
            self._answering = False

    def close(self) -> None:
        super().close()
        if self._deadline is not None and not self._answering:
            self._deadline.cancel()
            self._deadline = None


class _BoundedHTTPS(_Bounded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Bounded


class _PoolHTTPS(HTTPSConnectionPool):
    ConnectionCls = _BoundedHTTPS


#: For ``PoolManager.pool_classes_by_scheme``.
POOLS: dict[str, Any] = {"http": _Pool, "https": _PoolHTTPS}

"""HTTP connections with an end: a socket's timeout bounds each wait, and a receiver that sends a byte now and then
could hold a connection for ever. Here the connection as a whole is cut, TLS handshake, headers and body together.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import HTTPResponse


class _Cut:
    """Shuts a connected socket down after ``seconds``, unless canceled before."""

    def __init__(self, connected: socket.socket, seconds: float) -> None:
        # A duplicate: TLS takes the original over, and shutting either down ends the connection.
        self._socket = connected.dup()
        self._timer = threading.Timer(seconds, self._shut_down)
        self._timer.daemon = True
        self._timer.start()

    def _shut_down(self) -> None:
        with contextlib.suppress(OSError):  # closed in this moment
            self._socket.shutdown(socket.SHUT_RDWR)

    def cancel(self) -> None:
        self._timer.cancel()
        self._socket.close()


class _Bounded(HTTPConnection):
    """Lives for its connect timeout once more after it is connected, and then ends."""

    _cut: _Cut | None = None
    _answering = False

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        if isinstance(self.timeout, int | float):
            self._cut = _Cut(connected, self.timeout)
        return connected

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        # A body without a length ends with the connection, which closes itself before the body is read: no end yet.
        self._answering = True
        try:
            return super().getresponse()
        finally:
            self._answering = False

    def close(self) -> None:
        super().close()
        if self._cut is not None and not self._answering:
            self._cut.cancel()
            self._cut = None


class _BoundedHTTPS(_Bounded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Bounded


class _PoolHTTPS(HTTPSConnectionPool):
    ConnectionCls = _BoundedHTTPS


#: For ``PoolManager.pool_classes_by_scheme``.
POOLS: dict[str, Any] = {"http": _Pool, "https": _PoolHTTPS}

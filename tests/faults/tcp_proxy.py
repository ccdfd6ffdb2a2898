"""A proxy before any server that can freeze, drip, or cut all connections, whatever they carry."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from enum import Enum


class Way(Enum):
    """What happens to bytes, of open connections too."""

    OPEN = "open"
    #: Connections are accepted, and no byte passes.
    FROZEN = "frozen"
    #: Twenty bytes a second pass in each direction.
    DRIPPING = "dripping"
    #: All connections end at once, new ones too.
    CUT = "cut"


class TcpProxy:
    """The proxy at ``127.0.0.1:port``. ``way`` may be set at any time."""

    def __init__(self, host: str, port: int) -> None:
        self.way = Way.OPEN
        self._target = host, port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port: int = self._listener.getsockname()[1]
        self._listener.setblocking(False)
        self._partners: dict[socket.socket, socket.socket] = {}
        self._stopped = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stopped = True
        self._thread.join()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._stopped:
                if self.way is Way.CUT:
                    for connection in list(self._partners):
                        self._end(selector, connection)
                if self.way is Way.FROZEN:
                    time.sleep(0.05)
                    continue
                for key, _ in selector.select(0.05):
                    self._pass(selector, key.fileobj)  # type: ignore[arg-type]
            for connection in list(self._partners):
                self._end(selector, connection)
            self._listener.close()

    def _pass(self, selector: selectors.BaseSelector, source: socket.socket) -> None:
        if source is self._listener:
            self._accept(selector)
            return
        target = self._partners.get(source)
        if target is None:
            return
        try:
            data = source.recv(1 if self.way is Way.DRIPPING else 65536)
            if self.way is Way.DRIPPING:
                time.sleep(0.05)
            if data:
                target.settimeout(10)
                target.sendall(data)
                return
        except OSError:  # one side has ended the connection
            pass
        self._end(selector, source)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(self._target, timeout=10)
        except OSError:  # the server is away
            client.close()
            return
        self._partners[client], self._partners[server] = server, client
        for connection in (client, server):
            selector.register(connection, selectors.EVENT_READ)

    def _end(self, selector: selectors.BaseSelector, connection: socket.socket) -> None:
        partner = self._partners.pop(connection, None)
        if partner is None:
            return
        del self._partners[partner]
        for end in (connection, partner):
            selector.unregister(end)
            end.close()


@contextlib.contextmanager
def tcp_proxy(host: str, port: int) -> Iterator[TcpProxy]:
    """Run a proxy before a server during the block."""
    proxy = TcpProxy(host, port)
    try:
        yield proxy
    finally:
        proxy.close()

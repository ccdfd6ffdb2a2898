"""Looks a host's name up before a connection, with a deadline.

The C library asks a name server that does not answer for many seconds, and no timeout of a socket covers that time.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import threading


class _LookUp:
    """One look-up of a name, in a thread that ends by itself."""

    def __init__(self, host: str) -> None:
        self._host = host
        self.error: OSError | None = None
        self.done = threading.Event()
        threading.Thread(target=self._run, name="look-up", daemon=True).start()

    def _run(self) -> None:
        try:
            socket.getaddrinfo(self._host, None)
        except OSError as error:
            self.error = error
        finally:
            self.done.set()


_lock = threading.Lock()
#: Those under way, by name: callers that come meanwhile share them.
_under_way: dict[str, _LookUp] = {}


def _forget() -> None:
    """Begin anew: a forked process has no threads."""
    global _lock  # noqa: PLW0603 - the lock may be held by a thread that the process does not have
    _lock = threading.Lock()
    _under_way.clear()


os.register_at_fork(after_in_child=_forget)


def require_name(host: str, within_s: float) -> None:
    """Returns at once for an IP address, else when the name has been looked up.

    Raises:
        socket.gaierror: the name is unknown, or no name server answers in time.
    """
    try:
        ipaddress.ip_address(host)
        return
    except ValueError:
        pass
    with _lock:
        look_up = _under_way.get(host)
        if look_up is None or look_up.done.is_set():
            look_up = _under_way[host] = _LookUp(host)
    if not look_up.done.wait(within_s):
        raise socket.gaierror(socket.EAI_AGAIN, f"no name server answered within {within_s:g} s")
    if look_up.error is not None:
        raise look_up.error

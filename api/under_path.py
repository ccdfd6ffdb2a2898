"""The service below a path of a host: the prefix of all its addresses, from the path of ``public_url``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def path_below(public_url: str) -> str:
    """``/shop/cleanplate`` of ``https://host/shop/cleanplate/``; empty if the service has its own host."""
    return urlsplit(public_url).path.rstrip("/")


class UnderPath:
    """WSGI middleware that removes the path, unless a proxy has removed it, and passes it to the application.

    Requests without the path are served too: from proxies that remove it, and from health checks beside the service.
    """

    def __init__(self, app: WSGIApplication, path: str) -> None:
        self._app = app
        self._path = path

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        remove_path(environ, self._path)
        return self._app(environ, start_response)


def remove_path(environ: WSGIEnvironment, path: str) -> None:
    """Make a request for an address below ``path`` one for the service's own address."""
    asked = environ["PATH_INFO"]
    if asked == path or asked.startswith(f"{path}/"):
        environ["PATH_INFO"] = asked.removeprefix(path) or "/"
    environ["SCRIPT_NAME"] = path

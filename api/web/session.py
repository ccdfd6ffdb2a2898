"""Sessions of browsers. A signed cookie holds a session's secret; the session itself is a row of the ledger.

Each request asks the ledger whether the session and its key still hold, so that signing out, revoking the key and age
end a copied cookie too. The address of a request gives no rights: behind a proxy every request looks local.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Request, g
from flask import session as cookie
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from api.stores import stores
from api.under_path import path_below
from storage.ledger.tenants.sessions import begin_session, end_session, exchange_login_link, find_session
from storage.records import Caller

#: Longest age of a session.
LIFETIME = timedelta(days=30)
_FIELD = "session"


class _OnlyWhereThereIsOne(SecureCookieSessionInterface):
    """Flask's sessions; the signing key is not read for requests that bring no cookie."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)


def register(app: Flask) -> None:
    """Give ``app`` sessions."""
    address = urlsplit(str(app.config["PUBLIC_URL"]))
    https = address.scheme == "https"
    below = path_below(str(app.config["PUBLIC_URL"])).replace("/", "-")
    app.session_interface = _OnlyWhereThereIsOne()
    app.config.update(
        # Cookies of one host are shared by its ports, and these by all paths: two services of one host must not take
        # each other's.
        SESSION_COOKIE_NAME=("__Host-cleanplate" if https else f"cleanplate-{address.port or 80}") + below,
        SESSION_COOKIE_SECURE=https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=LIFETIME,
        # The token lives as long as its session; csrf also checks the origin of a request.
        WTF_CSRF_TIME_LIMIT=None,
    )


def begin_with_key(key_id: str) -> None:
    """Let the browser act with this key, whose secret it has shown."""
    _keep(begin_session(stores().database, key_id, lifetime_s=LIFETIME.total_seconds()))


def begin_with_link(link: str) -> bool:
    """Exchange a one-time link's secret for a session. False if the link no longer works."""
    secret = exchange_login_link(stores().database, link, lifetime_s=LIFETIME.total_seconds())
    if secret is None:
        return False
    _keep(secret)
    return True


def end() -> None:
    """End the request's session, in the ledger and in the browser."""
    secret = secret_of_request()
    if secret is not None:
        end_session(stores().database, secret)
    cookie.clear()


def secret_of_request() -> str | None:
    """The secret that the request's cookie holds; its session may have ended."""
    secret: Any = cookie.get(_FIELD)
    return secret if isinstance(secret, str) else None


def caller() -> Caller | None:
    """The caller of the current request by its session; ``None`` without one, or if it or its key has ended."""
    if "session_caller" not in g:
        secret = secret_of_request()
        g.session_caller = None if secret is None else find_session(stores().database, secret)
    acting: Caller | None = g.session_caller
    return acting


def _keep(secret: str) -> None:
    """Give the browser this session instead of an earlier one."""
    cookie.clear()
    cookie[_FIELD] = secret
    cookie.permanent = True

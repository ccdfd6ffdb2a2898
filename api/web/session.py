"""Who sits at the browser: a signed cookie names an API key by its id; the key itself is never in it.

The ledger is asked at each request whether the key still lives, so that revoking a key ends its sessions. A browser of
the machine that ``cleanplate up`` runs on is given a session without being asked for a key.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Request, current_app, g, request
from flask import session as cookie
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from api.stores import stores
from cleanplate.base.loopback import is_loopback
from storage.ledger.tenants.tenants import identify_by_id
from storage.records import Caller

#: Without a page opened for so long, the key is asked for again.
LIFETIME = timedelta(days=30)
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


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
    app.session_interface = _OnlyWhereThereIsOne()
    app.config.update(
        # Cookies of one host are shared by its ports: two services of one machine must not take each other's.
        SESSION_COOKIE_NAME="__Host-cleanplate" if https else f"cleanplate-{address.port or 80}",
        SESSION_COOKIE_SECURE=https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=LIFETIME,
        # The token lives as long as its session; where a request came from is checked beside it, see csrf.
        WTF_CSRF_TIME_LIMIT=None,
    )


def begin(key_id: str) -> None:
    """Let the browser act with this key from now on. What an earlier session held is gone."""
    cookie.clear()
    cookie["key"] = key_id
    cookie.permanent = True


def end() -> None:
    """Forget who sits at the browser."""
    cookie.clear()


def prolong() -> None:
    """Count the session's life from now."""
    cookie.modified = True


def key_id() -> str | None:
    """The id of the key that the request's session stands for, alive or not."""
    found: Any = cookie.get("key")
    return found if isinstance(found, str) else None


def caller() -> Caller | None:
    """Who makes the current request by its session; ``None`` without one, or where its key has ended."""
    if "session_caller" not in g:
        key = key_id()
        g.session_caller = None if key is None else identify_by_id(stores().database, key)
    found: Caller | None = g.session_caller
    return found


def begin_locally() -> Caller | None:
    """A session without a key asked for, where this machine's own browser opens this machine's own service.

    The name in the address must be a loopback one too: a foreign name that leads here (DNS rebinding) is not this
    machine's. A proxy's request comes from elsewhere, whatever address it has.
    """
    key = current_app.extensions["cleanplate"].settings.local_key_id
    if not key or not is_loopback(urlsplit(f"//{request.host}").hostname) or not is_loopback(request.remote_addr):
        return None
    if any(name in request.headers for name in _FORWARDED):
        return None
    found = identify_by_id(stores().database, key)
    if found is not None:
        begin(key)
        g.session_caller = found
    return found

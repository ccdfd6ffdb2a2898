"""Signs browsers in: exchanges a key, or a one-time link from ``cleanplate link``, for a session."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Response, jsonify, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from api.problems import Problem
from api.stores import stores
from api.web import csrf, session
from api.web.pages import OpenPages, show
from storage.ledger.tenants.tenants import identify

blueprint = OpenPages("login", __name__)


@blueprint.get("/login")
def page() -> AnyResponse:
    if session.caller():
        return redirect(_below(_wanted()))
    return _show_login()


@blueprint.post("/login")
def sign_in() -> AnyResponse:
    csrf.check()
    caller = identify(stores().database, request.form.get("key", "").strip())
    if caller is None:
        return _show_login(status=403, refused="key")
    session.begin_with_key(caller.key_id)
    return redirect(_below(_wanted()), 303)


@blueprint.get("/login/link")
def link_page() -> Response:
    """The page of a one-time link. Its secret is in the fragment, which no server sees; a script posts it."""
    return show("login_link.html")


@blueprint.post("/login/link")
def sign_in_by_link() -> AnyResponse:
    csrf.check()
    # A signed-in browser does not need the page that explains how to sign in.
    if session.begin_with_link(request.form.get("link", "")) or session.caller():
        return redirect(_below("/"), 303)
    return _show_login(status=403, refused="link")


@blueprint.post("/logout")
def sign_out() -> AnyResponse:
    csrf.check()
    session.end()
    return redirect(url_for("login.page"), 303)


@blueprint.get("/session")
def state() -> Response:
    """A new token for a page whose token has ended while it was open."""
    if session.caller() is None:
        raise Problem("key_missing", "Nobody is signed in: open the page again.")
    return jsonify(token=csrf.token())


def _show_login(*, status: int = 200, refused: str | None = None) -> Response:
    """The page that asks for a key; ``refused`` names the failed attempt."""
    return show(
        "login.html",
        status=status,
        wanted=_wanted(),
        refused=refused,
        # `cleanplate link` opens the ledger in the home folder of the machine it runs on.
        by_link=not stores().settings.database_url.get_secret_value(),
    )


def _below(path: str) -> str:
    """A path of this service as browsers ask for it."""
    return request.root_path + path


def _wanted() -> str:
    """The target after the login: always a path of this service, for any ``next``."""
    wanted = request.values.get("next", "/")
    parts = urlsplit(wanted)
    local = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return wanted if local and wanted.isprintable() else "/"

"""A key is asked for once: it is exchanged for a session, and forgotten here."""

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
    if session.caller() or session.begin_locally():
        return redirect(_wanted())
    return show("login.html", wanted=_wanted(), refused=False)


@blueprint.post("/login")
def sign_in() -> AnyResponse:
    csrf.check()
    found = identify(stores().database, request.form.get("key", "").strip())
    if found is None:
        return show("login.html", status=403, wanted=_wanted(), refused=True)
    session.begin(found.key_id)
    return redirect(_wanted(), 303)


@blueprint.post("/logout")
def sign_out() -> AnyResponse:
    csrf.check()
    session.end()
    return redirect(url_for("login.page"), 303)


@blueprint.get("/session")
def state() -> Response:
    """For scripts whose session or token has ended while the page was open: the token to go on with."""
    if session.caller() is None and session.begin_locally() is None:
        raise Problem("key_missing", "Nobody is signed in: open the page again.")
    return jsonify(token=csrf.token())


def _wanted() -> str:
    """Where to go after the login: an address of this service, whatever the link says."""
    wanted = request.values.get("next", "/")
    parts = urlsplit(wanted)
    local = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return wanted if local and wanted.isprintable() else "/"

"""Operations: workers, queues, tenants with their keys, pauses, templates, the audit log.

A key with the scope ``admin`` sees its own tenant. Keys of the operator's tenants see all of them and the machines, but
not other tenants' templates: those hold their pictures.
"""

from __future__ import annotations

from typing import Any

from flask import Response, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from api import auth
from api.problems import Problem
from api.routes.templates import page_of_templates
from api.stores import stores
from api.web.pages import Pages, show
from storage.ledger.jobs import pauses
from storage.ledger.operations import queues
from storage.ledger.operations.audit import latest_entries
from storage.ledger.operations.devices import list_devices
from storage.ledger.tenants.tenants import create_key, list_keys, list_tenants, revoke_key
from storage.records import PausedBy, Scope

blueprint = Pages("admin", __name__)

EVERYTHING = "everything"
_ENTRIES = _TEMPLATES = 50
_LONGEST_NAME = 200


@blueprint.before_request
def _only_admins() -> None:
    if Scope.ADMIN not in auth.caller().scopes:
        raise Problem("scope_missing", "This page needs an API key with the scope admin.")


@blueprint.get("/admin")
def page() -> Response:
    return _page()


@blueprint.get("/admin/live")
def live() -> Response:
    return show("admin_live.html", **_moving())


@blueprint.post("/admin/keys")
def new_key() -> Response:
    name = request.form.get("name", "").strip()
    scopes = [Scope(word) for word in request.form.getlist("scope") if word in set(Scope)]
    if not (name.isprintable() and 0 < len(name) <= _LONGEST_NAME and scopes):
        raise Problem("request_invalid", "A key needs a name of one line and at least one scope.")
    key, secret = create_key(stores().database, _subject(request.form.get("tenant", "")), name, scopes=scopes)
    return _page(made=key, secret=secret)


@blueprint.post("/admin/keys/<id:key_id>/revoke")
def revoke(key_id: str) -> AnyResponse:
    if key_id not in {key.id for key in list_keys(stores().database, _seen())}:
        raise Problem("not_found", "Unknown key.")
    revoke_key(stores().database, key_id)
    return redirect(url_for("admin.page"), 303)


@blueprint.post("/admin/pauses")
def pause() -> AnyResponse:
    database, actor = stores().database, auth.actor()
    subject, begin = request.form.get("subject", ""), request.form.get("do") == "pause"
    by = PausedBy.OPERATOR if auth.operates() else PausedBy.TENANT
    if subject == EVERYTHING and auth.operates():
        (pauses.pause_everything if begin else pauses.resume_everything)(database)
    else:
        (pauses.pause_tenant if begin else pauses.resume_tenant)(database, _subject(subject), by, actor=actor)
    return redirect(url_for("admin.page"), 303)


def _page(**more: Any) -> Response:
    database, seen = stores().database, _seen()
    tenants = [(key, name) for key, name in list_tenants(database) if seen is None or key == seen]
    return show(
        "admin.html",
        **_moving(),
        tenants=tenants,
        keys=list_keys(database, seen),
        own_key=auth.caller().key_id,
        own_tenant=auth.tenant(),
        scopes=list(Scope),
        first=page_of_templates(limit=_TEMPLATES).model_dump(mode="json"),
        entries=latest_entries(database, seen, limit=_ENTRIES),
        **more,
    )


def _moving() -> dict[str, Any]:
    """The part of the page that changes by the second."""
    backend, seen = stores(), _seen()
    names = dict(list_tenants(backend.database))
    held = [(subject, by) for subject, by in pauses.list_pauses(backend.database) if seen in {None, subject}]
    return {
        "operates": auth.operates(),
        "names": names,
        "queues": queues.queues(backend.database, seen),
        "paused": dict(held),
        "busy": queues.busy_workers(backend.database) if seen is None else [],
        "devices": list_devices(backend.database) if seen is None else [],
    }


def _seen() -> str | None:
    """The tenant that the caller may see; ``None``: all tenants."""
    return None if auth.operates() else auth.tenant()


def _subject(tenant_id: str) -> str:
    """The tenant, if the caller may act on it. Raises Problem ``not_found``."""
    if tenant_id != auth.tenant() and not auth.operates():
        raise Problem("not_found", "Unknown tenant.")
    return tenant_id

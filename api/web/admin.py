"""Operations: workers, queues, tenants with their keys, pauses, templates, the audit log.

A key with the scope ``admin`` sees its own tenant. Keys of the operator's tenants see all of them and the machines, but
not other tenants' templates: those hold their pictures.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Response, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from api import answers, auth
from api.problems import Problem
from api.routes.health import servers
from api.routes.templates import page_of_templates
from api.stores import stores
from api.web.pages import Pages, show
from storage.leader import is_led
from storage.ledger.jobs import pauses
from storage.ledger.operations import queues
from storage.ledger.operations.audit import EntryFilter, find_entries, latest_entries
from storage.ledger.operations.devices import list_devices, worker_state
from storage.ledger.operations.flow import Flow, recent_flow
from storage.ledger.tenants.accounts import sum_accounts, today
from storage.ledger.tenants.tenants import create_key, list_keys, list_tenants, revoke_key
from storage.ledger.webhooks.deliveries import failing_endpoints
from storage.ledger.webhooks.endpoints import list_endpoints
from storage.records import PausedBy, Scope

blueprint = Pages("admin", __name__)

EVERYTHING = "everything"
_ENTRIES = _TEMPLATES = 50
_LONGEST_NAME = 200
_ACCOUNT_DAYS = 30
_SEARCHED = 2000
#: Filters of the audit log; ``what`` is the first part of an action, or:
_FILTERS = ("what", "job", "who")
_EACH_IMAGE = "image"


#: What the charts show, by name.
_SPANS = {"hour": {"steps": 60, "minutes": 1}, "day": {"steps": 96, "minutes": 15}}


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


@blueprint.get("/admin/flow")
def flow() -> dict[str, Any]:
    """The charts' figures: of each step the images that ended a minute, and those that waited; null: unknown."""
    if not auth.operates():
        raise Problem("scope_missing", "Only keys of the operator's tenants see the work of the whole service.")
    return {name: _charted(recent_flow(stores().database, **span)) for name, span in _SPANS.items()}


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
        work=_work(seen),
        webhooks=list_endpoints(database, auth.tenant()),
        failed=failing_endpoints(database, auth.tenant()),
        **_entries(seen),
        **more,
    )


def _work(seen: str | None) -> dict[str, answers.Work]:
    """The work of the last days by tenant."""
    database = stores().database
    since = today(database) - timedelta(days=_ACCOUNT_DAYS)
    return {key: answers.Work.of(work) for key, work in sum_accounts(database, since).items() if seen in {None, key}}


def _entries(seen: str | None) -> dict[str, Any]:
    """The newest entries of the audit log that the person looks for."""
    asked = {name: request.args.get(name, "").replace("\0", "").strip()[:_LONGEST_NAME] for name in _FILTERS}
    database = stores().database
    if asked["what"] == _EACH_IMAGE:
        # No index finds those of one job or actor.
        newest = latest_entries(database, seen, limit=_SEARCHED)
        chosen = [entry for entry in newest if asked["job"] in {"", entry.job_id} and asked["who"] in entry.actor]
        return {"asked": asked, "searched": _SEARCHED, "entries": chosen[:_ENTRIES]}
    only = EntryFilter(subject=asked["what"], job_id=asked["job"], actor=asked["who"])
    return {"asked": asked, "entries": find_entries(database, seen, only, limit=_ENTRIES)}


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
        "health": _health() if seen is None else [],
    }


def _charted(flow: Flow) -> dict[str, Any]:
    return {
        "since": flow.since.isoformat(),
        "step_s": flow.step.total_seconds(),
        "ended": [step.ended for step in flow.steps],
        "waiting": [step.waiting for step in flow.steps],
    }


def _health() -> list[tuple[str, str | None]]:
    """The parts of the service, each with the reason why it cannot be used; ``None``: it can."""
    backend = stores()
    parts = servers(backend)
    workers = worker_state(backend.database)
    idle = None if workers.working else (workers.reason or "No worker is running.")
    led = None if is_led(backend.database, backend.settings) else "No dispatcher is running: open jobs wait."
    return [*parts.items(), ("workers", idle), ("dispatcher", led)]


def _seen() -> str | None:
    """The tenant that the caller may see; ``None``: all tenants."""
    return None if auth.operates() else auth.tenant()


def _subject(tenant_id: str) -> str:
    """The tenant, if the caller may act on it. Raises Problem ``not_found``."""
    if tenant_id != auth.tenant() and not auth.operates():
        raise Problem("not_found", "Unknown tenant.")
    return tenant_id

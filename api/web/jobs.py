"""Jobs as pages: the list, one job, and a new one. A page contains their first state, and events bring the changes."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from api import answers, auth, requests, text_marks
from api.images import networks_of
from api.problems import Problem
from api.routes.jobs import page_of_jobs
from api.stores import stores
from api.web.pages import Pages, show
from storage.ledger.jobs.overviews import count_reviews
from storage.ledger.jobs.reading import get_job
from storage.ledger.webhooks.endpoints import list_endpoints
from storage.records import JobKind, JobState, Scope

blueprint = Pages("job_pages", __name__)

#: Jobs on one page of the list.
_PART = 30
_LONGEST_SEARCH = 200


@blueprint.get("/jobs")
def index() -> Response:
    asked = request.args.get("state")
    state = JobState(asked) if asked in set(JobState) else None
    kind = JobKind.REPAIR if request.args.get("kind") == JobKind.REPAIR else JobKind.CATALOGUE
    words = request.args.get("q", "").replace("\0", "").strip()[:_LONGEST_SEARCH]
    page = page_of_jobs(requests.JobsQuery(limit=_PART, state=state, kind=kind.value, q=words or None))
    first = page.model_dump(mode="json")
    return show("jobs.html", first=first, state=state, kind=kind, words=words, part=_PART, **_rights())


@blueprint.get("/jobs/new")
def new() -> Response:
    backend, tenant = stores(), auth.tenant()
    if Scope.SUBMIT not in auth.caller().scopes:
        raise Problem("scope_missing", "This API key may not submit jobs: it needs the scope submit.")
    return show(
        "new.html",
        max_bytes=backend.settings.max_image_bytes,
        max_pixels=backend.settings.max_image_pixels,
        max_images=backend.settings.max_job_images,
        kept_s=backend.settings.upload_expiry_s,
        owner=tenant,
        text_marks=text_marks.is_offered(backend.settings),
        mail_recipients=backend.settings.mail_recipients,
        webhooks=[webhook for webhook in list_endpoints(backend.database, tenant) if webhook.disabled_at is None],
    )


@blueprint.get("/jobs/<id:job_id>")
def one(job_id: str) -> Response:
    job = answers.Job.of(get_job(stores().database, auth.tenant(), job_id))
    return show("job.html", job=job, first=job.model_dump(mode="json"), **_rights())


@blueprint.get("/jobs/<id:job_id>/review")
def judge(job_id: str) -> Response:
    backend, tenant = stores(), auth.tenant()
    job = answers.Job.of(get_job(backend.database, tenant, job_id))
    counts = count_reviews(backend.database, tenant, job_id)
    return show("judge.html", job=job, counts=counts, networks=networks_of(backend.settings), **_rights())


def _rights() -> dict[str, Any]:
    """The caller's rights: the page hides buttons whose request would be refused."""
    scopes = auth.caller().scopes
    return {"may_submit": Scope.SUBMIT in scopes, "may_administer": Scope.ADMIN in scopes}

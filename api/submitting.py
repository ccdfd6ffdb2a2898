"""Submits a job to the ledger, once for each request, and answers where to follow it: the last step of every way in."""

from __future__ import annotations

from dataclasses import replace

import structlog
from flask import request

from api import answers, auth
from api.answers import Fault
from api.idempotency import REPLAYED
from api.problems import Problem, pointer
from api.stores import Stores
from cleanplate.base.documents import JsonObject
from cleanplate.telemetry import meters, tracing
from storage import records
from storage.errors import NotFound
from storage.ledger.jobs.submission import submit_job, submit_once
from storage.ledger.tenants.idempotency import Once


def accepted(job: answers.Job, *, replayed: bool) -> tuple[answers.Job, int, dict[str, str]]:
    """The answer 202; ``replayed``: an earlier try of the request made the job."""
    return job, 202, {"Location": job.links.self} | ({REPLAYED: "true"} if replayed else {})


def submit_to_ledger(
    stores: Stores, tenant: str, job: records.NewJob, once: Once | None, *, webhook_field: str
) -> tuple[answers.Job, bool]:
    """Submits a job; it, or the job of an earlier try of the request, and whether there was one.

    ``webhook_field`` is the path of the field that names the webhook.

    Raises:
        Problem: ``webhook_unknown``.
    """
    with tracing.span("job.submit", request.headers.get("traceparent"), images=len(job.images)) as span:
        answer, replayed = _write(
            stores, tenant, replace(job, trace=span.context, key_id=auth.caller().key_id), once, webhook_field
        )
        span.tell(job=answer.id, replayed=replayed)
    # For the access event, whose path has no id yet.
    structlog.contextvars.bind_contextvars(job=answer.id)
    if not replayed:
        meters.JOBS_SUBMITTED.labels(job.priority.value).inc()
        meters.IMAGES_SUBMITTED.labels(job.priority.value).inc(len(job.images))
    return answer, replayed


def _write(
    stores: Stores, tenant: str, job: records.NewJob, once: Once | None, webhook_field: str
) -> tuple[answers.Job, bool]:
    try:
        if once is None:
            return answers.Job.of(submit_job(stores.database, tenant, job, actor=auth.actor())), False
        answer, replayed = submit_once(stores.database, tenant, job, once, _as_json, actor=auth.actor())
        return answers.Job.model_validate(answer), replayed
    except NotFound as error:
        # Not 404: the path exists, and the body names an unknown webhook.
        raise Problem(
            "webhook_unknown",
            f"There is no webhook {error.identifier!r}. Make it with POST /v1/webhooks first.",
            faults=[Fault(pointer=pointer(webhook_field), code="webhook_unknown", detail="There is no such webhook.")],
        ) from error


def _as_json(job: records.Job) -> JsonObject:
    return answers.Job.of(job).model_dump(mode="json")

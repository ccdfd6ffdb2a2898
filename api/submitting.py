"""Writes a job to the ledger, once for each Idempotency-Key, and answers where to follow it.

Every way to submit a job ends here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import request

from api import answers, auth
from api.answers import Fault
from api.idempotency import REPLAYED
from api.problems import Problem, pointer
from api.stores import Stores
from cleanplate.telemetry import meters, tracing
from storage import records
from storage.errors import NotFound
from storage.ledger.jobs.jobs import submit_job, submit_once
from storage.ledger.tenants.idempotency import Once


def accepted_answer(job: answers.Job, *, replayed: bool) -> tuple[answers.Job, int, dict[str, str]]:
    """The answer to a job that was accepted by this request, or by an earlier one with the same Idempotency-Key."""
    return job, 202, {"Location": job.links.self} | ({REPLAYED: "true"} if replayed else {})


def submit_new_job(
    backend: Stores, tenant: str, job: records.NewJob, attempt: Once | None, *, webhook_field: str
) -> tuple[answers.Job, bool]:
    """Submits a job; returns it, or the one that this request made before, and whether it was made before."""
    with tracing.span("job.submit", request.headers.get("traceparent"), images=len(job.images)) as span:
        answer, replayed = _write_job(backend, tenant, replace(job, trace=span.context), attempt, webhook_field)
        span.tell(job=answer.id, replayed=replayed)
    if not replayed:
        meters.JOBS_SUBMITTED.labels(job.priority.value).inc()
        meters.IMAGES_SUBMITTED.labels(job.priority.value).inc(len(job.images))
    return answer, replayed


def _write_job(
    backend: Stores, tenant: str, job: records.NewJob, attempt: Once | None, webhook_field: str
) -> tuple[answers.Job, bool]:
    try:
        if attempt is None:
            return answers.Job.of(submit_job(backend.database, tenant, job, actor=auth.actor())), False
        answer, replayed = submit_once(backend.database, tenant, job, attempt, _as_json, actor=auth.actor())
        return answers.Job.model_validate(answer), replayed
    except NotFound as error:
        # The address is right: the body names an unknown webhook.
        raise Problem(
            "webhook_unknown",
            f"There is no webhook {error.identifier!r}. Make it with POST /v1/webhooks first.",
            faults=[Fault(pointer=pointer(webhook_field), detail="Unknown webhook.")],
        ) from error


def _as_json(job: records.Job) -> dict[str, Any]:
    return answers.Job.of(job).model_dump(mode="json")

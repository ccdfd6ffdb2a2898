"""The last step of every way to submit a job: the ledger takes it, once, and the answer says where to follow it."""

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
from storage.ledger.jobs.submission import submit_job, submit_once
from storage.ledger.tenants.idempotency import Once


def answered(job: answers.Job, *, replayed: bool) -> tuple[answers.Job, int, dict[str, str]]:
    """A job that was accepted, now or before."""
    return job, 202, {"Location": job.links.self} | ({REPLAYED: "true"} if replayed else {})


def submitted(
    here: Stores, tenant: str, job: records.NewJob, wanted: Once | None, *, webhook_field: str
) -> tuple[answers.Job, bool]:
    """The new job, or the one that this request made before; and whether it is that."""
    with tracing.span("job.submit", request.headers.get("traceparent"), images=len(job.images)) as span:
        answer, replayed = _written(here, tenant, replace(job, trace=span.context), wanted, webhook_field)
        span.tell(job=answer.id, replayed=replayed)
    if not replayed:
        meters.JOBS_SUBMITTED.labels(job.priority.value).inc()
        meters.IMAGES_SUBMITTED.labels(job.priority.value).inc(len(job.images))
    return answer, replayed


def _written(
    here: Stores, tenant: str, job: records.NewJob, wanted: Once | None, webhook_field: str
) -> tuple[answers.Job, bool]:
    try:
        if wanted is None:
            return answers.Job.of(submit_job(here.database, tenant, job, actor=auth.actor())), False
        answer, replayed = submit_once(here.database, tenant, job, wanted, _as_json, actor=auth.actor())
        return answers.Job.model_validate(answer), replayed
    except NotFound as error:
        # The address is right; it is the body that names something unknown.
        raise Problem(
            "webhook_unknown",
            f"There is no webhook {error.identifier!r}. Make it with POST /v1/webhooks first.",
            faults=[Fault(pointer=pointer(webhook_field), detail="There is no such webhook.")],
        ) from error


def _as_json(job: records.Job) -> dict[str, Any]:
    return answers.Job.of(job).model_dump(mode="json")

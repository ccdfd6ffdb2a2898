"""Webhook events of jobs with an estimated mark, and of templates: their types and contents."""

from __future__ import annotations

from typing import Any

from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs
from storage.ledger.templates.leases import fail_template, finish_template
from storage.ledger.templates.review import approve_job
from storage.ledger.webhooks.endpoints import create_endpoint
from storage.records import EventFilter, ImageState, Job, Outcome
from tests.shop import Shop, succeeded
from tests.unit.storage.templates.test_templates import LEASE_S, auto_job, estimate_of, leased, made

#: What events tell of a job to which nobody gave a name.
UNNAMED = {"name": None, "labels": [], "metadata": {}, "parent_job_id": None}


def told_job(shop: Shop, *events: EventFilter, **mask: Any) -> Job:
    """A job with ``mode: auto`` whose webhook wants ``events``, or the usual ones."""
    fields = [events] if events else []
    endpoint, _ = create_endpoint(shop.db, shop.tenant, "https://shop.example/hook", *fields)
    return auto_job(shop, mask=mask, webhook_endpoint_id=endpoint.id)


def heard(shop: Shop, job: Job) -> list[tuple[Any, Any]]:
    return [(event["type"], event["data"]) for event in shop.events(job.id)]


def counts(**ended: int) -> dict[str, int]:
    return {"queued": 0, "running": 0, "succeeded": 0, "skipped": 0, "failed": 0, "canceled": 0, **ended}


def test_a_job_that_waits_for_a_person_tells_which_templates_were_found(shop: Shop) -> None:
    job = told_job(shop)
    template = estimate_of(shop, job)
    beside = f"{template.id}-2"
    assert finish_template(shop.db, leased(shop.db, template.id), [made(template.id), made(beside)])
    waits = {"id": job.id, "state": "needs_review", "templates": [template.id, beside], "error": None}
    assert heard(shop, job) == [("job.needs_review", waits)]


def test_a_job_whose_mark_was_not_found_tells_why(shop: Shop) -> None:
    job = told_job(shop)
    template = estimate_of(shop, job)
    fail_template(shop.db, leased(shop.db, template.id), "samples_too_few", "14 more.", retry=False, max_attempts=3)
    error = {"code": "samples_too_few", "detail": "14 more."}
    waits = {"id": job.id, "state": "needs_review", "templates": [], "error": error}
    assert heard(shop, job) == [("job.needs_review", waits)]


def test_an_attempt_that_is_repeated_tells_nothing(shop: Shop) -> None:
    job = told_job(shop)
    template = estimate_of(shop, job)
    fail_template(shop.db, leased(shop.db, template.id), "source_unavailable", "Later.", retry=True, max_attempts=3)
    assert heard(shop, job) == []


def test_a_sure_job_tells_its_end_alone(shop: Shop) -> None:
    job = told_job(shop, approve="auto")
    template = estimate_of(shop, job)
    finish_template(shop.db, leased(shop.db, template.id), [made(template.id)])
    token, images = lease_images(shop.db, shop.image_ids(job.id), worker="w", lease_s=LEASE_S)
    finish_images(shop.db, token, [succeeded(image.id) for image in images], max_attempts=1)
    assert close_jobs(shop.db) == [job.id]
    ended = {**UNNAMED, "id": job.id, "state": "completed", "total": 6, "counts": counts(succeeded=6)}
    assert heard(shop, job) == [("job.completed", ended)]


def test_an_approved_job_tells_of_marks_that_still_show_and_its_end_counts_pictures_without_any(shop: Shop) -> None:
    job = told_job(shop)
    template = estimate_of(shop, job)
    finish_template(shop.db, leased(shop.db, template.id), [made(template.id)])
    approve_job(shop.db, shop.tenant, job.id)
    approve_job(shop.db, shop.tenant, job.id)
    token, images = lease_images(shop.db, shop.image_ids(job.id), worker="w", lease_s=LEASE_S)
    first, second, *others = images
    outcomes = [
        Outcome(
            image_id=first.id, state=ImageState.FAILED, error_code="residual_mark", error_detail="The mark still shows."
        ),
        Outcome(image_id=second.id, state=ImageState.SKIPPED, result_key="results/2", content_type="image/jpeg"),
        *(succeeded(image.id) for image in others),
    ]
    finish_images(shop.db, token, outcomes, max_attempts=1)
    assert close_jobs(shop.db) == [job.id]
    (waits, _), (failed, why), (ended, end) = heard(shop, job)
    assert (waits, failed, ended) == ("job.needs_review", "image.failed", "job.completed")
    assert why == {
        "id": first.id,
        "job_id": job.id,
        "name": first.name,
        "path": None,
        "custom_id": None,
        "error": {"code": "residual_mark", "detail": "The mark still shows."},
    }
    assert end == {
        **UNNAMED,
        "id": job.id,
        "state": "completed",
        "total": 6,
        "counts": counts(succeeded=4, skipped=1, failed=1),
    }


def test_endpoints_without_the_review_events_get_none(shop: Shop) -> None:
    job = told_job(shop, EventFilter.IMAGE_FAILED)
    template = estimate_of(shop, job)
    finish_template(shop.db, leased(shop.db, template.id), [made(template.id)])
    assert heard(shop, job) == []

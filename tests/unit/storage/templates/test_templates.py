"""Templates in the ledger: made under a lease, reviewed by a person, used by jobs; jobs that wait for one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from cleanplate.base.masks import AutoMask, Placement, TemplatesMask
from cleanplate.base.templates import TemplateProgress, TemplateQuality
from storage.database import Database
from storage.errors import (
    JobNotInReview,
    NotFound,
    NothingToApprove,
    TemplateInUse,
    TemplateNotInReview,
    TemplateNotReady,
    TemplatesMixed,
    TemplateUnknown,
    UploadUnknown,
)
from storage.ledger.images.deadlines import fail_late_images
from storage.ledger.images.dispatch import take_shards
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs
from storage.ledger.jobs.changes import cancel_job, retry_failed
from storage.ledger.jobs.submission import submit_job
from storage.ledger.operations.audit import latest_entries
from storage.ledger.retention.deletion import delete_job
from storage.ledger.retention.expiry import drop_expired_uploads
from storage.ledger.templates.leases import (
    extend_template,
    fail_template,
    finish_template,
    lease_template,
    reap_templates,
    release_template,
    take_templates,
)
from storage.ledger.templates.of_repairs import cancel_repairs_without_mark, drop_templates_of_ended_repairs
from storage.ledger.templates.review import approve_job, approve_template, reject_template
from storage.ledger.templates.templates import create_template, delete_template, get_template, list_templates
from storage.ledger.tenants.uploads import create_uploads, known_uploads
from storage.ledger.webhooks.endpoints import create_endpoint
from storage.records import (
    EstimateSpec,
    EventFilter,
    Job,
    JobKind,
    JobState,
    MadeTemplate,
    NewImage,
    NewJob,
    NewTemplate,
    Outcome,
    Priority,
    Review,
    ReviewError,
    Template,
    TemplateKind,
    TemplateState,
)
from storage.records.specs import read_spec
from tests.shop import RIGHTS, Clock, Shop, failed, succeeded

LEASE_S, PUBLISH_S = 60.0, 120.0


def made(template_id: str, confidence: float = 0.9) -> MadeTemplate:
    return MadeTemplate(
        id=template_id,
        place=Placement(anchor="bottom_right"),
        samples=30,
        quality=TemplateQuality(ghost=0.01),
        confidence=confidence,
        warnings=[],
        file_key=f"files/{template_id}",
        previews={"mask": f"previews/{template_id}"},
    )


def uploads(shop: Shop, count: int) -> list[str]:
    files = [(f"{n}.jpg", "image/jpeg") for n in range(count)]
    return [upload.id for upload in create_uploads(shop.db, shop.tenant, files, expires_in_s=3600)]


def wanted(shop: Shop, name: str = "spring", kind: TemplateKind = TemplateKind.ESTIMATE, **spec: Any) -> Template:
    count = 5 if kind is TemplateKind.ESTIMATE else 1
    new = NewTemplate(name=name, spec=read_spec(kind, {"upload_ids": uploads(shop, count), **spec}))
    return create_template(shop.db, shop.tenant, new)


def leased(db: Database, template_id: str) -> str:
    token, template = lease_template(db, template_id, lease_s=LEASE_S)
    assert template is not None
    return token


def ready(shop: Shop, kind: TemplateKind = TemplateKind.LOGO) -> str:
    template = wanted(shop, kind=kind)
    assert finish_template(shop.db, leased(shop.db, template.id), [made(template.id)])
    return template.id


def auto_job(shop: Shop, **fields: Any) -> Job:
    mask = AutoMask(mode="auto", **fields.pop("mask", {}))
    images = [NewImage(name=None, source_upload_id=upload) for upload in uploads(shop, 6)]
    new = NewJob(images=images, mask=mask, rights=RIGHTS, **fields)
    return submit_job(shop.db, shop.tenant, new)


def estimate_of(shop: Shop, job: Job) -> Template:
    (template,) = list_templates(shop.db, shop.tenant, limit=10, after=None, job_id=job.id)
    return template


def state_of(shop: Shop, template_id: str) -> TemplateState:
    return get_template(shop.db, shop.tenant, template_id).state


def test_a_template_found_in_pictures_needs_review(shop: Shop) -> None:
    template = wanted(shop)
    assert (template.state, template.version) == (TemplateState.ESTIMATING, 1)
    token, work = lease_template(shop.db, template.id, lease_s=LEASE_S)
    assert work is not None
    assert [source.name for source in work.sources] == [f"{n}.jpg" for n in range(5)]
    beside = f"{template.id}-2"
    assert finish_template(shop.db, token, [made(template.id), made(beside)])
    assert state_of(shop, template.id) is state_of(shop, beside) is TemplateState.NEEDS_REVIEW
    second = get_template(shop.db, shop.tenant, beside)
    assert (second.name, second.version, second.found_with_id) == ("spring", 2, template.id)
    assert approve_template(shop.db, shop.tenant, template.id).state is TemplateState.READY
    assert approve_template(shop.db, shop.tenant, template.id).state is TemplateState.READY
    assert reject_template(shop.db, shop.tenant, beside).state is TemplateState.REJECTED
    with pytest.raises(TemplateNotInReview):
        approve_template(shop.db, shop.tenant, beside)


def test_templates_of_masks_and_logos_are_ready_at_once(shop: Shop) -> None:
    assert state_of(shop, ready(shop, TemplateKind.MASK)) is TemplateState.READY
    assert state_of(shop, ready(shop, TemplateKind.LOGO)) is TemplateState.READY


def test_names_have_versions(shop: Shop, rival: Shop) -> None:
    assert [wanted(shop).version, wanted(shop).version, wanted(shop, "autumn").version] == [1, 2, 1]
    assert wanted(rival).version == 1


@pytest.mark.parametrize(("confidence", "state"), [(0.9, TemplateState.READY), (0.7, TemplateState.NEEDS_REVIEW)])
def test_a_rule_of_approval_goes_by_the_confidence(shop: Shop, confidence: float, state: TemplateState) -> None:
    template = wanted(shop, approve="auto", min_confidence=0.8)
    finish_template(shop.db, leased(shop.db, template.id), [made(template.id, confidence)])
    assert state_of(shop, template.id) is state


def test_foreign_templates_answer_like_none(shop: Shop, rival: Shop) -> None:
    template = ready(shop)
    for call in (get_template, approve_template, reject_template, delete_template):
        with pytest.raises(NotFound):
            call(rival.db, rival.tenant, template)
    assert list_templates(rival.db, rival.tenant, limit=10, after=None) == []
    with pytest.raises(TemplateUnknown):
        rival_job(rival, [template])
    new = NewTemplate(name="x", spec=EstimateSpec(upload_ids=uploads(shop, 5)))
    with pytest.raises(UploadUnknown):
        create_template(rival.db, rival.tenant, new)
    theirs = NewTemplate(name="x", spec=EstimateSpec(), source_job_id=shop.submit().id)
    with pytest.raises(NotFound):
        create_template(rival.db, rival.tenant, theirs)


def rival_job(shop: Shop, template_ids: list[str]) -> Job:
    """A job with these templates."""
    images = [NewImage(name=None, source_upload_id=upload) for upload in uploads(shop, 2)]
    mask = TemplatesMask(templates=template_ids)
    new = NewJob(images=images, mask=mask, rights=RIGHTS)
    return submit_job(shop.db, shop.tenant, new)


def test_one_template_of_a_tenant_is_published_at_a_time(shop: Shop, rival: Shop, clock: Clock) -> None:
    first, second, other = wanted(shop), wanted(shop), wanted(rival)
    taken = take_templates(shop.db, publish_timeout_s=PUBLISH_S)
    assert sorted(taken) == sorted([(first.id, Priority.BULK), (other.id, Priority.BULK)])
    assert take_templates(shop.db, publish_timeout_s=PUBLISH_S) == []
    token = leased(shop.db, first.id)
    clock.advance(PUBLISH_S + 1)
    assert [name for name, _ in take_templates(shop.db, publish_timeout_s=PUBLISH_S)] == [other.id]
    finish_template(shop.db, token, [made(first.id)])
    assert [name for name, _ in take_templates(shop.db, publish_timeout_s=PUBLISH_S)] == [second.id]


def test_only_the_holder_of_the_lease_settles_a_template(shop: Shop, clock: Clock) -> None:
    template = wanted(shop)
    late = leased(shop.db, template.id)
    assert lease_template(shop.db, template.id, lease_s=LEASE_S)[1] is None
    assert extend_template(shop.db, late, lease_s=LEASE_S, progress=TemplateProgress(stage="read", done=1, total=5))
    progress = get_template(shop.db, shop.tenant, template.id).progress
    assert progress == TemplateProgress(stage="read", done=1, total=5)
    clock.advance(LEASE_S + 1)
    assert len(reap_templates(shop.db, max_attempts=3)) == 1
    token = leased(shop.db, template.id)
    assert not extend_template(shop.db, late, lease_s=LEASE_S, progress=None)
    assert not finish_template(shop.db, late, [made(template.id)])
    assert not fail_template(shop.db, late, "mark_not_found", "Nothing.", retry=False, max_attempts=3)
    assert finish_template(shop.db, token, [made(template.id)])
    assert get_template(shop.db, shop.tenant, template.id).attempt == 2


def test_a_template_whose_workers_die_fails_at_the_limit(shop: Shop, clock: Clock) -> None:
    template = wanted(shop)
    for _ in range(2):
        leased(shop.db, template.id)
        clock.advance(LEASE_S + 1)
        reap_templates(shop.db, max_attempts=2)
    failed = get_template(shop.db, shop.tenant, template.id)
    assert (failed.state, failed.error_code) == (TemplateState.FAILED, "worker_lost")


def test_a_stopping_worker_costs_no_attempt_and_a_transient_failure_waits(shop: Shop, clock: Clock) -> None:
    template = wanted(shop)
    release_template(shop.db, leased(shop.db, template.id))
    assert get_template(shop.db, shop.tenant, template.id).attempt == 0
    fail_template(shop.db, leased(shop.db, template.id), "away", "Away.", retry=True, max_attempts=3)
    assert lease_template(shop.db, template.id, lease_s=LEASE_S)[1] is None
    clock.advance(60)
    leased(shop.db, template.id)


def test_uploads_are_kept_until_the_template_is_made(shop: Shop, clock: Clock) -> None:
    template = wanted(shop)
    clock.advance(3601)
    assert drop_expired_uploads(shop.db) == 0
    finish_template(shop.db, leased(shop.db, template.id), [made(template.id)])
    assert drop_expired_uploads(shop.db) == 5
    assert known_uploads(shop.db, shop.tenant, template.spec.upload_ids) == set()


def test_the_uploads_that_show_a_known_mark_are_kept_and_reach_the_worker(shop: Shop, clock: Clock) -> None:
    shown, mask, logo = uploads(shop, 3)
    painted = wanted(shop, painted={"upload_id": shown, "mask_upload_id": mask})
    job = auto_job(shop, mask={"logo_upload_id": logo})
    clock.advance(3601)
    drop_expired_uploads(shop.db)
    token, work = lease_template(shop.db, painted.id, lease_s=LEASE_S)
    assert work is not None
    assert [source.name for source in work.known] == ["0.jpg", "1.jpg"]
    assert [source.name for source in work.sources] == [f"{n}.jpg" for n in range(5)]
    for_job, of_job = lease_template(shop.db, estimate_of(shop, job).id, lease_s=LEASE_S)
    assert of_job is not None
    assert ([source.name for source in of_job.known], len(of_job.sources)) == (["2.jpg"], 6)
    finish_template(shop.db, token, [made(painted.id)])
    fail_template(shop.db, for_job, "mark_not_found", "Nothing.", retry=False, max_attempts=3)
    # The pictures of the job stay; those of the template, what was painted, and the logo go.
    assert drop_expired_uploads(shop.db) == 5 + 2 + 1


def test_a_job_cannot_name_a_rivals_logo(shop: Shop, rival: Shop) -> None:
    (logo,) = uploads(rival, 1)
    with pytest.raises(UploadUnknown):
        auto_job(shop, mask={"logo_upload_id": logo})


def test_workers_get_the_templates_of_a_job(shop: Shop) -> None:
    logo, mask = ready(shop), ready(shop, TemplateKind.MASK)
    job = rival_job(shop, [logo])
    _, images = lease_images(shop.db, shop.image_ids(job.id), worker="w", lease_s=LEASE_S)
    assert [(used.id, used.file_key) for used in images[0].templates] == [(logo, f"files/{logo}")]
    other = rival_job(shop, [mask])
    _, images = lease_images(shop.db, shop.image_ids(other.id), worker="w", lease_s=LEASE_S)
    assert (images[0].templates, images[0].mask_key) == ((), f"files/{mask}")
    assert images[0].placement == Placement(anchor="bottom_right")
    with pytest.raises(TemplatesMixed):
        rival_job(shop, [logo, mask])
    with pytest.raises(TemplateNotReady):
        rival_job(shop, [wanted(shop).id])


def test_a_template_in_use_is_not_deleted(shop: Shop) -> None:
    template = ready(shop)
    job = rival_job(shop, [template])
    with pytest.raises(TemplateInUse):
        delete_template(shop.db, shop.tenant, template)
    cancel_job(shop.db, shop.tenant, job.id)
    delete_template(shop.db, shop.tenant, template)
    with pytest.raises(NotFound):
        get_template(shop.db, shop.tenant, template)


def test_a_job_without_a_mask_waits_until_it_is_approved(shop: Shop) -> None:
    endpoint, _ = create_endpoint(shop.db, shop.tenant, "https://shop.example/hook", [EventFilter.ALL])
    job = auto_job(shop, webhook_endpoint_id=endpoint.id)
    assert job.state is JobState.ESTIMATING
    ids = shop.image_ids(job.id)
    assert take_shards(shop.db, depth=4, shard_size=32, publish_timeout_s=PUBLISH_S).shards == []
    assert lease_images(shop.db, ids, worker="w", lease_s=LEASE_S)[1] == []
    with pytest.raises(JobNotInReview):
        approve_job(shop.db, shop.tenant, job.id)
    template = estimate_of(shop, job)
    with pytest.raises(TemplateInUse):
        delete_template(shop.db, shop.tenant, template.id)
    token, work = lease_template(shop.db, template.id, lease_s=LEASE_S)
    assert work is not None
    assert len(work.sources) == 6
    finish_template(shop.db, token, [made(template.id), made(f"{template.id}-2")])
    held = shop.job(job.id)
    assert held.state is JobState.NEEDS_REVIEW
    assert held.review == Review(templates=[template.id, f"{template.id}-2"])
    assert close_jobs(shop.db) == []
    assert lease_images(shop.db, ids, worker="w", lease_s=LEASE_S)[1] == []
    reject_template(shop.db, shop.tenant, f"{template.id}-2")
    begun = approve_job(shop.db, shop.tenant, job.id)
    assert begun.state is JobState.QUEUED
    assert approve_job(shop.db, shop.tenant, job.id).state is JobState.QUEUED
    assert state_of(shop, template.id) is TemplateState.READY
    token, images = lease_images(shop.db, ids, worker="w", lease_s=LEASE_S)
    assert [used.id for used in images[0].templates] == [template.id]
    finish_images(shop.db, token, [succeeded(image.id) for image in images], max_attempts=1)
    assert close_jobs(shop.db) == [job.id]


def test_a_sure_job_begins_by_itself(shop: Shop) -> None:
    job = auto_job(shop, mask={"approve": "auto"})
    template = estimate_of(shop, job)
    finish_template(shop.db, leased(shop.db, template.id), [made(template.id)])
    assert shop.job(job.id).state is JobState.QUEUED
    assert state_of(shop, template.id) is TemplateState.READY


def test_a_refused_estimate_says_why_and_another_template_helps(shop: Shop) -> None:
    job = auto_job(shop)
    template = estimate_of(shop, job)
    fail_template(shop.db, leased(shop.db, template.id), "samples_too_few", "14 more.", retry=False, max_attempts=3)
    held = shop.job(job.id)
    assert held.state is JobState.NEEDS_REVIEW
    assert held.review == Review(templates=[], error=ReviewError(code="samples_too_few", detail="14 more."))
    with pytest.raises(NothingToApprove):
        approve_job(shop.db, shop.tenant, job.id)
    assert approve_job(shop.db, shop.tenant, job.id, [ready(shop)]).state is JobState.QUEUED


def test_a_held_job_can_be_canceled_and_deleted(shop: Shop) -> None:
    job = auto_job(shop)
    template = estimate_of(shop, job)
    token = leased(shop.db, template.id)
    assert cancel_job(shop.db, shop.tenant, job.id).state is JobState.CANCELED
    assert finish_template(shop.db, token, [made(template.id)])
    assert shop.job(job.id).state is JobState.CANCELED
    delete_job(shop.db, shop.tenant, job.id)
    assert get_template(shop.db, shop.tenant, template.id).source_job_id is None


def test_a_held_job_past_its_deadline_ends_and_waits_again_when_retried(shop: Shop, clock: Clock) -> None:
    job = auto_job(shop, deadline=clock() + timedelta(seconds=30))
    clock.advance(31)
    assert len(fail_late_images(shop.db)) == 6
    assert close_jobs(shop.db) == [job.id]
    assert retry_failed(shop.db, shop.tenant, job.id).made.state is JobState.ESTIMATING
    template = estimate_of(shop, job)
    finish_template(shop.db, leased(shop.db, template.id), [made(template.id)])
    assert shop.job(job.id).state is JobState.NEEDS_REVIEW


def sure_repair(shop: Shop, **fields: Any) -> tuple[Job, str]:
    """A repair of the page that has found its mark, and the template."""
    job = auto_job(shop, kind=JobKind.REPAIR, mask={"approve": "auto"}, **fields)
    template = estimate_of(shop, job)
    finish_template(shop.db, leased(shop.db, template.id), [made(template.id)])
    return job, template.id


def end_job(shop: Shop, job: Job, outcome: Callable[[str], Outcome] = succeeded) -> None:
    """A worker ends all images of a job, and the reaper the job."""
    token, images = lease_images(shop.db, shop.image_ids(job.id), worker="w", lease_s=LEASE_S)
    finish_images(shop.db, token, [outcome(image.id) for image in images], max_attempts=1)
    assert close_jobs(shop.db) == [job.id]


def test_what_a_repair_has_learnt_goes_once_it_has_ended(shop: Shop) -> None:
    job, template = sure_repair(shop)
    catalogue = auto_job(shop, mask={"approve": "auto"})
    kept = estimate_of(shop, catalogue).id
    finish_template(shop.db, leased(shop.db, kept), [made(kept)])
    cancel_job(shop.db, shop.tenant, catalogue.id)
    asked = NewTemplate(name="mine", spec=EstimateSpec(), source_job_id=job.id)
    wished = create_template(shop.db, shop.tenant, asked).id
    assert drop_templates_of_ended_repairs(shop.db) == 0
    end_job(shop, job)
    assert drop_templates_of_ended_repairs(shop.db) == 1
    assert {one.id for one in list_templates(shop.db, shop.tenant, limit=10, after=None)} == {kept, wished}
    with pytest.raises(NotFound):
        get_template(shop.db, shop.tenant, template)


def test_a_repair_that_can_be_retried_keeps_its_template(shop: Shop) -> None:
    job, template = sure_repair(shop)
    end_job(shop, job, failed)
    assert drop_templates_of_ended_repairs(shop.db) == 0
    retry_failed(shop.db, shop.tenant, job.id)
    assert state_of(shop, template) is TemplateState.READY
    end_job(shop, job)
    assert drop_templates_of_ended_repairs(shop.db) == 1


def test_a_template_that_another_open_job_uses_stays_until_it_has_ended(shop: Shop) -> None:
    job, template = sure_repair(shop)
    other = rival_job(shop, [template])
    end_job(shop, job)
    assert drop_templates_of_ended_repairs(shop.db) == 0
    end_job(shop, other)
    assert drop_templates_of_ended_repairs(shop.db) == 1


def test_the_search_of_a_canceled_repair_stops(shop: Shop, clock: Clock) -> None:
    (logo,) = uploads(shop, 1)
    job = auto_job(shop, kind=JobKind.REPAIR, mask={"logo_upload_id": logo})
    token = leased(shop.db, estimate_of(shop, job).id)
    cancel_job(shop.db, shop.tenant, job.id)
    assert drop_templates_of_ended_repairs(shop.db) == 1
    assert not extend_template(shop.db, token, lease_s=LEASE_S, progress=None)
    clock.advance(3601)
    assert drop_expired_uploads(shop.db) == 1


def test_a_failed_search_of_a_repair_goes_while_its_job_waits_for_a_person(shop: Shop) -> None:
    job = auto_job(shop, kind=JobKind.REPAIR)
    token = leased(shop.db, estimate_of(shop, job).id)
    fail_template(shop.db, token, "mark_not_found", "Nothing.", retry=False, max_attempts=3)
    assert drop_templates_of_ended_repairs(shop.db) == 1
    held = shop.job(job.id)
    assert held.state is JobState.NEEDS_REVIEW
    assert held.review == Review(templates=[], error=ReviewError(code="mark_not_found", detail="Nothing."))


def test_a_repair_that_is_deleted_takes_its_template_along(shop: Shop) -> None:
    job, template = sure_repair(shop)
    delete_job(shop.db, shop.tenant, job.id)
    with pytest.raises(NotFound):
        get_template(shop.db, shop.tenant, template)
    deleted = [entry for entry in latest_entries(shop.db, shop.tenant, limit=10) if entry.action == "template.deleted"]
    assert [entry.data["template"] for entry in deleted] == [template]


def test_a_repair_that_found_no_mark_waits_for_nobody(shop: Shop) -> None:
    def searched(**fields: Any) -> str:
        job = auto_job(shop, **fields)
        template = estimate_of(shop, job)
        fail_template(shop.db, leased(shop.db, template.id), "nothing_found", "None.", retry=False, max_attempts=3)
        return job.id

    by_itself = {"approve": "auto"}
    repair = searched(kind=JobKind.REPAIR, mask=by_itself)
    others = [searched(kind=JobKind.REPAIR), searched(mask=by_itself)]
    doubtful = auto_job(shop, kind=JobKind.REPAIR, mask=by_itself)
    estimate = estimate_of(shop, doubtful).id
    finish_template(shop.db, leased(shop.db, estimate), [made(estimate, confidence=0.1)])
    assert cancel_repairs_without_mark(shop.db) == 1
    assert shop.job(repair).state is JobState.CANCELED
    assert {shop.job(job).state for job in (*others, doubtful.id)} == {JobState.NEEDS_REVIEW}
    assert cancel_repairs_without_mark(shop.db) == 0

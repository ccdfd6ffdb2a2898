"""The table of transitions: source, target, actor, deciding module and writes of each.

Three rules hold for all transitions of images and stand in no row. Every transition but a lease clears the lease and
the mark of publication. Every transition moves the image between its job's counts, in the same transaction. An image
that ends gets its time of end, and one that ends no longer loses it.

Three rules hold for those of templates. A template stays ``estimating`` under its lease. Every transition but a lease
clears the lease, and every transition the mark of publication and the progress. A template that leaves ``estimating``
gets its time of end, and one that leaves ``needs_review`` the time of its review.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from storage.records.states import ENDED, HELD_JOB, ImageState, JobState, TemplateState

#: Jobs whose images may be worked on.
GOING_JOB = (JobState.QUEUED, JobState.RUNNING)
#: Jobs that have not ended.
OPEN_JOB = (*HELD_JOB, *GOING_JOB)
#: Images that have not ended.
OPEN_IMAGE = (ImageState.QUEUED, ImageState.RUNNING)


class Actor(StrEnum):
    """The cause of a transition."""

    TENANT = "tenant"
    WORKER = "worker"
    #: By ``cleanplate reconcile``, after a restore.
    OPERATOR = "operator"
    #: The leader: reaper, deadlines, closing.
    SERVICE = "service"
    #: A worker that stops, or the leader for a pause.
    WORKER_OR_SERVICE = "worker, service"
    #: The tenant, or the leader when the retention is over.
    TENANT_OR_SERVICE = "tenant, service"


class Due(StrEnum):
    """When an image may be published again."""

    UNCHANGED = "–"
    NOW = "now"
    #: At its old place in its job.
    AT_CREATION = "at once"
    AFTER_BACKOFF = "after backoff"


class Tiles(StrEnum):
    """The effect on the progress of an attempt."""

    UNCHANGED = "–"
    RESET = "reset"
    REPORTED = "as reported"


class AttemptRow(StrEnum):
    """The effect on the row in ``attempts``."""

    UNCHANGED = "–"
    OPENED = "opened"
    CLOSED = "closed"
    DELETED = "deleted"


@dataclass(frozen=True, kw_only=True)
class ImageTransition:
    """One way of an image from a state to another."""

    name: str
    #: Empty: the image does not exist before.
    sources: tuple[ImageState, ...]
    #: ``None``: the image does not exist afterwards.
    target: ImageState | None
    actor: Actor
    #: The module that decides it.
    decided_in: str
    takes_lease: bool = False
    #: Added to the number of attempts.
    attempts: int = 0
    due: Due = Due.UNCHANGED
    tiles: Tiles = Tiles.UNCHANGED
    attempt_row: AttemptRow = AttemptRow.UNCHANGED
    #: Whether the job's webhook endpoint gets an event for the image.
    sends_event: bool = False
    #: The action of the entry in the audit log: of each image, or one of the job for all its images.
    audit: str | None = None

    @property
    def reopens(self) -> bool:
        """Whether it takes back the end of an image."""
        return self.target is not None and not ENDED.isdisjoint(self.sources)


SUBMIT = ImageTransition(
    name="submit", sources=(), target=ImageState.QUEUED, actor=Actor.TENANT, due=Due.NOW, audit="job.submitted",
    decided_in="storage/ledger/jobs/submission.py",
)  # fmt: skip
LEASE = ImageTransition(
    name="lease", sources=(ImageState.QUEUED,), target=ImageState.RUNNING, actor=Actor.WORKER, takes_lease=True,
    attempts=1, tiles=Tiles.RESET, attempt_row=AttemptRow.OPENED, decided_in="storage/ledger/images/leases.py",
)  # fmt: skip
SUCCEED = ImageTransition(
    name="succeed", sources=(ImageState.RUNNING,), target=ImageState.SUCCEEDED, actor=Actor.WORKER,
    tiles=Tiles.REPORTED, attempt_row=AttemptRow.CLOSED, sends_event=True, audit="image.succeeded",
    decided_in="storage/ledger/images/finish.py",
)  # fmt: skip
SKIP = ImageTransition(
    name="skip", sources=(ImageState.RUNNING,), target=ImageState.SKIPPED, actor=Actor.WORKER,
    tiles=Tiles.REPORTED, attempt_row=AttemptRow.CLOSED, sends_event=True, audit="image.skipped",
    decided_in="storage/ledger/images/finish.py",
)  # fmt: skip
FAIL = ImageTransition(
    name="fail", sources=(ImageState.RUNNING,), target=ImageState.FAILED, actor=Actor.WORKER,
    tiles=Tiles.REPORTED, attempt_row=AttemptRow.CLOSED, sends_event=True, audit="image.failed",
    decided_in="storage/ledger/images/finish.py",
)  # fmt: skip
BACK_OFF = ImageTransition(
    name="back off", sources=(ImageState.RUNNING,), target=ImageState.QUEUED, actor=Actor.WORKER,
    due=Due.AFTER_BACKOFF, tiles=Tiles.RESET, attempt_row=AttemptRow.CLOSED,
    decided_in="storage/ledger/images/finish.py",
)  # fmt: skip
GIVE_BACK = ImageTransition(
    name="give back", sources=(ImageState.RUNNING,), target=ImageState.QUEUED, actor=Actor.WORKER_OR_SERVICE,
    attempts=-1, due=Due.AT_CREATION, tiles=Tiles.RESET, attempt_row=AttemptRow.DELETED,
    decided_in="storage/ledger/images/leases.py",
)  # fmt: skip
RECLAIM = ImageTransition(
    name="reclaim", sources=(ImageState.RUNNING,), target=ImageState.QUEUED, actor=Actor.SERVICE, due=Due.NOW,
    tiles=Tiles.RESET, attempt_row=AttemptRow.CLOSED, decided_in="storage/ledger/images/reaper.py",
)  # fmt: skip
LOSE = ImageTransition(
    name="lose", sources=(ImageState.RUNNING,), target=ImageState.FAILED, actor=Actor.SERVICE, tiles=Tiles.RESET,
    attempt_row=AttemptRow.CLOSED, sends_event=True, audit="image.failed",
    decided_in="storage/ledger/images/reaper.py",
)  # fmt: skip
MISS_DEADLINE = ImageTransition(
    name="miss deadline", sources=(ImageState.QUEUED,), target=ImageState.FAILED, actor=Actor.SERVICE,
    sends_event=True, audit="image.failed", decided_in="storage/ledger/images/deadlines.py",
)  # fmt: skip
CANCEL = ImageTransition(
    name="cancel", sources=OPEN_IMAGE, target=ImageState.CANCELED, actor=Actor.TENANT,
    attempt_row=AttemptRow.CLOSED, audit="job.canceled", decided_in="storage/ledger/jobs/changes.py",
)  # fmt: skip
RETRY = ImageTransition(
    name="retry", sources=(ImageState.FAILED,), target=ImageState.QUEUED, actor=Actor.TENANT, due=Due.NOW,
    tiles=Tiles.RESET, audit="job.retried", decided_in="storage/ledger/jobs/changes.py",
)  # fmt: skip
REMAKE = ImageTransition(
    name="make again", sources=(ImageState.SUCCEEDED,), target=ImageState.QUEUED, actor=Actor.OPERATOR, due=Due.NOW,
    tiles=Tiles.RESET, audit="image.requeued", decided_in="storage/reconciliation.py",
)  # fmt: skip
DELETE = ImageTransition(
    name="delete", sources=tuple(ImageState), target=None, actor=Actor.TENANT_OR_SERVICE,
    attempt_row=AttemptRow.DELETED, audit="job.deleted", decided_in="storage/ledger/retention/deletion.py",
)  # fmt: skip

IMAGE_TRANSITIONS = (
    SUBMIT, LEASE, SUCCEED, SKIP, FAIL, BACK_OFF, GIVE_BACK, RECLAIM, LOSE, MISS_DEADLINE, CANCEL, RETRY, REMAKE,
    DELETE,
)  # fmt: skip
#: How a worker ends an image: one statement for all three, the target is part of the outcome.
WORKER_ENDS = (SUCCEED, SKIP, FAIL)


@dataclass(frozen=True, kw_only=True)
class JobTransition:
    """One way of a job from a state to another."""

    name: str
    #: Empty: the job does not exist before.
    sources: tuple[JobState, ...]
    #: ``None``: the job does not exist afterwards.
    target: JobState | None
    actor: Actor
    #: The module that decides it.
    decided_in: str
    #: The type of the event that the job's webhook endpoint gets.
    event: str | None = None
    #: The action of the entry in the audit log.
    audit: str | None = None

    @property
    def ends(self) -> bool:
        return self.target in {JobState.COMPLETED, JobState.CANCELED}


SUBMIT_JOB = JobTransition(
    name="submit", sources=(), target=JobState.QUEUED, actor=Actor.TENANT, audit="job.submitted",
    decided_in="storage/ledger/jobs/submission.py",
)  # fmt: skip
SUBMIT_UNMARKED = JobTransition(
    name="submit to find its mark", sources=(), target=JobState.ESTIMATING, actor=Actor.TENANT, audit="job.submitted",
    decided_in="storage/ledger/jobs/submission.py",
)  # fmt: skip
ASK = JobTransition(
    name="ask a person", sources=(JobState.ESTIMATING,), target=JobState.NEEDS_REVIEW, actor=Actor.WORKER,
    event="job.needs_review", decided_in="storage/ledger/templates/leases.py",
)  # fmt: skip
RELEASE = JobTransition(
    name="release", sources=(JobState.ESTIMATING,), target=JobState.QUEUED, actor=Actor.WORKER,
    decided_in="storage/ledger/templates/leases.py",
)  # fmt: skip
APPROVE = JobTransition(
    name="approve", sources=(JobState.NEEDS_REVIEW,), target=JobState.QUEUED, actor=Actor.TENANT,
    audit="job.approved", decided_in="storage/ledger/templates/review.py",
)  # fmt: skip
BEGIN = JobTransition(
    name="begin", sources=(JobState.QUEUED,), target=JobState.RUNNING, actor=Actor.WORKER,
    decided_in="storage/ledger/images/leases.py",
)  # fmt: skip
COMPLETE = JobTransition(
    name="complete", sources=OPEN_JOB, target=JobState.COMPLETED, actor=Actor.SERVICE, event="job.completed",
    decided_in="storage/ledger/images/reaper.py",
)  # fmt: skip
CANCEL_JOB = JobTransition(
    name="cancel", sources=OPEN_JOB, target=JobState.CANCELED, actor=Actor.TENANT, event="job.canceled",
    audit="job.canceled", decided_in="storage/ledger/jobs/changes.py",
)  # fmt: skip
RETRY_JOB = JobTransition(
    name="retry", sources=(*GOING_JOB, JobState.COMPLETED), target=JobState.RUNNING, actor=Actor.TENANT,
    audit="job.retried", decided_in="storage/ledger/jobs/changes.py",
)  # fmt: skip
RETRY_ESTIMATING = JobTransition(
    name="retry, mark not looked for", sources=(JobState.ESTIMATING, JobState.COMPLETED), target=JobState.ESTIMATING,
    actor=Actor.TENANT, audit="job.retried", decided_in="storage/ledger/jobs/changes.py",
)  # fmt: skip
RETRY_UNREVIEWED = JobTransition(
    name="retry, mark not approved", sources=(JobState.NEEDS_REVIEW, JobState.COMPLETED),
    target=JobState.NEEDS_REVIEW, actor=Actor.TENANT, audit="job.retried",
    decided_in="storage/ledger/jobs/changes.py",
)  # fmt: skip
REOPEN = JobTransition(
    name="make images again", sources=(*GOING_JOB, JobState.COMPLETED), target=JobState.RUNNING, actor=Actor.OPERATOR,
    decided_in="storage/reconciliation.py",
)  # fmt: skip
DELETE_JOB = JobTransition(
    name="delete", sources=tuple(state for state in JobState), target=None, actor=Actor.TENANT_OR_SERVICE,
    audit="job.deleted", decided_in="storage/ledger/retention/deletion.py",
)  # fmt: skip

JOB_TRANSITIONS = (
    SUBMIT_JOB, SUBMIT_UNMARKED, ASK, RELEASE, APPROVE, BEGIN, COMPLETE, CANCEL_JOB, RETRY_JOB, RETRY_ESTIMATING,
    RETRY_UNREVIEWED, REOPEN, DELETE_JOB,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TemplateTransition:
    """One way of a template from a state to another."""

    name: str
    #: Empty: the template does not exist before.
    sources: tuple[TemplateState, ...]
    #: ``None``: the template does not exist afterwards.
    target: TemplateState | None
    actor: Actor
    #: The module that decides it.
    decided_in: str
    takes_lease: bool = False
    #: Added to the number of attempts.
    attempts: int = 0
    due: Due = Due.UNCHANGED
    #: Whether the template's webhook endpoint gets an event of the new state.
    sends_event: bool = False
    #: The action of the entry in the audit log.
    audit: str | None = None

    @property
    def makes(self) -> bool:
        """Whether the work of making it ends."""
        before = self.sources or (TemplateState.ESTIMATING,)
        return before == (TemplateState.ESTIMATING,) and self.target not in {None, TemplateState.ESTIMATING}

    @property
    def reviews(self) -> bool:
        """Whether a person has decided on it."""
        return self.sources == (TemplateState.NEEDS_REVIEW,)


REQUEST_TEMPLATE = TemplateTransition(
    name="request", sources=(), target=TemplateState.ESTIMATING, actor=Actor.TENANT, due=Due.NOW,
    audit="template.created", decided_in="storage/ledger/templates/templates.py",
)  # fmt: skip
REQUEST_FOR_JOB = TemplateTransition(
    name="submit a job to find its mark", sources=(), target=TemplateState.ESTIMATING, actor=Actor.TENANT, due=Due.NOW,
    decided_in="storage/ledger/templates/template_use.py",
)  # fmt: skip
LEASE_TEMPLATE = TemplateTransition(
    name="lease", sources=(TemplateState.ESTIMATING,), target=TemplateState.ESTIMATING, actor=Actor.WORKER,
    takes_lease=True, attempts=1, decided_in="storage/ledger/templates/leases.py",
)  # fmt: skip
GIVE_TEMPLATE_BACK = TemplateTransition(
    name="give back", sources=(TemplateState.ESTIMATING,), target=TemplateState.ESTIMATING, actor=Actor.WORKER,
    attempts=-1, due=Due.NOW, decided_in="storage/ledger/templates/leases.py",
)  # fmt: skip
BACK_TEMPLATE_OFF = TemplateTransition(
    name="back off", sources=(TemplateState.ESTIMATING,), target=TemplateState.ESTIMATING, actor=Actor.WORKER,
    due=Due.AFTER_BACKOFF, decided_in="storage/ledger/templates/leases.py",
)  # fmt: skip
RECLAIM_TEMPLATE = TemplateTransition(
    name="reclaim", sources=(TemplateState.ESTIMATING,), target=TemplateState.ESTIMATING, actor=Actor.SERVICE,
    due=Due.NOW, decided_in="storage/ledger/templates/leases.py",
)  # fmt: skip
MAKE_SURE_TEMPLATE = TemplateTransition(
    name="make", sources=(TemplateState.ESTIMATING,), target=TemplateState.READY, actor=Actor.WORKER, sends_event=True,
    audit="template.made", decided_in="storage/ledger/templates/leases.py",
)  # fmt: skip
MAKE_UNSURE_TEMPLATE = TemplateTransition(
    name="make, ask a person", sources=(TemplateState.ESTIMATING,), target=TemplateState.NEEDS_REVIEW,
    actor=Actor.WORKER, sends_event=True, audit="template.made", decided_in="storage/ledger/templates/leases.py",
)  # fmt: skip
ADD_SURE_TEMPLATE = TemplateTransition(
    name="find beside another", sources=(), target=TemplateState.READY, actor=Actor.WORKER, sends_event=True,
    decided_in="storage/ledger/templates/leases.py",
)  # fmt: skip
ADD_UNSURE_TEMPLATE = TemplateTransition(
    name="find beside another, ask a person", sources=(), target=TemplateState.NEEDS_REVIEW, actor=Actor.WORKER,
    sends_event=True, decided_in="storage/ledger/templates/leases.py",
)  # fmt: skip
FAIL_TEMPLATE = TemplateTransition(
    name="fail", sources=(TemplateState.ESTIMATING,), target=TemplateState.FAILED, actor=Actor.WORKER,
    sends_event=True, audit="template.failed", decided_in="storage/ledger/templates/leases.py",
)  # fmt: skip
LOSE_TEMPLATE = TemplateTransition(
    name="lose", sources=(TemplateState.ESTIMATING,), target=TemplateState.FAILED, actor=Actor.SERVICE,
    sends_event=True, audit="template.failed", decided_in="storage/ledger/templates/leases.py",
)  # fmt: skip
APPROVE_TEMPLATE = TemplateTransition(
    name="approve", sources=(TemplateState.NEEDS_REVIEW,), target=TemplateState.READY, actor=Actor.TENANT,
    sends_event=True, audit="template.approved", decided_in="storage/ledger/templates/review.py",
)  # fmt: skip
REJECT_TEMPLATE = TemplateTransition(
    name="reject", sources=(TemplateState.NEEDS_REVIEW,), target=TemplateState.REJECTED, actor=Actor.TENANT,
    audit="template.rejected", decided_in="storage/ledger/templates/review.py",
)  # fmt: skip
DELETE_TEMPLATE = TemplateTransition(
    name="delete", sources=tuple(TemplateState), target=None, actor=Actor.TENANT_OR_SERVICE, audit="template.deleted",
    decided_in="storage/ledger/templates/templates.py",
)  # fmt: skip

TEMPLATE_TRANSITIONS = (
    REQUEST_TEMPLATE, REQUEST_FOR_JOB, LEASE_TEMPLATE, GIVE_TEMPLATE_BACK, BACK_TEMPLATE_OFF, RECLAIM_TEMPLATE,
    MAKE_SURE_TEMPLATE, MAKE_UNSURE_TEMPLATE, ADD_SURE_TEMPLATE, ADD_UNSURE_TEMPLATE, FAIL_TEMPLATE, LOSE_TEMPLATE,
    APPROVE_TEMPLATE, REJECT_TEMPLATE, DELETE_TEMPLATE,
)  # fmt: skip

"""The states of jobs, images, templates and deliveries, and other enums of the ledger."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    #: A worker looks for the mark that its pictures share.
    ESTIMATING = "estimating"
    #: Waits for a person to approve the templates found.
    NEEDS_REVIEW = "needs_review"
    #: Accepted; no image has been leased yet.
    QUEUED = "queued"
    #: At least one image has been leased.
    RUNNING = "running"
    #: Every image has ended, with or without success.
    COMPLETED = "completed"
    #: Stopped by the tenant.
    CANCELED = "canceled"


class ImageState(StrEnum):
    #: Waits for a worker.
    QUEUED = "queued"
    #: A worker holds its lease.
    RUNNING = "running"
    #: The result is stored.
    SUCCEEDED = "succeeded"
    #: There was nothing to repair; the result is the source.
    SKIPPED = "skipped"
    #: Ended without a result; ``error_code`` says why.
    FAILED = "failed"
    #: The job was canceled first.
    CANCELED = "canceled"


class TemplateKind(StrEnum):
    #: From a mask's file or boxes: its pixels are inpainted.
    MASK = "mask"
    #: From a logo with alpha: its pixels are un-blended.
    LOGO = "logo"
    #: From pictures that share a mark: its pixels are un-blended.
    ESTIMATE = "estimate"


class TemplateState(StrEnum):
    #: A worker makes it, or will.
    ESTIMATING = "estimating"
    #: Made; waits for a person's decision.
    NEEDS_REVIEW = "needs_review"
    #: Jobs may use it.
    READY = "ready"
    #: Could not be made; ``error_code`` says why.
    FAILED = "failed"
    #: A person has rejected it.
    REJECTED = "rejected"


class Priority(StrEnum):
    """The priority of a job among all tenants, in the order in which workers read their queues."""

    #: A person waits for it: it overtakes ``bulk``.
    INTERACTIVE = "interactive"
    #: A catalogue.
    BULK = "bulk"


class JobKind(StrEnum):
    """The kind of a job: lists show one kind."""

    #: Pictures of a catalogue.
    CATALOGUE = "catalogue"
    #: One picture that a person repairs on the page.
    REPAIR = "repair"


class ImageReview(StrEnum):
    """What a person thinks of an image's result."""

    #: Nobody has said anything.
    UNSEEN = "unseen"
    #: It is good.
    KEPT = "kept"
    #: It is not good: redo it.
    REJECTED = "rejected"


class PausedBy(StrEnum):
    #: By the command line or an operator's page.
    OPERATOR = "operator"
    #: By one of the tenant's keys, over the API.
    TENANT = "tenant"


#: Jobs whose images wait until the mark is known.
HELD_JOB = (JobState.ESTIMATING, JobState.NEEDS_REVIEW)
ENDED = frozenset({ImageState.SUCCEEDED, ImageState.SKIPPED, ImageState.FAILED, ImageState.CANCELED})
#: States of an image with a result.
WITH_RESULT = frozenset({ImageState.SUCCEEDED, ImageState.SKIPPED})


class RightsBasis(StrEnum):
    #: The pictures are the tenant's own.
    OWNER = "owner"
    #: A licence gives the right to change them.
    LICENSEE = "licensee"
    #: The tenant works for the holder of the right.
    AUTHORISED_AGENT = "authorised_agent"


#: Events without a filter: images of large jobs in batches, and the test of an endpoint.
BATCH_EVENT = "image.batch"
PING_EVENT = "ping"


class EventFilter(StrEnum):
    """The events that an endpoint gets: of one type, of one kind, or all."""

    JOB_COMPLETED = "job.completed"
    JOB_CANCELED = "job.canceled"
    #: The estimate of its mark has ended, and a person must decide.
    JOB_NEEDS_REVIEW = "job.needs_review"
    IMAGE_SUCCEEDED = "image.succeeded"
    IMAGE_SKIPPED = "image.skipped"
    IMAGE_FAILED = "image.failed"
    #: Jobs may use it.
    TEMPLATE_READY = "template.ready"
    TEMPLATE_NEEDS_REVIEW = "template.needs_review"
    TEMPLATE_FAILED = "template.failed"
    #: Another endpoint of the tenant was disabled.
    WEBHOOK_DISABLED = "webhook.disabled"
    JOBS = "job.*"
    IMAGES = "image.*"
    TEMPLATES = "template.*"
    WEBHOOKS = "webhook.*"
    ALL = "*"


class DeliveryState(StrEnum):
    #: Due at ``next_attempt_at``.
    PENDING = "pending"
    #: The receiver answered 2xx.
    DELIVERED = "delivered"
    #: All attempts have failed, or the endpoint is disabled.
    FAILED = "failed"


class Scope(StrEnum):
    #: Make uploads and jobs; cancel, retry and delete jobs.
    SUBMIT = "submit"
    #: See jobs, images and results.
    READ = "read"
    #: Everything else: webhooks, keys.
    ADMIN = "admin"

"""The words for what jobs, images, templates and deliveries are in, and for who may what."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    #: A sample of its pictures is looked at for the mark that they share.
    ESTIMATING = "estimating"
    #: Waits for a person to say which templates are right.
    NEEDS_REVIEW = "needs_review"
    #: Accepted; no image has been leased yet.
    QUEUED = "queued"
    #: At least one image has been leased.
    RUNNING = "running"
    #: Every image has ended, whatever its end.
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
    #: Nothing was to be done; the result is the source.
    SKIPPED = "skipped"
    #: Ended without a result; ``error_code`` says why.
    FAILED = "failed"
    #: The job was canceled first.
    CANCELED = "canceled"


class TemplateKind(StrEnum):
    #: Of a mask's file or boxes: its pixels are inpainted.
    MASK = "mask"
    #: Of a logo with alpha: its pixels are un-blended.
    LOGO = "logo"
    #: Of pictures that share a mark: the same.
    ESTIMATE = "estimate"


class TemplateState(StrEnum):
    #: Is being made, or waits for a worker that makes it.
    ESTIMATING = "estimating"
    #: Made; a person is to look at it.
    NEEDS_REVIEW = "needs_review"
    #: Jobs may name it.
    READY = "ready"
    #: Could not be made; ``error_code`` says why.
    FAILED = "failed"
    #: A person looked and said no.
    REJECTED = "rejected"


class Priority(StrEnum):
    """Which of two jobs goes first, whoever they belong to. In the order in which workers look at them."""

    #: Somebody waits for it: it overtakes ``bulk``.
    INTERACTIVE = "interactive"
    #: A catalogue, done as soon as possible.
    BULK = "bulk"


class PausedBy(StrEnum):
    #: By the command line, or by the service itself.
    OPERATOR = "operator"
    #: By a key of the tenant's own, over the API.
    TENANT = "tenant"


#: Jobs whose images wait until their mark is known.
HELD_JOB = (JobState.ESTIMATING, JobState.NEEDS_REVIEW)
ENDED = frozenset({ImageState.SUCCEEDED, ImageState.SKIPPED, ImageState.FAILED, ImageState.CANCELED})


class RightsBasis(StrEnum):
    #: The pictures are the tenant's own.
    OWNER = "owner"
    #: A licence gives the right to change them.
    LICENSEE = "licensee"
    #: The tenant works for whoever holds the right.
    AUTHORISED_AGENT = "authorised_agent"


#: Events that are not asked for: images of large jobs together, and the test of an endpoint.
BATCH_EVENT = "image.batch"
PING_EVENT = "ping"


class EventFilter(StrEnum):
    """What an endpoint can ask to be told of: a type of event, all of one kind, or all."""

    JOB_COMPLETED = "job.completed"
    JOB_CANCELED = "job.canceled"
    #: Its mark was looked for, and a person is to say what holds.
    JOB_NEEDS_REVIEW = "job.needs_review"
    IMAGE_SUCCEEDED = "image.succeeded"
    IMAGE_SKIPPED = "image.skipped"
    IMAGE_FAILED = "image.failed"
    #: Jobs may name it.
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
    #: The schedule is used up, or the endpoint is disabled.
    FAILED = "failed"


class Scope(StrEnum):
    #: Make uploads and jobs; cancel, retry and delete jobs.
    SUBMIT = "submit"
    #: See jobs, images and results.
    READ = "read"
    #: Everything else: webhooks, keys.
    ADMIN = "admin"

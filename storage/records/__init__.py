"""The records that the ledger returns, frozen, and the names of their states.

``storage.ledger.lifecycle`` moves images and jobs from state to state; docs/architecture.md draws it.
"""

from cleanplate.base.image_records import ImageRecord
from cleanplate.base.templates import Review, ReviewError
from storage.records.jobs import Counts, Image, Job, NewImage, NewJob, Result, Rights, SkippedRow
from storage.records.specs import EstimateSpec, LogoSpec, MaskSpec, TemplateSpec
from storage.records.states import (
    BATCH_EVENT,
    ENDED,
    HELD_JOB,
    PING_EVENT,
    WITH_RESULT,
    DeliveryState,
    EventFilter,
    ImageReview,
    ImageState,
    JobKind,
    JobState,
    PausedBy,
    Priority,
    RightsBasis,
    Scope,
    TemplateKind,
    TemplateState,
)
from storage.records.templates import LeasedTemplate, MadeTemplate, NewTemplate, SampleSource, Template, UsedTemplate
from storage.records.tenants import AccountDay, ApiKey, AuditEntry, Caller, Quota, Upload, Usage, Work
from storage.records.webhooks import Delivery, DeliveryAttempt, DeliveryRecord, JobWebhook, WebhookEndpoint
from storage.records.work import Backlog, ImageOfJob, LeasedImage, Outcome, Shard, Taken, Waiting

__all__ = [
    "BATCH_EVENT",
    "ENDED",
    "HELD_JOB",
    "PING_EVENT",
    "WITH_RESULT",
    "AccountDay",
    "ApiKey",
    "AuditEntry",
    "Backlog",
    "Caller",
    "Counts",
    "Delivery",
    "DeliveryAttempt",
    "DeliveryRecord",
    "DeliveryState",
    "EstimateSpec",
    "EventFilter",
    "Image",
    "ImageOfJob",
    "ImageRecord",
    "ImageReview",
    "ImageState",
    "Job",
    "JobKind",
    "JobState",
    "JobWebhook",
    "LeasedImage",
    "LeasedTemplate",
    "LogoSpec",
    "MadeTemplate",
    "MaskSpec",
    "NewImage",
    "NewJob",
    "NewTemplate",
    "Outcome",
    "PausedBy",
    "Priority",
    "Quota",
    "Result",
    "Review",
    "ReviewError",
    "Rights",
    "RightsBasis",
    "SampleSource",
    "Scope",
    "Shard",
    "SkippedRow",
    "Taken",
    "Template",
    "TemplateKind",
    "TemplateSpec",
    "TemplateState",
    "Upload",
    "Usage",
    "UsedTemplate",
    "Waiting",
    "WebhookEndpoint",
    "Work",
]

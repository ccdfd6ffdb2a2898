"""Answers: pydantic models of every body, made from the ledger's records."""

from api.answers.base import Answer, Fault, Health, Problem, Readiness
from api.answers.devices import Device, Devices
from api.answers.images import ErrorLine, Image, ImagePage, ManifestLine, ResultLine, Reviewed, SkippedLine
from api.answers.jobs import (
    Counts,
    DryRun,
    ImageError,
    Job,
    JobEvent,
    JobLinks,
    JobPage,
    LeftOutKey,
    Overview,
    Pause,
    Reason,
    Rights,
)
from api.answers.templates import Template, TemplatePage
from api.answers.uploads import StoredUpload, Upload, UploadPart, UploadParts, Uploads
from api.answers.usage import Usage, UsageDay, Work
from api.answers.webhooks import (
    Delivery,
    DeliveryAttempt,
    DeliveryPage,
    Recovered,
    Webhook,
    WebhookPage,
    WebhookWithSecret,
)

__all__ = [
    "Answer",
    "Counts",
    "Delivery",
    "DeliveryAttempt",
    "DeliveryPage",
    "Device",
    "Devices",
    "DryRun",
    "ErrorLine",
    "Fault",
    "Health",
    "Image",
    "ImageError",
    "ImagePage",
    "Job",
    "JobEvent",
    "JobLinks",
    "JobPage",
    "LeftOutKey",
    "ManifestLine",
    "Overview",
    "Pause",
    "Problem",
    "Readiness",
    "Reason",
    "Recovered",
    "ResultLine",
    "Reviewed",
    "Rights",
    "SkippedLine",
    "StoredUpload",
    "Template",
    "TemplatePage",
    "Upload",
    "UploadPart",
    "UploadParts",
    "Uploads",
    "Usage",
    "UsageDay",
    "Webhook",
    "WebhookPage",
    "WebhookWithSecret",
    "Work",
]

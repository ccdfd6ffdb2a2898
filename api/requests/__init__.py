"""What clients send: pydantic models of every request, with the examples that the documentation shows.

Fields that are not known are refused, so that a misspelt option is an error and not silently ignored.
"""

from api.requests.fields import ContentType, FileName, FilePart, Id, Line, PageOf, Request, Url, Wait
from api.requests.jobs import (
    Approve,
    GivenManifest,
    ImagesPageOf,
    InlineJob,
    JobsPageOf,
    JobTerms,
    ManifestJob,
    ManifestTerms,
    NewImage,
    NewJob,
    Stated,
)
from api.requests.masks import GivenMask, InlinePlace, JobMask, Masked
from api.requests.templates import FromPictures, GivenLogo, NewTemplate, TemplateMask, TemplatesPageOf
from api.requests.uploads import FileForm, NewUpload, NewUploads, SentPart, SentParts, WantedParts
from api.requests.webhooks import DeliveriesPageOf, Events, NewWebhook, Rotation, WebhookChanges

__all__ = [
    "Approve",
    "ContentType",
    "DeliveriesPageOf",
    "Events",
    "FileForm",
    "FileName",
    "FilePart",
    "FromPictures",
    "GivenLogo",
    "GivenManifest",
    "GivenMask",
    "Id",
    "ImagesPageOf",
    "InlineJob",
    "InlinePlace",
    "JobMask",
    "JobTerms",
    "JobsPageOf",
    "Line",
    "ManifestJob",
    "ManifestTerms",
    "Masked",
    "NewImage",
    "NewJob",
    "NewTemplate",
    "NewUpload",
    "NewUploads",
    "NewWebhook",
    "PageOf",
    "Request",
    "Rotation",
    "SentPart",
    "SentParts",
    "Stated",
    "TemplateMask",
    "TemplatesPageOf",
    "Url",
    "Wait",
    "WantedParts",
    "WebhookChanges",
]

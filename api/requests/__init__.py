"""Requests: pydantic models of every body and query, with the examples that the documentation shows.

Unknown fields are refused, so that a misspelt option is an error and not silently ignored.
"""

from api.requests.fields import ContentType, FileName, FilePart, Line, PageOf, Request, Url, Wait
from api.requests.jobs import (
    Approve,
    ImagesPageOf,
    InlineJob,
    JobBasics,
    JobsPageOf,
    JobTerms,
    ManifestJob,
    ManifestSource,
    ManifestTerms,
    NewImage,
    NewJob,
)
from api.requests.masks import ImageMaskFields, JobMaskFields, MaskPlace
from api.requests.templates import EstimateSource, LogoSource, NewTemplate, TemplatesPageOf
from api.requests.uploads import FileForm, NewUpload, NewUploads, SentPart, SentParts, WantedParts
from api.requests.webhooks import DeliveriesPageOf, Events, NewWebhook, Rotation, WebhookChanges
from cleanplate.base.documents import Id

__all__ = [
    "Approve",
    "ContentType",
    "DeliveriesPageOf",
    "EstimateSource",
    "Events",
    "FileForm",
    "FileName",
    "FilePart",
    "Id",
    "ImageMaskFields",
    "ImagesPageOf",
    "InlineJob",
    "JobBasics",
    "JobMaskFields",
    "JobTerms",
    "JobsPageOf",
    "Line",
    "LogoSource",
    "ManifestJob",
    "ManifestSource",
    "ManifestTerms",
    "MaskPlace",
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
    "TemplatesPageOf",
    "Url",
    "Wait",
    "WantedParts",
    "WebhookChanges",
]

"""Requests: pydantic models of every body and query, with the examples that the documentation shows.

Unknown fields are refused, so that a misspelt option is an error and not silently ignored.
"""

from api.requests.fields import ContentType, FileName, FilePart, Line, PageQuery, Request, Url, WaitQuery
from api.requests.jobs import (
    Approve,
    ImageSearch,
    ImagesQuery,
    InlineJob,
    JobBasics,
    JobChanges,
    JobsQuery,
    JobTerms,
    ManifestJob,
    ManifestSource,
    ManifestTerms,
    NewImage,
    NewJob,
    NewRedo,
    NewReview,
    NewReviews,
)
from api.requests.masks import ImageMaskFields, JobMaskFields, MaskPlace
from api.requests.templates import EstimateSource, LogoSource, NewTemplate, TemplatesQuery
from api.requests.uploads import FileForm, NewUpload, NewUploads, SentPart, SentParts, WantedParts
from api.requests.usage import UsageQuery
from api.requests.webhooks import DeliveriesQuery, Events, NewWebhook, OwnWebhook, Recovery, Rotation, WebhookChanges
from cleanplate.base.documents import Id

__all__ = [
    "Approve",
    "ContentType",
    "DeliveriesQuery",
    "EstimateSource",
    "Events",
    "FileForm",
    "FileName",
    "FilePart",
    "Id",
    "ImageMaskFields",
    "ImageSearch",
    "ImagesQuery",
    "InlineJob",
    "JobBasics",
    "JobChanges",
    "JobMaskFields",
    "JobTerms",
    "JobsQuery",
    "Line",
    "LogoSource",
    "ManifestJob",
    "ManifestSource",
    "ManifestTerms",
    "MaskPlace",
    "NewImage",
    "NewJob",
    "NewRedo",
    "NewReview",
    "NewReviews",
    "NewTemplate",
    "NewUpload",
    "NewUploads",
    "NewWebhook",
    "OwnWebhook",
    "PageQuery",
    "Recovery",
    "Request",
    "Rotation",
    "SentPart",
    "SentParts",
    "TemplatesQuery",
    "Url",
    "UsageQuery",
    "WaitQuery",
    "WantedParts",
    "WebhookChanges",
]

"""The public package: the Python client (``client``), the command line (``cli``), and the base of all processes.

``from cleanplate import Client, Rights, verify`` is all that a program needs. The names are loaded at their first use:
most processes of the service need none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cleanplate.base.masks import AutoMask, BoxesMask, FileMask, TemplateMask, TemplatesMask, TextMask
    from cleanplate.base.options import ImageOptions, JobOptions
    from cleanplate.client.answers import Rights
    from cleanplate.client.asynchronous import AsyncClient
    from cleanplate.client.http import Client
    from cleanplate.client.job import Job
    from cleanplate.client.requests import LogoMark, Picture
    from cleanplate.client.webhooks import verify

__all__ = [
    "AsyncClient",
    "AutoMask",
    "BoxesMask",
    "Client",
    "FileMask",
    "ImageOptions",
    "Job",
    "JobOptions",
    "LogoMark",
    "Picture",
    "Rights",
    "TemplateMask",
    "TemplatesMask",
    "TextMask",
    "verify",
]

_MASKS = ("AutoMask", "BoxesMask", "FileMask", "TemplateMask", "TemplatesMask", "TextMask")
_HOMES = {
    **dict.fromkeys(_MASKS, "cleanplate.base.masks"),
    "ImageOptions": "cleanplate.base.options",
    "JobOptions": "cleanplate.base.options",
    "AsyncClient": "cleanplate.client.asynchronous",
    "Client": "cleanplate.client.http",
    "Job": "cleanplate.client.job",
    "LogoMark": "cleanplate.client.requests",
    "Picture": "cleanplate.client.requests",
    "Rights": "cleanplate.client.answers",
    "verify": "cleanplate.client.webhooks",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

"""Fetches an image's files from the blob store, a bucket that the operator allowed, or an https:// address.

:func:`fetch` is the one place where a worker reads from an address that a tenant chose. It checks the address again,
although submission did. It resolves the name once, connects to the address that it checked, follows no redirect, and
stops at limits of bytes and time. The decoder decides whether the bytes are a picture.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import requests
from requests_hardened.ip_filter import InvalidIPAddress
from urllib3.exceptions import HTTPError

from cleanplate.base.masks import BoxesMask
from cleanplate.base.settings import Settings
from model.imaging.placing import Placement
from storage.blobs.base import Blobs
from storage.blobs.buckets import Buckets, reason_against_source
from storage.errors import BlobNotFound, BlobStoreRefused, BlobTooLarge
from storage.records import LeasedImage, SampleSource
from workers.errors import SourceRefused, SourceUnavailable, UrlNotAllowed
from workers.shared.guarded_http import guarded_session

USER_AGENT = "Cleanplate-Fetcher/1"
#: Statuses that ask to come back later.
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
#: Bytes of one read.
_PIECE = 1 << 20


@dataclass(frozen=True)
class Source:
    """A picture's file as it was fetched."""

    data: bytes = field(repr=False)
    #: The version that it is, of a picture in S3.
    version: str | None = None


class Fetcher:
    """Fetches for one worker's process; threads may share it."""

    def __init__(self, settings: Settings, blobs: Blobs) -> None:
        self._settings = settings
        self._blobs = blobs
        self.buckets = Buckets(settings)

    def source(self, image: LeasedImage | SampleSource) -> Source:
        """The picture's file.

        Raises:
            UrlNotAllowed, SourceRefused: a retry does not help.
            SourceUnavailable: a retry may help.
            StorageError: the blob store does not hand the file over.
        """
        if image.source_url is None:
            return Source(self.blob(image.source_key))
        reason = reason_against_source(image.source_url, self._settings)
        if reason is not None:
            raise UrlNotAllowed(reason)
        if image.source_url.startswith("s3://"):
            with _refused_by_bucket():
                return Source(*self.buckets.get(image.source_url, max_bytes=self._settings.max_image_bytes))
        return Source(fetch(image.source_url, self._settings))

    def blob(self, key: str) -> bytes:
        """A file of the blob store. Raises StorageError."""
        return self._blobs.get(key, max_bytes=self._settings.max_image_bytes)


@contextmanager
def _refused_by_bucket() -> Iterator[None]:
    """Raises SourceRefused where a bucket does not hand an object over."""
    try:
        yield
    except BlobNotFound as error:
        raise SourceRefused("There is no such object in the bucket.") from error
    except BlobStoreRefused as error:
        raise SourceRefused("The bucket does not let this service read the object.") from error


def boxes_file(mask: BoxesMask) -> bytes:
    """The boxes of a mask as a mask's file."""
    return json.dumps(mask.model_dump(mode="json", include={"size", "units", "boxes"}, exclude_none=True)).encode()


def placement_of(image: LeasedImage) -> Placement | None:
    """How the mask is laid on the picture; ``None``: it has the picture's size or shape."""
    anchor = image.placement.anchor
    return None if anchor is None else Placement(anchor, image.placement.scale)


def reading_of(image: LeasedImage) -> dict[str, Any]:
    """How the file of the image's mask is read: options of :func:`model.repair.task.read` of these names."""
    options = image.options
    return {
        "mask_inverted": options.mask_inverted,
        "mask_threshold": options.mask_threshold,
        "max_marked_share": options.max_marked_share,
        "placement": placement_of(image),
    }


def fetch(url: str, settings: Settings) -> bytes:
    """The bytes at an https:// address.

    Raises:
        UrlNotAllowed: the address leads into a private network, or the server redirects.
        SourceRefused: the server refuses.
        BlobTooLarge: more than ``settings.max_image_bytes``.
        SourceUnavailable: the server does not answer in time, or asks to come back later.
    """
    allow_private = settings.source_allow_private
    until = time.monotonic() + settings.source_timeout_s
    try:
        with (
            guarded_session(settings.source_timeout_s, allow_private=allow_private, user_agent=USER_AGENT) as session,
            session.get(url, stream=True) as response,
        ):
            _check(response)
            return _read(response, settings.max_image_bytes, until)
    except InvalidIPAddress as error:
        raise UrlNotAllowed("The address leads into a private network.") from error
    except requests.exceptions.SSLError as error:
        raise SourceRefused("Its server's certificate is not valid for the address.") from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, UnicodeError) as error:
        raise UrlNotAllowed("This is not an address.") from error
    except (requests.RequestException, HTTPError, OSError) as error:
        # The class alone: the text repeats the address, which may carry a secret of its owner.
        raise SourceUnavailable(f"Its server did not send it: {type(error).__name__}.") from error


def _check(response: requests.Response) -> None:
    status = response.status_code
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise UrlNotAllowed(f"Its server answers {status} and points elsewhere: name the address it points to.")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _LATER:
        raise SourceUnavailable(f"Its server answers {status}.")
    if status != HTTPStatus.OK:
        raise SourceRefused(f"Its server answers {status}.")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise SourceRefused("Its server compresses the file although it was asked not to.")


def _read(response: requests.Response, max_bytes: int, until: float) -> bytes:
    """Read the whole body. urllib3 raises an error for a body of known length that breaks off.

    A body without a length ends with the connection, which the server may end in the middle of its headers, and the
    time limit at ``until``.
    """
    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise BlobTooLarge(max_bytes)
    read = bytearray()
    for piece in response.raw.stream(_PIECE, decode_content=False):
        read += piece
        if len(read) > max_bytes:
            raise BlobTooLarge(max_bytes)
    unmeasured = not announced and not response.raw.chunked
    if unmeasured and (not read or time.monotonic() >= until):
        raise SourceUnavailable("Its server's answer breaks off.")
    return bytes(read)

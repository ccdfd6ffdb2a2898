"""The blob store: one interface (``base``), in a directory (``local``) or in S3 (``s3``), chosen by the settings.

:func:`open_blobs` is the entry point. Keys: ``t/<tenant>/uploads/<upload>``,
``t/<tenant>/jobs/<job>/results/<image><ext>``.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from cleanplate.base.settings import Settings
from storage.blobs.base import Blobs, BlobStat, PresignedRequest
from storage.blobs.links import Link, LinkSigner, signing_key
from storage.blobs.local import LocalBlobs
from storage.blobs.s3 import S3Blobs
from storage.blobs.s3_cors import origin_of
from storage.breaker import Breaker

__all__ = ["BlobStat", "Blobs", "Link", "LocalBlobs", "PresignedRequest", "S3Blobs", "open_blobs", "secret_of"]


def secret_of(settings: Settings) -> str:
    """The key that signs links and sessions: from the settings, else from the home folder, created at the first use."""
    return settings.signing_key.get_secret_value() or signing_key(settings.home / "signing-key")


def open_blobs(settings: Settings, *, breaker: Breaker | None = None) -> LocalBlobs | S3Blobs:
    """Opens the blob store of the settings; sends no request, so that it may be opened before a fork.

    With a ``breaker``, calls to S3 fail at once while it does not answer.
    """
    address = urlsplit(settings.blobs_url)
    if address.scheme == "s3":
        return S3Blobs(
            bucket=address.netloc,
            prefix=address.path.strip("/"),
            endpoint_url=settings.s3_endpoint_url,
            public_endpoint_url=settings.s3_public_endpoint_url,
            region=settings.s3_region,
            access_key_id=settings.s3_access_key_id.get_secret_value(),
            secret_access_key=settings.s3_secret_access_key.get_secret_value(),
            page_origin=origin_of(settings.public_url),
            timeout_s=settings.s3_timeout_s,
            breaker=breaker,
        )
    return LocalBlobs(
        Path(unquote(address.path)) if settings.blobs_url else settings.home / "blobs",
        public_url=settings.public_url,
        signer=LinkSigner(secret_of(settings)),
        max_bytes=settings.max_image_bytes,
    )

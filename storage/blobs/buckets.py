"""Tenants' own S3 buckets, as far as the operator allows them: pictures are read from some, results written to some.

The service uses its own credentials, so an allowed bucket is allowed for every tenant. The bucket of the blob
store, which holds all tenants' files, is never allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO
from urllib.parse import urlsplit

from cleanplate.base.addresses import reason_against
from cleanplate.base.settings import Settings
from storage.blobs.s3 import S3Object, S3Reader

_SCHEME = "s3://"
#: The user metadata of a result that names the version of its source, as S3's ETag.
SOURCE_VERSION = "cleanplate-source-etag"


@dataclass(frozen=True)
class Place:
    """A key, or a prefix of keys, in a bucket."""

    bucket: str
    key: str

    @classmethod
    def of(cls, url: str) -> Place | None:
        """Parses ``s3://bucket/key``. The key stays as it is: S3 accepts any text."""
        bucket, slash, key = url.removeprefix(_SCHEME).partition("/")
        return cls(bucket, key) if url.startswith(_SCHEME) and bucket and slash else None

    @classmethod
    def at(cls, url: str) -> Place:
        """As :meth:`of`, for an address that was checked before. Raises ValueError."""
        place = cls.of(url)
        if place is None:
            raise ValueError(f"not an address in S3: {url!r}")
        return place


def reason_against_source(url: str, settings: Settings) -> str | None:
    """Why the service fetches nothing from this URL, by its text, as a sentence; ``None``: it may."""
    if not url.startswith(_SCHEME):
        return reason_against(url, allow_private=settings.source_allow_private, ports=frozenset(settings.source_ports))
    place = Place.of(url)
    if place is None or not place.key or place.key.endswith("/"):
        return "The address must be s3://bucket/key."
    return _reason_against_place(place, settings)


def reason_against_folder(url: str, settings: Settings) -> str | None:
    """As :func:`reason_against_source`, for ``s3://bucket/prefix/``, also of the whole bucket."""
    place = Place.of(url)
    return "The address must be s3://bucket/prefix/." if place is None else _reason_against_place(place, settings)


def reason_against_destination(url: str, settings: Settings) -> str | None:
    """Why the service writes nothing to ``s3://bucket/key``, as a sentence; ``None``: it may."""
    place = Place.of(url)
    if place is None:
        return "The address must be s3://bucket/prefix/."
    return _reason_against_place(place, settings, settings.destination_buckets, "write to")


def _reason_against_place(
    place: Place, settings: Settings, allowed_buckets: Sequence[str] | None = None, verb: str = "read"
) -> str | None:
    if any(ord(character) < 32 or ord(character) == 127 for character in place.key) or len(place.key.encode()) > 1024:
        return "The key holds characters that no key has, or is longer than 1024 bytes."
    if {".", ".."} & set(place.key.split("/")):
        return "The key must not hold the segments . and .., by which a program could leave the allowed folder."
    own = urlsplit(settings.blobs_url)
    if own.scheme == "s3" and own.netloc == place.bucket:
        return "This bucket is the service's own: name a picture in it by its upload's id."
    buckets = settings.source_buckets if allowed_buckets is None else allowed_buckets
    for allowed in buckets:
        bucket, _, folder = allowed.removeprefix(_SCHEME).strip("/").partition("/")
        if bucket == place.bucket and (not folder or place.key.startswith(f"{folder}/")):
            return None
    return f"The bucket {place.bucket} is not one that this service may {verb}: ask its operator to allow it."


class Buckets:
    """Reads from buckets and writes to them; the caller has checked that they are allowed.

    Thread-safe; may be made before a fork.
    """

    def __init__(self, settings: Settings) -> None:
        self._reader = S3Reader(
            endpoint_url=settings.s3_endpoint_url,
            region=settings.s3_region,
            access_key_id=settings.s3_access_key_id.get_secret_value(),
            secret_access_key=settings.s3_secret_access_key.get_secret_value(),
            timeout_s=settings.s3_timeout_s,
        )

    def get(self, url: str, *, max_bytes: int) -> tuple[bytes, str]:
        """The bytes at ``s3://bucket/key``, and the ETag of the version that they are.

        Raises:
            BlobNotFound: no such object.
            BlobTooLarge: it has more than ``max_bytes``.
            BlobStoreUnavailable, BlobStoreRefused: S3 does not answer, or does not let the service read.
        """
        place = Place.at(url)
        return self._reader.read(place.bucket, place.key, max_bytes=max_bytes)

    def download(self, url: str, file: IO[bytes], *, max_bytes: int) -> None:
        """As :meth:`get`, into a file, with only a part in memory."""
        place = Place.at(url)
        self._reader.download(place.bucket, place.key, file, max_bytes=max_bytes)

    def list(self, url: str) -> Iterator[S3Object]:
        """The objects under ``s3://bucket/prefix``, in the order of their keys. Raises like :meth:`get`."""
        place = Place.at(url)
        return self._reader.objects(place.bucket, place.key)

    def head(self, url: str) -> tuple[S3Object, dict[str, str]]:
        """The object at ``s3://bucket/key``, and its user metadata. Raises like :meth:`get`."""
        place = Place.at(url)
        return self._reader.head(place.bucket, place.key)

    def put(
        self, url: str, data: bytes, *, content_type: str, cache_control: str | None, metadata: Mapping[str, str]
    ) -> None:
        """Writes an object with these headers. Raises like :meth:`get`."""
        place = Place.at(url)
        headers = {"ContentType": content_type, "Metadata": dict(metadata)}
        if cache_control is not None:
            headers["CacheControl"] = cache_control
        self._reader.write(place.bucket, place.key, data, headers)

    def probe(self, folder: str, name: str) -> None:
        """Writes a small object into ``s3://bucket/prefix/`` and deletes it. Raises like :meth:`get`."""
        place = Place.at(folder + name)
        self._reader.write(place.bucket, place.key, b"", {"ContentType": "text/plain"})
        self._reader.delete(place.bucket, place.key)

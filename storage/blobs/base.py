"""The blob store's interface, and what its implementations share: valid keys, part sizes, names of downloads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.message import Message
from typing import IO, Protocol

from storage.errors import InvalidKey

_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
MAX_KEY_LENGTH = 300
#: Bytes of each part of a multipart upload but the last: more than S3's minimum of 5 MiB.
PART_BYTES = 8 * 1024 * 1024
#: S3's limit.
_MAX_PARTS = 10_000


@dataclass(frozen=True)
class BlobStat:
    """Properties of a blob."""

    key: str
    #: In bytes.
    size: int
    content_type: str
    modified: datetime


@dataclass(frozen=True)
class PresignedRequest:
    """A request that its holder may send until it expires. The URL is a secret: it is never logged."""

    method: str
    url: str
    #: The client must send exactly these.
    headers: dict[str, str]
    expires_at: datetime
    #: Fields of the POST form before its last field, ``file``, which holds the bytes.
    fields: dict[str, str] = field(default_factory=dict)


class Blobs(Protocol):
    """Bytes by key. Every method raises InvalidKey for a bad key, BlobStoreUnavailable and BlobStoreRefused."""

    def put(self, key: str, data: bytes, *, content_type: str) -> None:
        """Stores bytes, whole or not at all; replaces an existing blob."""

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        """The bytes. Raises BlobNotFound, BlobTooLarge (before reading more than ``max_bytes``)."""

    def read(self, key: str) -> Iterator[bytes]:
        """As :meth:`get`, in pieces that are read while they are taken."""

    def download(self, key: str, file: IO[bytes], *, max_bytes: int) -> None:
        """As :meth:`get`, into a file, with only a part in memory."""

    def stat(self, key: str) -> BlobStat:
        """Size, type and time. Raises BlobNotFound."""

    def delete(self, key: str) -> None:
        """Deletes a blob; a missing one is no error."""

    def list(self, prefix: str) -> Iterator[BlobStat]:
        """All blobs whose key begins with ``prefix``, by key. The content type may be left empty."""

    def presigned_put(
        self, key: str, *, content_type: str, expires_s: int, size: int | None = None
    ) -> PresignedRequest:
        """A request that stores one blob of this type, and of this size in bytes if given, under this key."""

    def presigned_post(
        self, key: str, *, content_type: str, max_bytes: int, expires_s: int, size: int | None = None
    ) -> PresignedRequest:
        """As :meth:`presigned_put`, by a form; of at most ``max_bytes`` if no size is given."""

    def begin_parts(self, key: str, *, content_type: str) -> str:
        """Opens a multipart upload; returns its id."""

    def presigned_part(self, key: str, parts_id: str, number: int, *, size: int, expires_s: int) -> PresignedRequest:
        """A request that sends one part, from 1, of this size in bytes; the answer has the part's ETag."""

    def join_parts(self, key: str, parts_id: str, etags: Sequence[str], *, content_type: str) -> None:
        """Joins the parts to the blob. Repeating it changes nothing.

        Raises PartsInvalid: a part is missing or has another ETag; BlobNotFound: the multipart upload was aborted.
        """

    def drop_parts(self, key: str) -> None:
        """Aborts all multipart uploads to a key and deletes their parts. Repeating it changes nothing."""

    def presigned_get(self, key: str, *, filename: str, expires_s: int) -> PresignedRequest:
        """A request that downloads a blob, saved under ``filename``."""


def part_sizes(size: int) -> list[int]:
    """Sizes of the parts of a blob: all equal but the last; at least 1 part, at most 10,000."""
    part = max(PART_BYTES, -(-size // _MAX_PARTS))
    return [part] * (size // part) + ([size % part] if size % part else [])


def check_key(key: str) -> str:
    """The key: segments of at most 200 letters, digits, ``.``, ``_``, ``-``, none first a dot, separated by ``/``.

    Raises InvalidKey for any other key: it could leave the folder, or differ in meaning between stores.
    """
    if len(key) > MAX_KEY_LENGTH or not all(_SEGMENT.fullmatch(segment) for segment in key.split("/")):
        raise InvalidKey(f"{key[:MAX_KEY_LENGTH]!r} cannot be a key.")
    return key


def attachment(filename: str) -> str:
    """A ``Content-Disposition`` that saves a download under ``filename``, in any script (RFC 6266)."""
    name = "".join(character for character in filename if character.isprintable()) or "image"
    message = Message()
    message.add_header("Content-Disposition", "attachment", filename=name if name.isascii() else ("utf-8", "", name))
    return str(message["Content-Disposition"])

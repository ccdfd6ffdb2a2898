"""Blobs in S3 or a server that speaks its protocol.

Clients are made in the process that uses them, at the first use: they must not cross a fork. Threads share one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import IO, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from storage.blobs.base import BlobStat, PresignedRequest, attachment, check_key
from storage.errors import BlobNotFound, BlobStoreRefused, BlobStoreUnavailable, BlobTooLarge

#: Bytes.
_COPIED_AT_ONCE = 1 << 20
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
#: Answers that ask to come back later, whatever their HTTP status.
_BUSY = frozenset({"SlowDown", "RequestTimeout", "RequestTimeTooSkewed", "Throttling", "TooManyRequests"})


class _Clients:
    """This process's clients, by address."""

    def __init__(self, region: str, access_key_id: str, secret_access_key: str) -> None:
        self._region = region
        self._access_key_id = access_key_id
        self._secret_access_key = secret_access_key
        self._lock = threading.Lock()
        self._clients: dict[tuple[int, str], Any] = {}

    def at(self, endpoint_url: str) -> Any:
        """The client for an address; empty: AWS."""
        with self._lock:
            place = (os.getpid(), endpoint_url)
            if place not in self._clients:
                self._clients[place] = self._connect(endpoint_url)
            return self._clients[place]

    def _connect(self, endpoint_url: str) -> Any:
        return boto3.session.Session().client(
            "s3",
            region_name=self._region,
            endpoint_url=endpoint_url or None,
            aws_access_key_id=self._access_key_id or None,
            aws_secret_access_key=self._secret_access_key or None,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path" if endpoint_url else "auto"},
                retries={"mode": "standard", "max_attempts": 3},
                connect_timeout=5,
                read_timeout=60,
                max_pool_connections=32,
                # Otherwise presigned links would ask for a checksum that the sender does not know of.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


class S3Reader:
    """Reads objects of any bucket by any key."""

    def __init__(self, *, endpoint_url: str, region: str, access_key_id: str, secret_access_key: str) -> None:
        self._endpoint_url = endpoint_url
        self._clients = _Clients(region, access_key_id, secret_access_key)

    def read(self, bucket: str, key: str, *, max_bytes: int) -> bytes:
        """The bytes. Raises BlobNotFound, BlobTooLarge (before reading more than ``max_bytes``)."""
        with _translated(f"s3://{bucket}/{key}"):
            return _body(self._clients.at(self._endpoint_url), bucket, key, max_bytes)

    def download(self, bucket: str, key: str, file: IO[bytes], *, max_bytes: int) -> None:
        """Like :meth:`read`, into a file, holding only a part in memory."""
        with _translated(f"s3://{bucket}/{key}"):
            _into(file, self._clients.at(self._endpoint_url), bucket, key, max_bytes)

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """All keys that begin with ``prefix``, in order."""
        with _translated(f"s3://{bucket}/{prefix}"):
            pages = self._clients.at(self._endpoint_url).get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=bucket, Prefix=prefix):
                yield from (entry["Key"] for entry in page.get("Contents", []))


class S3Blobs:
    """The blob store in a bucket, under ``prefix`` where there is one.

    ``endpoint_url`` is empty for AWS; ``public_endpoint_url`` is the address in presigned links, empty for the same.
    Empty credentials mean the usual AWS chain (environment, profile, instance role).
    """

    def __init__(
        self,
        *,
        bucket: str,
        prefix: str = "",
        endpoint_url: str = "",
        public_endpoint_url: str = "",
        region: str = "us-east-1",
        access_key_id: str = "",
        secret_access_key: str = "",
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._endpoint_url = endpoint_url
        self._public_endpoint_url = public_endpoint_url or endpoint_url
        self._region = region
        self._clients = _Clients(region, access_key_id, secret_access_key)

    def ensure_bucket(self) -> None:
        """Makes the bucket if it is not there. For development and tests: elsewhere somebody owns it."""
        with _translated(""):
            try:
                self._client().head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if _code(error) not in _MISSING | {"NoSuchBucket"}:
                    raise
                place = {} if self._region == "us-east-1" else {"LocationConstraint": self._region}
                extra = {"CreateBucketConfiguration": place} if place else {}
                self._client().create_bucket(Bucket=self._bucket, **extra)

    def put(self, key: str, data: bytes, *, content_type: str) -> None:
        name = self._name(key)
        with _translated(key):
            self._client().put_object(Bucket=self._bucket, Key=name, Body=data, ContentType=content_type)

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        name = self._name(key)
        with _translated(key):
            return _body(self._client(), self._bucket, name, max_bytes)

    def download(self, key: str, file: IO[bytes], *, max_bytes: int) -> None:
        name = self._name(key)
        with _translated(key):
            _into(file, self._client(), self._bucket, name, max_bytes)

    def stat(self, key: str) -> BlobStat:
        name = self._name(key)
        with _translated(key):
            answer = self._client().head_object(Bucket=self._bucket, Key=name)
        return BlobStat(key, answer["ContentLength"], answer["ContentType"], answer["LastModified"].astimezone(UTC))

    def delete(self, key: str) -> None:
        name = self._name(key)
        with _translated(key):
            self._client().delete_object(Bucket=self._bucket, Key=name)

    def list(self, prefix: str) -> Iterator[BlobStat]:
        above, _, _ = prefix.rpartition("/")
        if above:
            check_key(above)
        with _translated(prefix):
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for entry in page.get("Contents", []):
                    key = entry["Key"].removeprefix(self._prefix)
                    yield BlobStat(key, entry["Size"], "", entry["LastModified"].astimezone(UTC))

    def presigned_put(
        self, key: str, *, content_type: str, expires_s: int, size: int | None = None
    ) -> PresignedRequest:
        headers = {"Content-Type": content_type}
        signed: dict[str, Any] = {"ContentType": content_type}
        if size is not None:
            headers["Content-Length"], signed["ContentLength"] = str(size), size
        url, expires_at = self._presigned("put_object", key, expires_s, **signed)
        return PresignedRequest("PUT", url, headers, expires_at)

    def presigned_get(self, key: str, *, filename: str, expires_s: int) -> PresignedRequest:
        disposition = attachment(filename)
        url, expires_at = self._presigned("get_object", key, expires_s, ResponseContentDisposition=disposition)
        return PresignedRequest("GET", url, {}, expires_at)

    def _presigned(self, operation: str, key: str, expires_s: int, **params: Any) -> tuple[str, datetime]:
        params = {"Bucket": self._bucket, "Key": self._name(key), **params}
        expires_at = datetime.now(UTC) + timedelta(seconds=expires_s)
        with _translated(key):
            client = self._clients.at(self._public_endpoint_url)
            return str(client.generate_presigned_url(operation, Params=params, ExpiresIn=expires_s)), expires_at

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _client(self) -> Any:
        return self._clients.at(self._endpoint_url)


def _body(client: Any, bucket: str, name: str, max_bytes: int | None) -> bytes:
    answer = client.get_object(Bucket=bucket, Key=name)
    # Not as a context manager: that would be the raw stream, whose errors are nobody's.
    with closing(answer["Body"]) as body:
        if max_bytes is not None and answer["ContentLength"] > max_bytes:
            raise BlobTooLarge(max_bytes)
        return bytes(body.read())


def _into(file: IO[bytes], client: Any, bucket: str, name: str, max_bytes: int) -> None:
    answer = client.get_object(Bucket=bucket, Key=name)
    # Not as a context manager: that would be the raw stream, whose errors are nobody's.
    with closing(answer["Body"]) as body:
        if answer["ContentLength"] > max_bytes:
            raise BlobTooLarge(max_bytes)
        for piece in body.iter_chunks(_COPIED_AT_ONCE):
            file.write(piece)


@contextmanager
def _translated(key: str) -> Iterator[None]:
    """botocore's errors as the store's. Their text is left out where it could hold a signed URL."""
    try:
        yield
    except ClientError as error:
        code = _code(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _MISSING:
            raise BlobNotFound(key) from error
        if status >= 500 or status == 429 or code in _BUSY:
            raise BlobStoreUnavailable(f"The object store answered {status} {code}. Try again shortly.") from error
        raise BlobStoreRefused(f"The object store refused {error.operation_name}: {status} {code}.") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise BlobStoreRefused(
            "There are no credentials for the object store. Set CLEANPLATE_S3_ACCESS_KEY_ID."
        ) from error
    except BotoCoreError as error:
        raise BlobStoreUnavailable(f"The object store did not answer ({type(error).__name__}).") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))

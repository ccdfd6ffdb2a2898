"""Blobs in S3 or a server that speaks its protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO, Any

from botocore.exceptions import ClientError

from storage.blobs.base import BlobStat, PresignedRequest, attachment, check_key
from storage.blobs.s3_calls import MISSING, Clients, error_code, got, guarded, translated
from storage.blobs.s3_cors import let_page_in
from storage.blobs.signing import Address, signed_link
from storage.breaker import Breaker
from storage.errors import PartsInvalid

#: S3's error codes for missing parts, or parts with another ETag.
_BAD_PARTS = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall"})


@dataclass(frozen=True)
class S3Object:
    """One version of an object in a bucket."""

    key: str
    #: The text by which S3 names this version, without quotes.
    etag: str


class S3Reader:
    """Reads and writes objects of any bucket by any key."""

    def __init__(
        self, *, endpoint_url: str, region: str, access_key_id: str, secret_access_key: str, timeout_s: float
    ) -> None:
        self._endpoint_url = endpoint_url
        self._timeout_s = timeout_s
        self._clients = Clients(region, access_key_id, secret_access_key)

    def read(self, bucket: str, key: str, *, max_bytes: int) -> tuple[bytes, str]:
        """The bytes, and the ETag of the version that they are.

        Raises BlobNotFound, BlobTooLarge (before reading more than ``max_bytes``).
        """
        with translated(f"s3://{bucket}/{key}"):
            etag, pieces = got(self._clients.at(self._endpoint_url), bucket, key, max_bytes, self._timeout_s)
            return b"".join(pieces), etag

    def download(self, bucket: str, key: str, file: IO[bytes], *, max_bytes: int) -> None:
        """As :meth:`read`, into a file, with only a part in memory."""
        with translated(f"s3://{bucket}/{key}"):
            file.writelines(got(self._clients.at(self._endpoint_url), bucket, key, max_bytes, self._timeout_s)[1])

    def objects(self, bucket: str, prefix: str) -> Iterator[S3Object]:
        """All objects whose keys begin with ``prefix``, in the order of their keys."""
        with translated(f"s3://{bucket}/{prefix}"):
            pages = self._clients.at(self._endpoint_url).get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=bucket, Prefix=prefix):
                for entry in page.get("Contents", []):
                    yield S3Object(entry["Key"], entry["ETag"].strip('"'))

    def head(self, bucket: str, key: str) -> tuple[S3Object, dict[str, str]]:
        """An object, and its user metadata. Raises BlobNotFound."""
        with translated(f"s3://{bucket}/{key}"):
            answer = self._clients.at(self._endpoint_url).head_object(Bucket=bucket, Key=key)
        return S3Object(key, answer["ETag"].strip('"')), answer["Metadata"]

    def write(self, bucket: str, key: str, data: bytes, headers: Mapping[str, Any]) -> None:
        """Writes an object, with these parameters of ``PutObject``."""
        with translated(f"s3://{bucket}/{key}"):
            self._clients.at(self._endpoint_url).put_object(Bucket=bucket, Key=key, Body=data, **headers)

    def delete(self, bucket: str, key: str) -> None:
        """Deletes an object."""
        with translated(f"s3://{bucket}/{key}"):
            self._clients.at(self._endpoint_url).delete_object(Bucket=bucket, Key=key)


class S3Blobs:
    """The blob store in a bucket, under ``prefix`` if given.

    ``endpoint_url`` is empty for AWS; ``public_endpoint_url`` is the address in presigned links, empty for the same.
    Empty credentials mean the usual AWS chain (environment, profile, instance role). ``page_origin`` is that of the
    web page, which sends files to the bucket by itself. ``timeout_s`` is what the server has
    to send the whole of an object. With a ``breaker`` calls fail at once while the server does not answer.
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
        page_origin: str = "",
        timeout_s: float = 300.0,
        breaker: Breaker | None = None,
    ) -> None:
        self._breaker = breaker
        self._page_origin = page_origin
        self._bucket = bucket
        self._timeout_s = timeout_s
        self._prefix = f"{prefix}/" if prefix else ""
        self._endpoint_url = endpoint_url
        self._public_endpoint_url = public_endpoint_url or endpoint_url
        self._region = region
        self._clients = Clients(region, access_key_id, secret_access_key)
        #: Of the bucket in presigned links, once one was made.
        self._address: Address | None = None

    def ensure_bucket(self) -> None:
        """Creates the bucket if it does not exist, and adds CORS rules for the web page if there are none."""
        with guarded("", self._breaker):
            try:
                self._client().head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if error_code(error) not in MISSING | {"NoSuchBucket"}:
                    raise
                place = {} if self._region == "us-east-1" else {"LocationConstraint": self._region}
                extra = {"CreateBucketConfiguration": place} if place else {}
                self._client().create_bucket(Bucket=self._bucket, **extra)
            if self._page_origin:
                let_page_in(self._client(), self._bucket, self._page_origin)

    def put(self, key: str, data: bytes, *, content_type: str) -> None:
        name = self._name(key)
        with guarded(key, self._breaker):
            self._client().put_object(Bucket=self._bucket, Key=name, Body=data, ContentType=content_type)

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        name = self._name(key)
        with guarded(key, self._breaker):
            return b"".join(got(self._client(), self._bucket, name, max_bytes, self._timeout_s)[1])

    def read(self, key: str) -> Iterator[bytes]:
        name = self._name(key)
        with guarded(key, self._breaker):
            yield from got(self._client(), self._bucket, name, None, self._timeout_s)[1]

    def download(self, key: str, file: IO[bytes], *, max_bytes: int) -> None:
        name = self._name(key)
        with guarded(key, self._breaker):
            file.writelines(got(self._client(), self._bucket, name, max_bytes, self._timeout_s)[1])

    def stat(self, key: str) -> BlobStat:
        name = self._name(key)
        with guarded(key, self._breaker):
            answer = self._client().head_object(Bucket=self._bucket, Key=name)
        return BlobStat(key, answer["ContentLength"], answer["ContentType"], answer["LastModified"].astimezone(UTC))

    def delete(self, key: str) -> None:
        name = self._name(key)
        with guarded(key, self._breaker):
            self._client().delete_object(Bucket=self._bucket, Key=name)

    def list(self, prefix: str) -> Iterator[BlobStat]:
        above, _, _ = prefix.rpartition("/")
        if above:
            check_key(above)
        with guarded(prefix, self._breaker):
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for entry in page.get("Contents", []):
                    key = entry["Key"].removeprefix(self._prefix)
                    yield BlobStat(key, entry["Size"], "", entry["LastModified"].astimezone(UTC))

    def presigned_put(
        self, key: str, *, content_type: str, expires_s: int, size: int | None = None
    ) -> PresignedRequest:
        headers = {"Content-Type": content_type}
        if size is not None:
            headers["Content-Length"] = str(size)
        url, expires_at = self._presigned("PUT", key, expires_s, headers=headers)
        return PresignedRequest("PUT", url, headers, expires_at)

    def presigned_get(self, key: str, *, filename: str, expires_s: int) -> PresignedRequest:
        saved_as = {"response-content-disposition": attachment(filename)}
        url, expires_at = self._presigned("GET", key, expires_s, query=saved_as)
        return PresignedRequest("GET", url, {}, expires_at)

    def presigned_post(
        self, key: str, *, content_type: str, max_bytes: int, expires_s: int, size: int | None = None
    ) -> PresignedRequest:
        least, most = (0, max_bytes) if size is None else (size, size)
        expires_at = datetime.now(UTC) + timedelta(seconds=expires_s)
        with translated(key):
            form = self._clients.at(self._public_endpoint_url).generate_presigned_post(
                self._bucket,
                self._name(key),
                Fields={"Content-Type": content_type},
                Conditions=[{"Content-Type": content_type}, ["content-length-range", least, most]],
                ExpiresIn=expires_s,
            )
        return PresignedRequest("POST", form["url"], {}, expires_at, form["fields"])

    def begin_parts(self, key: str, *, content_type: str) -> str:
        name = self._name(key)
        with guarded(key, self._breaker):
            answer = self._client().create_multipart_upload(Bucket=self._bucket, Key=name, ContentType=content_type)
        return str(answer["UploadId"])

    def presigned_part(self, key: str, parts_id: str, number: int, *, size: int, expires_s: int) -> PresignedRequest:
        headers = {"Content-Length": str(size)}
        url, expires_at = self._presigned(
            "PUT", key, expires_s, query={"uploadId": parts_id, "partNumber": str(number)}, headers=headers
        )
        return PresignedRequest("PUT", url, headers, expires_at)

    def join_parts(self, key: str, parts_id: str, etags: Sequence[str], *, content_type: str) -> None:
        name = self._name(key)
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        with guarded(key, self._breaker):
            try:
                self._client().complete_multipart_upload(
                    Bucket=self._bucket, Key=name, UploadId=parts_id, MultipartUpload={"Parts": parts}
                )
            except ClientError as error:
                if error_code(error) == "NoSuchUpload":
                    # Joined before, or dropped: then there is nothing under the key.
                    self._client().head_object(Bucket=self._bucket, Key=name)
                elif error_code(error) in _BAD_PARTS:
                    raise PartsInvalid from error
                else:
                    raise

    def drop_parts(self, key: str) -> None:
        name = self._name(key)
        with guarded(key, self._breaker):
            pages = self._client().get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self._bucket, Prefix=name):
                for entry in page.get("Uploads", []):
                    if entry["Key"] == name:
                        self._abort(name, entry["UploadId"])

    def _abort(self, name: str, parts_id: str) -> None:
        try:
            self._client().abort_multipart_upload(Bucket=self._bucket, Key=name, UploadId=parts_id)
        except ClientError as error:
            if error_code(error) != "NoSuchUpload":  # joined or dropped meanwhile
                raise

    def _presigned(
        self,
        method: str,
        key: str,
        expires_s: int,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[str, datetime]:
        name, now = self._name(key), datetime.now(UTC)
        with translated(key):
            if self._address is None:
                self._address = Address.of(self._clients.at(self._public_endpoint_url), self._bucket)
            url = signed_link(
                self._address,
                self._clients.credentials(self._public_endpoint_url),
                self._region,
                method=method,
                name=name,
                at=now,
                expires_s=expires_s,
                query=query or {},
                headers=headers or {},
            )
        return url, now + timedelta(seconds=expires_s)

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _client(self) -> Any:
        return self._clients.at(self._endpoint_url)

"""Presigned forms and multipart uploads on a real S3 server: accepted, refused, and cleaned up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import httpx
import pytest
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from storage.blobs import PresignedRequest, S3Blobs, open_blobs
from storage.blobs.base import PART_BYTES, part_sizes
from storage.database import Database
from storage.errors import BlobNotFound, PartsInvalid
from storage.ledger.tenants.parts import drop_upload, find_upload, mark_complete, name_parts
from storage.ledger.tenants.tenants import ensure_tenant
from storage.ledger.tenants.uploads import create_uploads
from tests import patient
from tests.servers import S3Server
from tests.shop import Clock
from workers.leader.sweeper import sweep

KEY = "t/tnt_1/uploads/upl_1"


@pytest.fixture(scope="module")
def blobs(s3_server: S3Server) -> S3Blobs:
    settings = Settings(
        blobs_url="s3://parts/inside",
        s3_endpoint_url=s3_server.endpoint_url,
        s3_access_key_id=SecretStr(s3_server.access_key_id),
        s3_secret_access_key=SecretStr(s3_server.secret_access_key),
    )
    store = open_blobs(settings)
    assert isinstance(store, S3Blobs)
    store.ensure_bucket()
    return store


@pytest.fixture(autouse=True)
def empty(blobs: S3Blobs) -> Iterator[None]:
    yield
    for blob in list(blobs.list("")):
        blobs.delete(blob.key)
        blobs.drop_parts(blob.key)
    blobs.drop_parts(KEY)


@pytest.fixture(scope="module")
def s3(s3_server: S3Server) -> Any:
    """A client of the server that bypasses the blob store."""
    return boto3.session.Session().client(
        "s3",
        region_name="us-east-1",
        endpoint_url=s3_server.endpoint_url,
        aws_access_key_id=s3_server.access_key_id,
        aws_secret_access_key=s3_server.secret_access_key,
    )


def transfers(s3: Any) -> list[str]:
    """Keys of the open multipart uploads."""
    return [entry["Key"] for entry in s3.list_multipart_uploads(Bucket="parts").get("Uploads", [])]


def post(form: PresignedRequest, data: bytes, **change: str) -> int:
    return patient.post(form.url, data={**form.fields, **change}, files={"file": ("a.png", data)}).status_code


def put(link: PresignedRequest, data: bytes) -> httpx.Response:
    return patient.request(
        link.method, link.url, content=data, headers={**link.headers, "Content-Length": str(len(data))}
    )


def test_a_form_stores_the_file_under_its_key_with_its_type(blobs: S3Blobs) -> None:
    form = blobs.presigned_post(KEY, content_type="image/png", max_bytes=10, expires_s=60)
    assert timedelta(seconds=50) < form.expires_at - datetime.now(UTC) <= timedelta(seconds=60)
    assert post(form, b"0123456789") == 204
    assert blobs.get(KEY) == b"0123456789"
    assert blobs.stat(KEY).content_type == "image/png"


@pytest.mark.parametrize(("size", "data"), [(None, b"01234567890"), (4, b"01234"), (4, b"012")])
def test_a_form_beyond_its_size_is_refused(blobs: S3Blobs, size: int | None, data: bytes) -> None:
    form = blobs.presigned_post(KEY, content_type="image/png", max_bytes=10, expires_s=60, size=size)
    assert post(form, data) == 400
    with pytest.raises(BlobNotFound):
        blobs.stat(KEY)


@pytest.mark.parametrize("change", [{"key": "inside/t/tnt_2/uploads/upl_2"}, {"Content-Type": "text/html"}])
def test_a_form_with_another_key_or_type_is_refused(blobs: S3Blobs, change: dict[str, str]) -> None:
    form = blobs.presigned_post(KEY, content_type="image/png", max_bytes=10, expires_s=60)
    assert post(form, b"1", **change) == 403
    assert list(blobs.list("")) == []


def test_parts_sent_in_any_order_become_the_file(blobs: S3Blobs, s3: Any) -> None:
    data = bytes(range(256)) * (PART_BYTES // 256) + b"the end"
    parts_id = blobs.begin_parts(KEY, content_type="image/tiff")
    etags: dict[int, str] = {}
    for number, size in reversed(list(enumerate(part_sizes(len(data)), 1))):
        link = blobs.presigned_part(KEY, parts_id, number, size=size, expires_s=60)
        start = (number - 1) * PART_BYTES
        answer = put(link, data[start : start + size])
        assert answer.is_success, answer.text
        etags[number] = answer.headers["ETag"]
    assert list(blobs.list("")) == []
    for _ in range(2):
        blobs.join_parts(KEY, parts_id, [etags[1], etags[2]], content_type="image/tiff")
    assert blobs.get(KEY) == data
    assert blobs.stat(KEY).content_type == "image/tiff"
    assert transfers(s3) == []


def test_a_part_of_another_size_or_number_is_refused(blobs: S3Blobs) -> None:
    parts_id = blobs.begin_parts(KEY, content_type="image/tiff")
    link = blobs.presigned_part(KEY, parts_id, 1, size=4, expires_s=60)
    assert put(link, b"01234").status_code == 403
    assert patient.put(link.url.replace("partNumber=1", "partNumber=2"), content=b"0123").status_code == 403
    good, wrong = put(link, b"0123").headers["ETag"], '"9bb58f26192e4ba00f01e2e7b136bbd8"'
    for etags in ([wrong], [good, wrong]):
        with pytest.raises(PartsInvalid):
            blobs.join_parts(KEY, parts_id, etags, content_type="image/tiff")
    with pytest.raises(BlobNotFound):
        blobs.stat(KEY)


def test_dropped_parts_leave_nothing_behind(blobs: S3Blobs, s3: Any) -> None:
    first, second = (blobs.begin_parts(KEY, content_type="image/tiff") for _ in range(2))
    beside = blobs.begin_parts(f"{KEY}2", content_type="image/tiff")
    link = blobs.presigned_part(KEY, first, 1, size=4, expires_s=60)
    etag = put(link, b"0123").headers["ETag"]
    for _ in range(2):
        blobs.drop_parts(KEY)
    assert transfers(s3) == [f"inside/{KEY}2"]
    assert put(link, b"0123").status_code == 404
    for parts_id in (first, second):
        with pytest.raises(BlobNotFound):
            blobs.join_parts(KEY, parts_id, [etag], content_type="image/tiff")
    blobs.drop_parts(f"{KEY}2")
    assert beside
    assert list(blobs.list("")) == []


@pytest.mark.parametrize("died", ["before opening", "before naming", "before joining", "before marking", "dropped"])
def test_the_sweeper_removes_an_upload_that_stopped_at_any_step(
    blobs: S3Blobs, s3: Any, database_url: str, died: str
) -> None:
    clock = Clock()
    database = Database.connect(database_url, clock=clock)
    tenant = ensure_tenant(database, "shop")
    (upload,) = create_uploads(
        database, tenant, [("wall.tif", "image/tiff")], expires_in_s=60, sizes=[4], in_parts=[True]
    )
    if died != "before opening":
        parts_id = blobs.begin_parts(upload.key, content_type=upload.content_type)
        if died != "before naming":
            name_parts(database, {upload.id: parts_id})
            assert find_upload(database, tenant, upload.id).parts_id == parts_id
        answer = put(blobs.presigned_part(upload.key, parts_id, 1, size=4, expires_s=3600), b"0123")
        if died == "before marking":
            blobs.join_parts(upload.key, parts_id, [answer.headers["ETag"]], content_type=upload.content_type)
        else:
            assert transfers(s3) == [f"inside/{upload.key}"]
    if died == "dropped":
        drop_upload(database, tenant, upload.id, links_s=3600)
        clock.advance(3600)
        sweep(database, blobs, deliveries_kept_s=None)
        assert transfers(s3)  # a link may still be in use
    else:
        clock.advance(60)
        sweep(database, blobs, deliveries_kept_s=None)
    clock.advance(3600)
    sweep(database, blobs, deliveries_kept_s=None)
    assert (transfers(s3), list(blobs.list(""))) == ([], [])
    database.close()


def test_a_file_that_was_completed_stays_when_the_sweeper_comes(blobs: S3Blobs, database_url: str) -> None:
    clock = Clock()
    database = Database.connect(database_url, clock=clock)
    tenant = ensure_tenant(database, "shop")
    (upload,) = create_uploads(
        database, tenant, [("wall.tif", "image/tiff")], expires_in_s=7200, sizes=[4], in_parts=[True]
    )
    parts_id = blobs.begin_parts(upload.key, content_type=upload.content_type)
    etag = put(blobs.presigned_part(upload.key, parts_id, 1, size=4, expires_s=60), b"0123").headers["ETag"]
    blobs.join_parts(upload.key, parts_id, [etag], content_type=upload.content_type)
    mark_complete(database, tenant, upload.id)
    clock.advance(3600)
    sweep(database, blobs, deliveries_kept_s=None)
    assert blobs.get(upload.key) == b"0123"
    assert find_upload(database, tenant, upload.id).parts_id is None
    database.close()

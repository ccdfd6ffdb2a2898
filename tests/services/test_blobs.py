"""The contract of the blob store, on a directory and on a real S3 server that checks signatures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from urllib.parse import unquote

import pytest
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from storage.blobs import LocalBlobs, S3Blobs, open_blobs
from storage.errors import (
    BlobNotFound,
    BlobStoreRefused,
    BlobStoreUnavailable,
    BlobTooLarge,
    InvalidKey,
)
from tests import patient
from tests.servers import S3Server, free_port

Blobs = LocalBlobs | S3Blobs


@pytest.fixture(scope="module")
def s3_settings(s3_server: S3Server) -> Settings:
    """Settings of one bucket, with a prefix, for the tests of this module."""
    settings = Settings(
        blobs_url="s3://contract/inside",
        s3_endpoint_url=s3_server.endpoint_url,
        s3_access_key_id=SecretStr(s3_server.access_key_id),
        s3_secret_access_key=SecretStr(s3_server.secret_access_key),
    )
    s3_blobs(settings).ensure_bucket()
    return settings


def s3_blobs(settings: Settings) -> S3Blobs:
    blobs = open_blobs(settings)
    assert isinstance(blobs, S3Blobs)
    return blobs


@pytest.fixture(params=["local", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Blobs]:
    """An empty blob store."""
    if request.param == "local":
        yield open_blobs(Settings(home=tmp_path))
        return
    store = s3_blobs(request.getfixturevalue("s3_settings"))
    yield store
    for blob in list(store.list("")):
        store.delete(blob.key)


def test_get_returns_the_bytes_that_were_put(blobs: Blobs) -> None:
    blobs.put("t/1/a.jpg", b"bytes", content_type="image/jpeg")
    assert blobs.get("t/1/a.jpg") == b"bytes"
    stat = blobs.stat("t/1/a.jpg")
    assert (stat.key, stat.size, stat.content_type) == ("t/1/a.jpg", 5, "image/jpeg")
    assert abs(stat.modified - datetime.now(UTC)) < timedelta(minutes=5)


def test_empty_bytes_are_bytes(blobs: Blobs) -> None:
    blobs.put("empty", b"", content_type="image/png")
    assert blobs.get("empty") == b""
    assert blobs.stat("empty").size == 0


def test_a_second_put_replaces_bytes_and_type(blobs: Blobs) -> None:
    blobs.put("a", b"first, and longer", content_type="image/png")
    blobs.put("a", b"second", content_type="image/webp")
    assert blobs.get("a") == b"second"
    assert blobs.stat("a").content_type == "image/webp"


def test_a_missing_blob_is_not_found(blobs: Blobs) -> None:
    for read in (blobs.get, blobs.stat):
        with pytest.raises(BlobNotFound, match="no/such"):
            read("no/such")


def test_deleting_is_repeatable(blobs: Blobs) -> None:
    blobs.put("a", b"1", content_type="image/png")
    blobs.delete("a")
    blobs.delete("a")
    blobs.delete("never/was")
    with pytest.raises(BlobNotFound):
        blobs.get("a")


def test_get_refuses_more_than_allowed(blobs: Blobs) -> None:
    blobs.put("a", b"12345", content_type="image/png")
    assert blobs.get("a", max_bytes=5) == b"12345"
    with pytest.raises(BlobTooLarge, match="4 bytes"):
        blobs.get("a", max_bytes=4)


def test_list_gives_keys_that_begin_with_the_prefix_in_order(blobs: Blobs) -> None:
    for key in ("t/1/b", "t/1/a", "t/1/sub/c", "t/10/x", "u/1"):
        blobs.put(key, key.encode(), content_type="image/png")
    assert [blob.key for blob in blobs.list("t/1/")] == ["t/1/a", "t/1/b", "t/1/sub/c"]
    assert [blob.key for blob in blobs.list("t/1")] == ["t/1/a", "t/1/b", "t/1/sub/c", "t/10/x"]
    assert [blob.size for blob in blobs.list("u")] == [3]
    assert len(list(blobs.list(""))) == 5
    assert list(blobs.list("nothing/here")) == []


@pytest.mark.parametrize(
    "key",
    [
        *("", "/etc/passwd", "../x", "a/../../x", "a/..", "a/./b", ".", "..", "a//b", "a/", "a\\b", "a\0b", "a\nb"),
        *(".hidden", "a/.b.type", "ä", "a b", "%2e%2e/x", "a?b", "x" * 201, "/".join(["x" * 100] * 4)),
    ],
)
def test_keys_that_could_leave_the_store_are_refused(blobs: Blobs, key: str) -> None:
    with pytest.raises(InvalidKey):
        blobs.put(key, b"", content_type="image/png")
    with pytest.raises(InvalidKey):
        blobs.get(key)
    with pytest.raises(InvalidKey):
        blobs.stat(key)
    with pytest.raises(InvalidKey):
        blobs.delete(key)
    with pytest.raises(InvalidKey):
        blobs.presigned_put(key, content_type="image/png", expires_s=60)
    with pytest.raises(InvalidKey):
        blobs.presigned_get(key, filename="a.png", expires_s=60)


def test_prefixes_that_could_leave_the_store_are_refused(blobs: Blobs) -> None:
    for prefix in ("../", "/etc/", "a/../../"):
        with pytest.raises(InvalidKey):
            list(blobs.list(prefix))


def test_a_reader_beside_a_writer_sees_whole_blobs(blobs: Blobs) -> None:
    bodies = [bytes([n]) * 200_000 for n in range(4)]
    blobs.put("a", bodies[0], content_type="image/png")
    written = threading.Event()
    seen = set()

    def read() -> None:
        while not written.is_set():
            seen.add(blobs.get("a"))

    with ThreadPoolExecutor(2) as pool:
        reader = pool.submit(read)
        for body in bodies * 5:
            blobs.put("a", body, content_type="image/png")
        written.set()
        reader.result()
    assert seen <= set(bodies)


def test_threads_share_a_store(blobs: Blobs) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: blobs.put(f"many/{n}", bytes([n]), content_type="image/png"), range(32)))
        assert list(pool.map(lambda n: blobs.get(f"many/{n}"), range(32))) == [bytes([n]) for n in range(32)]


# Presigned requests against the real S3 server. The API serves those of the directory, and its tests cover them.


def test_s3_presigned_put_and_get_do_what_they_say(s3_settings: Settings) -> None:
    blobs = s3_blobs(s3_settings)
    put = blobs.presigned_put("signed/a", content_type="image/jpeg", expires_s=60)
    assert timedelta(seconds=50) < put.expires_at - datetime.now(UTC) <= timedelta(seconds=60)
    assert patient.request(put.method, put.url, headers=put.headers, content=b"pixels").is_success
    assert blobs.get("signed/a") == b"pixels"
    assert blobs.stat("signed/a").content_type == "image/jpeg"

    get = blobs.presigned_get("signed/a", filename='größe "M"; x.jpg', expires_s=60)
    answer = patient.request(get.method, get.url, headers=get.headers)
    assert answer.content == b"pixels"
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith("attachment; filename*=utf-8''")
    assert unquote(disposition.rpartition("''")[2]) == 'größe "M"; x.jpg'


def test_s3_presigned_links_permit_nothing_else(s3_settings: Settings) -> None:
    blobs = s3_blobs(s3_settings)
    blobs.put("signed/b", b"old", content_type="image/png")
    put = blobs.presigned_put("signed/b", content_type="image/png", expires_s=60)
    get = blobs.presigned_get("signed/b", filename="b.png", expires_s=60)

    assert patient.put(put.url, headers={"Content-Type": "text/html"}, content=b"x").status_code == 403
    assert patient.put(put.url.replace("signed/b", "signed/c"), headers=put.headers, content=b"x").status_code == 403
    assert patient.put(get.url, headers=put.headers, content=b"x").status_code == 403
    assert patient.get(put.url).status_code == 403
    assert patient.delete(put.url).status_code == 403
    assert patient.get(get.url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000")).status_code == 403
    assert patient.get(get.url.split("?")[0]).status_code == 403
    assert blobs.get("signed/b") == b"old"


def test_s3_expired_links_are_refused(s3_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = s3_blobs(s3_settings)
    blobs.put("signed/d", b"1", content_type="image/png")
    yesterday = datetime.now(UTC) - timedelta(days=1)

    class Yesterday(datetime):
        """The clock by which links are signed; the server checks with its own."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Yesterday:
            return cls.fromtimestamp(yesterday.timestamp(), tz)

    monkeypatch.setattr("storage.blobs.s3.datetime", Yesterday)
    stale = blobs.presigned_get("signed/d", filename="d.png", expires_s=3600)
    monkeypatch.undo()
    assert yesterday.strftime("X-Amz-Date=%Y%m%d") in stale.url
    assert patient.get(stale.url).status_code == 403
    assert patient.get(blobs.presigned_get("signed/d", filename="d.png", expires_s=3600).url).status_code == 200


def test_s3_links_name_the_public_address(s3_settings: Settings) -> None:
    public = s3_settings.model_copy(update={"s3_public_endpoint_url": "https://pictures.example"})
    link = s3_blobs(public).presigned_get("a", filename="a.png", expires_s=60)
    assert link.url.startswith("https://pictures.example/contract/inside/a?")


def test_s3_wrong_secret_and_missing_bucket_are_refused(s3_settings: Settings) -> None:
    stranger = s3_settings.model_copy(update={"s3_secret_access_key": SecretStr("wrong")})
    with pytest.raises(BlobStoreRefused, match="403"):
        s3_blobs(stranger).put("a", b"", content_type="image/png")
    elsewhere = s3_settings.model_copy(update={"blobs_url": "s3://no-such-bucket"})
    with pytest.raises(BlobStoreRefused, match="NoSuchBucket"):
        s3_blobs(elsewhere).get("a")


def test_s3_server_that_is_not_there_is_unavailable_and_transient(s3_settings: Settings) -> None:
    nowhere = s3_settings.model_copy(update={"s3_endpoint_url": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(BlobStoreUnavailable, match="did not answer") as caught:
        s3_blobs(nowhere).get("a")
    assert caught.value.transient


def test_s3_ensure_bucket_is_repeatable(s3_settings: Settings) -> None:
    s3_blobs(s3_settings).ensure_bucket()

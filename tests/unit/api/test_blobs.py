"""Signed links of the local store: each permits exactly its own request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from storage.blobs import Link, LinkSigner, LocalBlobs
from storage.errors import BlobNotFound
from tests.unit.api.calling import Caller, Service

KEY = "t/tnt_1/uploads/upl_1"


@pytest.fixture
def anyone(service: Service) -> Caller:
    """A client without a key: the link is the permission."""
    return service.stranger()


def blobs_of(service: Service) -> LocalBlobs:
    blobs = service.stores.blobs
    assert isinstance(blobs, LocalBlobs)
    return blobs


def test_uploaded_bytes_are_stored_unchanged(service: Service, anyone: Caller) -> None:
    link = blobs_of(service).presigned_put(KEY, content_type="image/png", expires_s=60)
    data = bytes(range(256)) * 10_000
    anyone("PUT", link.url, status=204, headers=link.headers, data=data)
    assert blobs_of(service).get(KEY) == data
    assert blobs_of(service).stat(KEY).content_type == "image/png"


def test_a_link_answers_head_like_get_without_the_file(service: Service, anyone: Caller) -> None:
    blobs_of(service).put(KEY, b"data", content_type="image/png")
    link = blobs_of(service).presigned_get(KEY, filename="a.png", expires_s=60)
    answer = anyone("HEAD", link.url, status=200)
    assert (answer.data, answer.headers["Content-Length"], answer.mimetype) == (b"", "4", "image/png")


def test_a_link_may_be_used_again(service: Service, anyone: Caller) -> None:
    link = blobs_of(service).presigned_put(KEY, content_type="image/png", expires_s=60)
    for data in (b"first", b"second"):
        anyone("PUT", link.url, status=204, headers=link.headers, data=data)
    assert blobs_of(service).get(KEY) == b"second"


def test_the_type_of_a_link_is_the_only_one_it_takes(service: Service, anyone: Caller) -> None:
    link = blobs_of(service).presigned_put(KEY, content_type="image/png", expires_s=60)
    for headers in ({"Content-Type": "text/html"}, {}):
        anyone.problem("PUT", link.url, 415, "media_type_unsupported", headers=headers, data=b"<script>")
    with pytest.raises(BlobNotFound):
        blobs_of(service).stat(KEY)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_over_the_limit_is_refused_and_not_kept(service: Service, anyone: Caller, chunked: bool) -> None:
    blobs = LocalBlobs(service.settings.home / "blobs", public_url="", signer=blobs_of(service)._signer, max_bytes=1000)
    link = blobs.presigned_put(KEY, content_type="image/png", expires_s=60)
    blobs.put(KEY, b"before", content_type="image/png")
    environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""} if chunked else {}
    problem = anyone.problem(
        "PUT", link.url, 413, "image_too_large", headers=link.headers, data=b"x" * 1001, environ_overrides=environ
    )
    assert "1000 bytes" in problem["detail"]
    assert blobs.get(KEY) == b"before"
    assert len(list(blobs.list("t/"))) == 1


def test_a_body_that_breaks_off_is_not_kept(service: Service, anyone: Caller) -> None:
    link = blobs_of(service).presigned_put(KEY, content_type="image/png", expires_s=60)
    anyone.problem(
        "PUT",
        link.url,
        400,
        "request_invalid",
        headers=link.headers,
        data=b"only 8 b",
        environ_overrides={"CONTENT_LENGTH": "10"},
    )
    with pytest.raises(BlobNotFound):
        blobs_of(service).stat(KEY)


def test_a_link_works_for_its_own_method_only(service: Service, anyone: Caller) -> None:
    blobs_of(service).put(KEY, b"data", content_type="image/png")
    put = blobs_of(service).presigned_put(KEY, content_type="image/png", expires_s=60).url
    get = blobs_of(service).presigned_get(KEY, filename="a.png", expires_s=60).url
    anyone.problem("GET", put, 403, "link_invalid")
    anyone.problem("PUT", get, 403, "link_invalid", data=b"x", content_type="image/png")


@pytest.mark.parametrize("change", ["x{}", "{}x", "x", "{}."])
def test_an_altered_link_does_not_work(service: Service, anyone: Caller, change: str) -> None:
    blobs_of(service).put(KEY, b"data", content_type="image/png")
    token = blobs_of(service).presigned_get(KEY, filename="a.png", expires_s=60).url.rpartition("/")[2]
    assert anyone.get(f"/blobs/{token}").data == b"data"
    anyone.problem("GET", f"/blobs/{change.format(token)}", 403, "link_invalid")


def test_an_expired_link_does_not_work(service: Service, anyone: Caller) -> None:
    blobs_of(service).put(KEY, b"data", content_type="image/png")
    key = (service.settings.home / "signing-key").read_text()
    an_hour_ago = LinkSigner(key, clock=lambda: datetime.now(UTC) - timedelta(hours=1))
    token, _ = an_hour_ago.sign(Link(method="GET", key=KEY, filename="a.png"), expires_s=3599)
    problem = anyone.problem("GET", f"/blobs/{token}", 403, "link_invalid")
    assert "expired" in problem["detail"]
    token, _ = an_hour_ago.sign(Link(method="GET", key=KEY, filename="a.png"), expires_s=7200)
    assert anyone.get(f"/blobs/{token}").data == b"data"


def test_a_link_to_a_file_that_is_gone(service: Service, anyone: Caller) -> None:
    link = blobs_of(service).presigned_get(KEY, filename="a.png", expires_s=60)
    problem = anyone.problem("GET", link.url, 404, "blob_not_found")
    assert KEY not in problem["detail"]


def test_a_problem_does_not_repeat_the_token(service: Service, anyone: Caller) -> None:
    link = blobs_of(service).presigned_get(KEY, filename="a.png", expires_s=60)
    answer = anyone.get(link.url, 404)
    assert link.url.rpartition("/")[2] not in answer.get_data(as_text=True)


def test_with_s3_the_api_serves_no_blob_links(server_service: Service) -> None:
    server_service.stranger().problem("GET", "/blobs/x", 404, "not_found")
    server_service.stranger().problem("PUT", "/blobs/x", 404, "not_found", data=b"x")

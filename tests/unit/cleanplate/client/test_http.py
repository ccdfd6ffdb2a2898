"""The client against a real HTTP server that fails as networks do. In tests/e2e it talks to the real API."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleanplate.base.masks import FileMask
from cleanplate.base.options import ImageOptions
from cleanplate.client.answers import ImageAnswer, Rights
from cleanplate.client.http import Client
from cleanplate.client.retries import Retries
from cleanplate.errors import Refused, ServiceUnreachable, UsageError
from tests.unit.cleanplate.client.conftest import Answer, Server, as_json

JOB = {
    "id": "job_1", "state": "queued", "total": 1, "progress": 0.0, "tiles_done": 0, "images_per_second": None,
    "eta_s": None, "created_at": "2026-01-01T00:00:00Z", "started_at": None, "finished_at": None,
    "counts": {"queued": 1, "running": 0, "succeeded": 0, "skipped": 0, "failed": 0, "canceled": 0},
}  # fmt: skip
RIGHTS = Rights(basis="owner", attested_by="Jo Doe", reference="own photographs")
IMAGE = ImageAnswer(
    id="img_1", job_id="job_1", position=0, name="a.png", state="succeeded", width=1, height=1, attempt=1, error=None,
    result_url="/v1/images/img_1/result",
)  # fmt: skip


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(server: Server, waits: list[float]) -> Iterator[Client]:
    with Client(server.url, "cp_key", retries=Retries(sleep=waits.append)) as client:
        yield client


def test_a_transient_error_is_tried_again_with_growing_bounds(
    client: Client, server: Server, waits: list[float]
) -> None:
    answers = iter([Answer(503), Answer(502), Answer(500), as_json(200, JOB)])
    server.answer = lambda *_: next(answers)
    assert client.job("job_1").id == "job_1"
    assert len(waits) == 3
    assert all(0 <= wait <= 0.5 * 2**attempt for attempt, wait in enumerate(waits))


def test_a_wait_that_the_service_asks_for_is_kept(client: Client, server: Server, waits: list[float]) -> None:
    answers = iter([as_json(429, {"code": "too_many"}, **{"retry-after": "7"}), as_json(200, JOB)])
    server.answer = lambda *_: next(answers)
    client.job("job_1")
    assert waits == [7]


def test_an_error_that_will_stay_is_raised_at_once_with_its_code(
    client: Client, server: Server, waits: list[float]
) -> None:
    server.answer = lambda *_: as_json(404, {"code": "not_found", "detail": "There is no job 'job_1'."})
    with pytest.raises(Refused) as refused:
        client.job("job_1")
    assert (refused.value.code, refused.value.status, str(refused.value)) == (
        "not_found", 404, "There is no job 'job_1'. (not_found)",
    )  # fmt: skip
    assert waits == []


def test_a_job_that_is_posted_again_brings_the_same_key(client: Client, server: Server, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"picture")
    posts = iter([Answer(503), as_json(409, {"code": "idempotency_key_busy"}), as_json(202, JOB)] * 2)

    def answer(method: str, path: str, _body: bytes) -> Answer:
        if path == "/v1/uploads":
            slot = {
                "id": "upl_1", "filename": "a.png", "method": "PUT", "url": f"{server.url}/put", "headers": {},
                "expires_at": "2026-01-01T00:00:00Z",
            }  # fmt: skip
            return as_json(200, {"uploads": [slot]})
        return Answer(204) if method == "PUT" else next(posts)

    server.answer = answer
    for _ in range(2):
        assert client.submit([picture], masks=picture, rights=RIGHTS).id == "job_1"
    keys = [headers["idempotency-key"] for _, path, headers, _ in server.asked if path == "/v1/jobs"]
    assert len(keys) == 6
    assert [len(set(keys[:3])), len(set(keys[3:])), len(set(keys))] == [1, 1, 2]


def test_an_upload_is_sent_again_from_its_start_and_without_the_key(
    client: Client, server: Server, tmp_path: Path
) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(bytes(range(256)) * 4000)
    puts = iter([Answer(500), Answer(200)])

    def answer(method: str, path: str, body: bytes) -> Answer:
        if method == "PUT":
            return next(puts)
        assert json.loads(body) == {"files": [{"filename": "a.png", "content_type": "image/png", "size": 256 * 4000}]}
        slot = {
            "id": "upl_1", "filename": "a.png", "method": "PUT", "url": f"{server.url}/store?signature=s",
            "headers": {"content-type": "image/png"}, "expires_at": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        return as_json(200, {"uploads": [slot]})

    server.answer = answer
    sent: list[int] = []
    assert client.upload([picture], on_uploaded=sent.append) == {picture: "upl_1"}
    assert sent == [1]
    stored = [(headers, body) for method, _, headers, body in server.asked if method == "PUT"]
    assert [body for _, body in stored] == [picture.read_bytes()] * 2
    assert all("authorization" not in headers and headers["content-type"] == "image/png" for headers, _ in stored)
    assert server.asked[0][2]["authorization"] == "Bearer cp_key"


def test_a_download_that_breaks_off_leaves_no_file_and_is_tried_again(
    client: Client, server: Server, tmp_path: Path
) -> None:
    picture = b"p" * 100_000
    stored = iter([Answer(200, picture, cut_at=50_000), Answer(200, picture)])
    held: list[list[Path]] = []

    def answer(_method: str, path: str, _body: bytes) -> Answer:
        if path.endswith("/result"):
            held.append(list(tmp_path.iterdir()))
            return Answer(302, headers={"location": "/blob"})
        return next(stored)

    server.answer = answer
    client.download(IMAGE, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == picture
    assert held == [[], []]
    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"]
    assert [headers.get("authorization") for _, path, headers, _ in server.asked if path == "/blob"] == [None, None]


def test_a_refused_download_names_the_file_and_not_the_signed_link(
    client: Client, server: Server, tmp_path: Path
) -> None:
    server.answer = lambda _method, path, _body: (
        Answer(302, headers={"location": "/blob?signature=s3cr3t"}) if path.endswith("/result") else Answer(403)
    )
    with pytest.raises(Refused, match=r"403 for a\.png") as refused:
        client.download(IMAGE, tmp_path / "a.png")
    assert "s3cr3t" not in str(refused.value)


def test_pages_are_followed_to_their_end(client: Client, server: Server) -> None:
    def answer(_method: str, path: str, _body: bytes) -> Answer:
        second = "cursor=two" in path
        return as_json(200, {"data": [{**JOB, "id": "b" if second else "a"}], "next_cursor": None if second else "two"})

    server.answer = answer
    assert [job.id for job in client.jobs()] == ["a", "b"]


def test_no_service_is_a_sentence_that_names_the_address(waits: list[float]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Client(url, "k", retries=Retries(attempts=3, sleep=waits.append)) as client:
            with pytest.raises(ServiceUnreachable, match=url):
                client.job("job_1")
            assert len(waits) == 2


def test_an_answer_of_something_else_is_not_taken_for_a_job(client: Client, server: Server) -> None:
    server.answer = lambda *_: Answer(200, b"<html>")
    with pytest.raises(ServiceUnreachable, match="not Cleanplate's"):
        client.job("job_1")
    server.answer = lambda *_: as_json(200, {"id": "job_1"})
    with pytest.raises(ServiceUnreachable, match="not a JobAnswer"):
        client.job("job_1")


@pytest.mark.parametrize("url", ["", "localhost:8787", "ftp://host", "http://"])
def test_invalid_addresses_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="http://"):
        Client(url, "k")


def test_a_link_to_a_part_that_has_expired_is_asked_for_anew(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "large.tif"
    file.write_bytes(b"abcde")

    def link(number: int, path: str) -> dict[str, object]:
        size = (2, 2, 1)[number - 1]
        return {"number": number, "size": size, "url": server.url + path, "headers": {"Content-Length": str(size)}}

    def answer(method: str, path: str, body: bytes) -> Answer:
        if method == "PUT":
            return Answer(403) if path == "/old/2" else Answer(200, headers={"etag": f'"{body.decode()}"'})
        if path == "/v1/uploads":
            parts = [link(number, f"/old/{number}") for number in (1, 2, 3)]
            slot = {"id": "upl_1", "filename": "large.tif", "method": "PUT", "url": None, "headers": {}, "parts": parts}
            return as_json(201, {"uploads": [slot | {"expires_at": "2026-01-01T00:00:00Z"}]})
        if path == "/v1/uploads/upl_1/parts":
            return as_json(200, {"parts": [link(number, f"/new/{number}") for number in json.loads(body)["numbers"]]})
        return as_json(200, {})

    server.answer = answer
    with Client(server.url, "cp_key", whole_bytes=4) as client:
        assert client.upload([file]) == {file: "upl_1"}
    asked = {path: body for _, path, _, body in server.asked}
    assert sorted(path for path in asked if not path.startswith("/v1")) == ["/new/2", "/old/1", "/old/2", "/old/3"]
    assert json.loads(asked["/v1/uploads/upl_1/complete"])["parts"] == [
        {"number": 1, "etag": '"ab"'},
        {"number": 2, "etag": '"cd"'},
        {"number": 3, "etag": '"e"'},
    ]
    # Presigned links carry their own authority.
    assert all("authorization" not in headers for _, path, headers, _ in server.asked if not path.startswith("/v1"))


def test_a_mask_that_only_a_newer_service_knows_is_handed_out_as_json() -> None:
    fields = {"id": "img_1", "job_id": "job_1", "position": 0, "name": "a.jpg", "state": "queued", "attempt": 0}
    null = dict.fromkeys(("width", "height", "error", "result_url"))
    newer = {"polygons": [[0, 0, 1, 1, 0, 1]]}
    image = ImageAnswer.model_validate({**fields, **null, "mask": newer, "options": {"sharpen": 1}})
    assert (image.mask, image.options) == (newer, {"sharpen": 1})
    known = ImageAnswer.model_validate({**fields, **null, "mask": {"upload_id": "upl_1"}, "options": {"output": "png"}})
    assert (known.mask, known.options) == (FileMask(upload_id="upl_1"), ImageOptions(output="png"))

"""Public text goes compressed to those who accept it; answers that may hold secrets never do."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

import api
from tests.unit.api.calling import Caller, Service

STATIC = Path(api.__file__).parent / "static"
ACCEPTS = {"Accept-Encoding": "gzip, br"}
TEXTS = ["web/pages/repair.js", "web/cleanplate.css", "web/icon.svg", "vendor/swagger-ui-bundle.js"]


def fetched(service: Service, path: str, headers: dict[str, str] | None = None, *, method: str = "GET") -> TestResponse:
    """The answer, read to its end."""
    with service.app.test_client().open(path, method=method, headers=headers) as answer:
        answer.get_data()
        return answer


@pytest.mark.parametrize("name", TEXTS)
def test_a_static_text_goes_compressed_to_those_who_accept_it(service: Service, name: str) -> None:
    path, plain = f"/static/{name}", (STATIC / name).read_bytes()
    whole = fetched(service, path)
    assert whole.data == plain
    assert "Content-Encoding" not in whole.headers
    small = fetched(service, path, ACCEPTS)
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.data) == plain
    assert len(small.data) < len(plain)
    assert int(small.headers["Content-Length"]) == len(small.data)
    assert small.headers["ETag"] != whole.headers["ETag"]
    same = ("Content-Type", "Vary", "Cache-Control", "Content-Security-Policy", "X-Content-Type-Options")
    assert [small.headers[name] for name in same] == [whole.headers[name] for name in same]
    assert "Accept-Encoding" in whole.headers["Vary"]
    assert "X-Request-Id" in small.headers


@pytest.mark.parametrize("accepted", ["identity", "br", "gzip;q=0", "gzip;q=0, *"])
def test_who_does_not_accept_it_gets_the_plain_text(service: Service, accepted: str) -> None:
    answer = fetched(service, "/static/web/icon.svg", {"Accept-Encoding": accepted})
    assert answer.data == (STATIC / "web/icon.svg").read_bytes()


@pytest.mark.parametrize("headers", [{}, ACCEPTS])
def test_an_unchanged_static_text_is_not_sent_again(service: Service, headers: dict[str, str]) -> None:
    first = fetched(service, "/static/web/icon.svg", headers)
    same = fetched(service, "/static/web/icon.svg", {**headers, "If-None-Match": first.headers["ETag"]})
    assert (same.status_code, same.data) == (304, b"")
    assert same.headers["ETag"] == first.headers["ETag"]
    assert same.headers["Vary"] == first.headers["Vary"]


@pytest.mark.parametrize("headers", [{}, ACCEPTS])
def test_head_tells_what_get_would_send(service: Service, headers: dict[str, str]) -> None:
    told = fetched(service, "/static/web/icon.svg", headers, method="HEAD")
    sent = fetched(service, "/static/web/icon.svg", headers)
    assert told.data == b""
    for name in ("Content-Length", "Content-Encoding", "ETag", "Vary"):
        assert told.headers.get(name) == sent.headers.get(name)


def test_a_range_is_of_the_plain_text(service: Service) -> None:
    part = fetched(service, "/static/web/icon.svg", {**ACCEPTS, "Range": "bytes=3-9"})
    assert part.status_code == 206
    assert part.data == (STATIC / "web/icon.svg").read_bytes()[3:10]
    assert "Content-Encoding" not in part.headers


def test_the_description_of_the_api_goes_compressed(service: Service) -> None:
    small = fetched(service, "/openapi.json", ACCEPTS)
    assert gzip.decompress(small.data) == fetched(service, "/openapi.json").data


def test_what_may_hold_a_secret_is_never_compressed(service: Service, shop: Caller) -> None:
    for path in ("/login", "/docs", "/nope", "/static/nope.js"):
        assert "Content-Encoding" not in fetched(service, path, ACCEPTS).headers
    for path in (shop.submit()["links"]["self"], "/v1/jobs"):
        assert "Content-Encoding" not in shop.get(path, headers=ACCEPTS).headers

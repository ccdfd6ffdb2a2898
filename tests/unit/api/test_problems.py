"""Every error is a problem: unknown addresses, wrong methods, internal errors, with a request id."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from apiflask import APIFlask
from werkzeug.exceptions import BadRequest, HTTPException, ImATeapot, InternalServerError

import api
from api.problem_kinds import CATALOGUE
from api.problems import pointer
from cleanplate.base.settings import Settings
from storage.errors import BlobStoreUnavailable, InvalidKey
from tests.logging import restored_logging
from tests.unit.api.calling import PUBLIC_URL, Caller, MakeService, Service


@pytest.mark.parametrize("path", ["/nope", "/v1", "/v1/nope", "/v1/jobs/", "/static/../app.py", "/%2e%2e/", "/é"])
def test_an_unknown_address_is_a_problem(shop: Caller, path: str) -> None:
    problem = shop.problem("GET", path, 404, "not_found")
    assert problem["type"] == f"{PUBLIC_URL}/problems/not_found"


def test_a_wrong_method_is_a_problem_that_names_the_right_ones(shop: Caller) -> None:
    answer = shop("PATCH", "/v1/jobs", status=405)
    assert answer.json["code"] == "method_not_allowed"
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


def raising(error: Exception) -> Callable[[APIFlask], None]:
    """Adds a route that fails this way."""

    def prepare(app: APIFlask) -> None:
        @app.get("/broken")
        def broken() -> str:
            raise error

    return prepare


def test_a_fault_of_ours_is_a_problem_without_its_reason(
    make_service: MakeService, embedded_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    caller = make_service(embedded_settings, raising(RuntimeError("a hidden cause"))).stranger()
    with restored_logging(embedded_settings):
        answer = caller.get("/broken", 500)
        logged = capsys.readouterr().err
    assert answer.json["code"] == "internal_error"
    assert "a hidden cause" not in answer.get_data(as_text=True)
    assert answer.json["request_id"] in answer.json["detail"]
    assert "RuntimeError: a hidden cause" in logged
    assert answer.json["request_id"] in logged


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BlobStoreUnavailable("bucket-7 at 10.1.2.3"), 503, "blob_store_unavailable"),
        (InvalidKey("t/tnt_1/../x"), 500, "internal_error"),
        (BadRequest(), 400, "request_invalid"),
        (ImATeapot(), 400, "request_invalid"),
        (InternalServerError(), 500, "internal_error"),
    ],
)
def test_errors_of_stores_and_libraries_are_problems(
    make_service: MakeService, embedded_settings: Settings, error: Exception, status: int, code: str
) -> None:
    caller = make_service(embedded_settings, raising(error)).stranger()
    problem = caller.problem("GET", "/broken", status, code)
    assert isinstance(error, HTTPException) or str(error) not in problem["detail"]


def test_a_sane_request_id_is_kept(shop: Caller) -> None:
    answer = shop.get("/nope", 404, headers={"X-Request-Id": "order-77.retry_2"})
    assert answer.headers["X-Request-Id"] == "order-77.retry_2"
    assert answer.json["request_id"] == "order-77.retry_2"


@pytest.mark.parametrize("offered", ["", "short", "x" * 65, "with space 1", "<script>alert(1)</script>", "käsekuchen"])
def test_another_request_id_is_replaced(shop: Caller, offered: str) -> None:
    made = shop.get("/healthz", headers={"X-Request-Id": offered}).headers["X-Request-Id"]
    assert re.fullmatch(r"req_[0-9a-f]{32}", made)


@pytest.mark.parametrize(
    "path", ["/healthz", "/openapi.json", "/docs", "/nope", "/v1/jobs", "/blobs/x", "/static/docs.css"]
)
def test_every_answer_has_the_security_headers(service: Service, path: str) -> None:
    with service.app.test_client().get(path) as answer:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_a_pointer_escapes_what_means_something_in_it() -> None:
    assert pointer("images", 0, "a/b~c") == "#/images/0/a~1b~0c"


def test_every_code_of_the_catalogue_is_raised_somewhere() -> None:
    sources = "".join(
        path.read_text()
        for package in ("api", "storage", "model")
        for path in (Path(api.__file__).parent.parent / package).rglob("*.py")
        if path.name not in {"problems.py", "problem_kinds.py"}
    )
    sources += (Path(api.__file__).parent / "problems.py").read_text().partition("_BY_STATUS =")[2]
    for code in CATALOGUE:
        noun, _, rest = code.partition("_")
        assert f'"{code}"' in sources or (noun in {"image", "mask"} and f'{{noun}}_{rest}"' in sources), code

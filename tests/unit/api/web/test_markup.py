"""Texts with markup stay texts on every page, and no answer of the API is taken for a page."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from api.web.pages import OpenPages, Pages
from storage.ledger.tenants.tenants import create_key
from storage.records import ImageState, Scope
from tests import markup
from tests.unit.api.calling import RIGHTS, Caller, Service
from tests.unit.api.descriptions import operations
from tests.unit.api.web.conftest import SignIn, token_of
from tests.unit.api.web.test_pages import PEOPLE, Parts

#: Parameters that pages read.
PARAMETERS = ("state", "next", "lang", "q")


@pytest.fixture
def job_id(service: Service, shop: Caller) -> str:
    """A job with markup in each of its texts, beside a template and a webhook with markup."""
    upload, marks = shop.upload(("a.png", b"x"), ("m.png", b"x"))
    images = [{"upload_id": upload, **markup.IMAGE_FIELDS}]
    body = {**RIGHTS, "images": images, "mask_upload_id": marks, **markup.FIELDS}
    job: str = shop.post("/v1/jobs", 202, json=body).json["id"]
    service.finish(job, state=ImageState.FAILED, error_code="image_truncated", error_detail=markup.TEXT)
    [image] = shop.get(f"/v1/jobs/{job}/images").json["data"]
    shop("PATCH", f"/v1/images/{image['id']}", status=200, json={"review": "rejected", "note": markup.TEXT})
    shop.post("/v1/templates", 202, json={"name": markup.TEXT, "mask": {"upload_id": marks}})
    shop.post("/v1/webhooks", 201, json={"url": markup.ADDRESS.partition("#")[0]})
    return job


@pytest.fixture
def signed_in(service: Service, sign_in: SignIn) -> FlaskClient:
    """A person whose key has markup in its name."""
    _, secret = create_key(service.stores.database, service.tenant("shop"), markup.TEXT, scopes=list(Scope))
    browser = service.app.test_client()
    sign_in(browser, secret)
    return browser


def test_no_page_makes_elements_of_texts(service: Service, signed_in: FlaskClient, job_id: str) -> None:
    seen = ""
    pages = [
        rule.rule.replace("<id:job_id>", job_id)
        for rule in service.app.url_map.iter_rules()
        if isinstance(service.app.blueprints.get(rule.endpoint.partition(".")[0]), Pages | OpenPages)
        and "GET" in (rule.methods or ())
    ]
    parameters = "&".join(f"{name}={quote(markup.TEXT)}" for name in PARAMETERS)
    for path in [*pages, "/nowhere", f"/{quote(markup.TAG)}"]:
        for address in (path, f"{path}?{parameters}"):
            answer = signed_in.get(address, headers=PEOPLE)
            parts = Parts()
            parts.feed(answer.text)
            assert parts.inline == [], address
            assert {loaded for loaded in parts.loaded if not loaded.startswith(("/", "#", "?"))} == set(), address
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            seen += answer.text
    assert "&lt;img src=x" in seen
    assert "49" not in re.findall(r"onload=window\.stolen=1&gt;(\w+)", seen)


def test_a_refused_form_makes_no_elements_of_texts(signed_in: FlaskClient) -> None:
    token = {"csrf_token": token_of(signed_in, "/")}
    for path, form in (
        ("/admin/keys", {"tenant": markup.TEXT, "name": markup.TEXT, "scope": markup.TEXT}),
        ("/admin/pauses", {"subject": markup.TEXT, "do": markup.TEXT}),
        ("/login", {"key": markup.TEXT, "next": markup.TEXT}),
        ("/login/link", {"link": markup.TEXT}),
    ):
        parts = Parts()
        parts.feed(signed_in.post(path, data={**token, **form}, headers=PEOPLE).text)
        assert parts.inline == [], path
        assert [loaded for loaded in parts.loaded if not loaded.startswith(("/", "#", "?"))] == [], path


def test_no_answer_of_the_api_is_a_page(service: Service, shop: Caller, job_id: str) -> None:
    [image] = shop.get(f"/v1/jobs/{job_id}/images").json["data"]
    ids = {"job_id": job_id, "image_id": image["id"]}
    for method, path, _ in operations(service.document):
        if method != "GET" or path.endswith("/events"):
            continue
        address = re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], quote(markup.TAG, safe="")), path)
        answer = shop.any(method, address, headers={"Accept": "text/html"})
        assert not answer.data or answer.mimetype != "text/html", path
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path

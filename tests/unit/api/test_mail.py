"""Whom a job may have mailed, and what its answer says of the mail."""

from __future__ import annotations

from typing import Any

import pytest

from cleanplate.base.settings import Settings
from tests.unit.api.calling import Caller, MakeService, Service

RECIPIENTS = ("@shop.example", "Jo@agency.example")


def body_to(address: str) -> dict[str, Any]:
    """A job of one picture that has this address mailed."""
    mask = {"boxes": [[0, 0, 9, 9]]}
    return {"images": [{"url": "https://shop.example/a.jpg"}], "mask": mask, "mail": {"to": address}}


@pytest.fixture
def service(make_service: MakeService, embedded_settings: Settings) -> Service:
    """A service that mails to a domain and to one person."""
    mailing = {"smtp_host": "127.0.0.1", "smtp_sender": "clean@shop.example", "mail_recipients": RECIPIENTS}
    return make_service(embedded_settings.model_copy(update=mailing))


@pytest.mark.parametrize("to", ["photos@shop.example", "PHOTOS@Shop.Example", "jo@agency.example"])
def test_a_job_names_an_address_that_the_operator_allows(shop: Caller, to: str) -> None:
    job = shop.submit(1, mail={"to": to, "language": "zh-CN"})
    assert job["mail"] == {"to": to, "language": "zh-CN"} | {"state": "idle"}
    assert shop.get(f"/v1/jobs/{job['id']}", 200).json["mail"]["to"] == to


@pytest.mark.parametrize(
    "to", ["photos@elsewhere.example", "ann@agency.example", "photos@shop.example.evil.example", "x@sub.shop.example"]
)
def test_no_job_mails_anybody_else(shop: Caller, to: str) -> None:
    body = body_to(to)
    problem = shop.problem("POST", "/v1/jobs", 422, "mail_not_allowed", json=body)
    assert problem["errors"][0]["pointer"] == "#/mail/to"


@pytest.mark.parametrize(
    "to",
    [
        *("", "photos", "@shop.example", "a b@shop.example", "a@shop.example,b@shop.example", "a@b@shop.example"),
        *("a@shop.example\nBcc: b@shop.example", "a@shop.example\n", "<a@shop.example>", '"a"@shop.example'),
        *("ä@shop.example", "a@127.0.0.1."),
        "a" * 65 + "@shop.example",
    ],
)
def test_what_is_no_plain_address_is_refused(shop: Caller, to: str) -> None:
    shop.problem("POST", "/v1/jobs", 422, "validation_failed", json=body_to(to))


def test_a_service_without_a_mail_server_says_so(make_service: MakeService, embedded_settings: Settings) -> None:
    shop = make_service(embedded_settings).caller("shop")
    body = body_to("photos@shop.example")
    problem = shop.problem("POST", "/v1/jobs", 422, "mail_not_allowed", json=body)
    assert "sends no mail" in problem["detail"]

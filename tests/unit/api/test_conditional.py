"""Conditional requests: an unchanged answer is not sent again."""

from __future__ import annotations

from tests.unit.api.calling import Caller, Service


def test_an_unchanged_answer_is_not_sent_again(service: Service, shop: Caller) -> None:
    job = shop.submit()
    for path in (job["links"]["self"], job["links"]["images"], "/v1/jobs", "/v1/webhooks"):
        first = shop.get(path)
        tag = first.headers["ETag"]
        assert first.headers["Cache-Control"] == "private, no-cache"
        same = shop.get(path, 304, headers={"If-None-Match": tag})
        assert same.get_data() == b""
        assert same.headers["ETag"] == tag
        assert same.headers["X-Request-Id"]
    before = shop.get(job["links"]["self"]).headers["ETag"]
    shop.post(f"{job['links']['self']}/cancel", 200)
    after = shop.get(job["links"]["self"], headers={"If-None-Match": before})
    assert after.headers["ETag"] != before
    assert after.json["state"] == "canceled"


def test_a_tag_opens_nothing(service: Service, shop: Caller) -> None:
    job = shop.submit()
    tag = shop.get(job["links"]["self"]).headers["ETag"]
    service.caller("other").problem("GET", job["links"]["self"], 404, "not_found", headers={"If-None-Match": tag})


def test_answers_to_changes_have_no_tag(shop: Caller) -> None:
    assert "ETag" not in shop.post("/v1/jobs/job_0/cancel", 404).headers

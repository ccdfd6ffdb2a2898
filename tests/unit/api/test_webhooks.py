"""Webhooks: the secret is shown once, and only public https addresses are taken."""

from __future__ import annotations

import base64

import pytest

from cleanplate.base.settings import Settings
from tests.unit.api.calling import Caller, MakeService


def test_the_secret_is_shown_once(shop: Caller) -> None:
    made = shop.post("/v1/webhooks", 201, json={"url": "https://shop.example/hook?shop=7"}).json
    assert made["secret"].startswith("whsec_")
    listed = shop.get("/v1/webhooks").json
    assert listed == {"data": [{key: made[key] for key in made if key != "secret"}], "next_cursor": None}


def test_a_removed_webhook_is_gone_and_its_jobs_go_on(shop: Caller) -> None:
    webhook = shop.post("/v1/webhooks", 201, json={"url": "https://shop.example/hook"}).json["id"]
    job = shop.submit(webhook_id=webhook)
    assert shop("DELETE", f"/v1/webhooks/{webhook}", status=204).data == b""
    shop.problem("DELETE", f"/v1/webhooks/{webhook}", 404, "not_found")
    assert shop.get("/v1/webhooks").json["data"] == []
    assert shop.get(job["links"]["self"]).json["state"] == "queued"


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/hook",
        "https://shop.example:8443/hook?key=value",
        "https://xn--bcher-kva.example/",
        "https://a_b.shop.example/",
        "https://93.184.215.14/hook",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/hook",
        "HTTPS://SHOP.EXAMPLE./hook",
    ],
)
def test_public_addresses_are_taken(shop: Caller, url: str) -> None:
    assert shop.post("/v1/webhooks", 201, json={"url": url}).json["url"] == url


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/hook",
        "ftp://shop.example/hook",
        "//shop.example/hook",
        "shop.example/hook",
        "https://",
        "https:///hook",
        "https://user@shop.example/",
        "https://user:password@shop.example/",
        "https://@shop.example/",
        "https://shop.example/#part",
        "https://shop.example:0/",
        "https://shop.example:99999/",
        "https://shop.example:port/",
        "https://shop.example\\@127.0.0.1/",
        "https://shop .example/",
        "https://shop.example/\r\nHost: evil",
        "https://sh\u00f6p.example/",
        "https://[::1/",
        "https://localhost/",
        "https://api.localhost/",
        "https://redis/",
        "https://printer.local/",
        "https://metadata.google.internal/",
        "https://metadata.google.internal./",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://0.0.0.0/",
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://[::1]/",
        "https://[::]/",
        "https://[fe80::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[fd00:ec2::254]/",
        "https://[ff02::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:a9fe:a9fe]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://999.999.999.999/",
        "https://-shop.example/",
        "https://" + "a" * 64 + ".example/",
    ],
)
def test_other_addresses_are_refused(shop: Caller, url: str) -> None:
    problem = shop.problem("POST", "/v1/webhooks", 422, "url_not_allowed", json={"url": url})
    assert [fault["pointer"] for fault in problem["errors"]] == ["#/url"]
    assert shop.get("/v1/webhooks").json["data"] == []


@pytest.mark.parametrize(
    "body", [{}, {"url": ""}, {"url": 7}, {"url": "https://shop.example/" + "a" * 2000}, {"uri": "x"}]
)
def test_a_wrong_body_is_refused(shop: Caller, body: dict[str, object]) -> None:
    shop.problem("POST", "/v1/webhooks", 422, "validation_failed", json=body)


def test_private_addresses_are_taken_where_the_settings_allow_them(
    make_service: MakeService, embedded_settings: Settings
) -> None:
    shop = make_service(embedded_settings.model_copy(update={"webhook_allow_private": True})).caller()
    for url in ("http://127.0.0.1:9000/hook", "http://receiver:9000/", "https://10.0.0.1/"):
        shop.post("/v1/webhooks", 201, json={"url": url})
    for url in ("http://user@127.0.0.1/", "file:///etc/passwd", "http://"):
        shop.problem("POST", "/v1/webhooks", 422, "url_not_allowed", json={"url": url})


def test_a_webhook_is_changed_given_a_new_secret_and_tried(shop: Caller) -> None:
    made = shop.post("/v1/webhooks", 201, json={"url": "https://shop.example/hook", "events": ["job.completed"]}).json
    path = f"/v1/webhooks/{made['id']}"
    assert shop.get(path).json["events"] == ["job.completed"]
    changed = shop("PATCH", path, status=200, json={"url": "https://shop.example/new", "events": ["*"]}).json
    assert (changed["url"], changed["events"]) == ("https://shop.example/new", ["*"])
    assert shop("PATCH", path, status=200, json={}).json == changed
    shop.problem("PATCH", path, 422, "url_not_allowed", json={"url": "http://10.0.0.1/"})
    for wrong in ({"events": []}, {"events": ["jobs"]}, {"enabled": False}, {"secret": "x"}):
        shop.problem("PATCH", path, 422, "validation_failed", json=wrong)

    rotated = shop.post(f"{path}/rotate?keep_s=60", 200).json
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != made["secret"]
    assert rotated["previous_secret_expires_at"] is not None
    shop.problem("POST", f"{path}/rotate?keep_s=-1", 422, "validation_failed")

    pinged = shop.post(f"{path}/ping", 202).json
    assert (pinged["event_type"], pinged["state"], pinged["log"]) == ("ping", "pending", [])
    assert shop.get(f"{path}/deliveries/{pinged['id']}").json == pinged
    assert shop.get(f"{path}/deliveries?limit=1").json["data"] == [pinged]
    assert shop.get(f"{path}/deliveries?state=failed").json["data"] == []
    assert shop.post(f"{path}/deliveries/{pinged['id']}/redeliver", 202).json["id"] == pinged["id"]
    shop.problem("POST", f"{path}/deliveries/evt_0/redeliver", 404, "not_found")


def test_deliveries_are_paged(shop: Caller) -> None:
    webhook = shop.post("/v1/webhooks", 201, json={"url": "https://shop.example/hook"}).json["id"]
    sent = [shop.post(f"/v1/webhooks/{webhook}/ping", 202).json["id"] for _ in range(3)]
    first = shop.get(f"/v1/webhooks/{webhook}/deliveries?limit=2").json
    second = shop.get(f"/v1/webhooks/{webhook}/deliveries?limit=2&cursor={first['next_cursor']}").json
    assert [delivery["id"] for delivery in first["data"] + second["data"]] == sent[::-1]
    assert second["next_cursor"] is None


def test_a_job_names_several_webhooks_and_an_address_of_its_own(shop: Caller) -> None:
    first, second = (shop.post("/v1/webhooks", 201, json={"url": "https://shop.example/hook"}).json for _ in range(2))
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    own = {"url": "https://shop.example/spring", "secret": secret, "events": ["job.*"]}
    job = shop.submit(1, webhook_id=first["id"], webhook_ids=[second["id"]], webhook=own)
    assert (job["webhook_id"], job["webhook_ids"][0], len(job["webhook_ids"])) == (first["id"], second["id"], 2)
    made = shop.get(f"/v1/webhooks/{job['webhook_ids'][1]}").json
    assert (made["url"], made["events"], made["job_id"]) == (own["url"], ["job.*"], job["id"])
    assert "secret" not in made
    for webhook in (first, second, made):
        listed = shop.get(f"/v1/jobs?webhook_id={webhook['id']}").json["data"]
        assert [one["id"] for one in listed] == [job["id"]]
    body = {"images": [{"upload_id": "upl_1"}], "mask_upload_id": "upl_2"}
    for wrong, code, place in (
        ({**own, "secret": "whsec_short"}, "validation_failed", "#/webhook/secret"),
        ({**own, "secret": "whsec_" + "A" * 33}, "validation_failed", "#/webhook/secret"),
        ({**own, "url": "https://127.0.0.1/"}, "url_not_allowed", "#/webhook/url"),
    ):
        problem = shop.problem("POST", "/v1/jobs", 422, code, json={**body, "webhook": wrong})
        assert [fault["pointer"] for fault in problem["errors"]] == [place]


def test_failed_deliveries_are_recovered_and_a_start_must_be_named(shop: Caller) -> None:
    webhook = shop.post("/v1/webhooks", 201, json={"url": "https://shop.example/hook", "all_jobs": True}).json
    path = f"/v1/webhooks/{webhook['id']}"
    assert shop.post(f"{path}/recover", 202, json={"after": "evt_0"}).json == {"queued": 0, "more": False}
    shop.problem("POST", f"{path}/recover", 422, "validation_failed", json={})
    shop.problem("POST", "/v1/webhooks/whe_0/recover", 404, "not_found", json={"after": "evt_0"})
    assert shop.get(f"{path}/deliveries?event=image.*&state=failed").json["data"] == []
    shop.problem("GET", f"{path}/deliveries?event=*", 422, "validation_failed")
    assert not shop("PATCH", path, status=200, json={"all_jobs": False}).json["all_jobs"]

"""Every field of a request that takes an address refuses each spelling that leads inside.

The fields are enumerated from the API's own description: a new text that could hold an address must be named here.
"""

from __future__ import annotations

import io
import json
import re
from typing import Any, NamedTuple

import pytest
from werkzeug.test import TestResponse

from cleanplate.base.settings import Settings
from tests.addresses import OF_OTHER_PORTS, OUTSIDE_A_FOLDER, REFUSED_BY_THEIR_TEXT
from tests.unit.api.calling import RIGHTS, Caller, MakeService, Service, description_of_all
from tests.unit.api.descriptions import fields_of_requests, filled, texts_in

MASK = {"boxes": [[0, 0, 9, 9]]}
PICTURE = "https://shop.example/a.jpg"
SECRET = "whsec_" + "A" * 40
#: In place of the address.
URL = "<address>"


class Field(NamedTuple):
    """A request with an address: method, path, body, the address's place in it, and the code of its refusal."""

    method: str
    path: str
    body: dict[str, Any]
    pointer: str
    code: str = "url_not_allowed"


def job(pointer: str, code: str = "url_not_allowed", **fields: Any) -> Field:
    way_in = {} if {"manifest", "folder", "source", "images"} & fields.keys() else {"images": [{"url": PICTURE}]}
    return Field("POST", "/v1/jobs", {**RIGHTS, "mask": MASK, **way_in, **fields}, pointer, code)


FIELDS = {
    "NewImage.url": job("#/images/1/url", images=[{"url": PICTURE}, {"url": URL}]),
    "ManifestSource.url": job("#/manifest/url", manifest={"url": URL}),
    "NewJob.folder": job("#/folder", folder=URL),
    "NewJob.source": job("#/source", source=[URL]),
    "NewJob.destination": job("#/destination", "destination_not_allowed", destination=URL),
    "Destination.url": job("#/destination", "destination_not_allowed", destination={"url": URL}),
    "ManifestTerms.destination": Field(
        "POST", "/v1/jobs/manifest", {**RIGHTS, "mask": MASK, "destination": URL}, "#/destination",
        "destination_not_allowed",
    ),
    "NewRedo.destination": Field(
        "POST", "/v1/jobs/{job}/redo", {"destination": URL}, "#/destination", "destination_not_allowed"
    ),
    "OwnWebhook.url": job("#/webhook/url", webhook={"url": URL, "secret": SECRET}),
    "NewWebhook.url": Field("POST", "/v1/webhooks", {"url": URL}, "#/url"),
    "WebhookChanges.url": Field("PATCH", "/v1/webhooks/{webhook}", {"url": URL}, "#/url"),
}  # fmt: skip
#: Names, texts for people, and JSON in forms: the service connects to none of them.
NO_ADDRESSES = {
    *("name", "labels", "metadata", "attested_by", "rights_reference", "note", "texts", "cache_control"),
    *("custom_id", "path", "filename", "job", "mask", "mask_place", "options"),
}  # fmt: skip


def takes_an_address(rules: dict[str, Any]) -> bool:
    """Whether a text of these rules may be that of an address."""
    return (
        not {"enum", "const"} & rules.keys()
        and rules.get("format") not in {"date-time", "binary"}
        and rules.get("maxLength", 2000) >= len(PICTURE)
        and re.search(rules.get("pattern", ""), PICTURE) is not None
    )


def test_every_text_of_a_request_is_known_to_be_an_address_or_none() -> None:
    fields = fields_of_requests(description_of_all())
    could_be = {name for name, rules in fields if any(map(takes_an_address, texts_in(rules)))}
    assert {name for name in could_be if name.partition(".")[2] not in NO_ADDRESSES} == FIELDS.keys()


@pytest.fixture
def service(make_service: MakeService, embedded_settings: Settings) -> Service:
    """A service with one folder that it may read from, and write to."""
    buckets = {"source_buckets": ("shop/spring",), "destination_buckets": ("shop/spring",)}
    return make_service(embedded_settings.model_copy(update={**buckets, "rate_limit_per_minute": 0}))


def send(shop: Caller, field: Field, path: str, url: str) -> TestResponse:
    body = filled(field.body, {URL: url})
    if field.path == "/v1/jobs/manifest":
        form = {"manifest": (io.BytesIO(f"url\n{PICTURE}\n".encode()), "a.csv"), "job": json.dumps(body)}
        return shop.any(field.method, path, data=form)
    return shop.any(field.method, path, json=body)


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_takes_an_address_that_leads_inside(service: Service, shop: Caller, name: str) -> None:
    parent = shop.submit(1)["id"]
    webhook = shop.post("/v1/webhooks", 201, json={"url": "https://shop.example/hook"}).json["id"]
    field = FIELDS[name]
    path = field.path.format(job=parent, webhook=webhook)
    addresses = [*REFUSED_BY_THEIR_TEXT, *OUTSIDE_A_FOLDER]
    if "Webhook" not in name:
        addresses += OF_OTHER_PORTS
    for url in addresses:
        answer = send(shop, field, path, url)
        assert answer.status_code == 422, (url, answer.text)
        if answer.json["code"] != "validation_failed":
            assert answer.json["code"] == field.code, url
            assert [fault["pointer"] for fault in answer.json["errors"]] == [field.pointer], url
    assert [one["id"] for one in shop.get("/v1/jobs").json["data"]] == [parent]
    assert [one["url"] for one in shop.get("/v1/webhooks").json["data"]] == ["https://shop.example/hook"]

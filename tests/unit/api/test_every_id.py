"""An id of another tenant's is answered like one that does not exist, wherever it stands.

Paths and fields are enumerated from the API's own description and the routes of the pages: a new one must be named
here.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from api.web.pages import Pages
from cleanplate.base.settings import Settings
from storage.ledger.tenants.tenants import create_key, list_keys
from storage.records import ImageState, Scope
from tests.unit.api.calling import RIGHTS, Caller, MakeService, Service, description_of_all, mask, picture
from tests.unit.api.descriptions import fields_of_requests, filled, operations, texts_in
from tests.unit.api.web.conftest import token_of

PICTURE = "https://shop.example/a.jpg"
MASK = {"boxes": [[0, 0, 9, 9]]}
_ID = "[A-Za-z0-9_-]{1,40}"
#: An id of each kind that no tenant has.
UNKNOWN = {
    kind: f"{kind}_0" for kind in ("job", "image", "upload", "webhook", "delivery", "template", "preview", "key")
}

Ask = Callable[[Caller, dict[str, str]], TestResponse]


def post(path: str, body: dict[str, Any]) -> Ask:
    """Posts JSON in which a text such as ``upload`` is the id of that kind; ``own`` in the path is the asker's job."""
    return lambda caller, ids: caller.any(
        "POST", path.format(**ids), json=filled(body, {f"<{kind}>": one for kind, one in ids.items()})
    )


def job(**fields: Any) -> Ask:
    way_in = {} if "manifest" in fields else {"images": [{"url": PICTURE}]}
    masks = {} if {"mask", "mask_upload_id"} & fields.keys() else {"mask": MASK}
    return post("/v1/jobs", {**RIGHTS, **way_in, **masks, **fields})


def job_of_manifest(row: dict[str, Any] | None = None, **terms: Any) -> Ask:
    def ask(caller: Caller, ids: dict[str, str]) -> TestResponse:
        values = {f"<{kind}>": one for kind, one in ids.items()}
        rows = json.dumps(filled(row or {"url": PICTURE, "mask": MASK}, values)).encode()
        form = {"manifest": (io.BytesIO(rows), "a.jsonl"), "job": json.dumps({**RIGHTS, **filled(terms, values)})}
        return caller.any("POST", "/v1/jobs/manifest", data=form)

    return ask


def painted(picture: str, mask: str) -> Ask:
    source = {"job_id": "<own>", "painted": {"upload_id": picture, "mask_upload_id": mask}}
    return post("/v1/templates", {"name": "t", "estimate": source})


def inline(caller: Caller, ids: dict[str, str]) -> TestResponse:
    form = {"images": [(io.BytesIO(picture()), "a.jpg")], "mask": (io.BytesIO(mask()), "mask.png")}
    return caller.any("POST", "/v1/jobs", data={**form, "webhook": ids["webhook"]})


FIELDS: dict[str, Ask] = {
    "NewImage.upload_id": job(images=[{"upload_id": "<upload>"}]),
    "NewImage.mask_upload_id": job(images=[{"url": PICTURE, "mask_upload_id": "<upload>"}]),
    "FileMask.upload_id": job(images=[{"url": PICTURE, "mask": {"upload_id": "<upload>"}}]),
    "TemplateMask.template": job(mask={"template": "<template>"}),
    "TemplatesMask.templates": job(mask={"templates": ["<template>"]}),
    "AutoMask.logo_upload_id": job(mask={"mode": "auto", "logo_upload_id": "<upload>"}),
    "AutoMask.templates": job(mask={"mode": "auto", "templates": ["<template>"]}),
    "ManifestSource.upload_id": job(manifest={"upload_id": "<upload>"}),
    "NewJob.mask_upload_id": job(mask_upload_id="<upload>"),
    "NewJob.webhook_id": job(webhook_id="<webhook>"),
    "NewJob.webhook_ids": job(webhook_ids=["<webhook>"]),
    "ManifestTerms.mask_upload_id": job_of_manifest({"url": PICTURE}, mask_upload_id="<upload>"),
    "ManifestTerms.webhook_id": job_of_manifest(webhook_id="<webhook>"),
    "ManifestTerms.webhook_ids": job_of_manifest(webhook_ids=["<webhook>"]),
    "InlineJob.webhook": inline,
    "NewTemplate.webhook_id": post(
        "/v1/templates", {"name": "t", "estimate": {"job_id": "<own>"}, "webhook_id": "<webhook>"}
    ),
    "LogoSource.upload_id": post("/v1/templates", {"name": "t", "logo": {"upload_id": "<upload>"}}),
    "EstimateSource.upload_ids": post("/v1/templates", {"name": "t", "estimate": {"upload_ids": ["<upload>"] * 5}}),
    "EstimateSource.logo_upload_id": post(
        "/v1/templates", {"name": "t", "estimate": {"job_id": "<own>", "logo_upload_id": "<upload>"}}
    ),
    "PaintedMark.upload_id": painted("<upload>", "<file>"),
    "PaintedMark.mask_upload_id": painted("<file>", "<upload>"),
    "EstimateSource.job_id": post("/v1/templates", {"name": "t", "estimate": {"job_id": "<job>"}}),
    "Approve.templates": post("/v1/jobs/{own}/approve", {"templates": ["<template>"]}),
    "NewReviews.images": post("/v1/jobs/{own}/review", {"review": "kept", "images": ["<image>"]}),
    "NewRedo.images": post("/v1/jobs/{own}/redo", {"images": ["<image>"], "mask": MASK}),
    "NewRedo.mask_upload_id": post("/v1/jobs/{own}/redo", {"state": "succeeded", "mask_upload_id": "<upload>"}),
    "NewRedo.webhook_id": post("/v1/jobs/{own}/redo", {"state": "succeeded", "webhook_id": "<webhook>"}),
    "Recovery.after": post("/v1/webhooks/{hook}/recover", {"after": "<delivery>"}),
}
#: Further places of the same fields.
ROWS: dict[str, Ask] = {
    "a row's upload": job_of_manifest({"upload_id": "<upload>", "mask": MASK}),
    "a row's mask": job_of_manifest({"url": PICTURE, "mask_upload_id": "<upload>"}),
    "a row's template": job_of_manifest({"url": PICTURE, "mask": {"template": "<template>"}}),
    "a template of a mask": post("/v1/templates", {"name": "t", "mask": {"upload_id": "<upload>"}}),
}
#: The ids of another tenant's that a list may be filtered by.
FILTERS = {"job_id": "job", "key_id": "key", "webhook_id": "webhook"}


@pytest.fixture
def service(make_service: MakeService, embedded_settings: Settings) -> Service:
    return make_service(embedded_settings.model_copy(update={"rate_limit_per_minute": 0}))


@pytest.fixture
def theirs(service: Service) -> dict[str, str]:
    """What another tenant has: an id of each kind."""
    owner = service.caller("owner")
    job = owner.submit(1)
    [upload] = owner.upload(("a.png", b"x"))
    [marks] = owner.upload(("m.png", b"x"))
    webhook = owner.post("/v1/webhooks", 201, json={"url": "https://shop.example/hook"}).json["id"]
    owner.post(f"/v1/webhooks/{webhook}/ping", 202)
    return {
        "job": job["id"],
        "image": owner.get(job["links"]["images"]).json["data"][0]["id"],
        "upload": upload,
        "webhook": webhook,
        "delivery": owner.get(f"/v1/webhooks/{webhook}/deliveries").json["data"][0]["id"],
        "template": owner.post("/v1/templates", 202, json={"name": "t", "mask": {"upload_id": marks}}).json["id"],
        "preview": "none_1",
        "key": list_keys(service.stores.database, service.tenant("owner"))[0].id,
    }


def is_id(rules: dict[str, Any]) -> bool:
    """Whether a field of these rules is an id, or holds one."""
    return any(text.get("pattern") == f"^{_ID}$" for text in texts_in(rules))


def code_of(answer: TestResponse) -> tuple[int, str | None]:
    return answer.status_code, answer.json.get("code") if answer.is_json else None


def test_no_path_shows_or_changes_what_another_tenant_has(
    service: Service, shop: Caller, theirs: dict[str, str]
) -> None:
    asked = set()
    for method, path, operation in operations(service.document):
        kinds = {name.removesuffix("_id") for name in re.findall(r"\{(\w+)\}", path)}
        if not kinds:
            continue
        assert kinds <= theirs.keys(), f"give this test an id for {path}"
        content = operation.get("requestBody", {}).get("content", {})
        body = content.get("application/json", {}).get("example", {})
        answer = shop.any(method, re.sub(r"\{(\w+)_id\}", lambda found: theirs[found[1]], path), json=body)
        assert code_of(answer) == (404, "not_found"), (method, path)
        asked |= kinds
    assert asked == theirs.keys() - {"key"}
    owner = service.caller("owner")
    assert owner.get(f"/v1/jobs/{theirs['job']}").json["state"] == "queued"
    assert owner.get(f"/v1/webhooks/{theirs['webhook']}").json["events"]
    assert owner.get(f"/v1/templates/{theirs['template']}").json["id"] == theirs["template"]


def test_every_field_with_an_id_is_asked_for_what_another_tenant_has() -> None:
    with_ids = {name for name, rules in fields_of_requests(description_of_all()) if is_id(rules)}
    assert with_ids == FIELDS.keys()


def test_no_field_tells_what_another_tenant_has(service: Service, shop: Caller, theirs: dict[str, str]) -> None:
    parent = shop.submit(1)["id"]
    service.finish(parent, state=ImageState.SKIPPED)
    [file] = shop.upload(("own.png", b"x"))
    own = {
        "own": parent,
        "file": file,
        "hook": shop.post("/v1/webhooks", 201, json={"url": "https://shop.example/h"}).json["id"],
    }
    for name, ask in {**FIELDS, **ROWS}.items():
        with_theirs, with_none = (code_of(ask(shop, {**ids, **own})) for ids in (theirs, UNKNOWN))
        assert with_theirs == with_none, name
        # These two answer how many they found, which is none.
        assert with_theirs[0] >= 400 or name in {"NewReviews.images", "Recovery.after"}, name
    owner = service.caller("owner")
    assert owner.get(f"/v1/images/{theirs['image']}").json["review"] == "unseen"
    assert owner.get(f"/v1/jobs?webhook_id={theirs['webhook']}").json["data"] == []


def test_no_filter_finds_what_another_tenant_has(service: Service, shop: Caller, theirs: dict[str, str]) -> None:
    webhook = shop.post("/v1/webhooks", 201, json={"url": "https://shop.example/hook"}).json["id"]
    shop.post(f"/v1/webhooks/{webhook}/ping", 202)
    asked = set()
    for method, path, operation in operations(service.document):
        address = path.replace("{webhook_id}", webhook)
        for name in [one["name"] for one in operation["parameters"] if one["in"] == "query" and is_id(one["schema"])]:
            assert shop.any(method, f"{address}?{name}={theirs[FILTERS[name]]}").json["data"] == [], (path, name)
            asked.add(name)
    assert asked == FILTERS.keys()


def test_no_page_shows_or_changes_what_another_tenant_has(service: Service, theirs: dict[str, str]) -> None:
    _, secret = create_key(service.stores.database, service.tenant("shop"), "page", scopes=list(Scope))
    browser = service.app.test_client()
    browser.post("/login", data={"csrf_token": token_of(browser), "key": secret})
    headers = {"X-CSRF-Token": token_of(browser, "/")}
    asked = []
    for rule in service.app.url_map.iter_rules():
        if not rule.arguments or not isinstance(service.app.blueprints.get(rule.endpoint.partition(".")[0]), Pages):
            continue
        path = re.sub(r"<id:(\w+)_id>", lambda found: theirs[found[1]], rule.rule)
        for method in (rule.methods or set()) - {"OPTIONS"}:
            assert browser.open(path, method=method, headers=headers).status_code == 404, (method, path)
            asked.append(path)
    assert len(asked) >= 3
    assert list_keys(service.stores.database, service.tenant("owner"))[0].revoked_at is None

"""Templates over the API: requested, reviewed, approved, used by jobs; those of other tenants do not exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import update

from cleanplate.base.masks import Placement
from cleanplate.base.templates import TemplateQuality, TemplateWarning
from storage.ledger.templates.leases import fail_template, finish_template, lease_template
from storage.records import MadeTemplate
from storage.tables import templates
from tests.unit.api.calling import RIGHTS, Caller, Service, picture


def made_by_a_worker(
    service: Service, template_id: str, confidence: float = 0.5, warnings: Sequence[TemplateWarning] = ()
) -> None:
    db, blobs = service.stores.database, service.stores.blobs
    token, _ = lease_template(db, template_id, lease_s=60)
    blobs.put("previews/mask.png", b"a picture", content_type="image/png")
    made = MadeTemplate(
        id=template_id,
        place=Placement(anchor="bottom_right"),
        samples=30,
        quality=TemplateQuality(ghost=0.01),
        confidence=confidence,
        warnings=list(warnings),
        file_key="files/mark.template",
        previews={"mask": "previews/mask.png"},
    )
    assert finish_template(db, token, [made])


def estimated(shop: Caller, **fields: Any) -> dict[str, Any]:
    uploads = shop.upload(*[(f"{n}.jpg", picture()) for n in range(5)])
    body = {"name": "spring", "estimate": {"upload_ids": uploads}, **fields}
    template: dict[str, Any] = shop.post("/v1/templates", 202, json=body).json
    return template


def auto_job(shop: Caller) -> dict[str, Any]:
    uploads = shop.upload(*[(f"{n}.jpg", picture()) for n in range(5)])
    body = {"images": [{"upload_id": name} for name in uploads], "mask": {"mode": "auto"}, **RIGHTS}
    job: dict[str, Any] = shop.post("/v1/jobs", 202, json=body).json
    return job


def test_a_template_is_asked_for_looked_at_and_approved(service: Service, shop: Caller) -> None:
    template = estimated(shop)
    assert (template["state"], template["version"], template["kind"]) == ("estimating", 1, "estimate")
    path = f"/v1/templates/{template['id']}"
    shop.problem("POST", f"{path}/approve", 409, "template_not_in_review")
    made_by_a_worker(service, template["id"])
    shown = shop.get(path, 200).json
    assert (shown["state"], shown["confidence"], shown["samples"]) == ("needs_review", 0.5, 30)
    assert shop.get(shown["previews"]["mask"], 302).headers["Location"]
    shop.problem("GET", f"{path}/previews/other", 404, "not_found")
    assert shop.post(f"{path}/approve", 200).json["state"] == "ready"
    assert [entry["id"] for entry in shop.get("/v1/templates?state=ready", 200).json["data"]] == [template["id"]]
    assert shop.get("/v1/templates?state=rejected", 200).json["data"] == []
    uploads = shop.upload(("a.jpg", picture()))
    body = {"images": [{"upload_id": uploads[0]}], "mask": {"template": template["id"]}, **RIGHTS}
    job = shop.post("/v1/jobs", 202, json=body).json
    assert (job["state"], job["mask"]) == ("queued", {"template": template["id"]})
    shop.problem("DELETE", path, 409, "template_in_use")
    shop.post(f"/v1/jobs/{job['id']}/cancel", 200)
    shop("DELETE", path, status=204)
    shop.problem("GET", path, 404, "not_found")


def test_what_the_reviewer_should_know_has_a_code_its_figures_and_a_sentence(service: Service, shop: Caller) -> None:
    template = estimated(shop)
    warning = TemplateWarning(code="mark_doubtful", params={"found": 3}, detail="It may be no mark.")
    made_by_a_worker(service, template["id"], warnings=[warning])
    path = f"/v1/templates/{template['id']}"
    shown = shop.get(path, 200).json
    assert (shown["warnings"], shown["cautions"]) == (["It may be no mark."], [warning.model_dump()])
    with service.stores.database.write() as connection:
        connection.execute(update(templates).values(warnings=["A sentence of an earlier version."]))
    shown = shop.get(path, 200).json
    assert shown["warnings"] == ["A sentence of an earlier version."]
    assert shown["cautions"] == [{"code": "", "params": {}, "detail": "A sentence of an earlier version."}]


def test_foreign_templates_answer_like_none(service: Service, shop: Caller) -> None:
    template = estimated(shop)
    rival = service.caller("rival")
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/approve"),
        ("POST", "/reject"),
        ("GET", "/previews/x"),
    ):
        rival.problem(method, f"/v1/templates/{template['id']}{path}", 404, "not_found")
    assert rival.get("/v1/templates", 200).json["data"] == []
    uploads = rival.upload(("a.jpg", picture()))
    body = {"images": [{"upload_id": uploads[0]}], "mask": {"template": template["id"]}, **RIGHTS}
    rival.problem("POST", "/v1/jobs", 422, "template_unknown", json=body)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"name": "x", "mask": {"upload_id": "upl_1"}, "logo": {"upload_id": "upl_1"}},
        {"name": "x", "estimate": {}},
        {"name": "x", "estimate": {"upload_ids": ["upl_1"]}},
        {"name": "x", "estimate": {"logo_upload_id": "upl_1"}},
        {
            "name": "x",
            "estimate": {
                "upload_ids": ["upl_1"],
                "logo_upload_id": "upl_2",
                "painted": {"upload_id": "upl_3", "mask_upload_id": "upl_4"},
            },
        },
        {"name": "x", "logo": {"upload_id": "upl_1", "scale": "width"}},
        {"name": "x", "mask": {"upload_id": "upl_1", "boxes": [[0, 0, 1, 1]]}},
    ],
)
def test_a_template_needs_exactly_one_source(shop: Caller, body: dict[str, Any]) -> None:
    shop.problem("POST", "/v1/templates", 422, "validation_failed", json=body)


def test_unknown_uploads_jobs_and_webhooks_are_named(shop: Caller) -> None:
    logo = {"name": "x", "logo": {"upload_id": "upl_1"}}
    problem = shop.problem("POST", "/v1/templates", 422, "upload_unknown", json=logo)
    assert problem["errors"][0]["pointer"] == "#/logo/upload_id"
    painted = {"upload_id": "upl_2", "mask_upload_id": "upl_3"}
    shown = {"name": "x", "estimate": {"upload_ids": ["upl_1"], "painted": painted}}
    problem = shop.problem("POST", "/v1/templates", 422, "upload_unknown", json=shown)
    places = {error["pointer"] for error in problem["errors"]}
    assert places == {
        f"#/estimate/{place}" for place in ("upload_ids/0", "painted/upload_id", "painted/mask_upload_id")
    }
    body = {"name": "x", "estimate": {"job_id": "job_1"}}
    shop.problem("POST", "/v1/templates", 422, "job_unknown", json=body)
    hooked = {"name": "x", "estimate": {"job_id": shop.submit()["id"]}, "webhook_id": "whe_1"}
    shop.problem("POST", "/v1/templates", 422, "webhook_unknown", json=hooked)


def test_a_mark_whose_logo_is_known_is_looked_for_in_one_picture_or_in_a_job(service: Service, shop: Caller) -> None:
    one, logo = shop.upload(("a.jpg", picture()), ("logo.png", picture()))
    estimate = {"upload_ids": [one], "logo_upload_id": logo}
    shop.post("/v1/templates", 202, json={"name": "spring", "estimate": estimate})
    body = {"images": [{"upload_id": one}], "mask": {"mode": "auto", "logo_upload_id": logo}, **RIGHTS}
    job = shop.post("/v1/jobs", 202, json=body).json
    assert (job["state"], job["mask"]) == ("estimating", body["mask"])
    foreign = body | {"mask": {"mode": "auto", "logo_upload_id": "upl_1"}}
    problem = shop.problem("POST", "/v1/jobs", 422, "upload_unknown", json=foreign)
    assert [error["pointer"] for error in problem["errors"]] == ["#/mask/logo_upload_id"]


@pytest.mark.parametrize(
    "mask",
    [
        {"template": "tpl_1", "templates": ["tpl_2"]},
        {"template": "tpl_1", "anchor": "top"},
        {"mode": "auto", "template": "tpl_1"},
        {"mode": "auto", "boxes": [[0, 0, 1, 1]]},
        {"template": "tpl_1", "approve": "auto"},
        {"mode": "guess"},
    ],
)
def test_masks_that_say_two_things_are_refused(shop: Caller, mask: dict[str, Any]) -> None:
    uploads = shop.upload(("a.jpg", picture()))
    body = {"images": [{"upload_id": uploads[0]}], "mask": mask, **RIGHTS}
    shop.problem("POST", "/v1/jobs", 422, "validation_failed", json=body)


def test_a_job_waits_for_its_mark_and_is_approved(service: Service, shop: Caller) -> None:
    job = auto_job(shop)
    path = f"/v1/jobs/{job['id']}"
    assert (job["state"], job["review"]) == ("estimating", None)
    shop.problem("POST", f"{path}/approve", 409, "job_not_in_review", json={})
    (template,) = shop.get(f"/v1/templates?job_id={job['id']}", 200).json["data"]
    made_by_a_worker(service, template["id"])
    held = shop.get(path, 200).json
    assert (held["state"], held["review"]) == ("needs_review", {"templates": [template["id"]], "error": None})
    service.caller("rival").problem("POST", f"{path}/approve", 404, "not_found", json={})
    assert shop.post(f"{path}/approve", 200, json={}).json["state"] == "queued"
    assert shop.get(f"/v1/templates/{template['id']}", 200).json["state"] == "ready"


def test_a_job_says_why_no_mark_was_found(service: Service, shop: Caller) -> None:
    job = auto_job(shop)
    (template,) = shop.get("/v1/templates", 200).json["data"]
    db = service.stores.database
    token, _ = lease_template(db, template["id"], lease_s=60)
    fail_template(db, token, "samples_too_few", "15 more are needed.", retry=False, max_attempts=3, needed=15)
    path = f"/v1/jobs/{job['id']}"
    held = shop.get(path, 200).json
    assert held["review"]["error"] == {"code": "samples_too_few", "detail": "15 more are needed.", "needed": 15}
    shop.problem("POST", f"{path}/approve", 409, "template_missing", json={})
    shop.problem("POST", f"{path}/approve", 422, "template_unknown", json={"templates": ["tpl_1"]})
    assert shop.post(f"{path}/cancel", 200).json["state"] == "canceled"

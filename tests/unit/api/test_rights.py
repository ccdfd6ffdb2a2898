"""Every job needs a statement of rights, by every way of submission."""

from __future__ import annotations

import io
from typing import Any

import pytest

from storage.ledger.operations.audit import chain, chained_entries
from tests.unit.api.calling import RIGHTS, Caller, Service, mask, picture

FIELDS = tuple(RIGHTS)


def body(shop: Caller, **fields: Any) -> dict[str, Any]:
    image, marks = shop.upload(("a.jpg", picture()), ("mask.png", mask()))
    return {"images": [{"upload_id": image}], "mask_upload_id": marks, **fields}


def form(**fields: Any) -> dict[str, Any]:
    return {"images": [(io.BytesIO(picture()), "a.jpg")], "mask": (io.BytesIO(mask()), "mask.png"), **fields}


@pytest.mark.parametrize("missing", [FIELDS, *((field,) for field in FIELDS)])
def test_a_job_without_its_rights_is_refused_with_the_reason(shop: Caller, missing: tuple[str, ...]) -> None:
    absent = dict.fromkeys(missing)
    for sent in ({"json": body(shop, **absent)}, {"data": form(**absent)}):
        problem = shop.problem("POST", "/v1/jobs", 422, "rights_missing", **sent)
        assert [error["pointer"] for error in problem["errors"]] == [f"#/{field}" for field in missing]
        assert all(field in problem["detail"] for field in missing)
    assert shop.get("/v1/jobs").json["data"] == []


@pytest.mark.parametrize("blank", ["", "  ", "\t"])
def test_a_blank_counts_as_missing(shop: Caller, blank: str) -> None:
    shop.problem("POST", "/v1/jobs", 422, "rights_missing", json=body(shop, attested_by=blank))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rights_basis", "thief"),
        ("attested_by", "Jo\x00Doe"),
        ("attested_by", "J" * 201),
        ("attested_by", 7),
        ("attested_by", "\ud800"),
        ("rights_reference", "r" * 501),
        ("rights_reference", "two\nlines"),
    ],
)
def test_a_statement_that_does_not_fit_is_refused(shop: Caller, field: str, value: object) -> None:
    problem = shop.problem("POST", "/v1/jobs", 422, "validation_failed", json=body(shop, **{field: value}))
    assert [error["pointer"] for error in problem["errors"]] == [f"#/{field}"]


@pytest.mark.parametrize("basis", ["owner", "licensee", "authorised_agent"])
def test_a_job_shows_what_was_stated(shop: Caller, basis: str) -> None:
    stated = {"rights_basis": basis, "attested_by": " Jörg Ødegård ", "rights_reference": "contract 7/2026"}
    job = shop.post("/v1/jobs", 202, json=body(shop, **stated)).json
    assert job["rights"] == {"basis": basis, "attested_by": "Jörg Ødegård", "reference": "contract 7/2026"}
    assert shop.get(job["links"]["self"]).json["rights"] == job["rights"]


def test_the_audit_log_names_the_key_that_submitted_and_canceled(service: Service, shop: Caller) -> None:
    job = shop.submit()
    shop.post(f"/v1/jobs/{job['id']}/cancel", 200)
    db = service.stores.database
    chain(db)
    made, submitted, canceled = chained_entries(db, service.tenant("shop"))
    assert (made.action, submitted.action, canceled.action) == ("key.created", "job.submitted", "job.canceled")
    assert {submitted.actor, canceled.actor} == {f"key:{made.data['key']}"}
    assert submitted.job_id == canceled.job_id == job["id"]
    assert submitted.data["attested_by"] == RIGHTS["attested_by"]

"""Pauses over the API, and the priority and deadline of a job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from storage.ledger.jobs.pauses import pause_job, pause_tenant
from storage.records import PausedBy, Scope
from tests.unit.api.calling import Caller, Service


@pytest.fixture
def rival(service: Service) -> Caller:
    """Another tenant's caller."""
    return service.caller("rival")


def test_a_job_is_paused_and_goes_on(shop: Caller) -> None:
    job = shop.submit(2)
    assert job["paused"] is False
    assert shop.post(f"/v1/jobs/{job['id']}/pause", 200).json["paused"] is True
    assert shop.get(f"/v1/jobs/{job['id']}").json["paused"] is True
    assert shop.post(f"/v1/jobs/{job['id']}/resume", 200).json["paused"] is False


def test_a_tenant_pauses_all_its_jobs(shop: Caller, rival: Caller) -> None:
    mine, theirs = shop.submit(), rival.submit()
    assert shop("PUT", "/v1/pause", status=200).json == {"paused": True, "by": ["tenant"]}
    assert shop.get(f"/v1/jobs/{mine['id']}").json["paused"] is True
    assert rival.get(f"/v1/jobs/{theirs['id']}").json["paused"] is False
    assert shop.submit()["paused"] is True
    assert shop("DELETE", "/v1/pause", status=200).json == {"paused": False, "by": []}
    assert shop.get("/v1/pause").json == {"paused": False, "by": []}


def test_a_tenant_cannot_resume_the_operators_pause(service: Service, shop: Caller) -> None:
    job = shop.submit()
    database = service.stores.database
    tenant = service.tenant("shop")
    pause_job(database, tenant, job["id"], PausedBy.OPERATOR)
    pause_tenant(database, tenant, PausedBy.OPERATOR)
    shop.problem("POST", f"/v1/jobs/{job['id']}/resume", 409, "paused_by_operator")
    shop.problem("DELETE", "/v1/pause", 409, "paused_by_operator")
    assert shop.get("/v1/pause").json == {"paused": True, "by": ["operator"]}


def test_pausing_needs_the_scope_admin(service: Service, shop: Caller) -> None:
    job = shop.submit()
    submitting = service.caller("shop", scopes=(Scope.SUBMIT, Scope.READ))
    submitting.problem("POST", f"/v1/jobs/{job['id']}/pause", 403, "scope_missing")
    submitting.problem("PUT", "/v1/pause", 403, "scope_missing")


def test_another_tenants_job_is_not_there_to_be_paused(shop: Caller, rival: Caller) -> None:
    job = shop.submit()
    rival.problem("POST", f"/v1/jobs/{job['id']}/pause", 404, "not_found")


def test_a_job_states_its_priority_and_deadline(shop: Caller) -> None:
    deadline = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    job = shop.submit(priority="interactive", deadline=deadline.isoformat())
    assert (job["priority"], datetime.fromisoformat(job["deadline"])) == ("interactive", deadline)
    plain = shop.submit()
    assert (plain["priority"], plain["deadline"]) == ("bulk", None)


@pytest.mark.parametrize("deadline", ["2020-01-01T00:00:00Z", "2126-01-01T00:00:00", "soon"])
def test_a_deadline_is_a_time_to_come_with_its_zone(shop: Caller, deadline: str) -> None:
    body = shop.problem(
        "POST", "/v1/jobs", 422, "validation_failed", json={"images": [{"upload_id": "upl_1"}], "deadline": deadline}
    )
    assert [fault["pointer"] for fault in body["errors"]] == ["#/deadline"]

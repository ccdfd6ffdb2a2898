"""Liveness and readiness are separate checks; readiness names the missing part."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import pytest
from pydantic import SecretStr

from cleanplate.base.reports import DeviceReport
from cleanplate.base.settings import Settings
from storage.ledger.operations.devices import report_devices
from tests.servers import PostgresServer, free_port
from tests.unit.api.calling import MakeService


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine take longer to connect to its servers."""
    # The blueprint has the module's name in its package.
    monkeypatch.setattr(import_module("api.routes.health"), "_PATIENCE_S", 60.0)


def test_a_service_with_all_it_needs_is_ready(make_service: MakeService, settings: Settings) -> None:
    anyone = make_service(settings).stranger()
    assert anyone.get("/healthz").json == {"status": "ok"}
    assert anyone.get("/readyz").json == {"status": "ok", "workers": 0, "starting": 0, "reason": None}


def test_a_service_says_how_many_workers_run_and_why_others_do_not(
    make_service: MakeService, embedded_settings: Settings
) -> None:
    service = make_service(embedded_settings)
    card = DeviceReport(device="cuda0", host="rack-1", state="working", told_at=0.0)
    failed = replace(card, device="cuda1", state="crash_loop", reason="weights_missing: No file /srv/secret/w.")
    report_devices(service.stores.database, "rack-1-7", [failed])
    expected = {"status": "ok", "workers": 0, "starting": 0, "reason": "weights_missing"}
    assert service.stranger().get("/readyz").json == expected
    report_devices(service.stores.database, "rack-1-7", [failed, card, replace(card, device="cuda2", state="starting")])
    assert service.stranger().get("/readyz").json == expected | {"workers": 1, "starting": 1}


def test_a_ledger_that_was_never_migrated_is_not_ready(
    make_service: MakeService, postgres_server: PostgresServer, embedded_settings: Settings
) -> None:
    name = postgres_server.new_database(empty=True)
    service = make_service(embedded_settings.model_copy(update={"database_url": SecretStr(postgres_server.url(name))}))
    problem = service.stranger().problem("GET", "/readyz", 503, "not_ready")
    assert "cleanplate migrate" in problem["detail"]
    service.stores.close()
    postgres_server.drop_database(name)


def test_a_ledger_that_does_not_answer_is_named_without_its_address(
    make_service: MakeService, embedded_settings: Settings
) -> None:
    url = f"postgresql://someone:password@127.0.0.1:{free_port()}/ledger"
    service = make_service(embedded_settings.model_copy(update={"database_url": SecretStr(url)}))
    anyone = service.stranger()
    answer = anyone.get("/readyz", 503)
    assert answer.headers["Retry-After"] == "5"
    assert "ledger_unavailable" in answer.json["detail"]
    answer = service.stranger("cp_" + "x" * 43).get("/v1/jobs", 503)
    assert answer.json["code"] == "ledger_unavailable"
    assert "127.0.0.1" not in answer.get_data(as_text=True)
    assert anyone.get("/healthz").json == {"status": "ok"}


@pytest.mark.parametrize("trouble", ["no server", "no bucket", "wrong secret"])
def test_an_object_store_that_does_not_answer_is_named(
    make_service: MakeService, server_settings: Settings, trouble: str
) -> None:
    change = {
        "no server": {"s3_endpoint_url": f"http://127.0.0.1:{free_port()}"},
        "no bucket": {"blobs_url": f"{server_settings.blobs_url}-not-there"},
        "wrong secret": {"s3_secret_access_key": SecretStr("wrong")},
    }[trouble]
    service = make_service(server_settings.model_copy(update=change))
    problem = service.stranger().problem("GET", "/readyz", 503, "not_ready")
    assert "object store" in problem["detail"]
    assert "ledger" not in problem["detail"]


def test_stores_are_opened_at_the_first_use(make_service: MakeService, embedded_settings: Settings) -> None:
    service = make_service(embedded_settings)
    assert not (service.settings.home / "blobs").exists()
    service.stranger().get("/readyz")
    assert (service.settings.home / "blobs").exists()


def test_a_service_whose_disk_is_full_is_not_ready(make_service: MakeService, embedded_settings: Settings) -> None:
    service = make_service(embedded_settings.model_copy(update={"min_free_bytes": 1 << 62}))
    problem = service.stranger().problem("GET", "/readyz", 503, "not_ready")
    assert "disk is full" in problem["detail"]
    assert service.stranger().get("/healthz").json == {"status": "ok"}

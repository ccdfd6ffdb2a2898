"""The large network from the page: who may fetch it, and what is said of it to everybody else."""

from __future__ import annotations

import shutil

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from cleanplate.base.pulls import STALE_S, Pull, Stage, read_pull, state_path, stop_path, write_pull
from cleanplate.base.reports import DeviceReport
from cleanplate.base.settings import Settings
from cleanplate.base.weights import LARGE, path_of
from model.networks.weights import SHIPPED as SHIPPED_FILE
from storage.ledger.operations.devices import report_devices
from storage.records import Scope
from tests.unit.api.calling import MakeService, Service
from tests.unit.api.web.test_admin import signed_in, token_of

PATH = "/networks/large"


@pytest.fixture
def up(make_service: MakeService, embedded_settings: Settings) -> Service:
    """A service with the settings of ``up`` whose tenant `local` runs it."""
    return make_service(embedded_settings.model_copy(update={"operator_tenants": ("local",)}))


def page_of(client: FlaskClient) -> str:
    return client.get("/").get_data(as_text=True)


def headers(client: FlaskClient) -> dict[str, str]:
    return {"X-CSRF-Token": token_of(page_of(client))}


def test_only_who_runs_the_service_may_fetch_the_network(up: Service) -> None:
    for tenant, scopes in (("shop", [Scope.ADMIN, Scope.SUBMIT]), ("local", [Scope.READ, Scope.SUBMIT])):
        client = signed_in(up, tenant, *scopes)
        page = page_of(client)
        assert 'id="large"' not in page
        assert "Whoever runs the service adds it by" in page
        for method in ("GET", "POST", "DELETE"):
            answer = client.open(PATH, method=method, headers=headers(client))
            assert (answer.status_code, answer.get_json()["code"]) == (403, "scope_missing")
    assert read_pull(state_path(up.settings, LARGE)) is None
    operator = signed_in(up, "local", Scope.ADMIN)
    assert 'id="large"' in page_of(operator)
    assert operator.get(PATH).get_json() == {"stage": "absent"}


def test_nothing_is_fetched_without_the_pages_token_or_a_session(up: Service) -> None:
    client = signed_in(up, "local", Scope.ADMIN)
    assert client.post(PATH).status_code == 403
    assert up.app.test_client().post(PATH).status_code == 302
    assert read_pull(state_path(up.settings, LARGE)) is None


def test_where_workers_have_folders_of_their_own_the_page_says_how_instead(
    make_service: MakeService, embedded_settings: Settings
) -> None:
    servers = {"operator_tenants": ("local",), "broker_url": SecretStr("redis://127.0.0.1:1/0")}
    service = make_service(embedded_settings.model_copy(update=servers))
    client = signed_in(service, "local", Scope.ADMIN)
    page = page_of(client)
    assert 'id="large"' not in page
    assert "name it in CLEANPLATE_MODELS, and start the API again" in page
    assert client.post(PATH, headers=headers(client)).status_code == 404


def test_the_offer_names_the_size_and_the_cost_on_the_services_devices(up: Service) -> None:
    client = signed_in(up, "local", Scope.ADMIN)
    assert "Large network, 200 MB: better in wide holes, slower." in page_of(client)
    for device, said in (("cpu", "about 4 times slower here."), ("cuda0", "slower.")):
        report = DeviceReport(device=device, host="here", state="working", told_at=0.0)
        report_devices(up.stores.database, "here-1", [report])
        assert f"Large network, 200 MB: better in wide holes, {said}" in page_of(client)


def test_a_stop_is_asked_of_a_running_pull_and_clears_an_ended_one(up: Service) -> None:
    client, path = signed_in(up, "local", Scope.ADMIN), state_path(up.settings, LARGE)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_pull(path, Pull(stage=Stage.FETCHING, arrived=5, total=9))
    answer = client.delete(PATH, headers=headers(client)).get_json()
    assert (answer["stage"], answer["arrived"], answer["total"]) == ("fetching", 5, 9)
    assert stop_path(path).exists()
    write_pull(path, Pull(stage=Stage.FAILED, code="disk_full"))
    assert client.delete(PATH, headers=headers(client)).get_json() == {"stage": "absent"}


def test_a_network_that_is_there_is_not_fetched_again(up: Service) -> None:
    client, file = signed_in(up, "local", Scope.ADMIN), path_of(up.settings, LARGE)
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(SHIPPED_FILE, file)
    assert client.post(PATH, headers=headers(client)).get_json() == {"stage": "here"}
    assert read_pull(state_path(up.settings, LARGE)) is None
    assert 'id="large"' not in page_of(client)


def test_a_folder_that_cannot_be_made_is_an_answer_with_its_code(up: Service) -> None:
    client = signed_in(up, "local", Scope.ADMIN)
    token = headers(client)
    (up.settings.home / "weights").write_text("in the way")
    answer = client.post(PATH, headers=token).get_json()
    assert (answer["stage"], answer["code"]) == ("failed", "folder_unusable")


def test_a_pull_that_tells_nothing_any_more_counts_as_stopped(up: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    path = state_path(up.settings, LARGE)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_pull(path, Pull(stage=Stage.FETCHING, arrived=5, total=9))
    pull = read_pull(path)
    assert pull is not None and pull.stage is Stage.FETCHING
    monkeypatch.setattr("cleanplate.base.pulls.time.time", lambda: pull.told_at + STALE_S + 1)
    later = read_pull(path)
    assert later is not None and (later.stage, later.arrived) == (Stage.STOPPED, 5)
    path.write_text("half of")
    assert read_pull(path) is None

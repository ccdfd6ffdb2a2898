"""Logs of the API: one event per request, without keys, tokens or queries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from apiflask import APIFlask
from flask import request

from cleanplate.base.settings import Settings
from tests.logging import restored_logging
from tests.unit.api.calling import MakeService, Service


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The log events since the last call."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_every_request_is_one_event(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    caller = service.caller()
    with restored_logging(service.settings):
        for path, status, route in [
            ("/healthz", 200, "/healthz"),
            ("/v1/jobs?limit=5", 200, "/v1/jobs"),
            ("/v1/jobs/job_0", 404, "/v1/jobs/<id:job_id>"),
            ("/nope/secret-path", 404, None),
        ]:
            answer = caller.get(path, status)
            (event,) = lines(capsys)
            assert event["event"] == "request"
            assert (event["method"], event["route"], event["status"]) == ("GET", route, status)
            assert event["request_id"] == answer.headers["X-Request-Id"]
            assert event["seconds"] >= 0


def test_a_request_names_its_tenant_and_its_problem(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    caller = service.caller()
    with restored_logging(service.settings):
        caller.get("/v1/jobs/job_0", 404)
        (event,) = lines(capsys)
    assert (event["tenant"], event["code"]) == (service.tenant("shop"), "not_found")


def test_a_request_names_its_key_and_the_ids_in_its_path(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    caller = service.caller()
    with restored_logging(service.settings):
        job = caller.submit()
        submitted = lines(capsys)
        image = caller.get(job["links"]["images"]).json["data"][0]
        caller.get(f"/v1/images/{image['id']}")
        *_, of_image = lines(capsys)
        caller("DELETE", f"/v1/jobs/{job['id']}", status=204)
        *_, deleted = lines(capsys)
        service.stranger().get("/healthz", 200)
        (of_nobody,) = lines(capsys)
    events = {line["event"]: line for line in submitted if line.get("job") == job["id"]}
    assert events["request"]["key"] == of_image["key"] == deleted["key"]
    assert events["images.submitted"]["images"] == [image["id"]]
    assert events["images.submitted"]["actor"] == f"key:{deleted['key']}"
    assert of_image["image"] == image["id"]
    assert (deleted["method"], deleted["job"]) == ("DELETE", job["id"])
    assert (of_nobody["key"], of_nobody["tenant"]) == (None, None)


def test_no_key_token_or_query_is_logged(
    make_service: MakeService, embedded_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaking(app: APIFlask) -> None:
        @app.get("/broken/<token>")
        def broken(token: str) -> str:
            key = request.headers["Authorization"]
            raise RuntimeError(f"while serving /blobs/{token}?signature=abcdef for {key} at postgresql://me:pw@db/x")

    service = make_service(embedded_settings, breaking)
    caller = service.caller()
    key = caller.headers["Authorization"].removeprefix("Bearer ")
    with restored_logging(service.settings):
        job = caller.submit()
        service.succeed(job["id"])
        image = caller.get(job["links"]["images"]).json["data"][0]
        link = caller.get(image["result_url"], 302).headers["Location"]
        token = link.rpartition("/")[2]
        secret = caller.post("/v1/webhooks", 201, json={"url": "https://shop.example/?hush=1"}).json["secret"]
        service.stranger().get(link)
        service.stranger().get(f"{link}x?key={key}", 403)
        service.stranger().get(f"/nope/{token}?key={key}", 404)
        service.stranger().get(f"/v1/jobs?key={key}", 401)
        service.stranger(f"{key}x").get("/v1/jobs", 401)
        caller.get(f"/broken/{token}", 500)
        logged = capsys.readouterr().err
    assert logged.count('"event": "request"') >= 10
    assert "RuntimeError" in logged
    for hidden in (key, token, secret, "hush", "abcdef", "me:pw"):
        assert hidden not in logged

"""Logs, metrics and one trace over all processes, read as an operator's tools read them."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from cleanplate.base.settings import Settings
from cleanplate.client.http import Client
from storage.database import Database
from storage.ledger.tenants.tenants import create_key, ensure_tenant
from tests import patient
from tests.catalogue import bar_mask, picture, png
from tests.running import cleanplate, running, until
from tests.servers import free_port
from tests.unit.cleanplate.telemetry.test_metrics import samples
from tests.webhook_receiver import Receiver, receiver_running

RIGHTS = ("--rights-basis", "owner", "--attested-by", "Jo Doe", "--rights-reference", "a test")
STAGES = {"image.fetch", "image.decode", "image.network", "image.encode", "image.store"}


def spans_in(collector: Receiver) -> list[Span]:
    spans: list[Span] = []
    for received in list(collector.received):
        for resource in ExportTraceServiceRequest.FromString(received.body).resource_spans:
            spans += [span for scope in resource.scope_spans for span in scope.spans]
    return spans


def test_a_run_appears_in_logs_metrics_and_one_trace(server_settings: Settings, tmp_path: Path) -> None:
    port, metrics_port = free_port(), free_port(beside=2)
    settings = server_settings.model_copy(
        update={
            "port": port,
            "public_url": f"http://127.0.0.1:{port}",
            "metrics_port": metrics_port,
            "api_workers": 1,
            "device": "cpu",
            "torch_threads": 1,
            "webhook_allow_private": True,
            "tracing": True,
        }
    )
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.png").write_bytes(png(picture(number)))
    (folder / "broken.png").write_bytes(png(picture(9))[:2000])
    mask = tmp_path / "mask.png"
    mask.write_bytes(png(bar_mask()))
    database = Database.connect(settings.sqlalchemy_url)
    _, key = create_key(database, ensure_tenant(database, "shop"), "a key")
    database.close()
    with receiver_running() as collector, receiver_running() as receiver, ExitStack() as stack:
        variables = settings.environment() | {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        logs = {name: tmp_path / f"{name}.log" for name in ("serve", "dispatch", "worker")}
        for name, path in logs.items():
            stack.enter_context(running(name, settings=variables, log_path=path))
        until(lambda: _answers(settings.public_url), logs["serve"].read_text)
        with Client(settings.public_url, key) as client:
            webhook = client.webhooks.create(receiver.url)
            sent = cleanplate(
                "submit", str(folder), "--mask", str(mask), "--out", str(tmp_path / "out"),
                "--webhook-id", webhook.id, *RIGHTS,
                settings={"CLEANPLATE_URL": settings.public_url, "CLEANPLATE_API_KEY": key},
            )  # fmt: skip
            [job] = client.jobs()
            assert (job.counts.succeeded, job.counts.failed) == (2, 1), sent.stderr
            images = {image.id for image in client.images(job.id)}
        until(lambda: len(receiver.received) >= 2, "the webhooks did not arrive")
        until(
            lambda: sum(span.name == "webhook.post" for span in spans_in(collector)) >= 2,
            lambda: f"spans: {[span.name for span in spans_in(collector)]}",
        )
        until(lambda: sum(span.name == "image" for span in spans_in(collector)) == 3, "an image's span is missing")
        metrics = samples(metrics_port + 2)
        spans = spans_in(collector)

    ended = {labels: value for (name, labels), value in metrics.items() if name == "cleanplate_images_ended_total"}
    assert ended[(("code", ""), ("state", "succeeded"))] == 2
    assert sum(ended.values()) == 3
    assert metrics["cleanplate_stage_duration_seconds_count", (("stage", "store"),)] == 2

    [root] = [span for span in spans if span.name == "job.submit"]
    mine = [span for span in spans if span.trace_id == root.trace_id]
    assert {span.name for span in mine} >= {"job.submit", "shard.publish", "image", "webhook.post"} | STAGES
    by_id = {span.span_id: span for span in mine}
    assert all(by_id[span.parent_span_id].name == "image" for span in mine if span.name in STAGES)
    assert {by_id[span.parent_span_id].name for span in mine if span.name in {"image", "webhook.post"}} == {
        "job.submit"
    }
    secrets = [
        key,
        webhook.secret or "",
        settings.s3_secret_access_key.get_secret_value(),
        settings.database_url.get_secret_value(),
        "X-Amz-Signature",
        "a.png",
    ]
    assert not [secret for secret in secrets if secret in str(spans)]

    logged_images = set()
    for name, path in logs.items():
        for line in path.read_text().splitlines():
            event = json.loads(line)
            assert {"event", "level", "timestamp", "logger"} <= set(event), f"{name}: {line}"
            if event["event"].startswith("image.") or "image" in event:
                assert event["image"] in images, line
                assert event.get("job") == job.id, line
                logged_images.add(event["image"])
            if event["event"].startswith(("webhook.posted", "job.")):
                assert event.get("job") == job.id, line
        assert not [secret for secret in secrets[:5] if secret in path.read_text()], name
    assert logged_images == images


def _answers(url: str) -> bool:
    try:
        return patient.get(f"{url}/readyz").is_success
    except httpx.TransportError:
        return False

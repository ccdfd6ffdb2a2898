"""Metrics: sums over a program's processes on its own port; dashboards and alert rules name existing metrics."""

from __future__ import annotations

import json
import re
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from cleanplate.base.settings import Settings
from cleanplate.telemetry import meters, metrics
from storage.database import Database
from storage.ledger.tenants.tenants import ensure_tenant
from tests.running import REPOSITORY, running, until
from tests.servers import free_port
from tests.shop import Shop
from workers.leader.dispatcher import Dispatcher
from workers.shared.queue import make_celery, prepare_queue

DEPLOY = REPOSITORY / "deploy"


def samples(port: int) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def expressions() -> Iterator[str]:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    rules = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def named() -> set[str]:
    """Every name under which a metric of ours has samples."""
    return {
        name
        for metric in vars(meters).values()
        if isinstance(metric, MetricWrapperBase)
        for family in metric.describe()
        for name in [*REGISTRY._get_names(metric), family.name]
    }


@pytest.mark.parametrize("expression", list(expressions()))
def test_alert_rules_and_dashboards_are_valid_and_name_existing_metrics(expression: str) -> None:
    promql_parser.parse(expression)
    used = set(re.findall(r"\bcleanplate_\w+", expression))
    assert used
    assert used <= named(), used - named()


def test_rules_say_what_happened_and_how_bad_it_is() -> None:
    rules: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text())
    operations = (REPOSITORY / "docs" / "operations.md").read_text()
    for rule in rules["groups"][0]["rules"]:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"].endswith(".")
        assert re.fullmatch(r"\d+[mh]", rule["for"])
        assert rule["alert"] in operations


def test_every_metric_follows_the_conventions() -> None:
    for name in named():
        assert name.startswith("cleanplate_")
        assert not re.search(r"_(ms|minutes|millis|kb|mb)\b", name)


def test_the_processes_of_the_api_are_counted_together(embedded_settings: Settings, tmp_path: Path) -> None:
    port, shown = free_port(), free_port()
    settings = embedded_settings.model_copy(update={"port": port, "api_workers": 2, "metrics_port": shown})
    with running("serve", settings=settings.environment(), log_path=tmp_path / "log") as api:

        def healthy() -> bool:
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).status == 200
            except OSError:
                return False

        until(healthy, lambda: api.log)
        for _ in range(20):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60).close()
        labels = (("method", "GET"), ("route", "/healthz"), ("status", "200"))
        assert samples(shown)["cleanplate_http_request_duration_seconds_count", labels] >= 21


def test_a_taken_port_is_told_and_the_next_one_serves(embedded_settings: Settings) -> None:
    taken = free_port(beside=3)
    settings = embedded_settings.model_copy(update={"metrics_port": taken})
    with socket.create_server(("127.0.0.1", taken)), capture_logs() as lines, metrics.shown(settings, metrics.API):
        assert samples(taken + 3)
    (told,) = lines
    assert (told["event"], told["log_level"]) == ("metrics.port_taken", "warning")
    assert (told["port"], told["served_at"]) == (taken, taken + 3)


def test_nothing_is_shown_unless_asked_for(embedded_settings: Settings) -> None:
    assert embedded_settings.metrics_port == 0
    assert embedded_settings.metrics_host == "127.0.0.1"


def test_the_leader_tells_the_backlog(embedded_settings: Settings) -> None:
    settings = embedded_settings.model_copy(update={"metrics_port": free_port()})
    prepare_queue(settings)
    database = Database.connect(settings.sqlalchemy_url)
    Shop(database, ensure_tenant(database, "shop")).submit(5)
    celery = make_celery(settings)
    Dispatcher(database, celery, settings).tick()
    celery.close()
    database.close()
    assert REGISTRY.get_sample_value("cleanplate_images_queued", {"priority": "bulk"}) == 5
    assert REGISTRY.get_sample_value("cleanplate_queue_images") == 5
    assert REGISTRY.get_sample_value("cleanplate_drain_seconds") == float("inf")


def test_a_dispatcher_shows_its_metrics_on_loopback_alone(embedded_settings: Settings, tmp_path: Path) -> None:
    base = free_port(beside=1)
    settings = embedded_settings.model_copy(update={"metrics_port": base})
    with running("dispatch", settings=settings.environment(), log_path=tmp_path / "log") as dispatcher:

        def leads() -> bool:
            try:
                return samples(base + 1).get(("cleanplate_dispatcher_leads", ())) == 1
            except OSError:
                return False

        until(leads, lambda: dispatcher.log)
        host = socket.gethostbyname(socket.gethostname())
        if not host.startswith("127."):
            with pytest.raises(OSError, match="refused"):
                socket.create_connection((host, base + 1), timeout=2)

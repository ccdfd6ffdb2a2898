"""The Helm chart, rendered by Helm itself: valid for Kubernetes, and no name in it that the project lacks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import helm_python
import kubernetes_validate
import promql_parser
import pytest
import typer
import yaml
from helm_python import chart as helm_chart

from cleanplate.base.settings import Settings, load_settings
from cleanplate.cli import app
from cleanplate.telemetry.metrics import API, DISPATCHER, WORKER
from tests.running import REPOSITORY
from tests.unit.cleanplate.telemetry.test_metrics import named
from tests.unit.docs.test_docs import parsed
from workers.shared.queue import DRAIN_S

CHART = REPOSITORY / "deploy" / "chart"
#: The required values.
LEAST: dict[str, Any] = {
    "publicUrl": "https://cleanplate.example",
    "secret": {"name": "cleanplate"},
    "settings": {"CLEANPLATE_BLOBS_URL": "s3://pictures"},
}
#: All features on, and every choice different from the default.
MOST: dict[str, Any] = LEAST | {
    "publicUrl": "https://shop.example/cleanplate",
    "images": {"api": {"digest": f"sha256:{'0' * 64}"}, "worker": {"tag": "1.2.3"}},
    "imagePullSecrets": [{"name": "registry"}],
    "workers": {
        "cpu": {"enabled": True, "scaling": {"enabled": True}, "weightsClaim": "weights"},
        "gpu": {"runtimeClassName": "nvidia"},
        "big": {
            "enabled": True,
            "replicas": 3,
            "settings": {"CLEANPLATE_DEVICE": "cuda", "CLEANPLATE_MAX_IMAGE_PIXELS": "400000000"},
            "strategy": {"maxSurge": 0, "maxUnavailable": 1},
            "maxUnavailable": 1,
            "resources": {},
            "scaling": {"enabled": False},
        },
    },
    "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "tls"},
    "networkPolicy": {
        "apiFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}],
        "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "minio"}}}], "ports": [{"port": 9000}]}],
    },
    "monitoring": {"serviceMonitor": True, "rules": True, "labels": {"release": "prometheus"}},
}
#: Custom resources, for which Kubernetes has no schema.
FOREIGN = {"ScaledObject", "ServiceMonitor", "PrometheusRule"}
VARIABLES = {f"CLEANPLATE_{name.upper()}": field for name, field in Settings.model_fields.items()}
SECRETS = {name for name, field in VARIABLES.items() if "SecretStr" in str(field.annotation)}


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    with helm_python.Chart.load(CHART) as chart:
        manifests = chart.render(values, name="shop", namespace="pictures")
    return [document for text in manifests.values() for document in yaml.safe_load_all(text) if document]


def pods(values: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod of the chart, by the name of its owner."""
    for document in rendered(values):
        if document["kind"] in {"Deployment", "Job"}:
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def of_kind(kind: str, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in rendered(values) if one["kind"] == kind}


@pytest.fixture(params=[LEAST, MOST], ids=["least", "most"])
def values(request: pytest.FixtureRequest) -> dict[str, Any]:
    chosen: dict[str, Any] = request.param
    return chosen


@pytest.mark.parametrize("version", ["1.27", "1.37"])
def test_kubernetes_understands_what_is_rendered(values: dict[str, Any], version: str) -> None:
    documents = rendered(values)
    for document in documents:
        if document["kind"] not in FOREIGN:
            kubernetes_validate.validate(document, version, strict=True)
    kinds = {document["kind"] for document in documents}
    assert {"Deployment", "Service", "Job", "PodDisruptionBudget", "NetworkPolicy", "ScaledObject"} <= kinds
    if values is MOST:
        assert {"ServiceMonitor", "PrometheusRule", "Ingress"} <= kinds


def test_the_validation_finds_what_is_wrong() -> None:
    deployment = of_kind("Deployment", LEAST)["shop-api"]
    deployment["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, "1.37", strict=True)


def test_helm_has_nothing_to_complain_of(values: dict[str, Any]) -> None:
    report = helm_chart.lint(CHART, values, strict=True, namespace="pictures")
    assert [message["error"] for message in report["messages"]] == ["icon is recommended"]
    assert not report["errors"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"publicUrl": ""},
        {"publicUrl": "cleanplate.example"},
        {"secret": {"name": ""}},
        {"settings": {"CLEANPLATE_BLOBS_URL": ""}},
        {"settings": {"CLEANPLATE_BLOBS_URL": "s3://b", "CLEANPLATE_DATABASE_URL": "postgresql://u:secret@db/c"}},
        {"settings": {"CLEANPLATE_BLOBS_URL": "s3://b", "PATH": "/"}},
        {"gracePeriods": {"worker": DRAIN_S}},
        {"workers": {"gpu": {"scalling": {}}}},
        {"replicas": 3},
    ],
    ids=lambda wrong: json.dumps(wrong)[:50],
)
def test_values_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmError):
        rendered(LEAST | wrong)


def test_commands_of_the_pods_exist(values: dict[str, Any]) -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    for name, pod in pods(values):
        [container] = pod["containers"]
        # The image's entry point is `cleanplate`.
        assert "command" not in container
        assert container["args"][0] in commands, name
        parsed(container["args"])
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if command := container.get(probe, {}).get("exec", {}).get("command"):
                assert command[0] == "cleanplate"
                parsed(command[1:])


def test_variables_of_the_pods_are_settings_with_good_values(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, pod in pods(values):
        environment = pod["containers"][0]["env"]
        names = [variable["name"] for variable in environment]
        assert len(names) == len(set(names)), name
        assert set(names) <= set(VARIABLES), name
        with monkeypatch.context() as patch:
            for variable in environment:
                if variable["name"] in SECRETS:
                    reference = variable["valueFrom"]["secretKeyRef"]
                    assert reference["name"] == "cleanplate"
                    assert reference["key"]
                    scheme = {"DATABASE_URL": "postgresql://", "BROKER_URL": "redis://"}
                    patch.setenv(variable["name"], scheme.get(variable["name"][11:], "") + "x" * 40)
                else:
                    patch.setenv(variable["name"], variable["value"])
            settings = load_settings()
        assert settings.blobs_url == "s3://pictures"
        assert settings.public_url == values["publicUrl"]
        assert not settings.embedded_broker
        assert settings.metrics_host == "0.0.0.0"


def test_values_name_every_secret_setting_and_each_key_goes_to_one_program() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(defaults["secret"]["keys"]) == SECRETS
    mailing = {"secret": {"name": "cleanplate", "keys": {"CLEANPLATE_SMTP_PASSWORD": "smtp-password"}}}
    (holder,) = [name for name, pod in pods(LEAST | mailing) if "CLEANPLATE_SMTP_PASSWORD" in names_in(pod)]
    assert holder == "shop-dispatcher"
    for variable, holder in (("CLEANPLATE_SIGNING_KEY", "shop-api"), ("CLEANPLATE_AUDIT_KEY", "shop-dispatcher")):
        assert {name for name, pod in pods(LEAST) if variable in names_in(pod)} == {holder}


def test_the_api_counts_addresses_behind_an_ingress_only() -> None:
    for enabled, holders in ((True, {"shop-api"}), (False, set())):
        values = LEAST | {"ingress": {"enabled": enabled}}
        assert {name for name, pod in pods(values) if "CLEANPLATE_PROXIES" in names_in(pod)} == holders


def names_in(pod: dict[str, Any]) -> set[str]:
    """The names of the variables of a pod's program."""
    return {variable["name"] for variable in pod["containers"][0]["env"]}


def test_a_secret_whose_key_is_empty_is_not_asked_for() -> None:
    keyless = {"name": "cleanplate", "keys": {"CLEANPLATE_S3_ACCESS_KEY_ID": "", "CLEANPLATE_S3_SECRET_ACCESS_KEY": ""}}
    for _, pod in pods(LEAST | {"secret": keyless}):
        names = {variable["name"] for variable in pod["containers"][0]["env"]}
        assert not {name for name in names if "S3" in name and "KEY" in name}
        assert "CLEANPLATE_DATABASE_URL" in names


def test_pods_run_confined_as_the_images_user(values: dict[str, Any]) -> None:
    dockerfile = (REPOSITORY / "deploy" / "Dockerfile").read_text()
    [user] = set(re.findall(r"^USER (\d+):\1$", dockerfile, re.MULTILINE))
    for name, pod in pods(values):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] == int(user)
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        # Otherwise a release called `cleanplate` would put CLEANPLATE_API_PORT into every environment.
        assert pod["enableServiceLinks"] is False
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts >= {"/var/lib/cleanplate", "/tmp"}


def test_pods_get_longer_to_stop_than_they_take() -> None:
    from api.server import GRACE_S

    periods = {name: pod.get("terminationGracePeriodSeconds") for name, pod in pods(MOST)}
    assert all(period > DRAIN_S for name, period in periods.items() if "worker" in name)
    before = of_kind("Deployment", MOST)["shop-api"]["spec"]["template"]["spec"]["containers"][0]["lifecycle"]
    assert periods["shop-api"] > GRACE_S + int(before["preStop"]["exec"]["command"][1])


def test_ports_are_those_that_the_programs_open() -> None:
    ports = {
        name: {port["name"]: port["containerPort"] for port in pod["containers"][0].get("ports", [])}
        for name, pod in pods(LEAST)
    }
    first = 9464
    assert ports["shop-api"] == {"http": Settings.model_fields["port"].default, "metrics": first + API}
    assert ports["shop-dispatcher"] == {"metrics": first + DISPATCHER}
    assert ports["shop-worker-gpu"] == {"metrics": first + WORKER}
    [allowed] = of_kind("NetworkPolicy", LEAST)["shop"]["spec"]["ingress"]
    assert allowed["ports"] == [{"protocol": "TCP", "port": first, "endPort": first + WORKER}]


def test_every_selector_selects_its_own_pods_alone() -> None:
    labels = {name: one["spec"]["template"]["metadata"]["labels"] for name, one in of_kind("Deployment", MOST).items()}
    for kind in ("Deployment", "PodDisruptionBudget"):
        for name, one in of_kind(kind, MOST).items():
            selected = {
                other for other, of in labels.items() if one["spec"]["selector"]["matchLabels"].items() <= of.items()
            }
            assert selected == {name}
    assert set(of_kind("PodDisruptionBudget", MOST)) == set(labels)
    service = of_kind("Service", MOST)["shop-api"]
    assert service["spec"]["selector"].items() <= labels["shop-api"].items()
    assert set(of_kind("ScaledObject", MOST)) == {"shop-worker-gpu", "shop-worker-cpu"}


def test_scaling_asks_for_metrics_that_exist_and_never_for_infinity() -> None:
    for one in of_kind("ScaledObject", MOST).values():
        target = one["spec"]["scaleTargetRef"]["name"]
        assert "replicas" not in of_kind("Deployment", MOST)[target]["spec"]
        queries = [trigger["metadata"]["query"] for trigger in one["spec"]["triggers"]]
        for query in queries:
            promql_parser.parse(query)
            assert set(re.findall(r"\bcleanplate_\w+", query)) <= named()
            assert 'namespace="pictures"' in query
        assert queries[0].startswith("clamp_max(")
        assert all(float(trigger["metadata"]["threshold"]) > 0 for trigger in one["spec"]["triggers"])


def test_the_gpu_pool_is_for_nodes_with_gpus() -> None:
    pod = dict(pods(LEAST))["shop-worker-gpu"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert {"name": "CLEANPLATE_DEVICE", "value": "cuda"} in pod["containers"][0]["env"]


def test_the_migration_runs_before_what_needs_it_and_needs_nothing_of_the_release() -> None:
    [job] = of_kind("Job", LEAST).values()
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    text = json.dumps(job["spec"]["template"]["spec"])
    assert "configMap" not in text
    assert not {"ConfigMap", "ServiceAccount"} & {one["kind"] for one in rendered(MOST)}


def test_the_ingress_leads_to_where_links_point() -> None:
    [rule] = of_kind("Ingress", MOST)["shop"]["spec"]["rules"]
    assert rule["host"] == "shop.example"
    assert rule["http"]["paths"][0]["path"] == "/cleanplate"


def test_rules_are_those_beside_the_chart() -> None:
    rule = of_kind("PrometheusRule", MOST)["shop"]
    assert rule["spec"] == yaml.safe_load((REPOSITORY / "deploy" / "prometheus-rules.yml").read_text())


def test_images_are_the_ones_asked_for() -> None:
    images = {name: pod["containers"][0]["image"] for name, pod in pods(MOST)}
    assert images["shop-api"] == f"cleanplate-api@sha256:{'0' * 64}"
    assert images["shop-worker-gpu"] == "cleanplate-worker:1.2.3"
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert dict(pods(LEAST))["shop-api"]["containers"][0]["image"] == f"cleanplate-api:{chart['appVersion']}"


def test_the_chart_has_the_projects_version() -> None:
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == project["version"]

"""``docker-compose.yml`` and the Dockerfile against the settings and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from cleanplate.base.settings import Settings, load_settings
from cleanplate.cli import app
from tests.running import REPOSITORY

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {
    name: service for name, service in SERVICES.items() if service["image"] in {"cleanplate-api", "cleanplate-worker"}
}
DOCKERFILE = (REPOSITORY / "deploy" / "Dockerfile").read_text()
COMMANDS = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
VARIABLES = {f"CLEANPLATE_{name.upper()}": field for name, field in Settings.model_fields.items()}
#: Values that may stand in a public file although their variable's name sounds secret: references to .env.
REFERENCE = re.compile(r"\$\{[A-Z0-9_]+(:[?-][^}]*)?\}")


def stages() -> dict[str, list[str]]:
    """The Dockerfile's stages with their lines, continuation lines joined."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in re.sub(r"\\\n\s*", "", DOCKERFILE).splitlines():
        if begun := re.match(r"FROM \S+ AS (\S+)", line):
            name = begun[1]
            found[name] = []
        elif name and line and not line.startswith("#"):
            found[name].append(line)
    return found


def test_the_services_of_the_design_are_there() -> None:
    assert set(SERVICES) == {
        "proxy", "postgres", "redis", "s3", "migrate", "api", "dispatch", "worker-cpu", "worker-gpu",
        "prometheus", "grafana",
    }  # fmt: skip


@pytest.mark.parametrize("name", OURS)
def test_variables_of_a_service_are_settings_with_good_values(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = OURS[name]["environment"]
    assert set(environment) <= set(VARIABLES)
    for variable, value in environment.items():
        filled = REFERENCE.sub(lambda found: found[1][2:] if found[1].startswith(":-") else 40 * "x", str(value))
        monkeypatch.setenv(variable, filled)
    settings = load_settings()
    assert settings.database_url.get_secret_value().startswith("postgresql://cleanplate:x")
    assert settings.blobs_url == "s3://cleanplate"
    assert not settings.embedded_broker


@pytest.mark.parametrize("name", OURS)
def test_commands_of_a_service_exist(name: str) -> None:
    assert OURS[name]["command"][0] in COMMANDS
    check = OURS[name]["healthcheck"]
    if not check.get("disable"):
        assert check["test"][:3] == ["CMD", "cleanplate", "healthy"]
        assert check["test"][3] == OURS[name]["command"][0]


def test_every_service_that_stays_up_has_a_health_check_and_comes_back() -> None:
    for name, service in SERVICES.items():
        if name != "migrate":
            assert service["healthcheck"]["test"], name
            assert service["restart"] == "unless-stopped", name


def test_start_order_waits_for_what_can_be_waited_for() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, name
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"], f"{name} waits for {other}, which has no health check"
            else:
                assert how["condition"] == "service_completed_successfully"
                assert SERVICES[other]["restart"] == "on-failure"
    for name in ("api", "dispatch", "worker-cpu", "worker-gpu"):
        assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert set(SERVICES["migrate"]["depends_on"]) == {"postgres", "s3"}


def test_builds_name_stages_of_the_one_dockerfile() -> None:
    for name, service in SERVICES.items():
        if "build" in service:
            assert Path(REPOSITORY / service["build"]["dockerfile"]).is_file()
            assert service["build"]["target"] in stages(), name
            assert service["image"] == f"cleanplate-{service['build']['target']}"


@pytest.mark.parametrize("stage", ["api", "worker", "s3"])
def test_images_run_as_a_user_that_is_not_root_and_say_how_they_are(stage: str) -> None:
    lines = stages()[stage]
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    # Numbers: Kubernetes cannot tell whether a name is root's.
    assert users == ["10001:10001"]
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    # Nothing is changed as root after the user was set.
    assert not any(line.startswith(("RUN", "COPY")) for line in lines[lines.index(f"USER {users[-1]}") :])


def test_every_container_runs_confined() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"[1-9]\d*:\d+", service["user"]), name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert "privileged" not in service
        assert "network_mode" not in service


def test_images_made_elsewhere_have_an_exact_version_and_may_be_pinned_by_digest() -> None:
    offered = (REPOSITORY / ".env.example").read_text().splitlines()
    references = {name: service["image"] for name, service in SERVICES.items() if "build" not in service}
    for name, service in SERVICES.items():
        if "build" in service:
            references[name] = service["build"]["args"]["PYTHON_IMAGE"]
    for name, reference in references.items():
        variable = re.fullmatch(r"\$\{([A-Z]+_IMAGE):-([^}]+)\}", reference)
        assert variable, f"{name} cannot be pinned"
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-|$)", variable[2]), f"{name} has no exact version"
        assert f"#{variable[1]}={variable[2]}" in offered
    [python] = re.findall(r"^ARG PYTHON_IMAGE=(python:3\.\d+\.\d+-slim-\w+)$", DOCKERFILE, re.MULTILINE)
    assert references["api"] == f"${{PYTHON_IMAGE:-{python}}}"


def test_networks_lead_only_where_a_service_must_go() -> None:
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}
    assert set(COMPOSE["networks"]) == set().union(*networks.values())
    internal = {name for name, network in COMPOSE["networks"].items() if network and network["internal"]}
    assert internal == {"ledger", "queue", "store", "metrics"}
    # The service that decodes users' files is reachable through the queue alone, and is not in the front network.
    assert "front" not in networks["worker-cpu"] | networks["worker-gpu"] | networks["dispatch"]
    assert networks["proxy"] == {"front"}
    assert networks["postgres"] == {"ledger"}
    assert networks["redis"] == {"queue"}
    assert networks["prometheus"] == {"metrics"}
    for name in OURS:
        if name != "migrate":
            assert "metrics" in networks[name]


def test_each_key_goes_to_one_program_and_outlives_it() -> None:
    for variable, holder in (
        ("CLEANPLATE_SIGNING_KEY", "api"), ("CLEANPLATE_PROXIES", "api"), ("CLEANPLATE_AUDIT_KEY", "dispatch")
    ):  # fmt: skip
        assert {name for name, service in OURS.items() if variable in service["environment"]} == {holder}


def test_prometheus_asks_the_ports_that_the_programs_open() -> None:
    from cleanplate.telemetry.metrics import API, DISPATCHER, WORKER

    first = int(OURS["api"]["environment"]["CLEANPLATE_METRICS_PORT"])
    config = yaml.safe_load((REPOSITORY / "deploy" / "monitoring" / "prometheus.yml").read_text())
    asked = {
        name: lookup["port"]
        for job in config["scrape_configs"]
        for lookup in job["dns_sd_configs"]
        for name in lookup["names"]
    }
    assert asked == {
        "api": first + API,
        "dispatch": first + DISPATCHER,
        "worker-cpu": first + WORKER,
        "worker-gpu": first + WORKER,
    }


def test_files_that_are_mounted_are_there() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
            if source.startswith("."):
                assert (REPOSITORY / source).exists(), f"{name}: {source}"
            else:
                assert source in COMPOSE["volumes"], f"{name}: {source}"
    assert (REPOSITORY / "deploy" / "proxy" / "https.conf").exists()


def test_the_proxy_takes_what_the_service_takes() -> None:
    """Bodies a little larger than the limits, so that the service itself refuses; streams as long as they last."""
    proxy = REPOSITORY / "deploy" / "proxy"
    settings = Settings()
    for file, limit in (("api.conf", settings.max_request_bytes), ("s3.conf", settings.max_manifest_bytes)):
        [mebibytes] = re.findall(r"^client_max_body_size (\d+)m;", (proxy / file).read_text(), re.MULTILINE)
        assert limit < int(mebibytes) * 1024 * 1024 <= limit * 1.1
    assert settings.max_image_bytes <= settings.max_manifest_bytes
    api = (proxy / "api.conf").read_text()
    assert "proxy_request_buffering on;" in api
    [seconds] = re.findall(r"proxy_read_timeout (\d+)s;", api)
    assert int(seconds) > settings.stream_s


def test_commands_of_the_images_exist() -> None:
    for stage in ("api", "worker"):
        command = next(line for line in stages()[stage] if line.startswith("CMD "))
        assert yaml.safe_load(command.removeprefix("CMD "))[0] in COMMANDS
    assert 'ENTRYPOINT ["cleanplate"]' in stages()["service"]


def test_only_the_worker_image_holds_torch() -> None:
    assert any('pip install ".[service]"' in line for line in stages()["build-api"])
    assert any('pip install ".[worker,text]"' in line for line in stages()["build-worker"])


def test_no_secret_stands_in_the_file_and_none_has_a_default() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|KEY|AUTH|DATABASE_URL|BROKER_URL", variable):
                references = REFERENCE.findall(str(value))
                assert references, f"{variable} of {name} is written out"
                # Empty is no default: without a user the mail server asks for no password.
                assert all(reference.startswith(":?") or reference == ":-" for reference in references), (
                    f"{variable} of {name} has a default"
                )
    wanted = set(re.findall(r"\$\{([A-Z0-9_]+):\?", (REPOSITORY / "docker-compose.yml").read_text()))
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(example) == wanted
    assert not any(example.values())
    optional = {match[1] for line in lines if (match := re.fullmatch(r"#([A-Z0-9_]+)=.*", line))}
    assert optional == set(re.findall(r"\$\{([A-Z0-9_]+):-", (REPOSITORY / "docker-compose.yml").read_text()))


def test_redis_forgets_nothing_and_drops_nothing() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_the_gpu_worker_is_under_its_profile_with_the_reservation() -> None:
    assert SERVICES["worker-gpu"]["profiles"] == ["gpu"]
    device = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"][0]
    assert (device["driver"], device["count"], device["capabilities"]) == ("nvidia", "all", ["gpu"])
    assert SERVICES["worker-gpu"]["environment"]["CLEANPLATE_DEVICE"] == "cuda"
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {"worker-gpu": ["gpu"], "prometheus": ["monitoring"], "grafana": ["monitoring"]}


def test_workers_get_longer_to_stop_than_they_take_to_drain() -> None:
    from workers.shared.queue import DRAIN_S

    for name in ("worker-cpu", "worker-gpu"):
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > DRAIN_S


def test_only_the_proxy_is_reachable_and_at_first_from_this_machine_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"proxy", "grafana"}
    for port in (port for ports in published.values() for port in ports):
        assert port.startswith(("127.0.0.1:", "${BIND_ADDRESS:-127.0.0.1}:"))
    addresses = [OURS["api"]["environment"][f"CLEANPLATE_{name}"] for name in ("PUBLIC_URL", "S3_PUBLIC_ENDPOINT_URL")]
    for address, port in zip(addresses, published["proxy"], strict=True):
        [default] = re.findall(r":-http://localhost:(\d+)\}$", address)
        assert f"_PORT:-{default}}}:800" in port

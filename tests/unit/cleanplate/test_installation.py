"""A plain install is light and enough for the client; each extra brings what its programs import."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PathDistribution, packages_distributions
from pathlib import Path
from zipfile import Path as ZipPath

import pytest

from cleanplate.base.settings import Settings
from tests.api_process import served
from tests.distributions import PACKAGES, Built, Environment, closure, extras, modules_of
from tests.running import REPOSITORY, clean_environment, until
from tests.unit.cleanplate.live import Shop, on_a_port, pictures
from tests.unit.cleanplate.test_cli import COMMANDS

#: The extras of commands that need more than a plain install.
NEEDS = {
    "up": "service,worker", "demo": "service,worker", "serve": "service", "dispatch": "service", "worker": "worker",
    "inpaint": "worker", "train": "worker", "template estimate": "worker", "template apply": "worker",
    "template from-logo": "worker", "template from-mark": "worker",
    "weights list": "worker", "weights pull": "worker", "weights convert": "worker", "weights verify": "worker",
    "migrate": "ledger", "healthy": "ledger", "pause": "ledger", "resume": "ledger", "keys create": "ledger",
    "keys list": "ledger", "keys revoke": "ledger", "tenants list": "ledger", "tenants quota": "ledger",
    "tenants weight": "ledger", "audit export": "ledger", "audit job": "ledger", "audit verify": "ledger",
    "link": "service", "reconcile": "ledger",
}  # fmt: skip
#: Words for the arguments that a command insists on.
WORDS = {
    "inpaint": ["a.png", "m.png", "-o", "b.png"], "train": ["recipe", "run"], "template estimate": ["in", "-o", "t"],
    "template from-logo": ["l", "in", "-o", "t"], "template from-mark": ["a", "m", "in", "-o", "t"],
    "template apply": ["t", "in", "-o", "out"], "weights pull": ["w"], "weights convert": ["w"],
    "weights verify": ["w"], "healthy": ["serve"], "keys create": ["k"], "keys revoke": ["k"],
    "tenants quota": ["t"], "tenants weight": ["t", "1"], "watch": ["job_1"], "approve": ["job_1"],
    "submit": [
        "in", "--mask", "in", "--out", "out", "--rights-basis", "owner", "--attested-by", "A",
        "--rights-reference", "R",
    ],
    "audit job": ["job_1"], "jobs show": ["job_1"], "jobs cancel": ["job_1"], "jobs retry": ["job_1"],
    "jobs pause": ["job_1"], "jobs resume": ["job_1"], "jobs delete": ["job_1", "--yes"],
}  # fmt: skip

RUN_ALL = """
import json, sys
from typer.testing import CliRunner
from cleanplate.cli import app
ended = {}
for name, words in json.loads(sys.argv[1]).items():
    result = CliRunner().invoke(app, [*name.split(), *words], prog_name="cleanplate")
    ended[name] = [result.exit_code, result.output, repr(result.exception)]
print(json.dumps(ended))
"""

USE_CLIENT = """
import sys
from pathlib import Path
from cleanplate import Client, Picture, Rights, verify
from cleanplate.errors import ExtraMissing
url, key, folder, mask, out = sys.argv[1:]
rights = Rights(basis="owner", attested_by="Jo Doe", reference="own photographs")
with Client(url, key) as client:
    images = [Picture(file=file, custom_id=file.stem) for file in sorted(Path(folder).iterdir())]
    job = client.submit(images, masks=Path(mask), rights=rights)
    job.wait()
    job.download(Path(out))
try:
    verify("whsec_c2VjcmV0", b"{}", {})
except ExtraMissing as error:
    print(error)
"""

#: Imports every module of packages as if some top-level modules were not installed.
IMPORT_ALL = """
import importlib, json, pkgutil, sys
missing, packages = map(json.loads, sys.argv[1:])

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
for package in packages:
    module = importlib.import_module(package)
    for info in pkgutil.walk_packages(getattr(module, "__path__", []), f"{package}."):
        importlib.import_module(info.name)
"""


@pytest.fixture(scope="session")
def plain(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel without extras, with the distributions that its metadata require, in an environment of their own."""
    environment = Environment(tmp_path_factory.mktemp("plain") / "venv")
    (metadata,) = (path for path in ZipPath(built.wheel).iterdir() if path.name.endswith(".dist-info"))
    for name in closure(PathDistribution(metadata).requires or []):
        environment.copy(name)
    environment.install(built.wheel)
    return environment


@pytest.fixture
def shop(embedded_settings: Settings) -> Iterator[Shop]:
    shop = Shop(on_a_port(embedded_settings))
    yield shop
    shop.close()


def run(environment: Environment, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [environment.python, "-I", *words],
        env=clean_environment(settings),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_plain_install_is_fewer_than_20_distributions(plain: Environment) -> None:
    assert len(plain.distributions()) < 20, plain.distributions()


def test_the_client_of_a_plain_install_works_against_a_service(plain: Environment, shop: Shop, tmp_path: Path) -> None:
    pictures(tmp_path / "in", "a.png", "b.png")
    (mask,) = pictures(tmp_path, "mask.png")
    url, out = shop.settings.public_url, tmp_path / "out"
    with served(shop.settings, tmp_path / "log"), ThreadPoolExecutor(1) as pool:
        words = ("-c", USE_CLIENT, url, shop.key, str(tmp_path / "in"), str(mask), str(out))
        using = pool.submit(run, plain, *words)
        (job_id,) = until(lambda: using.done() or shop.jobs(), "no job was made") or [using.result().stderr]
        shop.work(job_id)
        used = using.result(240)
        assert used.returncode == 0, used.stderr
        assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.png"]
        assert "pip install 'cleanplate[webhooks]'" in used.stdout

        shown = run(plain, "-m", "cleanplate", "jobs", "show", job_id, CLEANPLATE_URL=url, CLEANPLATE_API_KEY=shop.key)
        assert shown.stdout.startswith(f"{job_id} is completed: 2 of 2 images ended."), shown.stderr


def test_the_help_of_a_plain_install_lists_all_commands(plain: Environment) -> None:
    helped = run(plain, "-m", "cleanplate", "--help", COLUMNS="100")
    assert helped.returncode == 0, helped.stderr
    listed = {line.split()[1] for line in helped.stdout.splitlines() if line.startswith("│ ") and line[2] != " "}
    assert {name.split()[0] for name in COMMANDS} <= listed


def test_a_command_of_a_plain_install_names_the_extra_that_it_lacks(plain: Environment, tmp_path: Path) -> None:
    calls = {name: WORDS.get(name, []) for name in COMMANDS}
    ran = run(plain, "-c", RUN_ALL, json.dumps(calls), CLEANPLATE_HOME=str(tmp_path / "home"))
    assert ran.returncode == 0, ran.stderr
    ended = json.loads(ran.stdout)
    lacking = {}
    for name, (status, output, error) in ended.items():
        assert status in ({0} if name in {"settings", "doctor"} else {2}), f"{name}: {output} {error}"
        assert "Traceback" not in output
        if status == 2 and "pip install" in output:
            assert output.startswith(f"cleanplate: `cleanplate {name}` needs "), output
            lacking[name] = output.split("cleanplate[")[1].split("]")[0]
    assert lacking == NEEDS


@pytest.mark.parametrize(
    ("extra", "packages"),
    [
        ("ledger", ["storage", "cleanplate.telemetry", "cleanplate.base"]),
        ("service", ["api", "workers.leader", "workers.shared", "cleanplate.embedded.service"]),
        ("worker", ["workers.device", "workers.machine", "workers.shared", "model", "cleanplate.local"]),
    ],
)
def test_an_extra_brings_what_its_programs_import(extra: str, packages: list[str]) -> None:
    names = closure(["httpx", "pydantic", "rich", "typer", f"cleanplate[{extra}]"], extras())
    missing = packages_distributions().keys() - modules_of(names) - {*PACKAGES}
    assert "pytest" in missing
    ran = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, json.dumps(sorted(missing)), json.dumps(packages)],
        cwd=REPOSITORY,
        env=clean_environment({}),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_commands_check_extras_that_exist() -> None:
    assert {extra for needed in NEEDS.values() for extra in needed.split(",")} <= extras().keys()

"""What is shipped is what is tested: wheel and sdist hold every file, and the installed wheel works by itself."""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from tests import patient
from tests.distributions import PACKAGES, Built, Environment, build
from tests.embedded import SMALL
from tests.running import REPOSITORY, cleanplate, running, until
from tests.unit.cleanplate.commands.test_template import SCENE
from tests.unit.model.watermark.scenes import jpeg, marked

#: Files that no installation needs.
LEFT_OUT = {
    "api/web/catalogues/babel.cfg",  # for the program that collects the page's texts
}
SAMPLE = sorted((REPOSITORY / "samples" / "marked").iterdir())[0]
MASK = REPOSITORY / "samples" / "masks" / SAMPLE.name

WHERE = """
import importlib, sys
for package in sys.argv[1:]:
    print(importlib.import_module(package).__path__[0])
"""


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel in an environment outside the repository; other packages are those of this process."""
    environment = Environment(tmp_path_factory.mktemp("installed") / "venv")
    environment.borrow()
    environment.install(built.wheel)
    return environment


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def of_packages(names: list[str]) -> set[str]:
    """The files of our packages among the members of an archive, without what a compiler makes of them."""
    return {name for name in names if name.partition("/")[0] in PACKAGES and not name.endswith(("/", ".so"))}


def test_wheel_and_sdist_hold_the_files_of_the_packages_and_no_others(built: Built) -> None:
    tree = of_packages([str(path.relative_to(built.source)) for path in built.source.rglob("*") if path.is_file()])
    assert len(tree) > 300
    assert tree >= LEFT_OUT
    with tarfile.open(built.sdist) as sdist:
        members = [member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()]
    assert of_packages(members) == tree - LEFT_OUT
    assert of_packages(ZipFile(built.wheel).namelist()) == tree - LEFT_OUT


def test_a_wheel_is_built_without_a_compiler_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "false")
    names = ZipFile(build(tmp_path).wheel).namelist()
    assert of_packages(names)
    assert not [name for name in names if name.endswith(".so")]


def test_the_wheel_holds_nothing_but_the_packages(built: Built) -> None:
    tops = {name.partition("/")[0] for name in ZipFile(built.wheel).namelist()}
    (information,) = tops - {*PACKAGES}
    assert information.endswith(".dist-info")
    assert not [name for name in ZipFile(built.wheel).namelist() if re.search(r"(^|/)(tests?/|test_|conftest)", name)]


def test_the_installed_packages_are_those_of_the_wheel(installed: Environment, empty: Path) -> None:
    imported = cleanplate(*PACKAGES, settings={}, program=[str(installed.python), "-c", WHERE], folder=empty)
    assert imported.returncode == 0, imported.stderr
    folders = [Path(line) for line in imported.stdout.splitlines()]
    assert [folder.name for folder in folders] == [*PACKAGES]
    assert all(folder.is_relative_to(installed.folder) for folder in folders), folders


def test_the_installed_wheel_repairs_pictures_without_a_service(installed: Environment, empty: Path) -> None:
    settings = {"CLEANPLATE_HOME": str(empty.parent / "home"), "CLEANPLATE_DEVICE": "cpu"}
    repaired, template, cleaned = empty / "repaired.png", empty / "mark.template", empty / "cleaned"
    catalogue, rng = empty.parent / "catalogue", np.random.default_rng(0)
    catalogue.mkdir()
    for number in range(24):
        (catalogue / f"{number}.jpg").write_bytes(jpeg(marked(SCENE, rng)[0]))
    for words in (
        ("inpaint", SAMPLE, MASK, "-o", repaired),
        ("template", "estimate", catalogue, "-o", template),
        ("template", "apply", template, catalogue, "-o", cleaned),
    ):
        ended = cleanplate(*map(str, words), settings=settings, program=[str(installed.command)], folder=empty)
        assert ended.returncode == 0, f"{words[0]}: {ended.stdout}\n{ended.stderr}"
    assert repaired.read_bytes() != SAMPLE.read_bytes()
    assert len(list(cleaned.iterdir())) == 24


def test_the_installed_wheel_serves_a_job_and_the_page(installed: Environment, empty: Path) -> None:
    home, log_path, pictures = empty.parent / "home", empty.parent / "up.log", empty.parent / "pictures"
    pictures.mkdir()
    shutil.copy(SAMPLE, pictures)
    settings = SMALL | {"CLEANPLATE_HOME": str(home), "CLEANPLATE_DEVICE": "cpu"}
    program = [str(installed.command)]
    with running(
        "up", "--port", "0", "--no-browser", settings=settings, log_path=log_path, program=program, folder=empty
    ) as up:

        def link() -> str | None:
            assert up.process.poll() is None, up.log
            printed = re.search(r"http\S+/login/link#\S+", up.log)
            return printed and printed[0]

        page, _, secret = (until(link, lambda: f"up was not ready:\n{up.log}") or "").partition("#")
        url = page.removesuffix("/login/link")
        submitted = cleanplate(
            "submit", str(pictures), "--mask", str(MASK), "--out", "out",
            "--rights-basis", "licensee", "--attested-by", "Jo Doe", "--rights-reference", "CC0",
            settings=settings, program=program, folder=empty,
        )  # fmt: skip
        assert submitted.returncode == 0, f"{submitted.stderr}\n{up.log[-6000:]}"
        assert [path.name for path in (empty / "out").iterdir()] == [SAMPLE.name]

        with patient.client(base_url=url) as browser:
            token = browser.get("/login/link").text.partition('name="csrf-token" content="')[2].partition('"')[0]
            assert browser.post("/login/link", data={"csrf_token": token, "link": secret}).status_code == 303
            shown = browser.get("/")
            assert shown.status_code == 200
            files = re.findall(r'(?:src|href)="(/static/[^"]+)"', shown.text)
            assert any(file.partition("?")[0].endswith(".js") for file in files), files
            assert {file: browser.get(file).status_code for file in files} == dict.fromkeys(files, 200)
        assert up.stop() == 0

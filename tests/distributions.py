"""Distributions of an installation: the closure of requirements, and copies of them in an empty environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.running import REPOSITORY

PACKAGES = ("cleanplate", "api", "workers", "model", "storage", "migrations")
_BUILD = """
import sys
from setuptools import build_meta
folder = sys.argv[1]  # setuptools writes arguments of its own there
build_meta.build_wheel(folder)
build_meta.build_sdist(folder)
"""


def extras() -> dict[str, list[str]]:
    """The requirements of each extra of the project."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return dict(project["optional-dependencies"])


def closure(requirements: Iterable[str], own_extras: Mapping[str, Sequence[str]] | None = None) -> set[str]:
    """The distributions that pip installs for requirements, by their normalised names; all must be installed here.

    A requirement of the project itself stands for its ``own_extras``.
    """
    names: set[str] = set()
    seen: set[tuple[str, str]] = set()
    pending = [(Requirement(text), "") for text in requirements]
    while pending:
        requirement, of_extra = pending.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": of_extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name == "cleanplate":
            inner = [text for extra in requirement.extras for text in (own_extras or {})[extra]]
            pending += [(Requirement(text), "") for text in inner]
            continue
        names.add(name)
        for extra in ("", *requirement.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                pending += [(Requirement(text), extra) for text in distribution(name).requires or []]
    return names


def modules_of(names: Iterable[str]) -> set[str]:
    """The top-level modules of distributions."""
    wanted = set(names)
    return {
        module
        for module, owners in packages_distributions().items()
        if wanted & {canonicalize_name(owner) for owner in owners}
    }


@dataclass(frozen=True)
class Built:
    """What the project publishes: both files, and the copy of its source from which they were built."""

    wheel: Path
    sdist: Path
    source: Path


def build(folder: Path) -> Built:
    """Build the project's wheel and sdist into ``folder``, from a copy of its source."""
    source = folder / "source"
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, source / package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source / name)
    ended = subprocess.run(
        [sys.executable, "-c", _BUILD, str(folder)], cwd=source, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return built_in(folder)


def built_in(folder: Path) -> Built:
    """The files that :func:`build` left in ``folder``."""
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Built(wheel, sdist, folder / "source")


class Environment:
    """A virtual environment with nothing in it, not even pip."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False)
        self.folder = folder
        self.python = folder / "bin" / "python"
        #: The command line, once the project's wheel is installed.
        self.command = folder / "bin" / "cleanplate"
        (self._packages,) = (folder / "lib").glob("python*/site-packages")

    def copy(self, name: str) -> None:
        """Copy an installed distribution into the environment, without its scripts."""
        installed = distribution(name)
        assert installed.files is not None, f"{name} has no list of its files"
        for file in installed.files:
            if ".." not in file.parts and "__pycache__" not in file.parts:
                target = self._packages / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), target)

    def borrow(self) -> None:
        """Lend the environment the packages of this process, without copies; a distribution of its own comes first.

        Python does not read the ``.pth`` files of a folder that a ``.pth`` file names: no editable install is lent.
        """
        lent = [folder for folder in sys.path if Path(folder).name == "site-packages"]
        (self._packages / "borrowed.pth").write_text("".join(f"{folder}\n" for folder in lent))

    def install(self, wheel: Path) -> None:
        """Install a wheel alone."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "--disable-pip-version-check"]
        alone = ("--no-index", "--no-deps", "--ignore-installed")
        subprocess.run([*pip, "install", "--quiet", *alone, str(wheel)], check=True)

    def distributions(self) -> list[str]:
        """The names of all distributions in the environment."""
        program = "from importlib.metadata import distributions; print(*(one.name for one in distributions()))"
        return subprocess.check_output([self.python, "-I", "-c", program], text=True).split()

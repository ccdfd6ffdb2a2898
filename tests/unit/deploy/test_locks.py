"""The locks of the images: what pyproject.toml asks for, each with hashes, and no address of a registry."""

from __future__ import annotations

import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.distributions import extras
from tests.running import REPOSITORY

LOCKS = REPOSITORY / "deploy" / "locks"
#: The extras of each image.
IMAGES = {"api": ["service"], "worker": ["worker", "text"]}


def asked_for(names: list[str]) -> list[Requirement]:
    """The requirements of a plain install and of extras; those of the project itself stand for their extras."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    pending = [Requirement(text) for text in project["dependencies"]]
    pending += [Requirement(text) for name in names for text in extras()[name]]
    requirements = []
    while pending:
        requirement = pending.pop()
        if requirement.name == "cleanplate":
            pending += [Requirement(text) for name in requirement.extras for text in extras()[name]]
        else:
            requirements.append(requirement)
    return requirements


def locked(name: str) -> dict[str, tuple[str, int]]:
    """Version and number of hashes of each distribution in a lock."""
    text = (LOCKS / f"{name}.txt").read_text()
    assert "://" not in text
    pins = {}
    for entry in text.replace("\\\n", " ").splitlines():
        if entry and not entry.startswith("#"):
            pin, *hashes = entry.split(" --hash=sha256:")
            requirement = Requirement(pin.strip())
            (version,) = requirement.specifier
            assert version.operator == "=="
            pins[canonicalize_name(requirement.name)] = (version.version, len(hashes))
    return pins


@pytest.mark.parametrize("image", IMAGES)
def test_a_lock_pins_what_its_image_installs(image: str) -> None:
    pins = locked(image)
    assert all(hashes for _, hashes in pins.values())
    for requirement in asked_for(IMAGES[image]):
        version, _ = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}: `make locks` is due"


def test_only_the_worker_s_lock_holds_torch() -> None:
    assert "torch" in locked("worker")
    assert "torch" not in locked("api")


def test_every_image_of_the_dockerfile_installs_its_lock_and_only_its_extras() -> None:
    dockerfile = (REPOSITORY / "deploy" / "Dockerfile").read_text()
    assert {path.stem for path in LOCKS.iterdir()} == IMAGES.keys()
    for image, names in IMAGES.items():
        assert f"pip install --require-hashes -r deploy/locks/{image}.txt" in dockerfile
        assert f'pip install ".[{",".join(names)}]"' in dockerfile

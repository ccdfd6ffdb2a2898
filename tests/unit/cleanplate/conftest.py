"""The project's wheel and sdist, built once for all tests and all processes of a run."""

from __future__ import annotations

import os

import pytest
from filelock import FileLock

from tests.distributions import Built, build, built_in


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Wheel and sdist."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, ready = shared / "built", shared / "built.ready"
    with FileLock(shared / "built.lock"):
        if not ready.exists():
            folder.mkdir()
            build(folder)
            ready.touch()
    return built_in(folder)

"""One service as ``cleanplate up`` runs it, for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser import signed_in, state_rights
from tests.embedded import Embedded, embedded


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with embedded(tmp_path_factory.mktemp("web")) as running_service:
        yield running_service


@pytest.fixture
def context(browser: Browser, service: Embedded) -> Iterator[BrowserContext]:
    """A signed-in person whose browser has stored a statement of rights."""
    with signed_in(browser, service) as person:
        state_rights(person)
        yield person


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture(scope="session")
def marked() -> Path:
    """A sample picture with a mark."""
    from tests.running import REPOSITORY

    return REPOSITORY / "samples" / "marked" / "garment-0c06778b.png"

"""A browser at the shared embedded service, with a tenant for each module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser import signed_in, state_rights
from tests.embedded import Embedded


@pytest.fixture(scope="module")
def service(up: Embedded) -> Embedded:
    return up


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

"""The API in this process, on SQLite with a directory and on Postgres with S3."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from apiflask import APIFlask

from cleanplate.base.settings import Settings
from tests.unit.api.calling import PUBLIC_URL, Caller, MakeService, Service


@pytest.fixture
def make_service() -> Iterator[MakeService]:
    """Makes services, and closes them at the end."""
    made: list[Service] = []

    def make(
        settings: Settings, prepare: Callable[[APIFlask], None] | None = None, *, public_url: str = PUBLIC_URL
    ) -> Service:
        made.append(Service(settings.model_copy(update={"public_url": public_url}), prepare))
        return made[-1]

    yield make
    for service in made:
        # A stream that a test did not close keeps the watcher's thread, which would open the ledger again.
        service.stores.watcher.stop()
    for thread in threading.enumerate():
        if thread.name == "watcher":
            thread.join()
    for service in made:
        service.stores.close()


@pytest.fixture
def service(make_service: MakeService, embedded_settings: Settings) -> Service:
    """The API on SQLite and a directory."""
    return make_service(embedded_settings)


@pytest.fixture
def server_service(make_service: MakeService, server_settings: Settings) -> Service:
    """The API on Postgres and S3."""
    return make_service(server_settings)


@pytest.fixture
def shop(service: Service) -> Caller:
    """A tenant's caller."""
    return service.caller("shop")

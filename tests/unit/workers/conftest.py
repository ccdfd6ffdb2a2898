"""Fixtures of all tests of workers: the network that ships, loaded once, and a worker's resources over real stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cleanplate.base.settings import Settings
from model.engine.inpainter import LaMaInpainter
from storage.blobs import open_blobs
from storage.database import Database
from tests.catalogue import Catalogue, catalogue_in
from tests.webhook_receiver import Receiver, receiver_running
from workers.device.drain import Drain
from workers.device.resources import Resources

WorkerOn = Callable[..., Resources]


@pytest.fixture(scope="session")
def inpainter() -> LaMaInpainter:
    return LaMaInpainter(device="cpu", threads=1)


@pytest.fixture
def worker_on(inpainter: LaMaInpainter) -> Iterator[WorkerOn]:
    """Makes a worker's resources: ``worker_on(settings, drain=…)``."""
    opened = []

    def make(settings: Settings, drain: Drain | None = None) -> Resources:
        database = Database.connect(settings.sqlalchemy_url)
        opened.append(database)
        return Resources(
            settings=settings,
            database=database,
            blobs=open_blobs(settings),
            inpainter=inpainter,
            worker="here:1:cpu",
            drain=drain or Drain(),
        )

    yield make
    for database in opened:
        database.close()


@pytest.fixture
def catalogue(embedded_settings: Settings) -> Iterator[Catalogue]:
    """On SQLite and folders."""
    with catalogue_in(embedded_settings) as opened:
        yield opened


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks on loopback."""
    with receiver_running() as running:
        yield running

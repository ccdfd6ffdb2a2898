"""The worker's copy of a shard's lease, on a clock that tests turn."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from cleanplate.base.settings import Settings
from storage.errors import LedgerUnavailable
from storage.ledger.images.leases import lease_images
from storage.records import ImageState, Outcome
from tests.catalogue import Catalogue, bar_mask, catalogue_in, picture, png
from tests.servers import PostgresServer
from workers.device.images.finisher import Finisher
from workers.device.lease import Lease, lease_on_images
from workers.errors import LeaseLost


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def leased(catalogue: Catalogue, clock: Clock, lease_s: float = 60) -> tuple[Lease[tuple[int, int]], str]:
    job = catalogue.submit([png(picture())], png(bar_mask()))
    [image_id] = catalogue.ids(job)
    token, _ = lease_images(catalogue.database, [image_id], worker="here", lease_s=lease_s)
    lease = lease_on_images(catalogue.database, token, [image_id], lease_s=lease_s, taken_at=clock.now, clock=clock)
    return lease, image_id


def test_lease_holds_until_it_expires(catalogue: Catalogue, clock: Clock) -> None:
    lease, image_id = leased(catalogue, clock)
    clock.now += 59.9
    lease.check(image_id)
    clock.now += 0.1
    with pytest.raises(LeaseLost):
        lease.check(image_id)


def test_heartbeat_extends_the_lease(catalogue: Catalogue, clock: Clock) -> None:
    lease, image_id = leased(catalogue, clock)
    clock.now += 59
    lease.extend()
    clock.now += 59
    lease.check(image_id)


def test_heartbeat_tells_progress(catalogue: Catalogue, clock: Clock) -> None:
    lease, image_id = leased(catalogue, clock)
    lease.note_progress(image_id, (3, 7))
    lease.extend()
    with catalogue.database.read() as connection:
        row = connection.exec_driver_sql("SELECT tiles_done, tiles_total FROM images").one()
    assert tuple(row) == (3, 7)


def test_outcome_after_the_lease_has_expired_is_not_finished(catalogue: Catalogue, clock: Clock) -> None:
    job = catalogue.submit([png(picture())], png(bar_mask()))
    token, [image] = lease_images(catalogue.database, catalogue.ids(job), worker="here", lease_s=60)
    lease = lease_on_images(catalogue.database, token, [image.id], lease_s=60, taken_at=clock.now, clock=clock)
    clock.now += 61
    with Finisher(catalogue.database, lease, max_attempts=3) as finisher:
        finisher.add(image, Outcome(image_id=image.id, state=ImageState.SUCCEEDED, result_key="k"))
    assert [image.state for image in catalogue.images(job)] == [ImageState.RUNNING]


def test_outcome_that_the_ledger_refuses_takes_no_neighbour_with_it(catalogue: Catalogue, clock: Clock) -> None:
    job = catalogue.submit([png(picture()), png(picture())], png(bar_mask()))
    token, [bad, good] = lease_images(catalogue.database, catalogue.ids(job), worker="here", lease_s=60)
    lease = lease_on_images(catalogue.database, token, [bad.id, good.id], lease_s=60, taken_at=clock.now, clock=clock)
    with Finisher(catalogue.database, lease, max_attempts=3) as finisher:
        # No worker may say that an image was canceled.
        finisher.add(bad, Outcome(image_id=bad.id, state=ImageState.CANCELED))
        finisher.add(good, Outcome(image_id=good.id, state=ImageState.SUCCEEDED, result_key="k"))
    assert [image.state for image in catalogue.images(job)] == [ImageState.RUNNING, ImageState.SUCCEEDED]


def test_lease_outlasts_an_outage_of_the_ledger(
    server_settings: Settings, postgres_server: PostgresServer, clock: Clock
) -> None:
    with catalogue_in(server_settings) as catalogue:
        lease, image_id = leased(catalogue, clock)
        postgres_server.kill()
        try:
            with pytest.raises(LedgerUnavailable):
                lease.extend()
        finally:
            postgres_server.start()
        clock.now += 100
        lease.check(image_id)
        lease.extend()
        clock.now += 60
        with pytest.raises(LeaseLost):
            lease.check(image_id)

"""The ledger's clock jumps an hour back, or a day ahead, while images are leased: each image still counts once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cleanplate.base.settings import Settings
from storage.blobs import open_blobs
from storage.database import Database
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import heartbeat, lease_images
from storage.ledger.images.reaper import close_jobs, fold_deltas, reap_leases
from storage.ledger.tenants.tenants import ensure_tenant
from storage.ledger.webhooks.endpoints import create_endpoint
from storage.ledger.webhooks.relay import relay_events
from storage.records import Outcome
from tests.faults.balance import imbalances
from tests.shop import Clock, Shop, succeeded

HOUR = 3600
DAY = 24 * HOUR


@pytest.mark.parametrize("jump", [HOUR, DAY, -HOUR], ids=["ahead", "a day ahead", "back"])
def test_a_clock_that_jumps_amid_the_work(database_url: str, embedded_settings: Settings, jump: int) -> None:
    clock = Clock()
    database, blobs = Database.connect(database_url, clock=clock), open_blobs(embedded_settings)
    shop = Shop(database, ensure_tenant(database, "shop"))
    job = shop.submit(4, webhook=create_endpoint(database, shop.tenant, "https://shop.example")[0].id)
    ids = shop.image_ids(job.id)

    def done(image_id: str) -> Outcome:
        key = f"t/{shop.tenant}/jobs/{job.id}/results/{image_id}.png"
        blobs.put(key, b"a picture", content_type="image/png")
        return replace(succeeded(image_id), result_key=key)

    first, _ = lease_images(database, ids, worker="first", lease_s=60)
    assert finish_images(database, first, [done(ids[0])], max_attempts=3) == {ids[0]}
    clock.advance(jump)
    assert reap_leases(database, max_attempts=3).counts == ((3, 0) if jump > 0 else (0, 0))
    second, again = lease_images(database, ids, worker="second", lease_s=60)
    assert [image.id for image in again] == (ids[1:] if jump > 0 else [])
    assert heartbeat(database, first, lease_s=60, progress={}) == (set() if jump > 0 else set(ids[1:]))
    holder, other = (second, first) if jump > 0 else (first, second)
    outcomes = [done(image_id) for image_id in ids[1:]]
    assert finish_images(database, other, outcomes, max_attempts=3) == set()
    assert finish_images(database, holder, outcomes, max_attempts=3) == set(ids[1:])
    fold_deltas(database)
    assert close_jobs(database) == [job.id]
    relay_events(database)
    assert imbalances(database, blobs) == []
    database.close()


def test_a_clock_set_back_while_a_worker_is_dead_delays_its_images_and_loses_none(
    database_url: str, embedded_settings: Settings
) -> None:
    clock = Clock()
    database = Database.connect(database_url, clock=clock)
    shop = Shop(database, ensure_tenant(database, "shop"))
    job = shop.submit(2)
    lease_images(database, shop.image_ids(job.id), worker="dead", lease_s=60)
    clock.advance(-HOUR)
    assert reap_leases(database, max_attempts=3).counts == (0, 0)
    clock.advance(HOUR + 61)
    assert reap_leases(database, max_attempts=3).counts == (2, 0)
    assert shop.job(job.id).counts.queued == 2
    database.close()

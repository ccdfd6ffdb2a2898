"""The sweeper deletes expired data with its blobs from ledger and store, and nothing that is used."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cleanplate.base.settings import Settings
from storage.blobs import open_blobs
from storage.database import Database
from storage.errors import NotFound
from storage.ledger.jobs.changes import cancel_job
from storage.ledger.retention.deletion import delete_job
from storage.ledger.tenants.uploads import create_uploads
from storage.ledger.webhooks.deliveries import claim_deliveries, list_deliveries, record_delivery
from storage.ledger.webhooks.endpoints import create_endpoint, ping
from storage.ledger.webhooks.relay import relay_events
from tests.catalogue import Catalogue, bar_mask, picture, png
from tests.running import until
from workers.leader.sweeper import Sweeper, sweep


class Later:
    """The time now, moved by the test."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.seconds)


@pytest.fixture
def later() -> Later:
    return Later()


@pytest.fixture
def shop(settings: Settings, later: Later) -> Iterator[Catalogue]:
    database = Database.connect(settings.sqlalchemy_url, clock=later)
    yield Catalogue(settings, database, open_blobs(settings))
    database.close()


def stored(shop: Catalogue) -> list[str]:
    return sorted(stat.key for stat in shop.blobs.list("t/"))


def test_files_of_a_deleted_job_and_of_unused_uploads_leave_the_store(shop: Catalogue, later: Later) -> None:
    deleted, kept = (shop.submit([png(picture(n, 16, 16))], png(bar_mask(16, 16))) for n in range(2))
    (unused,) = create_uploads(shop.database, shop.tenant_id, [("a.png", "image/png")], expires_in_s=60)
    shop.blobs.put(unused.key, b"never submitted", content_type="image/png")
    for job in (deleted, kept):
        shop.blobs.put(f"t/{shop.tenant_id}/jobs/{job.id}/results/img_1.png", b"clean", content_type="image/png")
    assert len(stored(shop)) == 7
    delete_job(shop.database, shop.tenant_id, deleted.id)
    sweep(shop.database, shop.blobs, deliveries_kept_s=None)
    assert len(stored(shop)) == 7  # a worker of the deleted job may still be writing

    later.seconds = 3600
    sweep(shop.database, shop.blobs, deliveries_kept_s=None)
    later.seconds = 7200
    sweep(shop.database, shop.blobs, deliveries_kept_s=None)
    (image,) = shop.images(kept)
    assert stored(shop) == sorted(
        [image.source_key, image.mask_key, f"t/{shop.tenant_id}/jobs/{kept.id}/results/img_1.png"]
    )


def test_a_job_goes_when_its_retention_is_over(shop: Catalogue, later: Later) -> None:
    job = shop.submit([png(picture(0, 16, 16))], png(bar_mask(16, 16)), retention_s=3600)
    cancel_job(shop.database, shop.tenant_id, job.id)
    sweep(shop.database, shop.blobs, deliveries_kept_s=None)
    assert shop.job(job).id == job.id
    later.seconds = 3601
    sweep(shop.database, shop.blobs, deliveries_kept_s=None)
    with pytest.raises(NotFound):
        shop.job(job)


def test_the_sweeper_sweeps_by_itself_and_stops(shop: Catalogue, later: Later) -> None:
    (unused,) = create_uploads(shop.database, shop.tenant_id, [("a.png", "image/png")], expires_in_s=60)
    shop.blobs.put(unused.key, b"never submitted", content_type="image/png")
    later.seconds = 3600
    sweep(shop.database, shop.blobs, deliveries_kept_s=None)
    later.seconds = 7200
    with Sweeper(shop.database, shop.blobs, deliveries_kept_s=None):
        until(lambda: stored(shop) == [], "the sweeper did not sweep")


def test_pings_go_when_the_retention_is_over(shop: Catalogue, later: Later) -> None:
    hook = create_endpoint(shop.database, shop.tenant_id, "https://shop.example/hook")[0].id

    def pinged() -> int:
        ping(shop.database, shop.tenant_id, hook)
        relay_events(shop.database)
        for delivery in claim_deliveries(shop.database, limit=10, claim_s=60):
            record_delivery(
                shop.database, delivery.id, status=200, error=None, excerpt=None, seconds=0.1, schedule_s=(5.0,),
                retry_after_s=None, gone=False, disable_after_s=1e6,
            )  # fmt: skip
        return len(list_deliveries(shop.database, shop.tenant_id, hook, limit=10, after=None))

    assert [pinged(), pinged()] == [1, 2]
    later.seconds = 3601
    sweep(shop.database, shop.blobs, deliveries_kept_s=None)
    assert pinged() == 3
    sweep(shop.database, shop.blobs, deliveries_kept_s=3600)
    assert pinged() == 2

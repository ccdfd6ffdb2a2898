"""Quotas: counted in the transaction that uses them, by day of UTC, and separately for each tenant."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from storage.database import Database
from storage.errors import NotFound, QuotaExceeded, SizeMissing
from storage.ledger.jobs.changes import cancel_job
from storage.ledger.jobs.reading import list_jobs
from storage.ledger.tenants.quotas import get_usage, set_quota
from storage.ledger.tenants.uploads import create_uploads
from storage.records import Quota, Usage
from tests.shop import Clock, Shop

HALF_DAY_S = 12 * 3600.0


@pytest.fixture
def counted(shop: Shop) -> Iterator[Shop]:
    set_quota(shop.db, shop.tenant, Quota(images_per_day=5, images_in_flight=4, bytes_per_day=100))
    yield shop


def refused(shop: Shop, images: int) -> QuotaExceeded:
    before = get_usage(shop.db, shop.tenant), list_jobs(shop.db, shop.tenant, limit=100, after=None)
    with pytest.raises(QuotaExceeded) as caught:
        shop.submit(images, sizes=[0] * (images + 1))
    assert (get_usage(shop.db, shop.tenant), list_jobs(shop.db, shop.tenant, limit=100, after=None)) == before
    return caught.value


def test_without_a_quota_everything_is_counted_and_nothing_refused(shop: Shop) -> None:
    shop.submit(3)
    create_uploads(shop.db, shop.tenant, [("a", "image/png")], expires_in_s=60, sizes=[7])
    assert get_usage(shop.db, shop.tenant) == Usage(quota=Quota(), images_today=3, images_in_flight=3, bytes_today=7)


def test_images_a_day_are_counted_until_midnight_of_utc(counted: Shop, clock: Clock) -> None:
    for _ in range(2):
        job = counted.submit(2, sizes=[1, 1, 1])
        cancel_job(counted.db, counted.tenant, job.id)
    error = refused(counted, 2)
    assert "1 of 5 are left" in str(error)
    assert error.retry_after_s == HALF_DAY_S
    clock.advance(HALF_DAY_S)
    assert get_usage(counted.db, counted.tenant).images_today == 0
    assert counted.submit(2, sizes=[1, 1, 1]).total == 2


def test_a_request_over_the_quota_itself_is_refused_for_good(counted: Shop) -> None:
    assert refused(counted, 6).retry_after_s is None


def test_images_in_flight_are_free_again_when_they_end(counted: Shop) -> None:
    job = counted.submit(3, sizes=[0] * 4)
    assert refused(counted, 2).retry_after_s == 60
    cancel_job(counted.db, counted.tenant, job.id)
    assert get_usage(counted.db, counted.tenant).images_in_flight == 0
    counted.submit(2, sizes=[0] * 3)


def test_bytes_are_counted_as_announced(counted: Shop) -> None:
    create_uploads(counted.db, counted.tenant, [("a", "image/png")] * 2, expires_in_s=60, sizes=[60, 40])
    with pytest.raises(QuotaExceeded, match="0 of 100 are left"):
        create_uploads(counted.db, counted.tenant, [("a", "image/png")], expires_in_s=60, sizes=[1])
    with pytest.raises(SizeMissing):
        create_uploads(counted.db, counted.tenant, [("a", "image/png")], expires_in_s=60)
    assert get_usage(counted.db, counted.tenant).bytes_today == 100


def test_a_tenant_uses_nothing_of_anothers(counted: Shop, rival: Shop) -> None:
    rival.submit(6)
    assert get_usage(counted.db, counted.tenant).images_today == 0
    with pytest.raises(NotFound):
        set_quota(counted.db, "tnt_none", Quota())


def test_one_of_two_parallel_jobs_gets_the_last_place(counted: Shop, database_url: str) -> None:
    def submit(_: int) -> bool:
        db = Database.connect(database_url)
        try:
            Shop(db, counted.tenant).submit(3, sizes=[0] * 4)
        except QuotaExceeded:
            return False
        finally:
            db.close()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(submit, range(4))) == [False, False, False, True]

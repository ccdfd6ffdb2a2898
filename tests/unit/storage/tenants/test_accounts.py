"""Accounts: the work on images with a result, by tenant and day of UTC, and the same numbers in the audit log."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta

import psycopg
from sqlalchemy import select

from storage.database import Database
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.retention.deletion import delete_job
from storage.ledger.tenants.accounts import fold_accounts, list_account, sum_accounts, today
from storage.ledger.tenants.tenants import ensure_tenant
from storage.records import AccountDay, ImageRecord, ImageState, Outcome, Work
from storage.tables import audit_log
from tests.running import REPOSITORY
from tests.shop import Clock, Shop, failed, succeeded

DAY = date(2026, 5, 1)
RECORD = ImageRecord(seconds={"fetch": 9.0, "decode": 0.5, "network": 1.25, "unblend": 0.25}, bytes=1000)
ONE = Work(images=1, pixels=640 * 480, bytes=1000, device_ms=1500)


def done(image_id: str) -> Outcome:
    return replace(succeeded(image_id), record=RECORD)


def end(shop: Shop, *outcomes: Outcome) -> None:
    token, _ = lease_images(shop.db, [outcome.image_id for outcome in outcomes], worker="w", lease_s=60)
    assert len(finish_images(shop.db, token, list(outcomes), max_attempts=3)) == len(outcomes)


def account(shop: Shop) -> list[AccountDay]:
    return list_account(shop.db, shop.tenant, DAY - timedelta(days=3), DAY + timedelta(days=3))


def in_audit_log(shop: Shop) -> list[AccountDay]:
    """The same account, summed from the audit log."""
    days: defaultdict[date, Work] = defaultdict(Work)
    with shop.db.read() as connection:
        for entry in connection.execute(select(audit_log).where(audit_log.c.tenant_id == shop.tenant)):
            if "work" in entry.data:
                days[entry.at.date()] += Work(**entry.data["work"])
    return [AccountDay(day, work) for day, work in sorted(days.items())]


def test_images_with_a_result_are_counted_folded_or_not(shop: Shop, rival: Shop) -> None:
    ids = shop.image_ids(shop.submit(4).id)
    end(shop, done(ids[0]), replace(done(ids[1]), state=ImageState.SKIPPED), failed(ids[2]))
    expected = [AccountDay(DAY, ONE + ONE)]
    assert account(shop) == expected
    assert fold_accounts(shop.db) == {shop.tenant: ONE + ONE}
    assert account(shop) == expected
    assert fold_accounts(shop.db) == {}
    end(shop, done(ids[3]))
    assert account(shop) == [AccountDay(DAY, ONE + ONE + ONE)]
    assert account(rival) == []


def test_the_work_of_all_tenants_is_summed_from_a_day_on(shop: Shop, rival: Shop) -> None:
    for tenant, count in ((shop, 2), (rival, 1)):
        end(tenant, *map(done, tenant.image_ids(tenant.submit(count).id)))
    fold_accounts(shop.db)
    end(shop, done(shop.image_ids(shop.submit(1).id)[0]))
    assert sum_accounts(shop.db, DAY) == {shop.tenant: ONE + ONE + ONE, rival.tenant: ONE}
    assert sum_accounts(shop.db, DAY + timedelta(days=1)) == {}


def test_an_image_to_be_tried_again_is_not_counted(shop: Shop) -> None:
    (image_id,) = shop.image_ids(shop.submit(1).id)
    end(shop, failed(image_id, retry=True))
    assert account(shop) == []


def test_a_day_ends_at_midnight_of_utc(shop: Shop, clock: Clock) -> None:
    ids = shop.image_ids(shop.submit(2).id)
    clock.advance(12 * 3600 - 1)
    end(shop, done(ids[0]))
    clock.advance(1)
    end(shop, done(ids[1]))
    fold_accounts(shop.db)
    assert account(shop) == [AccountDay(DAY, ONE), AccountDay(DAY + timedelta(days=1), ONE)]
    assert list_account(shop.db, shop.tenant, DAY, DAY) == [AccountDay(DAY, ONE)]


def test_the_audit_log_has_the_same_numbers_also_when_the_job_is_deleted(shop: Shop, clock: Clock) -> None:
    for images in (1, 3):
        job = shop.submit(images)
        end(shop, *map(done, shop.image_ids(job.id)))
        fold_accounts(shop.db)
        delete_job(shop.db, shop.tenant, job.id)
        clock.advance(24 * 3600)
    assert [day.work.images for day in account(shop)] == [1, 3]
    assert account(shop) == in_audit_log(shop)


def test_the_documented_query_shows_the_days_on_which_account_and_audit_log_differ(postgres_url: str) -> None:
    page = (REPOSITORY / "docs" / "operations.md").read_text()
    (query,) = re.findall(r"```sql\n(.*?FULL JOIN.*?)```", page, re.DOTALL)
    db = Database.connect(postgres_url)
    shop = Shop(db, ensure_tenant(db, "shop"))
    ids = shop.image_ids(shop.submit(3).id)
    end(shop, done(ids[0]), done(ids[1]), failed(ids[2]))
    fold_accounts(db)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        assert connection.execute(query).fetchall() == []
        connection.execute("UPDATE accounts SET pixels = pixels + 1")
        assert connection.execute(query).fetchall() == [(shop.tenant, today(db), 2, 2)]
        connection.execute("DELETE FROM accounts")
        assert connection.execute(query).fetchall() == [(shop.tenant, today(db), None, 2)]
    db.close()

"""Dispatch: a fair order, a bounded queue, and a repeat of lost messages."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from storage.database import Database
from storage.ledger.images.dispatch import BULK_TURN, overtaken_after, read_backlog, take_shards
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images, release_images
from storage.ledger.images.reaper import close_jobs, reap_leases
from storage.ledger.jobs.changes import cancel_job
from storage.ledger.jobs.pauses import pause_tenant
from storage.ledger.tenants.tenants import ensure_tenant, set_weight
from storage.records import PausedBy, Priority, Shard
from tests.shop import Clock, Shop, failed, succeeded


def take(db: Database, depth: int = 100, *, shard_size: int = 4) -> list[Shard]:
    return take_shards(db, depth=depth, shard_size=shard_size, publish_timeout_s=120).shards


def sizes(shards: list[Shard]) -> list[int]:
    return [len(shard.image_ids) for shard in shards]


def work_off(shop: Shop, shard: Shard) -> None:
    """Process messages as a worker does."""
    token, leased = lease_images(shop.db, shard.image_ids, worker="w", lease_s=60)
    assert [image.id for image in leased] == shard.image_ids
    finish_images(shop.db, token, [succeeded(image.id) for image in leased], max_attempts=3)


def test_a_job_travels_in_order_and_in_full_shards(shop: Shop) -> None:
    job = shop.submit(10)
    shards = take(shop.db)
    assert sizes(shards) == [4, 4, 2]
    assert {shard.job_id for shard in shards} == {job.id}
    assert [image_id for shard in shards for image_id in shard.image_ids] == shop.image_ids(job.id)
    assert take(shop.db) == []


def test_nothing_waits_nothing_is_taken(shop: Shop) -> None:
    assert take(shop.db) == []


def test_only_so_many_shards_are_under_way(shop: Shop, clock: Clock) -> None:
    shop.submit(40)
    first = take(shop.db, 3)
    assert sizes(first) == [4, 4, 4]
    clock.advance(1)
    assert take(shop.db, 3) == []
    work_off(shop, first[0])
    clock.advance(1)
    assert sizes(take(shop.db, 3)) == [4]
    clock.advance(1)
    assert sizes(take(shop.db, 5)) == [4, 4]


def test_small_shards_take_little_room(shop: Shop, clock: Clock) -> None:
    for _ in range(5):
        shop.submit(1)
    assert sizes(take(shop.db, 1)) == [1, 1, 1, 1]
    clock.advance(1)
    assert take(shop.db, 1) == []
    assert sizes(take(shop.db, 2)) == [1]


def test_images_that_no_worker_leased_in_time_are_published_again(shop: Shop, clock: Clock) -> None:
    job = shop.submit(8)
    lost, leased = take(shop.db)
    lease_images(shop.db, leased.image_ids, worker="w", lease_s=600)
    clock.advance(119)
    assert take(shop.db) == []
    clock.advance(1)
    assert take(shop.db) == [lost]
    assert take(shop.db) == []
    # The first message arrives after all: only one of the two gets the lease.
    assert len(lease_images(shop.db, lost.image_ids, worker="late", lease_s=60)[1]) == 4
    assert lease_images(shop.db, lost.image_ids, worker="later", lease_s=60)[1] == []
    assert shop.job(job.id).counts.running == 8


def test_lost_messages_do_not_fill_the_queue_for_ever(shop: Shop, clock: Clock) -> None:
    shop.submit(40)
    first = take(shop.db, 2)
    clock.advance(120)
    assert take(shop.db, 2) == first


def test_tenants_take_turns_however_many_jobs_they_have(shop: Shop, rival: Shop, clock: Clock) -> None:
    many = [shop.submit(4).id for _ in range(10)]
    one = rival.submit(400)
    served: Counter[str] = Counter()
    for _ in range(10):
        clock.advance(1)
        shards = take(shop.db, 2)
        for shard in shards:
            served[shard.job_id] += 1
            work_off(shop, shard)
        # Jobs that complete take nothing of their tenant's turn with them.
        close_jobs(shop.db)
    assert served[one.id] == 10
    assert sum(served[job_id] for job_id in many) == 10


def test_tenants_share_by_weight(shop: Shop, rival: Shop, clock: Clock) -> None:
    set_weight(shop.db, shop.tenant, 3)
    heavy, light = shop.submit(400), rival.submit(400)
    served: Counter[str] = Counter()
    for _ in range(20):
        clock.advance(1)
        for shard in take(shop.db, 2):
            served[shard.job_id] += 1
            work_off(shop, shard)
    assert (served[heavy.id], served[light.id]) == (30, 10)


def test_a_tenant_that_was_away_has_saved_nothing_up(shop: Shop, rival: Shop, clock: Clock) -> None:
    busy = shop.submit(400)
    for _ in range(10):
        clock.advance(1)
        for shard in take(shop.db, 4):
            work_off(shop, shard)
    late = rival.submit(400)
    clock.advance(1)
    served = Counter(shard.job_id for shard in take(shop.db, 8))
    assert (served[busy.id], served[late.id]) == (4, 4)


def test_interactive_jobs_have_a_queue_of_their_own(shop: Shop, clock: Clock) -> None:
    catalogue = shop.submit(40)
    assert sizes(take(shop.db, 3)) == [4, 4, 4]
    urgent = shop.submit(4, priority=Priority.INTERACTIVE)
    clock.advance(1)
    assert [(shard.job_id, shard.queue) for shard in take(shop.db, 3)] == [(urgent.id, Priority.INTERACTIVE)]
    assert {shard.job_id for shard in take(shop.db, 4)} == {catalogue.id}


def test_one_shard_in_eight_of_the_interactive_queue_is_bulk(shop: Shop, rival: Shop, clock: Clock) -> None:
    urgent, catalogue = shop.submit(200, priority=Priority.INTERACTIVE), rival.submit(400)
    overtaken, travelled = 0, []
    for _ in range(12):
        # No worker reads the bulk queue, so its messages stay.
        shards = take_shards(shop.db, depth=2, shard_size=4, publish_timeout_s=120, overtaken=overtaken).shards
        overtaken = overtaken_after(shards, overtaken)
        for shard in shards:
            if shard.queue is Priority.INTERACTIVE:
                travelled.append(shard.job_id)
                work_off(shop, shard)
        clock.advance(1)
    assert travelled[: BULK_TURN + 1] == [urgent.id] * BULK_TURN + [catalogue.id]
    assert Counter(travelled) == {urgent.id: 21, catalogue.id: 3}


def test_bulk_that_lies_in_its_queue_is_helped_on_as_well(shop: Shop, clock: Clock) -> None:
    shop.submit(1000, priority=Priority.INTERACTIVE)
    waiting = shop.submit(4)
    (bulk,) = (shard for shard in take(shop.db, 1) if shard.queue is Priority.BULK)
    assert bulk.job_id == waiting.id
    clock.advance(29.5)
    assert waiting.id not in {shard.job_id for shard in _take_after_many(shop, 4)}
    clock.advance(1)
    (helped,) = (shard for shard in _take_after_many(shop, 8) if shard.job_id == waiting.id)
    assert (helped.queue, helped.image_ids) == (Priority.INTERACTIVE, bulk.image_ids)


def _take_after_many(shop: Shop, depth: int) -> list[Shard]:
    return take_shards(shop.db, depth=depth, shard_size=4, publish_timeout_s=120, overtaken=BULK_TURN).shards


def test_the_backlog_says_what_waits_and_for_how_long(shop: Shop, rival: Shop, clock: Clock) -> None:
    shop.submit(8)
    clock.advance(40)
    rival.submit(3, priority=Priority.INTERACTIVE)
    clock.advance(2)
    first, *_ = (shard for shard in take(shop.db) if shard.priority is Priority.BULK)
    lease_images(shop.db, first.image_ids, worker="w", lease_s=60)
    backlog = read_backlog(shop.db)
    bulk, interactive = backlog.waiting[Priority.BULK], backlog.waiting[Priority.INTERACTIVE]
    assert (bulk.queued, bulk.running, bulk.oldest_s) == (4, 4, 42)
    assert (interactive.queued, interactive.running, interactive.oldest_s) == (3, 0, 2)
    assert (backlog.busy_workers, backlog.paused) == (1, 0)
    pause_tenant(shop.db, rival.tenant, PausedBy.OPERATOR)
    backlog = read_backlog(shop.db)
    assert (backlog.waiting[Priority.INTERACTIVE].queued, backlog.paused) == (0, 3)


def test_nothing_to_do_is_an_empty_backlog(shop: Shop) -> None:
    backlog = read_backlog(shop.db)
    assert (backlog.queued, backlog.running, backlog.waiting[Priority.BULK].oldest_s) == (0, 0, 0)


def test_a_new_tenant_is_served_before_a_long_queue(shop: Shop, rival: Shop, clock: Clock) -> None:
    shop.submit(400)
    take(shop.db, 4)
    clock.advance(1)
    urgent = rival.submit(1)
    assert take(shop.db, 5)[0].job_id == urgent.id


def test_jobs_of_one_tenant_take_turns(shop: Shop, clock: Clock) -> None:
    first, second = shop.submit(100), shop.submit(100)
    shards = take(shop.db, 4)
    assert [shard.job_id for shard in shards] == [first.id, second.id] * 2
    clock.advance(1)
    third = shop.submit(100)
    assert [shard.job_id for shard in take(shop.db, 5)] == [third.id]


def test_an_image_that_was_leased_before_travels_alone(shop: Shop, clock: Clock) -> None:
    job = shop.submit(4)
    (shard,) = take(shop.db)
    lease_images(shop.db, shard.image_ids, worker="dying", lease_s=30)
    clock.advance(31)
    assert reap_leases(shop.db, max_attempts=3).counts == (4, 0)
    again = take(shop.db)
    assert sizes(again) == [1, 1, 1, 1]
    assert sorted(image_id for one in again for image_id in one.image_ids) == shop.image_ids(job.id)
    clock.advance(1)
    assert take(shop.db, 4) == []


def test_a_retry_waits_for_its_time_and_then_travels_alone(shop: Shop, clock: Clock) -> None:
    shop.submit(6)
    first, rest = take(shop.db, 2)
    token, _ = lease_images(shop.db, first.image_ids, worker="w", lease_s=60)
    finish_images(shop.db, token, [failed(image_id, retry=True) for image_id in first.image_ids], max_attempts=3)
    work_off(shop, rest)
    assert take(shop.db) == []
    clock.advance(3)
    assert sizes(take(shop.db)) == [1, 1, 1, 1]


def test_images_of_a_dead_worker_go_before_the_backlog(shop: Shop, clock: Clock) -> None:
    shop.submit(400)
    (held,) = take(shop.db, 1)
    lease_images(shop.db, held.image_ids, worker="dying", lease_s=20)
    clock.advance(21)
    reap_leases(shop.db, max_attempts=3)
    again = [shard.image_ids for shard in take(shop.db, 4)]
    assert again[:4] == [[image_id] for image_id in held.image_ids]
    assert [len(ids) for ids in again[4:]] == [4, 4, 4]


def test_a_retry_that_is_due_goes_before_the_backlog(shop: Shop, clock: Clock) -> None:
    shop.submit(400)
    (held,) = take(shop.db, 1)
    token, _ = lease_images(shop.db, held.image_ids, worker="w", lease_s=60)
    finish_images(shop.db, token, [failed(image_id, retry=True) for image_id in held.image_ids], max_attempts=3)
    assert sizes(take(shop.db, 1)) == [4]
    clock.advance(4)
    again = [shard.image_ids for shard in take(shop.db, 5)]
    assert sorted(again[:4]) == [[image_id] for image_id in sorted(held.image_ids)]


def test_released_images_go_back_to_their_place_before_the_backlog(shop: Shop, clock: Clock) -> None:
    shop.submit(400)
    (held,) = take(shop.db, 1)
    token, _ = lease_images(shop.db, held.image_ids, worker="stopping", lease_s=60)
    clock.advance(1)
    release_images(shop.db, token, held.image_ids)
    assert take(shop.db, 1) == [held]


def test_a_deep_queue_is_filled_with_full_shards(shop: Shop) -> None:
    job = shop.submit(100)
    shards = take(shop.db, 40)
    assert sizes(shards) == [4] * 25
    assert [image_id for shard in shards for image_id in shard.image_ids] == shop.image_ids(job.id)


def test_released_images_travel_together_again(shop: Shop) -> None:
    shop.submit(4)
    (shard,) = take(shop.db)
    token, _ = lease_images(shop.db, shard.image_ids, worker="stopping", lease_s=60)
    release_images(shop.db, token, shard.image_ids)
    assert take(shop.db) == [shard]


def test_nothing_of_a_canceled_job_is_taken(shop: Shop) -> None:
    canceled, other = shop.submit(8), shop.submit(4)
    take(shop.db, 1)
    cancel_job(shop.db, shop.tenant, canceled.id)
    assert [shard.job_id for shard in take(shop.db)] == [other.id]


def test_two_dispatchers_at_once_publish_no_image_twice(database: Database) -> None:
    shop = Shop(database, ensure_tenant(database, "shop"))
    created = [shop.submit(50) for _ in range(3)]
    with ThreadPoolExecutor(4) as pool:
        taken = [
            image_id
            for shards in pool.map(lambda _: take(database), range(4))
            for shard in shards
            for image_id in shard.image_ids
        ]
    assert Counter(taken) == Counter(image_id for job in created for image_id in shop.image_ids(job.id))

"""Paused images are neither leased nor published; workers lose their leases on them, without an attempt."""

from __future__ import annotations

import pytest

from storage.errors import NotFound, PausedByOperator
from storage.ledger.images.dispatch import take_shards
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import heartbeat, lease_images
from storage.ledger.jobs.changes import cancel_job
from storage.ledger.jobs.pauses import (
    list_pauses,
    owner_of,
    pause_everything,
    pause_job,
    pause_tenant,
    pauses_of,
    recall_paused,
    resume_everything,
    resume_job,
    resume_tenant,
)
from storage.ledger.retention.deletion import delete_job
from storage.records import Counts, ImageState, PausedBy, Shard
from tests.shop import Clock, Shop, succeeded


def take(shop: Shop) -> list[Shard]:
    return take_shards(shop.db, depth=10, shard_size=4, publish_timeout_s=120).shards


def test_nothing_of_a_paused_job_is_leased_or_published(shop: Shop) -> None:
    held, other = shop.submit(4), shop.submit(4)
    assert pause_job(shop.db, shop.tenant, held.id, PausedBy.TENANT).paused
    assert [shard.job_id for shard in take(shop)] == [other.id]
    assert lease_images(shop.db, shop.image_ids(held.id), worker="w", lease_s=60)[1] == []
    assert not resume_job(shop.db, shop.tenant, held.id, PausedBy.TENANT).paused
    assert [shard.job_id for shard in take(shop)] == [held.id]


def test_a_pause_takes_leased_images_back_without_an_attempt(shop: Shop) -> None:
    job = shop.submit(3)
    ids = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, ids, worker="w", lease_s=60)
    assert finish_images(shop.db, token, [succeeded(ids[0])], max_attempts=3) == {ids[0]}
    pause_job(shop.db, shop.tenant, job.id, PausedBy.OPERATOR)
    assert len(recall_paused(shop.db)) == 2
    assert len(recall_paused(shop.db)) == 0
    # The worker notices, and its late results do not count.
    assert heartbeat(shop.db, token, lease_s=60, progress={}) == set()
    assert finish_images(shop.db, token, [succeeded(ids[1])], max_attempts=3) == set()
    assert shop.job(job.id).counts == shop.count_images(job.id) == Counts(queued=2, succeeded=1)
    assert [image.attempt for image in shop.images(job.id)] == [1, 0, 0]


def test_queued_images_of_a_paused_tenant_free_their_places_and_are_published_again_at_once(
    shop: Shop, clock: Clock
) -> None:
    job = shop.submit(8)
    first = take(shop)
    pause_tenant(shop.db, shop.tenant, PausedBy.TENANT)
    assert len(recall_paused(shop.db)) == 0
    assert take_shards(shop.db, depth=1, shard_size=4, publish_timeout_s=120).under_way == 0
    # A worker gets their messages meanwhile.
    assert lease_images(shop.db, shop.image_ids(job.id), worker="w", lease_s=60)[1] == []
    resume_tenant(shop.db, shop.tenant, PausedBy.TENANT)
    clock.advance(1)
    assert take(shop) == first


def test_a_paused_tenant_does_not_hold_up_another(shop: Shop, rival: Shop) -> None:
    shop.submit(40)
    take(shop)
    pause_tenant(shop.db, shop.tenant, PausedBy.OPERATOR)
    recall_paused(shop.db)
    job = rival.submit(4)
    assert [shard.job_id for shard in take(rival)] == [job.id]
    assert not rival.job(job.id).paused


def test_everything_is_paused_at_once(shop: Shop, rival: Shop) -> None:
    jobs = [shop.submit(2), rival.submit(2)]
    lease_images(shop.db, shop.image_ids(jobs[0].id), worker="w", lease_s=60)
    pause_everything(shop.db)
    assert len(recall_paused(shop.db)) == 2
    assert take(shop) == []
    assert shop.job(jobs[0].id).paused and rival.job(jobs[1].id).paused
    assert list_pauses(shop.db) == [("everything", PausedBy.OPERATOR)]
    assert pauses_of(shop.db, rival.tenant) == {PausedBy.OPERATOR}
    resume_everything(shop.db)
    assert sorted(shard.job_id for shard in take(shop)) == sorted(job.id for job in jobs)


def test_pauses_lie_on_each_other(shop: Shop) -> None:
    job = shop.submit(1)
    pause_job(shop.db, shop.tenant, job.id, PausedBy.TENANT)
    pause_tenant(shop.db, shop.tenant, PausedBy.TENANT)
    assert resume_job(shop.db, shop.tenant, job.id, PausedBy.TENANT).paused
    resume_tenant(shop.db, shop.tenant, PausedBy.TENANT)
    assert not shop.job(job.id).paused


def test_a_tenant_does_not_resume_what_the_operator_paused(shop: Shop) -> None:
    job = shop.submit(1)
    pause_job(shop.db, shop.tenant, job.id, PausedBy.TENANT)
    pause_job(shop.db, shop.tenant, job.id, PausedBy.OPERATOR)
    pause_tenant(shop.db, shop.tenant, PausedBy.OPERATOR)
    with pytest.raises(PausedByOperator):
        resume_job(shop.db, shop.tenant, job.id, PausedBy.TENANT)
    with pytest.raises(PausedByOperator):
        resume_tenant(shop.db, shop.tenant, PausedBy.TENANT)
    # Nor does its own pause soften the operator's.
    pause_job(shop.db, shop.tenant, job.id, PausedBy.TENANT)
    assert dict(list_pauses(shop.db)) == {job.id: PausedBy.OPERATOR, shop.tenant: PausedBy.OPERATOR}
    resume_job(shop.db, shop.tenant, job.id, PausedBy.OPERATOR)
    resume_tenant(shop.db, shop.tenant, PausedBy.OPERATOR)
    assert list_pauses(shop.db) == []


def test_repeating_changes_nothing(shop: Shop) -> None:
    job = shop.submit(1)
    for _ in range(2):
        pause_job(shop.db, shop.tenant, job.id, PausedBy.TENANT)
    for _ in range(2):
        resume_job(shop.db, shop.tenant, job.id, PausedBy.TENANT)
    assert list_pauses(shop.db) == []


def test_only_what_is_there_can_be_paused(shop: Shop, rival: Shop) -> None:
    job = shop.submit(1)
    with pytest.raises(NotFound):
        pause_job(shop.db, rival.tenant, job.id, PausedBy.TENANT)
    with pytest.raises(NotFound):
        pause_tenant(shop.db, "tnt_unknown", PausedBy.OPERATOR)
    with pytest.raises(NotFound):
        owner_of(shop.db, "job_unknown")
    assert owner_of(shop.db, job.id) == shop.tenant


def test_a_paused_job_can_be_canceled_and_deleted(shop: Shop) -> None:
    job = shop.submit(2)
    pause_job(shop.db, shop.tenant, job.id, PausedBy.TENANT)
    assert cancel_job(shop.db, shop.tenant, job.id).counts == Counts(canceled=2)
    assert {image.state for image in shop.images(job.id)} == {ImageState.CANCELED}
    delete_job(shop.db, shop.tenant, job.id)
    assert list_pauses(shop.db) == []

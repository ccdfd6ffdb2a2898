"""A request with a key is done once and gets the same answer each time, even if the process dies at any statement."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any

import pytest
from sqlalchemy import event, func, select

from cleanplate.base.masks import BoxesMask
from storage.database import Database
from storage.errors import IdempotencyKeyBusy, IdempotencyKeyReused
from storage.ledger.jobs.reading import list_jobs, list_skipped_rows
from storage.ledger.jobs.submission import submit_once
from storage.ledger.operations.audit import chain, chained_entries
from storage.ledger.tenants.idempotency import KEPT_S, Once, forget_old_answers, recall_answer
from storage.records import Job, NewImage, NewJob, SkippedRow
from storage.tables import idempotency_keys, images, skipped_rows
from tests.shop import Clock, Shop

ONCE = Once("friday-evening", "f" * 64)


class Killed(BaseException):
    """The process dies here."""


def answer_of(job: Job) -> dict[str, Any]:
    return {"id": job.id, "total": job.total}


def submit(shop: Shop, job: NewJob, once: Once = ONCE) -> tuple[dict[str, Any], bool]:
    return submit_once(shop.db, shop.tenant, job, once, answer_of)


def all_jobs(shop: Shop) -> list[Job]:
    return list_jobs(shop.db, shop.tenant, limit=100, after=None)


def test_the_same_request_gets_the_same_answer_and_no_second_job(shop: Shop) -> None:
    job = shop.new_job(3)
    first, replayed = submit(shop, job)
    assert not replayed
    assert [submit(shop, job) for _ in range(2)] == [(first, True)] * 2
    assert [found.id for found in all_jobs(shop)] == [first["id"]]
    assert recall_answer(shop.db, shop.tenant, ONCE) == first


def test_the_key_of_another_request_is_refused(shop: Shop) -> None:
    submit(shop, shop.new_job(1))
    other = Once(ONCE.key, "0" * 64)
    with pytest.raises(IdempotencyKeyReused):
        submit(shop, shop.new_job(1), other)
    with pytest.raises(IdempotencyKeyReused):
        recall_answer(shop.db, shop.tenant, other)
    assert len(all_jobs(shop)) == 1


def test_tenants_have_keys_of_their_own(shop: Shop, rival: Shop) -> None:
    submit(shop, shop.new_job(1))
    assert recall_answer(rival.db, rival.tenant, ONCE) is None
    assert submit(rival, rival.new_job(2))[1] is False


def test_a_key_is_forgotten_after_a_day(shop: Shop, clock: Clock) -> None:
    first, _ = submit(shop, shop.new_job(1))
    clock.advance(KEPT_S - 1)
    assert recall_answer(shop.db, shop.tenant, ONCE) == first
    assert forget_old_answers(shop.db) == 0
    clock.advance(1)
    assert recall_answer(shop.db, shop.tenant, ONCE) is None
    second, replayed = submit(shop, shop.new_job(1))
    assert (second["id"] != first["id"], replayed) == (True, False)
    clock.advance(KEPT_S)
    assert forget_old_answers(shop.db) == 1
    with shop.db.read() as connection:
        assert connection.scalar(select(func.count()).select_from(idempotency_keys)) == 0


def test_a_refused_request_may_be_corrected_under_its_key(shop: Shop) -> None:
    job = shop.new_job(1)
    with pytest.raises(ZeroDivisionError):
        submit_once(shop.db, shop.tenant, job, ONCE, lambda job: {"share": 1 // (job.total - 1)})
    assert all_jobs(shop) == []
    assert submit(shop, job, Once(ONCE.key, "0" * 64))[1] is False


def statements_of(shop: Shop, job: NewJob, once: Once, die_at: int | None) -> int:
    """Submit, and die before the statement of this number (or before the commit); the number of statements."""
    sent = 0

    def before(*_: object) -> None:
        nonlocal sent
        if sent == die_at:
            raise Killed
        sent += 1

    targets = ((shop.db.engine, "before_cursor_execute"), (shop.db.engine, "commit"))
    for target, name in targets:
        event.listen(target, name, before)
    try:
        submit(shop, job, once)
    finally:
        for target, name in targets:
            event.remove(target, name, before)
    return sent


def mixed(shop: Shop) -> NewJob:
    """A job of uploads and of addresses, with rows of its manifest left out."""
    job = shop.new_job(5)
    addresses = [
        NewImage(
            name=f"{n}.jpg",
            source_url=f"https://shop.example/{n}.jpg",
            mask=BoxesMask(boxes=[(0, 0, 1, 1)]),
        )
        for n in range(2)
    ]
    skipped = [SkippedRow(line=n, custom_id=None, code="mask_missing", detail="The row is bad.") for n in (2, 4, 9)]
    return replace(job, images=[*job.images, *addresses], skipped=skipped)


def test_killed_at_any_statement_a_repeat_gives_one_job_with_its_images(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.ledger.bulk.CHUNK", 2)  # several statements of images, and of uploads
    points = statements_of(shop, mixed(shop), Once("counted", "a" * 64), None)
    assert points >= 16
    for point in range(points):
        once = Once(f"killed-{point}", "a" * 64)
        job = mixed(shop)
        before = {found.id for found in all_jobs(shop)}
        with pytest.raises(Killed):
            statements_of(shop, job, once, point)
        assert {found.id for found in all_jobs(shop)} == before, point
        answer, replayed = submit(shop, job, once)
        assert not replayed, point
        assert submit(shop, job, once) == (answer, True)
        assert {found.id for found in all_jobs(shop)} == before | {answer["id"]}
        assert [(image.name, image.source_url) for image in shop.images(answer["id"])] == [
            (image.name, image.source_url) for image in job.images
        ]
        assert list_skipped_rows(shop.db, shop.tenant, answer["id"], limit=9, after=0) == job.skipped
    with shop.db.read() as connection:
        assert connection.scalar(select(func.count()).select_from(images)) == 7 * (points + 1)
        assert connection.scalar(select(func.count()).select_from(skipped_rows)) == 3 * (points + 1)
    chain(shop.db)
    submitted = [entry.job_id for entry in chained_entries(shop.db) if entry.action == "job.submitted"]
    assert sorted(submitted) == sorted(found.id for found in all_jobs(shop))


def test_a_twin_is_told_to_wait_or_gets_the_same_answer(shop: Shop, database_url: str) -> None:
    job, inside, go_on = shop.new_job(1), Event(), Event()

    def slow(made: Job) -> dict[str, Any]:
        inside.set()
        assert go_on.wait(30)
        return answer_of(made)

    def twin() -> dict[str, Any] | None:
        db = Database.connect(database_url, clock=shop.db._clock)
        try:
            return submit_once(db, shop.tenant, job, ONCE, answer_of)[0]
        except IdempotencyKeyBusy:
            return None
        finally:
            db.close()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(submit_once, shop.db, shop.tenant, job, ONCE, slow)
        assert inside.wait(30)
        second = pool.submit(twin)
        if shop.db.on_postgres:
            assert second.result(30) is None
        go_on.set()
        answer, _ = first.result(30)
        assert second.result(30) in (None, answer)
    assert twin() == answer
    assert len(all_jobs(shop)) == 1

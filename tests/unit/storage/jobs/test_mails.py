"""Mails in the ledger: written with their cause, claimed by one, settled once, on both databases."""

from __future__ import annotations

from sqlalchemy import func, select

from cleanplate.base.mail import Mail, MailError, MailState
from storage.database import Database
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs
from storage.ledger.jobs.changes import cancel_job
from storage.ledger.jobs.mails import claim_mail, record_mail
from storage.ledger.jobs.redoing import Redo, redo_images
from storage.ledger.retention.deletion import delete_job
from storage.records import Job
from storage.tables import mails
from tests.shop import Clock, Shop, succeeded

MAIL = Mail(to="photos@shop.example", language="zh-CN")
BUSY = MailError(code="mail_refused", detail="451 busy")


def completed(shop: Shop, mail: Mail | None = MAIL) -> Job:
    """A job that has ended."""
    job = shop.submit(2, mail=mail)
    ids = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, ids, worker="w", lease_s=60)
    finish_images(shop.db, token, [succeeded(image_id) for image_id in ids], max_attempts=3)
    assert close_jobs(shop.db) == [job.id]
    return job


def number_of_mails(db: Database) -> int:
    with db.read() as connection:
        return connection.scalar(select(func.count()).select_from(mails)) or 0


def test_the_end_of_a_job_is_mailed_once_and_the_job_says_so(shop: Shop, clock: Clock) -> None:
    job = completed(shop)
    told = shop.job(job.id).mail
    assert told is not None
    assert (told.to, told.language, told.state) == ("photos@shop.example", "zh-CN", MailState.PENDING)
    mail = claim_mail(shop.db, claim_s=60)
    assert mail is not None
    assert (mail.event_type, mail.job.counts.succeeded) == ("job.completed", 2)
    assert claim_mail(shop.db, claim_s=60) is None
    record_mail(shop.db, mail, None, again_s=None)
    told = shop.job(job.id).mail
    assert told is not None
    assert (told.state, told.sent_at, told.error) == (MailState.SENT, clock.time, None)
    assert number_of_mails(shop.db) == 0


def test_a_mail_whose_sender_died_is_claimed_again_under_its_id(shop: Shop, clock: Clock) -> None:
    completed(shop)
    first = claim_mail(shop.db, claim_s=60)
    clock.advance(61)
    second = claim_mail(shop.db, claim_s=60)
    assert first is not None
    assert second is not None
    assert first.id == second.id
    record_mail(shop.db, second, None, again_s=None)
    record_mail(shop.db, first, BUSY, again_s=60)
    told = shop.job(first.job.id).mail
    assert told is not None
    assert told.state is MailState.SENT


def test_an_attempt_that_failed_is_told_and_made_again_later(shop: Shop, clock: Clock) -> None:
    job = completed(shop)
    mail = claim_mail(shop.db, claim_s=30)
    assert mail is not None
    record_mail(shop.db, mail, BUSY, again_s=60)
    told = shop.job(job.id).mail
    assert told is not None
    assert (told.state, told.error) == (MailState.PENDING, BUSY)
    clock.advance(59)
    assert claim_mail(shop.db, claim_s=30) is None
    clock.advance(1)
    again = claim_mail(shop.db, claim_s=30)
    assert again is not None
    assert again.attempts == 1
    record_mail(shop.db, again, BUSY, again_s=None)
    told = shop.job(job.id).mail
    assert told is not None
    assert (told.state, told.error) == (MailState.FAILED, BUSY)
    assert number_of_mails(shop.db) == 0


def test_without_an_address_and_after_a_cancellation_nothing_is_mailed(shop: Shop) -> None:
    assert shop.job(completed(shop, mail=None).id).mail is None
    canceled = shop.submit(2, mail=MAIL)
    cancel_job(shop.db, shop.tenant, canceled.id)
    told = shop.job(canceled.id).mail
    assert told is not None
    assert told.state is MailState.IDLE
    assert number_of_mails(shop.db) == 0


def test_a_mail_goes_with_its_job(shop: Shop) -> None:
    job = completed(shop)
    mail = claim_mail(shop.db, claim_s=60)
    assert mail is not None
    delete_job(shop.db, shop.tenant, job.id)
    assert number_of_mails(shop.db) == 0
    record_mail(shop.db, mail, None, again_s=None)


def test_images_that_are_done_again_are_mailed_to_the_same_address(shop: Shop) -> None:
    job = completed(shop)
    child = redo_images(shop.db, shop.tenant, job.id, Redo(image_ids=shop.image_ids(job.id)), most=5).made
    assert child.mail is not None
    assert (child.mail.wish, child.mail.state) == (MAIL, MailState.IDLE)

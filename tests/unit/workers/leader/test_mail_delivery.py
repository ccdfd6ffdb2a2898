"""Mails about jobs, handed to a real mail server: with a user, encrypted, refused, silent."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import SecretStr
from structlog.testing import capture_logs

from cleanplate.base.mail import JobMail, Mail, MailState
from cleanplate.base.settings import Settings
from storage.database import Database
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs
from storage.ledger.tenants.tenants import ensure_tenant
from tests.mail_server import MailServer, mail_server
from tests.running import until
from tests.shop import Clock, Shop, succeeded
from workers.leader.mail_delivery import SCHEDULE_S, MailSender

#: aiosmtpd's advice to real servers; the password of these tests is none.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
PASSWORD = "the mail server's own secret"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shop(sqlite_url: str, clock: Clock) -> Shop:
    database = Database.connect(sqlite_url, clock=clock)
    return Shop(database, ensure_tenant(database, "shop"))


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """An authority that this machine trusts."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return ca


def context_of(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def settings_of(server: MailServer, **more: Any) -> Settings:
    fields = {"smtp_tls": "none", "smtp_timeout_s": 5, **more}
    return Settings(
        smtp_host="127.0.0.1",
        smtp_port=server.port,
        smtp_sender="clean@service.example",
        mail_recipients=("@shop.example",),
        public_url="https://clean.example",
        **fields,
    )


def complete(shop: Shop, *, language: Any = "en", **fields: Any) -> str:
    """Complete a job of three images that wants mail; its id."""
    job = shop.submit(3, mail=Mail(to="Photos@shop.example", language=language), **fields)
    ids = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, ids, worker="w", lease_s=60)
    finish_images(shop.db, token, [succeeded(image_id) for image_id in ids], max_attempts=3)
    assert close_jobs(shop.db) == [job.id]
    return job.id


def fate(shop: Shop, job_id: str) -> JobMail:
    mail = shop.job(job_id).mail
    assert mail is not None
    return mail


def test_the_end_of_a_job_is_mailed_in_plain_words(shop: Shop) -> None:
    job_id = complete(shop, name="Spring, shirts")
    with mail_server() as server, MailSender(shop.db, settings_of(server)):
        until(lambda: fate(shop, job_id).state is MailState.SENT, "no mail was sent")
    (mail,) = server.received
    assert (mail["From"], mail["To"], mail["Subject"]) == (
        "clean@service.example",
        "Photos@shop.example",
        "Done: Spring, shirts",
    )
    lines = mail.get_content().splitlines()
    assert "Clean: 3" in lines
    assert f"https://clean.example/jobs/{job_id}" in lines
    assert not any(line.startswith("Failed") for line in lines)
    assert mail["Auto-Submitted"] == "auto-generated"


def test_a_mail_is_written_in_the_language_that_the_job_names(shop: Shop) -> None:
    complete(shop, language="zh-CN", name="春季衬衫")
    with mail_server() as server:
        assert MailSender(shop.db, settings_of(server)).send_one()
    (mail,) = server.received
    assert mail["Subject"] == "已完成：春季衬衫"
    assert "已清除：3" in mail.get_content()


@pytest.mark.parametrize("way", ["starttls", "tls"])
def test_a_user_signs_in_over_an_encrypted_way(shop: Shop, authority: trustme.CA, way: str) -> None:
    job_id = complete(shop)
    users = {"clean": PASSWORD}
    with mail_server(users=users, **{way: context_of(authority)}) as server:
        settings = settings_of(server, smtp_tls=way, smtp_user="clean", smtp_password=SecretStr(PASSWORD))
        assert MailSender(shop.db, settings).send_one()
    assert fate(shop, job_id).error is None
    assert len(server.received) == 1


def test_a_server_that_nobody_vouches_for_gets_neither_password_nor_mail(shop: Shop) -> None:
    job_id = complete(shop)
    with mail_server(users={"clean": PASSWORD}, starttls=context_of(trustme.CA())) as server:
        settings = settings_of(server, smtp_tls="starttls", smtp_user="clean", smtp_password=SecretStr(PASSWORD))
        assert MailSender(shop.db, settings).send_one()
    told = fate(shop, job_id)
    assert told.error is not None
    assert (told.error.code, told.state) == ("mail_unreachable", MailState.PENDING)
    assert server.received == []


def test_a_wrong_password_is_told_without_it_and_tried_again(shop: Shop, clock: Clock) -> None:
    job_id = complete(shop)
    with mail_server(users={"clean": "another"}) as server, capture_logs() as logs:
        settings = settings_of(server, smtp_user="clean", smtp_password=SecretStr(PASSWORD))
        sender = MailSender(shop.db, settings)
        assert sender.send_one()
        told = fate(shop, job_id)
        assert told.error is not None
        assert (told.error.code, told.state) == ("mail_server_refused", MailState.PENDING), told
        server.users["clean"] = PASSWORD
        clock.advance(SCHEDULE_S[0])
        assert sender.send_one()
    assert fate(shop, job_id).state is MailState.SENT
    for secret in (PASSWORD, "Photos@shop.example"):
        assert secret not in repr(logs)
        assert secret not in told.error.detail


def test_a_busy_server_is_asked_again_and_a_refusal_is_final(shop: Shop, clock: Clock) -> None:
    job_id = complete(shop)
    with mail_server() as server:
        server.answers = ["451 4.7.1 greylisted", "550 5.1.1 no such mailbox"]
        sender = MailSender(shop.db, settings_of(server))
        assert sender.send_one()
        assert fate(shop, job_id).state is MailState.PENDING
        assert not sender.send_one()
        clock.advance(SCHEDULE_S[0])
        assert sender.send_one()
        told = fate(shop, job_id)
        assert told.error is not None
        assert (told.state, told.error.code) == (MailState.FAILED, "mail_refused")
        assert told.error.detail == "550 5.1.1 no such mailbox"
        clock.advance(1e6)
        assert not sender.send_one()


def test_a_server_that_never_answers_costs_its_time_and_is_given_up_at_last(shop: Shop, clock: Clock) -> None:
    job_id = complete(shop)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = settings_of(MailServer(port=silent.getsockname()[1]), smtp_timeout_s=0.2)
        sender = MailSender(shop.db, settings)
        for pause in (*SCHEDULE_S, 0):
            assert sender.send_one()
            clock.advance(pause)
        told = fate(shop, job_id)
    assert told.error is not None
    assert (told.state, told.error.code) == (MailState.FAILED, "mail_unreachable")


def test_an_address_that_is_no_longer_allowed_gets_nothing(shop: Shop) -> None:
    job_id = complete(shop)
    with mail_server() as server:
        settings = settings_of(server).model_copy(update={"mail_recipients": ("@other.example",)})
        assert MailSender(shop.db, settings).send_one()
        assert server.greetings == 0
    told = fate(shop, job_id)
    assert told.error is not None
    assert (told.state, told.error.code) == (MailState.FAILED, "mail_not_allowed")


def test_a_name_with_line_ends_writes_no_header(shop: Shop) -> None:
    complete(shop, name="spring\r\nBcc: all@shop.example")
    with mail_server() as server:
        assert MailSender(shop.db, settings_of(server)).send_one()
    (mail,) = server.received
    assert mail["Bcc"] is None
    assert mail["Subject"] == "Done: spring Bcc: all@shop.example"

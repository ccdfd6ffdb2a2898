"""A person asks for a mail at the end of a job, gets it, and reads on the job's page that it was sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import assert_accessible, forgive, signed_in, state_rights
from tests.e2e.web.catalogue import folder_of, mask_in
from tests.embedded import Embedded, embedded
from tests.mail_server import MailServer, mail_server

#: For a busy machine.
LONG_MS = 180_000


@pytest.fixture(scope="module")
def mailbox() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, mailbox: MailServer) -> Iterator[Embedded]:
    """A service that mails to one domain."""
    settings = {
        "CLEANPLATE_SMTP_HOST": "127.0.0.1",
        "CLEANPLATE_SMTP_PORT": str(mailbox.port),
        "CLEANPLATE_SMTP_TLS": "none",
        "CLEANPLATE_SMTP_SENDER": "clean@shop.example",
        "CLEANPLATE_MAIL_RECIPIENTS": json.dumps(["@shop.example"]),
    }
    with embedded(tmp_path_factory.mktemp("mail"), settings=settings) as running_service:
        yield running_service


def test_a_mail_in_the_readers_language_tells_of_the_end(
    browser: Browser, service: Embedded, mailbox: MailServer, tmp_path: Path
) -> None:
    with signed_in(browser, service, locale="zh-CN") as context:
        state_rights(context)
        page = context.new_page()
        page.goto("/jobs/new")
        page.set_input_files("#files-input", sorted(folder_of(tmp_path / "spring", 2).iterdir()))
        page.locator('[data-way="file"]').click()
        page.set_input_files("#mask-file", mask_in(tmp_path))
        page.get_by_label("完成后发邮件到").fill("jo@elsewhere.example")
        assert_accessible(page)
        page.locator("#start").click()
        expect(page.get_by_text("本服务不能发邮件到这个邮箱")).to_be_visible(timeout=LONG_MS)
        forgive(context)
        page.get_by_label("完成后发邮件到").fill("jo@shop.example")
        page.locator("#start").click()
        page.wait_for_url(re.compile(r"/jobs/job_"), timeout=LONG_MS)
        expect(page.locator("#mail-line")).to_contain_text("已发邮件到 jo@shop.example", timeout=LONG_MS)
    (mail,) = mailbox.received
    assert mail["To"] == "jo@shop.example"
    assert mail["Subject"].startswith("已完成：")
    assert "已清除：2" in mail.get_content()
    assert page.url in mail.get_content()

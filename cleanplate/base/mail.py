"""The mail about a job: whom it goes to, in which language, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from cleanplate.base.documents import Document, Report

_DOMAIN = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+"
#: The addresses that people have: no quotes, comments, lists, line ends or other scripts.
_ADDRESS = rf"^[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_DOMAIN}$"

Address = Annotated[str, StringConstraints(max_length=254, pattern=_ADDRESS)]
Language = Literal["en", "zh-CN"]


class Mail(Document):
    """The address that is told of a job's end, and of a mark that waits for approval."""

    to: Address = Field(
        description="One address, among those that the operator allows.", examples=["photos@shop.example"]
    )
    language: Language = Field(default="en", description="Of the mail.")


class MailState(StrEnum):
    """What became of the mail about the latest event."""

    #: Nothing has happened yet that it tells.
    IDLE = "idle"
    #: It is to be sent; or again, where there is an error.
    PENDING = "pending"
    SENT = "sent"
    #: It is not tried again.
    FAILED = "failed"


class MailError(Document):
    """Why a mail could not be sent."""

    code: str = Field(examples=["mail_unreachable"])
    detail: str


class JobMail(Report):
    """A job's mail with its fate."""

    to: Address
    language: Language = "en"
    state: MailState = MailState.IDLE
    sent_at: datetime | None = None
    #: Of the last attempt.
    error: MailError | None = None

    @property
    def wish(self) -> Mail:
        """What the job asked for."""
        return Mail(to=self.to, language=self.language)


def is_address(text: str) -> bool:
    """Whether a text is an address."""
    return re.fullmatch(_ADDRESS, text) is not None


def is_allowed(address: str, recipients: Iterable[str]) -> bool:
    """Whether an address is among ``recipients``: addresses, and domains as ``@shop.example``. Case does not count."""
    folded = address.casefold()
    domain = "@" + folded.rpartition("@")[2]
    return any(entry.casefold() in {folded, domain} for entry in recipients)

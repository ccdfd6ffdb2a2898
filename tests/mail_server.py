"""An SMTP server on this machine for tests, with a user, encryption or refusals where they are asked for."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.ports import free_port


@dataclass
class MailServer:
    """A running server, and what it has got."""

    port: int = 0
    #: Mails in the order of their arrival.
    received: list[EmailMessage] = field(default_factory=list)
    #: Answers to the next mails' recipients, in turn; then 250.
    answers: list[str] = field(default_factory=list)
    #: Conversations that have begun.
    greetings: int = 0
    users: dict[str, str] = field(default_factory=dict)

    async def handle_EHLO(  # noqa: N802 (aiosmtpd names it)
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.greetings += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[Any]
    ) -> str:
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.received.append(mail)
        return "250 taken"

    def check(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        """Whether a user's password is right."""
        assert isinstance(data, LoginPassword)
        right = self.users.get(data.login.decode()) == data.password.decode()
        return AuthResult(success=right, handled=False)


@contextmanager
def mail_server(
    *, users: dict[str, str] | None = None, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[MailServer]:
    """Run a server during the block; ``users``: passwords by name, of whom one must sign in."""
    server = MailServer(port=free_port(), users=users or {})
    options: dict[str, Any] = {"tls_context": starttls, "require_starttls": starttls is not None}
    if users:
        options |= {"authenticator": server.check, "auth_required": True, "auth_require_tls": False}
    controller = Controller(server, hostname="127.0.0.1", port=server.port, ssl_context=tls, **options)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()

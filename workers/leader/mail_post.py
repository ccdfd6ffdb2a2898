"""One mail about a job: composed in the language that the job names, and handed to the operator's mail server."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate

from cleanplate.base.mail import MailError, is_allowed
from cleanplate.base.settings import Settings
from storage.ledger.jobs.mails import WaitingMail
from storage.records import EventFilter
from workers.leader.mail_words import WORDS, Words

#: Longest part of a server's sentence, and of a job's name, in characters.
_DETAIL_LENGTH = 300
_NAME_LENGTH = 100


class MailRefused(Exception):
    """The mail is not delivered, and trying again cannot help."""


def compose(mail: WaitingMail, settings: Settings) -> EmailMessage:
    """The mail. Its ``Message-ID`` is the same at each attempt, so that a mailbox recognises a repeat."""
    job, wish = mail.job, mail.job.mail
    if wish is None:
        raise ValueError("The job wants no mail.")
    words = WORDS[wish.language]
    name = " ".join((job.name or words.job.format(id=job.id)).split())[:_NAME_LENGTH]
    subject, lines = _contents(mail, words)
    message = EmailMessage()
    message["From"] = settings.smtp_sender
    message["To"] = wish.to
    message["Subject"] = subject.format(name=name)
    message["Date"] = formatdate(usegmt=True)
    message["Message-ID"] = f"<{mail.id}@{settings.smtp_sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    page = f"{settings.public_url.rstrip('/')}/jobs/{job.id}"
    message.set_content("\n".join([name, "", *lines, "", page, "", words.reason]) + "\n")
    return message


def _contents(mail: WaitingMail, words: Words) -> tuple[str, list[str]]:
    """The subject, and the lines about the job."""
    job = mail.job
    if mail.event_type == EventFilter.JOB_NEEDS_REVIEW:
        found = job.review is not None and job.review.error is None
        return words.review, [words.found if found else words.not_found]
    counts = job.counts
    figures = [
        (words.clean, counts.succeeded),
        (words.left, counts.skipped),
        (words.failed, counts.failed),
        (words.canceled, counts.canceled),
    ]
    return words.done, [line.format(count=count) for line, count in figures if count or line == words.clean]


def post_mail(mail: WaitingMail, settings: Settings) -> tuple[MailError | None, bool]:
    """Hands a mail to the server, once; its error, and whether trying again may help.

    Each answer of the server has ``smtp_timeout_s``. An error holds the server's sentence and never the password.
    """
    try:
        _post(mail, settings)
    except MailRefused as error:
        return MailError(code="mail_not_allowed", detail=str(error)), False
    except smtplib.SMTPRecipientsRefused as error:
        code, sentence = next(iter(error.recipients.values()))
        return _refused(code, sentence)
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        return _refused(error.smtp_code, error.smtp_error)
    except smtplib.SMTPResponseException as error:
        # Of the greeting, of STARTTLS or of the login: the operator can mend these.
        return MailError(code="mail_server_refused", detail=_sentence(error.smtp_code, error.smtp_error)), True
    except (OSError, smtplib.SMTPException) as error:
        return MailError(code="mail_unreachable", detail=f"{type(error).__name__}: {error}"[:_DETAIL_LENGTH]), True
    return None, False


def _post(mail: WaitingMail, settings: Settings) -> None:
    if not settings.smtp_host:
        raise MailRefused("The dispatcher knows no mail server: CLEANPLATE_SMTP_HOST is empty.")
    message = compose(mail, settings)
    if not is_allowed(message["To"], settings.mail_recipients):
        raise MailRefused("The operator no longer allows mail to this address.")
    context = ssl.create_default_context()
    server = _connected(settings, context)
    try:
        if settings.smtp_tls == "starttls":
            server.starttls(context=context)
        if settings.smtp_user:
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        server.send_message(message)
    finally:
        # The server has taken the mail or not: a farewell that fails changes nothing.
        with suppress(OSError, smtplib.SMTPException):
            server.quit()


def _connected(settings: Settings, context: ssl.SSLContext) -> smtplib.SMTP:
    host, port, timeout_s = settings.smtp_host, settings.smtp_port, settings.smtp_timeout_s
    if settings.smtp_tls == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=timeout_s, context=context)
    return smtplib.SMTP(host, port, timeout=timeout_s)


def _refused(code: int, sentence: bytes | str) -> tuple[MailError, bool]:
    """The error of a mail that the server does not take; for now only, where its code begins with 4 (RFC 5321)."""
    return MailError(code="mail_refused", detail=_sentence(code, sentence)), code < 500


def _sentence(code: int, sentence: bytes | str) -> str:
    text = sentence.decode("utf-8", "replace") if isinstance(sentence, bytes) else sentence
    return " ".join(f"{code} {text}".replace("\0", "").split())[:_DETAIL_LENGTH]

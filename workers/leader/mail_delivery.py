"""Mail delivery: claims mails that are due, hands them to the mail server, and records what became of them.

The ledger is written first and the mail sent after. A mail whose sender dies before its record is sent again, with the
same ``Message-ID``.
"""

from __future__ import annotations

import threading
from types import TracebackType

import structlog

from cleanplate.base.settings import Settings
from storage.database import Database
from storage.errors import StorageError
from storage.ledger.jobs.mails import claim_mail, record_mail
from workers.leader.mail_post import post_mail

log = structlog.get_logger(__name__)

#: Seconds between the attempts at a mail; after the last it has failed.
SCHEDULE_S = (60.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0)
#: Seconds between two searches for due mails; the longest pause while the ledger is unavailable.
SEARCH_S = 2.0
LONGEST_PAUSE_S = 15.0
#: Answers of the server in one conversation, at most.
_ANSWERS = 12
#: Seconds for which a stop waits for the thread. A mail that is cut off is repeated when its claim expires.
STOP_S = 2.0


class MailSender:
    """A thread that sends due mails until its ``with`` block ends."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mail", daemon=True)

    def __enter__(self) -> MailSender:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        pause = SEARCH_S
        while not self._stopped.is_set():
            try:
                pause = 0 if self.send_one() else SEARCH_S
            except StorageError as error:
                log.warning("mail_sender.waits", code=error.code, error=str(error))
                pause = min(max(pause, SEARCH_S) * 2, LONGEST_PAUSE_S)
            except Exception:
                log.exception("mail_sender.failed")
                pause = min(max(pause, SEARCH_S) * 2, LONGEST_PAUSE_S)
            self._stopped.wait(pause)

    def send_one(self) -> bool:
        """Make an attempt at the mail that has been due for longest; whether there was one."""
        mail = claim_mail(self._database, claim_s=_ANSWERS * self._settings.smtp_timeout_s)
        if mail is None:
            return False
        error, may_help = post_mail(mail, self._settings)
        again_s = SCHEDULE_S[mail.attempts] if may_help and mail.attempts < len(SCHEDULE_S) else None
        record_mail(self._database, mail, error, again_s=again_s)
        # Without the address: it is a person's.
        facts = {"mail": mail.id, "job": mail.job.id, "event_type": mail.event_type, "attempt": mail.attempts + 1}
        if error is None:
            log.info("mail.sent", **facts)
        else:
            log.warning("mail.not_sent", **facts, code=error.code, error=error.detail, again_in=again_s)
        return True

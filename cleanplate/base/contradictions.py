"""Settings that are right one by one and cannot be meant together."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cleanplate.base.loopback import is_loopback
from cleanplate.base.mail import is_address

if TYPE_CHECKING:
    from cleanplate.base.settings import Settings


def contradictions(settings: Settings) -> list[str]:
    """One line for each contradiction, beginning with the variable to change."""
    faults = []
    if settings.lease_s < 2 * settings.heartbeat_s:
        faults.append(
            f"CLEANPLATE_LEASE_S: {settings.lease_s:g} seconds are less than two heartbeats "
            f"(CLEANPLATE_HEARTBEAT_S is {settings.heartbeat_s:g}): a living worker would lose its images."
        )
    if bool(settings.s3_access_key_id.get_secret_value()) != bool(settings.s3_secret_access_key.get_secret_value()):
        faults.append("CLEANPLATE_S3_ACCESS_KEY_ID: set it together with CLEANPLATE_S3_SECRET_ACCESS_KEY, or neither.")
    if settings.coders > 0 and sys.platform != "linux":
        faults.append("CLEANPLATE_CODERS: only Linux has what they need; set it to 0.")
    on_sqlite = not settings.sqlalchemy_url.startswith("postgresql")
    if settings.database_pooler and on_sqlite:
        faults.append("CLEANPLATE_DATABASE_POOLER: SQLite has no pooler; set CLEANPLATE_DATABASE_URL.")
    return faults + _mail(settings) + _split_over_machines(settings, on_sqlite=on_sqlite)


def _mail(settings: Settings) -> list[str]:
    """Faults of the mail server: a mail that nobody may get, or a password that everybody may read."""
    host, password = settings.smtp_host, settings.smtp_password.get_secret_value()
    faults = []
    if bool(host) != bool(settings.mail_recipients):
        faults.append("CLEANPLATE_MAIL_RECIPIENTS: set it together with CLEANPLATE_SMTP_HOST, or neither.")
    if host and not is_address(settings.smtp_sender):
        faults.append("CLEANPLATE_SMTP_SENDER: the mail server needs an address such as clean@shop.example.")
    if password and not settings.smtp_user:
        faults.append("CLEANPLATE_SMTP_USER: CLEANPLATE_SMTP_PASSWORD is the password of nobody.")
    if password and settings.smtp_tls == "none" and not is_loopback(host):
        faults.append("CLEANPLATE_SMTP_TLS: without encryption everybody on the way reads the password.")
    wrong = [entry for entry in settings.mail_recipients if not (is_address(entry) or is_address(f"a{entry}"))]
    if wrong:
        faults.append(f"CLEANPLATE_MAIL_RECIPIENTS: {wrong[0]!r} is no address and no domain such as @shop.example.")
    return faults


def _split_over_machines(settings: Settings, *, on_sqlite: bool) -> list[str]:
    """Faults where workers of other machines take work whose ledger or pictures they cannot see."""
    host = urlsplit(settings.broker_url.get_secret_value()).hostname
    if not host or is_loopback(host):
        return []
    reason = f"CLEANPLATE_BROKER_URL leads to another machine ({host}), whose workers cannot see files of this one"
    faults = []
    if on_sqlite:
        faults.append(f"CLEANPLATE_DATABASE_URL: {reason}; set postgresql://user:password@host/name.")
    if not settings.blobs_url:
        faults.append(
            f"CLEANPLATE_BLOBS_URL: {reason}; set s3://bucket, or file:///folder for a folder that all machines mount."
        )
    return faults

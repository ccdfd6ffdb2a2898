"""Whom a job may have mailed: the addresses that the operator allows, whoever asks."""

from __future__ import annotations

from api.answers import Fault
from api.problems import Problem, pointer
from cleanplate.base.mail import Mail, is_allowed
from cleanplate.base.settings import Settings


def check_mail(mail: Mail, settings: Settings) -> None:
    """Checks the address of a job's mail. Raises Problem: ``mail_not_allowed``."""
    if is_allowed(mail.to, settings.mail_recipients):
        return
    detail = (
        "The operator does not allow mail to this address."
        if settings.mail_recipients
        else "This service sends no mail."
    )
    fault = Fault(pointer=pointer("mail", "to"), code="mail_not_allowed", detail=detail)
    raise Problem("mail_not_allowed", f"{mail.to}: {detail}", faults=[fault])

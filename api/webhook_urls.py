"""Refuses webhook addresses early, with the reason, when their text alone shows that they cannot be used."""

from __future__ import annotations

from api.answers import Fault
from api.problems import Problem, pointer
from cleanplate.base.addresses import reason_against


def check_webhook_url(url: str, *, allow_private: bool, path: tuple[str, ...] = ()) -> None:
    """Accept a public https address; with ``allow_private`` also http and private hosts. ``path`` leads to the field.

    Raises:
        Problem: ``url_not_allowed``, with the reason.
    """
    reason = reason_against(url, allow_private=allow_private)
    if reason is not None:
        fault = Fault(pointer=pointer(*path, "url"), code="url_not_allowed", detail=reason)
        raise Problem("url_not_allowed", reason, faults=[fault])

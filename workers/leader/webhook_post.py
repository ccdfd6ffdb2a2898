"""One post to an address that a tenant chose, over guarded HTTP (:mod:`workers.shared.guarded_http`)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests
from requests_hardened.ip_filter import InvalidIPAddress
from urllib3.exceptions import HTTPError

from workers.errors import AddressRefused
from workers.shared.guarded_http import guarded_session

USER_AGENT = "Cleanplate-Webhooks/1"
#: Longest part of an answer that is read, in bytes.
ANSWER_BYTES = 4096
#: Longest part of an answer that is kept, in characters.
EXCERPT_CHARACTERS = 500


@dataclass(frozen=True)
class Answer:
    """The result of one post: a status, or an error where the receiver gave none."""

    status: int | None
    error: str | None
    excerpt: str | None
    seconds: float
    #: The receiver's ``retry-after``; ``None`` where it sent none.
    retry_after_s: float | None


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float, allow_private: bool) -> Answer:
    """Post ``body`` once. An error is part of the answer.

    ``timeout_s``: for connecting, and then again until the answer has been read.
    """
    started_at = time.monotonic()
    try:
        with guarded_session(timeout_s, allow_private=allow_private, user_agent=USER_AGENT) as session:
            if urlsplit(url).scheme != "https" and not allow_private:
                raise AddressRefused("Webhooks are posted over https only.")
            with session.post(url, data=body, headers=dict(headers), stream=True) as response:
                return Answer(
                    status=response.status_code,
                    error=None,
                    excerpt=_excerpt(response),
                    seconds=time.monotonic() - started_at,
                    retry_after_s=retry_after(response.headers.get("retry-after")),
                )
    except (InvalidIPAddress, AddressRefused) as error:
        sentence = str(error) if isinstance(error, AddressRefused) else "The address is in a private network."
        return _failed(f"{AddressRefused.code}: {sentence}", started_at)
    except (requests.RequestException, UnicodeError, ValueError) as error:
        # The class alone: the text repeats the URL, which may carry a secret of the receiver's.
        return _failed(f"unreachable: {type(error).__name__}", started_at)


def _failed(error: str, started_at: float) -> Answer:
    return Answer(status=None, error=error, excerpt=None, seconds=time.monotonic() - started_at, retry_after_s=None)


def _excerpt(response: requests.Response) -> str | None:
    """The beginning of the answer, as text that every database stores."""
    read = b""
    # The status has arrived, and it decides. A text that breaks off is kept as far as it came.
    with contextlib.suppress(OSError, HTTPError, requests.RequestException):
        while len(read) < ANSWER_BYTES and (
            piece := response.raw.read1(ANSWER_BYTES - len(read), decode_content=False)
        ):
            read += piece
    text = read.decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}").strip()
    return text[:EXCERPT_CHARACTERS] or None


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a ``retry-after`` header asks for, as a number or a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    try:
        seconds = float(min(int(value), 10**9))
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        seconds = (at - (now or datetime.now(UTC))).total_seconds()
    return max(seconds, 0.0)

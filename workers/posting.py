"""Posts to addresses that tenants chose: resolved once, never to a private network, never redirected, always bounded.

``requests-hardened`` resolves a host, refuses private, loopback, link-local, multicast and translated ranges, and
connects to the very address it checked. Here is what it leaves open.
"""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests_hardened import Config, HTTPSession
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3.exceptions import HTTPError

from workers.deadline import POOLS
from workers.errors import AddressRefused

USER_AGENT = "Cleanplate-Webhooks/1"
#: Bytes of an answer that are read; the rest is never fetched.
ANSWER_BYTES = 4096
#: Characters of an answer that are kept.
EXCERPT_CHARACTERS = 500

#: Not private by the registries, but never a receiver: Azure's platform address, and IPv6's retired private and
#: IPv4-compatible ranges.
_NEVER = tuple(ipaddress.ip_network(text) for text in ("168.63.129.16/32", "fec0::/10", "::/96"))


@dataclass(frozen=True)
class Answer:
    """What came of one post: a status, or why there is none."""

    status: int | None
    error: str | None
    excerpt: str | None
    seconds: float
    #: What the receiver asked for; ``None`` where it did not.
    retry_after_s: float | None


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float, allow_private: bool) -> Answer:
    """Post ``body`` once. Whatever goes wrong is in the answer.

    ``timeout_s``: for connecting, and then for everything until the answer has been read.
    """
    begun = time.monotonic()
    try:
        with _session(timeout_s, allow_private) as session:
            if urlsplit(url).scheme != "https" and not allow_private:
                raise AddressRefused("Webhooks are posted over https only.")
            with session.post(url, data=body, headers=dict(headers), stream=True) as response:
                return Answer(
                    status=response.status_code,
                    error=None,
                    excerpt=_excerpt(response),
                    seconds=time.monotonic() - begun,
                    retry_after_s=retry_after(response.headers.get("retry-after")),
                )
    except (InvalidIPAddress, AddressRefused) as error:
        sentence = str(error) if isinstance(error, AddressRefused) else "The address is in a private network."
        return _none(f"{AddressRefused.code}: {sentence}", begun)
    except (requests.RequestException, UnicodeError, ValueError) as error:
        # The class alone: the text repeats the URL, which may carry a secret of the receiver's.
        return _none(f"unreachable: {type(error).__name__}", begun)


def _none(error: str, begun: float) -> Answer:
    return Answer(status=None, error=error, excerpt=None, seconds=time.monotonic() - begun, retry_after_s=None)


class _Guarded(IPFilterAdapter):  # type: ignore[misc]
    """Refuses a few more addresses than the library does, after its one look at the name."""

    def build_connection_pool_key_attributes(self, *given: Any, **named: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        host, pool = super().build_connection_pool_key_attributes(*given, **named)
        address = ipaddress.ip_address(str(host["host"]).strip("[]"))
        if any(address in network for network in _NEVER if network.version == address.version):
            raise InvalidIPAddress(address)
        return host, pool


def _session(timeout_s: float, allow_private: bool) -> requests.Session:
    session: requests.Session = HTTPSession(
        Config(
            ip_filter_enable=not allow_private,
            ip_filter_allow_loopback_ips=False,
            never_redirect=True,
            default_timeout=(timeout_s, timeout_s),
            user_agent_override=USER_AGENT,
        )
    )
    # No proxy, password file or certificate bundle from this process's environment reaches a tenant's receiver.
    session.trust_env = False
    if not allow_private:
        session.mount("https://", _Guarded(is_https_proto=True))
    for adapter in session.adapters.values():
        adapter.poolmanager.pool_classes_by_scheme = POOLS  # type: ignore[attr-defined]
    # What is read is cut off by bytes; compressed, those could unfold to any size.
    session.headers["Accept-Encoding"] = "identity"
    return session


def _excerpt(response: requests.Response) -> str | None:
    """The beginning of the answer as text that every database takes."""
    read = b""
    # The status has arrived, and it decides; a text that breaks off is kept as far as it came.
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

"""Which addresses may receive webhooks, judged by their text alone.

What a name resolves to is checked again at every delivery, by the sender; this check is for telling people early.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urlsplit

from api.answers import Fault
from api.problems import Problem, pointer

_HOST = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")
#: Suffixes that name a machine of the reader's own network.
_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home", ".corp", ".home.arpa")

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def check_webhook_url(url: str, *, allow_private: bool) -> None:
    """Accept a public https address; with ``allow_private`` also http and private hosts.

    Raises:
        Problem: ``url_not_allowed``, with the reason.
    """
    reason = _reason_against(url, allow_private=allow_private)
    if reason is not None:
        raise Problem("url_not_allowed", reason, faults=[Fault(pointer=pointer("url"), detail=reason)])


def _reason_against(url: str, *, allow_private: bool) -> str | None:
    if not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url):
        return "The address may hold printable ASCII only: write other characters in punycode or percent-encoded."
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        return f"This is not an address: {error}."
    schemes = ("https", "http") if allow_private else ("https",)
    faults = {
        f"The address must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}.": parts.scheme
        not in schemes,
        "The address may not hold a user name or password.": "@" in parts.netloc,
        "The address may not hold a fragment (#…).": bool(parts.fragment),
        "The address names no host, or port 0.": not host or port == 0,
    }
    reason = next((sentence for sentence, holds in faults.items() if holds), None)
    return reason if reason or allow_private else _reason_against_host(host or "")


def _reason_against_host(host: str) -> str | None:
    address = _as_address(host)
    if address is not None:
        public = all(seen.is_global and not seen.is_multicast for seen in (address, *_within(address)))
        return None if public else f"{host} is not a public address."
    name = host.removesuffix(".")
    if not _HOST.fullmatch(name):
        return f"{host} is not the full name of a public host."
    if f".{name}".endswith(_PRIVATE_SUFFIXES):
        return f"{host} names a host of a private network."
    return None


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address can be carried on to: mapped, NAT64, 6to4, Teredo."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [inner for inner in found if inner is not None]


def _as_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a connection to ``host`` would go to without asking a name server."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        # Also 127.1, 0x7f000001, 2130706433 and the like, which the C library takes for addresses.
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None

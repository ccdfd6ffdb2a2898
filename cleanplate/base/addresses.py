"""Which addresses of users may be connected to: the one place that decides it, for webhooks and for pictures.

:func:`reason_against` judges an address by its text alone, to tell people early. What its name resolves to is judged by
:func:`is_public`, by whoever connects, for the very address that is connected to.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_HOST = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")
#: Suffixes that name a machine of the reader's own network.
_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home", ".corp", ".home.arpa")

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: Not private by the registries, but never anybody's public server: Azure's platform address, and IPv6's retired
#: private and IPv4-compatible ranges.
_NEVER = tuple(ipaddress.ip_network(text) for text in ("168.63.129.16/32", "fec0::/10", "::/96"))


def is_public(address: Address) -> bool:
    """Whether an address, and every address that it can be carried on to, is one of the public internet."""
    return all(_is_public(seen) for seen in (address, *_within(address)))


def reason_against(url: str, *, allow_private: bool, ports: frozenset[int] | None = None) -> str | None:
    """Why a URL may not be connected to, as a sentence; ``None`` for a public https address.

    ``ports``: the only ones that are good. ``allow_private``: http, private hosts and all ports are good too.
    """
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
    if reason or allow_private:
        return reason
    if ports is not None and (port or 443) not in ports:
        return f"The address may name no other port than {', '.join(map(str, sorted(ports)))}."
    return _reason_against_host(host or "")


def _reason_against_host(host: str) -> str | None:
    address = _as_address(host)
    if address is not None:
        return None if is_public(address) else f"{host} is not a public address."
    name = host.removesuffix(".")
    if not _HOST.fullmatch(name):
        return f"{host} is not the full name of a public host."
    if f".{name}".endswith(_PRIVATE_SUFFIXES):
        return f"{host} names a host of a private network."
    return None


def _is_public(address: Address) -> bool:
    never = any(address in network for network in _NEVER if network.version == address.version)
    return address.is_global and not address.is_multicast and not never


def _within(address: Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address can be carried on to: mapped, NAT64, 6to4, Teredo."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [inner for inner in found if inner is not None]


def _as_address(host: str) -> Address | None:
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

"""Decides to which users' addresses the service may connect, for webhooks and for pictures.

:func:`reason_against` judges an address by its text alone, to tell people early. The code that connects then applies
:func:`is_public` to the very IP address that it connects to.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_HOST = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")
#: Suffixes of hosts in a private network.
_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home", ".corp", ".home.arpa")

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: Public by the registries, and never a public server: Azure's platform address, and IPv6's retired private and
#: IPv4-compatible ranges.
_NEVER = tuple(ipaddress.ip_network(text) for text in ("168.63.129.16/32", "fec0::/10", "::/96"))


def is_public(address: Address) -> bool:
    """Whether an address, and every IPv4 address that it can be translated to, belongs to the public internet."""
    return all(_is_public(each) for each in (address, *_translations(address)))


def reason_against(url: str, *, allow_private: bool, ports: frozenset[int] | None = None) -> str | None:
    """Why the service may not connect to a URL, as a sentence; ``None`` for a public https address.

    ``ports``: the only ports allowed. ``allow_private``: allow http, private hosts and all ports too.
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
        return f"The address may name only these ports: {', '.join(map(str, sorted(ports)))}."
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


def _translations(address: Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address can be translated to: mapped, NAT64, 6to4, Teredo."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    translations = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        translations.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [inner for inner in translations if inner is not None]


def _as_address(host: str) -> Address | None:
    """The IP address that ``host`` is, without a name server; ``None`` for a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        # Also 127.1, 0x7f000001 and 2130706433, which the C library accepts as addresses.
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None

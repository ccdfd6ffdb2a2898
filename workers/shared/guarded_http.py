"""HTTP to addresses that tenants chose: resolved once, never to a private network, never redirected, always bounded.

``requests-hardened`` resolves a host, refuses private, loopback, link-local, multicast and translated ranges, and
connects to the address that it checked. This module closes what it leaves open. :mod:`cleanplate.base.addresses`
decides which addresses are public.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import requests
from requests_hardened import Config, HTTPSession
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter

from cleanplate.base.addresses import is_public
from workers.shared.connection_deadline import POOLS


class _Guarded(IPFilterAdapter):  # type: ignore[misc]
    """Refuses the addresses that are not public and that the library lets pass, after its one resolution."""

    def build_connection_pool_key_attributes(self, *given: Any, **named: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        host, pool = super().build_connection_pool_key_attributes(*given, **named)
        address = ipaddress.ip_address(str(host["host"]).strip("[]"))
        if not is_public(address):
            raise InvalidIPAddress(address)
        return host, pool


def guarded_session(timeout_s: float, *, allow_private: bool, user_agent: str) -> requests.Session:
    """A session for one request. Private addresses raise ``InvalidIPAddress``; redirects are not followed.

    ``timeout_s``: for connecting, and then again until the answer has been read.
    """
    session: requests.Session = HTTPSession(
        Config(
            ip_filter_enable=not allow_private,
            ip_filter_allow_loopback_ips=False,
            never_redirect=True,
            default_timeout=(timeout_s, timeout_s),
            user_agent_override=user_agent,
        )
    )
    # Proxies, password files and certificate bundles of this process's environment are ignored.
    session.trust_env = False
    if not allow_private:
        session.mount("https://", _Guarded(is_https_proto=True))
    for adapter in session.adapters.values():
        adapter.poolmanager.pool_classes_by_scheme = POOLS  # type: ignore[attr-defined]
    # The limit of bytes would not bound an answer that unfolds when it is decompressed.
    session.headers["Accept-Encoding"] = "identity"
    return session

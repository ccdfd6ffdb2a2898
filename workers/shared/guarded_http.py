"""HTTP to addresses that tenants chose: resolved once, never to a private network, never redirected, always bounded.

``requests-hardened`` resolves a host, refuses private, loopback, link-local, multicast and translated ranges, and
connects to the very address it checked. Here is what it leaves open; what a public address is, is decided in
:mod:`cleanplate.base.addresses`.
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
    """Refuses a few more addresses than the library does, after its one look at the name."""

    def build_connection_pool_key_attributes(self, *given: Any, **named: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        host, pool = super().build_connection_pool_key_attributes(*given, **named)
        address = ipaddress.ip_address(str(host["host"]).strip("[]"))
        if not is_public(address):
            raise InvalidIPAddress(address)
        return host, pool


def guarded_session(timeout_s: float, *, allow_private: bool, user_agent: str) -> requests.Session:
    """A session for one request. Private addresses raise ``InvalidIPAddress``; redirects are answers like others.

    ``timeout_s``: for connecting, and then for everything until the answer has been read.
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
    # No proxy, password file or certificate bundle from this process's environment reaches a tenant's server.
    session.trust_env = False
    if not allow_private:
        session.mount("https://", _Guarded(is_https_proto=True))
    for adapter in session.adapters.values():
        adapter.poolmanager.pool_classes_by_scheme = POOLS  # type: ignore[attr-defined]
    # What is read is cut off by bytes; compressed, those could unfold to any size.
    session.headers["Accept-Encoding"] = "identity"
    return session

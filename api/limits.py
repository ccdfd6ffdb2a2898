"""Rate limits: so many requests a minute for each API key, counted in Redis, or in each process when embedded.

When Redis is away the processes count for themselves until it is back: requests are answered rather than refused.
"""

from __future__ import annotations

import hashlib

from apiflask import APIFlask
from flask import request
from flask_limiter import HeaderNames, Limiter

from api.web import session
from cleanplate.base.settings import Settings

#: Names of the headers with the limit, what is left of it, and the second of the epoch at which it is whole again.
HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


def register(app: APIFlask, settings: Settings) -> None:
    """Limit the requests to ``app`` under /v1; the rest is for machines that watch and people that read."""
    if not settings.rate_limit_per_minute:
        return
    Limiter(
        key_func=_who,
        app=app,
        application_limits=[f"{settings.rate_limit_per_minute}/minute"],
        application_limits_exempt_when=lambda: not request.path.startswith("/v1/"),
        headers_enabled=True,
        header_name_mapping=dict(
            zip((HeaderNames.LIMIT, HeaderNames.REMAINING, HeaderNames.RESET), HEADERS, strict=True)
        ),
        retry_after="delta-seconds",
        strategy="fixed-window",
        storage_uri=settings.broker_url.get_secret_value() or "memory://",
        key_prefix="cleanplate",
        in_memory_fallback_enabled=True,
    )


def _who() -> str:
    """The key or the session's secret as sent, valid or not; without one the address.

    Hashed, because Redis would show it.
    """
    key = request.headers.get("Authorization") or session.secret_of_request()
    return hashlib.sha256(key.encode()).hexdigest() if key else request.remote_addr or ""

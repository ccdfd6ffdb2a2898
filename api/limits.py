"""Rate limits: a number of requests a minute for each API key, counted in Redis, or in each process when embedded.

A request without a valid key counts for its address, which behind proxies is the one that they state
(``CLEANPLATE_PROXIES``). When Redis is away or does not answer, each process counts for
itself until Redis is back: requests are answered rather than refused, and the log says so.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIFlask
from flask import Response, g, request
from flask_limiter import HeaderNames, Limiter

from api import auth
from cleanplate.base.resolving import require_name
from cleanplate.base.settings import Settings

#: Headers with the limit, the requests left, and the second of the epoch at which the limit is whole again.
HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
#: Seconds that Redis may take for a connection or an answer: every request waits for it.
_REDIS_TIMEOUT_S = 0.25
#: Refused attempts to sign in, a minute for each address.
_SIGN_INS = 20
#: Where Flask-Limiter puts the seconds to wait, on every answer.
_WAIT = "X-RateLimit-Wait"


def register(app: APIFlask, settings: Settings) -> None:
    """Limit the requests to ``app`` under /v1, and refused attempts to sign in; the rest is for machines that watch.

    Call it after the routes are there.
    """
    if not settings.rate_limit_per_minute:
        return
    redis_url = settings.broker_url.get_secret_value()

    # Answers pass the hooks in the reverse order of their registration: this one comes after Flask-Limiter's.
    @app.after_request
    def tell_refused_clients_when_to_come_back(answer: Response) -> Response:
        wait = answer.headers.pop(_WAIT, None)
        if wait is not None and g.get("problem_code") == "rate_limited":
            answer.headers["Retry-After"] = str(max(1, int(wait)))
        return answer

    limiter = Limiter(
        key_func=_counted_for,
        app=app,
        application_limits=[f"{settings.rate_limit_per_minute}/minute"],
        application_limits_exempt_when=lambda: not request.path.startswith("/v1/"),
        headers_enabled=True,
        header_name_mapping=dict(
            zip(
                (HeaderNames.LIMIT, HeaderNames.REMAINING, HeaderNames.RESET, HeaderNames.RETRY_AFTER),
                (*HEADERS, _WAIT),
                strict=True,
            )
        ),
        retry_after="delta-seconds",
        strategy="fixed-window",
        storage_uri=redis_url or "memory://",
        storage_options=_redis_options(redis_url) if redis_url else {},
        key_prefix="cleanplate",
        # Requests that are at work when Redis stops answering are let through, and later ones counted here.
        swallow_errors=True,
        in_memory_fallback_enabled=True,
    )
    refused = limiter.shared_limit(
        f"{_SIGN_INS}/minute",
        scope="login",
        key_func=lambda: request.remote_addr or "",
        deduct_when=lambda answer: answer.status_code == HTTPStatus.FORBIDDEN,
    )
    for endpoint in ("login.sign_in", "login.sign_in_by_link"):
        sign_in: Any = app.view_functions[endpoint]
        app.view_functions[endpoint] = refused(sign_in)


def _redis_options(url: str) -> dict[str, Any]:
    """One short try for each answer. Imports redis, which brings OpenTelemetry along where that is installed."""
    from redis.backoff import NoBackoff
    from redis.connection import Connection, SSLConnection
    from redis.retry import Retry

    kind = SSLConnection if url.startswith("rediss:") else Connection

    class Bounded(kind):  # type: ignore[misc, valid-type]
        def _connect(self) -> Any:
            require_name(self.host, _REDIS_TIMEOUT_S)
            return super()._connect()

    return {
        "connection_class": Bounded,
        "socket_timeout": _REDIS_TIMEOUT_S,
        "socket_connect_timeout": _REDIS_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
    }


def _counted_for() -> str:
    """The id of the request's key; without a valid one its address."""
    caller = auth.identified()
    return caller.key_id if caller is not None else request.remote_addr or ""

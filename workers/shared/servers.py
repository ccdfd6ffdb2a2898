"""Ledger, object store and queue, checked before a program starts.

A server that does not answer is waited for, as in an outage later: it may be starting too. The log says which one and
why. A server that refuses ends the start at once with the variable to change.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

import redis
import structlog
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from cleanplate.base.settings import Settings
from storage.blobs import open_blobs
from storage.database import Database
from storage.errors import BlobStoreRefused, BlobStoreUnavailable, LedgerUnavailable
from workers.errors import ServerRefuses, ServerSilent

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")

#: Seconds that a command waits whose result a person waits for.
COMMAND_WAIT_S = 30.0
PAUSE_S = 1.0
_ANSWER_S = 5.0
_LEDGER, _BLOBS, _QUEUE = "CLEANPLATE_DATABASE_URL", "CLEANPLATE_BLOBS_URL", "CLEANPLATE_BROKER_URL"
#: In Postgres' messages of refused connections, which no retry mends.
_POSTGRES_REFUSES = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied")
#: What to do about an error code of S3.
_S3_ADVICE = {
    "NoSuchBucket": "the bucket does not exist: create it, or run `cleanplate migrate`, which creates it",
    "InvalidAccessKeyId": "check CLEANPLATE_S3_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "check CLEANPLATE_S3_SECRET_ACCESS_KEY",
    "AccessDenied": "the key needs the permission to list, read, write and delete in the bucket",
}


def check_servers_of_api(settings: Settings) -> None:
    """Refuse the start of the API where ledger or object store refuse it; start without one that does not answer.

    The API answers without them: ``/healthz``, and 503 for what needs the server that is away.

    Raises:
        ServerRefuses: a server refuses.
    """
    for require in (require_ledger, require_blobs):
        try:
            require(settings, wait_s=0)
        except ServerSilent as error:
            log.warning("start.without_server", error=str(error))


def require_ledger(settings: Settings, *, migrated: bool = True, wait_s: float = math.inf) -> None:
    """The ledger answers, and has the tables of this version unless ``migrated`` is false.

    Raises:
        ServerRefuses: it does not.
    """
    database = Database.connect(settings.sqlalchemy_url)
    try:
        if not database.on_postgres:
            wait_s = 0  # a file answers at once or never
        behind = _wait_for("ledger", lambda: _ask_ledger(database), LedgerUnavailable, _LEDGER, wait_s)
    finally:
        database.close()
    if migrated and behind:
        raise ServerRefuses(
            "The ledger lacks tables of this version: run `cleanplate migrate` once, then start this program again."
        )


def require_blobs(settings: Settings, *, wait_s: float = math.inf) -> None:
    """The blob store answers, and its bucket exists.

    Raises:
        ServerRefuses: it does not.
    """
    _wait_for("object store", lambda: _ask_blobs(settings), BlobStoreUnavailable, _BLOBS, wait_s)


def require_queue(settings: Settings, *, wait_s: float = math.inf, sleep: Callable[[float], None] = time.sleep) -> None:
    """The queue's Redis answers. A folder always does.

    Raises:
        ServerRefuses: it does not.
    """
    if not settings.embedded_broker:
        _wait_for("queue", lambda: _ask_queue(settings), RedisError, _QUEUE, wait_s, sleep=sleep)


def _wait_for(
    server: str,
    ask: Callable[[], Answer],
    transient: type[Exception],
    variable: str,
    wait_s: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """The first answer; asks again after a ``transient`` error until ``wait_s`` is over."""
    deadline = time.monotonic() + wait_s
    reported = ""
    while True:
        try:
            return ask()
        except transient as error:
            reason = " ".join(str(error).split())
            if time.monotonic() >= deadline:
                raise ServerSilent(f"{variable}: the {server} cannot be used: {reason}") from error
            if reason != reported:
                log.warning("start.waits", server=server, variable=variable, error=reason)
                reported = reason
        sleep(PAUSE_S)


def _ask_ledger(database: Database) -> bool:
    """Whether migrations are missing."""
    try:
        return not database.schema_is_current()
    except LedgerUnavailable as error:
        if any(words in str(error) for words in _POSTGRES_REFUSES):
            raise ServerRefuses(f"{_LEDGER}: {error}") from error
        raise


def _ask_blobs(settings: Settings) -> None:
    try:
        next(iter(open_blobs(settings).list("t/start/")), None)
    except BlobStoreRefused as error:
        known = (advice for code, advice in _S3_ADVICE.items() if code in str(error))
        advice = next(known, "check the CLEANPLATE_S3_… settings")
        raise ServerRefuses(f"{_BLOBS}: {error} For {settings.blobs_url}: {advice}.") from error


def _ask_queue(settings: Settings) -> None:
    url = settings.broker_url.get_secret_value()
    with redis.Redis.from_url(url, socket_timeout=_ANSWER_S, socket_connect_timeout=_ANSWER_S) as client:
        try:
            client.ping()
        except (AuthenticationError, ResponseError) as error:
            raise ServerRefuses(f"{_QUEUE}: {urlsplit(url).hostname} refuses: {error}") from error

"""The ledger and the blob store of this process, opened at the first use.

A forked process must not share its parent's connections: each process opens its own.
"""

from __future__ import annotations

import os
import threading
from datetime import datetime

from flask import current_app

from api.watching import Watcher
from cleanplate.base.settings import Settings
from storage.blobs import Blobs, open_blobs, secret_of
from storage.blobs.buckets import Buckets
from storage.breaker import Breaker
from storage.database import Database
from storage.ledger.jobs.watching import Look, look_at
from storage.ledger.tenants.sessions import select_valid
from storage.records import Caller


class Stores:
    """Opens on demand, once per process; safe among threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._database: Database | None = None
        self._blobs: Blobs | None = None
        #: Buckets of tenants; it reconnects by itself after a fork.
        self.buckets = Buckets(settings)
        #: Tells the streams of this process about changed jobs.
        self.watcher = Watcher(self._look, self._select_valid)
        self._secret: str | None = None

    @property
    def secret(self) -> str:
        """The key that signs sessions. Read at the first use, because reading may have to make it."""
        with self._lock:
            if self._secret is None:
                self._secret = secret_of(self.settings)
            return self._secret

    @property
    def database(self) -> Database:
        with self._lock:
            self._forget_parents()
            if self._database is None:
                self._database = Database.connect(self.settings.sqlalchemy_url, breaker=Breaker())
            return self._database

    @property
    def blobs(self) -> Blobs:
        with self._lock:
            self._forget_parents()
            if self._blobs is None:
                self._blobs = open_blobs(self.settings, breaker=Breaker())
            return self._blobs

    def _look(self, named: set[tuple[str, str]], tenants: set[str], made_after: datetime) -> Look:
        return look_at(self.database, named, tenants, made_after=made_after)

    def _select_valid(self, callers: set[Caller]) -> set[Caller]:
        return select_valid(self.database, callers)

    def close(self) -> None:
        """Close the ledger's connections; the next use opens new ones."""
        with self._lock:
            self._forget_parents()
            if self._database is not None:
                self._database.close()
            self._database = self._blobs = None

    def _forget_parents(self) -> None:
        if self._owner != os.getpid():
            self._owner = os.getpid()
            self._database = self._blobs = None


def stores() -> Stores:
    """The stores of the application that answers the current request."""
    opened = current_app.extensions["cleanplate"]
    if not isinstance(opened, Stores):
        raise TypeError("the application was not made by create_app")
    return opened

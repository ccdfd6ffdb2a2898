"""Health: whether the process is alive, and whether it is ready. Both answers come in time, whatever a server does."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from weakref import WeakKeyDictionary

from apiflask import APIBlueprint

from api import answers
from api.problems import Problem, responses
from api.stores import Stores, stores
from cleanplate.base.files import require_writable
from cleanplate.errors import FolderUnusable
from storage.errors import BlobNotFound, StorageError
from storage.ledger.operations.devices import worker_state

blueprint = APIBlueprint(
    "health",
    __name__,
    tag={"name": "Health", "description": "For whoever runs the service."},
)


#: Seconds that ledger and object store together have to answer.
_PATIENCE_S = 3.0
_lock = threading.Lock()
_looks: WeakKeyDictionary[Stores, dict[str, _Look]] = WeakKeyDictionary()


@blueprint.get("/healthz")
@blueprint.output(answers.Health, description="The process answers.")
@blueprint.doc(summary="Check that the process is alive", description="Asks nothing of the ledger or the object store.")
def alive() -> answers.Health:
    return answers.Health(status="ok")


@blueprint.get("/readyz")
@blueprint.output(
    answers.Readiness, description="Ledger and object store can be reached, and the schema is not behind."
)
@blueprint.doc(
    summary="Check that the service is ready",
    description="Answers 200 without workers too: jobs wait for one, and an autoscaler may have stopped the last.",
    responses=responses("not_ready"),
)
def ready() -> answers.Readiness:
    backend = stores()
    reasons = [reason for reason in servers(backend).values() if reason]
    if reasons:
        raise Problem("not_ready", " ".join(reasons))
    state = worker_state(backend.database)
    return answers.Readiness(status="ok", workers=state.working, starting=state.starting, reason=state.reason_code)


def servers(backend: Stores) -> dict[str, str | None]:
    """Why a server of the service cannot be used, by its name; ``None``: it can. Answers within 3 s."""
    until = time.monotonic() + _PATIENCE_S
    looks = {
        "ledger": _look_at("ledger", _against_ledger, backend),
        "object store": _look_at("object store", _against_blobs, backend),
        "disk": _look_at("disk", _against_disk, backend),
    }
    return {name: look.reason(until) for name, look in looks.items()}


class _Look:
    """One look at a server, in a thread of its own; requests that come meanwhile share it."""

    def __init__(self, name: str, ask: Callable[[Stores], str | None], backend: Stores) -> None:
        self._name = name
        self._reason: str | None = None
        self.done = threading.Event()
        threading.Thread(target=self._run, args=(ask, backend), name=f"ready-{name}", daemon=True).start()

    def reason(self, until: float) -> str | None:
        """Why the server cannot be used; ``None``: it can."""
        if not self.done.wait(max(0.0, until - time.monotonic())):
            return f"The {self._name} does not answer."
        return self._reason

    def _run(self, ask: Callable[[Stores], str | None], backend: Stores) -> None:
        self._reason = f"The {self._name} cannot be asked."
        try:
            self._reason = ask(backend)
        finally:
            self.done.set()


def _look_at(name: str, ask: Callable[[Stores], str | None], backend: Stores) -> _Look:
    with _lock:
        looks = _looks.setdefault(backend, {})
        if name not in looks or looks[name].done.is_set():
            looks[name] = _Look(name, ask, backend)
        return looks[name]


def _against_ledger(backend: Stores) -> str | None:
    try:
        backend.database.check()
        if not backend.database.schema_is_current():
            return "The ledger lacks tables of this version: run `cleanplate migrate`."
    except StorageError as error:
        return f"The ledger cannot be reached ({error.code})."
    return None


def _against_disk(backend: Stores) -> str | None:
    settings = backend.settings
    if settings.database_url.get_secret_value():
        return None
    try:
        free = shutil.disk_usage(settings.home).free
        require_writable(settings.home)
    except OSError as error:
        return f"The home folder cannot be read ({error.strerror})."
    except FolderUnusable:
        return "The home folder cannot be written: it is read-only, another user's, or on a full disk."
    if free < settings.min_free_bytes:
        return f"The disk is full: {free >> 20} MiB are free, and {settings.min_free_bytes >> 20} MiB are needed."
    return None


def _against_blobs(backend: Stores) -> str | None:
    try:
        # Listing detects a missing bucket; reading a blob detects a folder without access.
        next(iter(backend.blobs.list("t/readyz/")), None)
        with suppress(BlobNotFound):
            backend.blobs.stat("t/readyz")
    except StorageError as error:
        return f"The object store cannot be reached ({error.code})."
    return None

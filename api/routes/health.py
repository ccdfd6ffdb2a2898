"""Health: whether the process is alive, and whether it is ready."""

from __future__ import annotations

from contextlib import suppress

from apiflask import APIBlueprint

from api import answers
from api.problems import Problem, responses
from api.stores import Stores, stores
from storage.errors import BlobNotFound, StorageError
from storage.ledger.operations.devices import worker_state

blueprint = APIBlueprint(
    "health",
    __name__,
    tag={"name": "Health", "description": "For whoever runs the service."},
)


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
    reasons = [reason for reason in (_against_ledger(stores()), _against_blobs(stores())) if reason]
    if reasons:
        raise Problem("not_ready", " ".join(reasons))
    state = worker_state(stores().database)
    return answers.Readiness(status="ok", workers=state.working, starting=state.starting, reason=state.reason_code)


def _against_ledger(backend: Stores) -> str | None:
    try:
        backend.database.check()
        if not backend.database.schema_is_current():
            return "The ledger lacks tables of this version: run `cleanplate migrate`."
    except StorageError as error:
        return f"The ledger cannot be reached ({error.code})."
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

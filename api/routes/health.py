"""Health: is the process alive, and can it do its work."""

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
@blueprint.doc(summary="Is the process alive?", description="Asks nothing of the ledger or the object store.")
def alive() -> answers.Health:
    return answers.Health(status="ok")


@blueprint.get("/readyz")
@blueprint.output(
    answers.Readiness, description="Ledger and object store can be reached, and the schema is not behind."
)
@blueprint.doc(
    summary="Can it do its work?",
    description="Answers 200 without workers too: jobs wait for one, and an autoscaler may have stopped the last.",
    responses=responses("not_ready"),
)
def ready() -> answers.Readiness:
    reasons = [reason for reason in (_against_ledger(stores()), _against_blobs(stores())) if reason]
    if reasons:
        raise Problem("not_ready", " ".join(reasons))
    state = worker_state(stores().database)
    return answers.Readiness(status="ok", workers=state.working, starting=state.starting, reason=state.reason_code)


def _against_ledger(here: Stores) -> str | None:
    try:
        here.database.check()
        if here.database.schema_is_behind():
            return "The ledger lacks tables of this version: run `cleanplate migrate`."
    except StorageError as error:
        return f"The ledger cannot be reached ({error.code})."
    return None


def _against_blobs(here: Stores) -> str | None:
    try:
        # Listing finds a bucket that is not there; asking for a blob finds a folder that cannot be read.
        next(iter(here.blobs.list("t/readyz/")), None)
        with suppress(BlobNotFound):
            here.blobs.stat("t/readyz")
    except StorageError as error:
        return f"The object store cannot be reached ({error.code})."
    return None

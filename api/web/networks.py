"""The large network from the page: whoever runs the service fetches it, in a program apart (``weights pull``).

Only where the API's folder is also the workers': then workers find the file at the first picture that asks for it, and
nothing has to start again. Elsewhere each worker machine fetches its own.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from apiflask import APIBlueprint

from api import auth
from api.images import networks_of
from api.problems import Problem
from api.stores import stores
from api.web.pages import Pages
from cleanplate.base import weights
from cleanplate.base.files import make_folder, make_home_folder
from cleanplate.base.processes import python_command, spawn
from cleanplate.base.pulls import Pull, Stage, read_pull, state_path, stop_path, write_pull
from cleanplate.base.settings import Settings
from cleanplate.errors import FolderUnusable
from model.engine.costs import times_slower
from storage.ledger.operations.devices import list_devices
from storage.records import Scope

blueprint: APIBlueprint = Pages("networks", __name__)

#: Its state once it can be chosen.
_HERE = "here"
#: Its state where nobody has asked for it.
_ABSENT = "absent"


@dataclass(frozen=True)
class Offer:
    """What the page says of the large network to this caller."""

    megabytes: int
    #: Against the shipped network on the service's devices; ``None``: not measured there.
    times_slower: int | None
    #: ``page``: fetched from the page; ``servers``: the caller runs the service, whose workers are elsewhere; ``ask``.
    way: str


def offer() -> Offer:
    """The offer to the current caller, on protected routes."""
    slower = times_slower(report.device for report in list_devices(stores().database))
    way = "ask" if not _runs_the_service() else "page" if stores().settings.embedded_broker else "servers"
    return Offer(weights.PUBLISHED[weights.LARGE].megabytes, slower, way)


def _runs_the_service() -> bool:
    return Scope.ADMIN in auth.caller().scopes and auth.operates()


@blueprint.before_request
def _only_who_runs_the_service() -> None:
    if not _runs_the_service():
        raise Problem("scope_missing", "Only keys of the operator's tenants with the scope admin fetch networks.")
    if not stores().settings.embedded_broker:
        raise Problem("not_found", "The workers of this service have folders of their own: fetch the network there.")


@blueprint.get("/networks/large")
def state() -> dict[str, object]:
    """How far the large network is: ``absent``, ``here``, or a stage of its pull."""
    settings = stores().settings
    if weights.LARGE in networks_of(settings):
        return {"stage": _HERE}
    return _shown(read_pull(state_path(settings, weights.LARGE)))


@blueprint.post("/networks/large")
def fetch() -> dict[str, object]:
    """Begin to fetch it, or go on; nothing happens while it is being fetched or is there."""
    settings = stores().settings
    path = state_path(settings, weights.LARGE)
    pull = read_pull(path)
    if weights.LARGE in networks_of(settings) or (pull is not None and pull.stage.runs):
        return state()
    try:
        make_home_folder(settings.home)
        make_folder(path.parent)
        stop_path(path).unlink(missing_ok=True)
        write_pull(path, Pull(arrived=0 if pull is None else pull.arrived, total=None if pull is None else pull.total))
    except FolderUnusable as error:
        return _shown(Pull(stage=Stage.FAILED, code=error.code, detail=str(error)))
    _start(settings)
    return state()


@blueprint.delete("/networks/large")
def stop() -> dict[str, object]:
    """Stop fetching it; the bytes that arrived are kept for the next time."""
    path = state_path(stores().settings, weights.LARGE)
    pull = read_pull(path)
    if pull is not None and pull.stage.runs:
        stop_path(path).touch()
    elif pull is not None:
        path.unlink(missing_ok=True)
    return state()


def _start(settings: Settings) -> None:
    """Run ``weights pull``; it ends with this process."""
    command = python_command("cleanplate", "weights", "pull", weights.LARGE)
    process = spawn(command, {**os.environ, **settings.environment()})
    threading.Thread(target=process.wait, name="weights-pull", daemon=True).start()


def _shown(pull: Pull | None) -> dict[str, object]:
    if pull is None:
        return {"stage": _ABSENT}
    return {
        "stage": pull.stage,
        "arrived": pull.arrived,
        "total": pull.total,
        "code": pull.code,
        "detail": pull.detail,
        "folder": str(weights.folder(stores().settings)),
    }

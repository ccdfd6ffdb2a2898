"""Devices of all machines, for whoever runs the service."""

from __future__ import annotations

from apiflask import APIBlueprint

from api import answers, auth
from api.problems import Problem, responses
from api.stores import stores
from storage.ledger.operations.devices import list_devices
from storage.records import Scope

blueprint = APIBlueprint(
    "devices", __name__, tag={"name": "Devices", "description": "What works where, for whoever runs the service."}
)
auth.protect(blueprint, writes=Scope.ADMIN)


@blueprint.get("/v1/devices")
@blueprint.output(answers.Devices, description="What was told within the last minute, by host and device.")
@blueprint.doc(
    summary="See the devices of all machines",
    description=(
        "Each worker machine tells of its devices a few times a minute. For keys with the scope `admin` of the tenants "
        "that `CLEANPLATE_OPERATOR_TENANTS` names."
    ),
    responses=responses("not_found"),
)
def index() -> answers.Devices:
    if not auth.operates():
        raise Problem("not_found", "There is nothing here for a tenant that does not run the service.")
    if Scope.ADMIN not in auth.caller().scopes:
        raise Problem("scope_missing", "This API key may not see the machines: it needs the scope admin.")
    return answers.Devices(data=[answers.Device.model_validate(one) for one in list_devices(stores().database)])

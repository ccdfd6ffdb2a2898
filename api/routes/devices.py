"""Devices of all machines, for the operator of the service."""

from __future__ import annotations

from apiflask import APIBlueprint

from api import answers, auth
from api.problems import Problem, responses
from api.stores import stores
from storage.ledger.operations.devices import list_devices
from storage.records import Scope

blueprint = APIBlueprint(
    "devices",
    __name__,
    tag={"name": "Devices", "description": "Devices of all worker machines, for the operator of the service."},
)
auth.protect(blueprint, writes=Scope.ADMIN)


@blueprint.get("/v1/devices")
@blueprint.output(answers.Devices, description="Devices that were reported within the last minute, by host and device.")
@blueprint.doc(
    summary="List the devices of all machines",
    description=(
        "Each worker machine reports its devices a few times a minute. For keys with the scope `admin` of the tenants "
        "that `CLEANPLATE_OPERATOR_TENANTS` names."
    ),
    responses=responses("not_found"),
)
def index() -> answers.Devices:
    if not auth.operates():
        raise Problem("not_found", "Only the operator of the service sees its devices.")
    if Scope.ADMIN not in auth.caller().scopes:
        raise Problem("scope_missing", "This API key may not see the machines: it needs the scope admin.")
    return answers.Devices(data=[answers.Device.model_validate(one) for one in list_devices(stores().database)])

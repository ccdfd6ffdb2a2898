"""Who is asking: ``Authorization: Bearer cp_…`` becomes a tenant's id.

Whole blueprints are protected, not single routes, so that a new route cannot be left open by forgetting a decorator.
"""

from __future__ import annotations

from typing import NoReturn

from apiflask import APIBlueprint, HTTPTokenAuth

from api.problems import Problem
from api.stores import stores
from storage.ledger.tenants import tenant_for_key

bearer = HTTPTokenAuth(scheme="Bearer", description="An API key, made with `cleanplate keys create`.")


@bearer.verify_token  # type: ignore[untyped-decorator]
def _tenant(secret: str) -> str:
    found = tenant_for_key(stores().database, secret)
    if found is None:
        raise Problem(
            "key_wrong",
            "This API key is unknown or revoked. Make another with `cleanplate keys create`.",
            headers={"WWW-Authenticate": 'Bearer realm="cleanplate", error="invalid_token"'},
        )
    return found


@bearer.error_handler  # type: ignore[untyped-decorator]
def _without_a_key(_status: int) -> NoReturn:
    raise Problem(
        "key_missing",
        "Send the API key in the header `Authorization: Bearer cp_…`.",
        headers={"WWW-Authenticate": 'Bearer realm="cleanplate"'},
    )


def protect(blueprint: APIBlueprint) -> None:
    """Let only requests with a valid key reach the routes of ``blueprint``."""

    @blueprint.before_request
    @blueprint.auth_required(bearer)
    def only_with_a_key() -> None:
        """Nothing else: the decorator has refused the others."""


def tenant() -> str:
    """The tenant of the current request, on protected routes."""
    return str(bearer.current_user)
